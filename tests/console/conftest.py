"""The console on a real app of the toy, which brings no pages of its own, and a ledger with a history."""

import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette

from headgate.access import tokens
from headgate.settings import Settings

from ..rooms import make_bundle
from ..serving import real
from ..toy import ROOMS, Rooms
from .history import write_history

ORIGIN = {"origin": "http://127.0.0.1"}


@pytest.fixture
def here(tmp_path: Path) -> Settings:
    """Settings with a state folder of their own."""
    return real.settings(tmp_path / "state")


@pytest.fixture
def app(here: Settings, tmp_path: Path) -> Iterator[Starlette]:
    """The app with a champion in place."""
    with real.real_app(here, ROOMS, Rooms(make_bundle(tmp_path, "tiny"))) as made:
        yield made


@pytest.fixture
def browse() -> Callable[..., Any]:
    """A client of an app, as a browser on this machine."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Starlette would like another client than the one that is installed
        from starlette.testclient import TestClient
    return lambda app, **more: TestClient(app, base_url="http://127.0.0.1", **more)


@pytest.fixture
def client(app: Starlette, browse: Callable[..., Any]) -> Any:
    """A browser without a token, where none is needed."""
    return browse(app)


@pytest.fixture
def history(here: Settings, empty_database: Path) -> Settings:
    """`here` with a registry and a ledger: version 1 is champion, 2 was refused, 3 waits, and promotion is held."""
    return write_history(here, ROOMS.name, empty_database)


@pytest.fixture
def token(here: Settings) -> Callable[..., str]:
    """Makes a token with the scopes that are named."""
    return lambda *scopes: tokens.add(here.tokens_file, "-".join(scopes), scopes)


def log_in(client: Any, token: str, to: str = "/console/", **headers: str) -> Any:
    sent = ORIGIN | headers
    return client.post("/console/login", data={"token": token, "to": to}, headers=sent, follow_redirects=False)
