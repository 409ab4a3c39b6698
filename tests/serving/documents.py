"""The OpenAPI document of the real app, as it listens."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import schemathesis
from schemathesis.specs.openapi.checks import positive_data_acceptance

from headgate.access import tokens
from headgate.domain import known_scopes
from headgate.settings import Settings

from ..api.wires import listening
from .real import real_app

#: What fits its schema may be refused all the same: it names what nobody has, or comes from the future.
BEYOND_SCHEMAS = [positive_data_acceptance]


@contextmanager
def documented(here: Settings, domain: Any, predictor: Any) -> Iterator[Any]:
    """What the app of `domain` says that it takes and answers, to be tried with a token that opens everything."""
    known = known_scopes([domain])
    token = tokens.add(here.tokens_file, "all", [*known], known)
    with real_app(here, domain, predictor) as app, listening(app) as port:
        shown = {"Authorization": f"Bearer {token}"}
        schema = schemathesis.openapi.from_url(f"http://127.0.0.1:{port}/openapi.json", headers=shown)
        schema.config.headers = shown
        yield schema
