"""The Prefect API that a command talks to: the one that is set, the local server, or one started for now."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from headgate.servers import prefect_server, running, up
from headgate.settings import Settings


@contextmanager
def prefect(settings: Settings) -> Iterator[None]:
    """A Prefect API for this process: yours, the local server that is up, or one started for now."""
    os.environ.setdefault("PREFECT_HOME", str(settings.home / "prefect"))
    if settings.prefect_api:
        yield
        return
    address = running(settings).get("prefect")
    if address:
        os.environ["PREFECT_API_URL"] = f"{address}/api"
        yield
        return
    server = prefect_server(settings)
    print("Starting a Prefect server for this run …", file=sys.stderr, flush=True)
    with up(settings, [server]):
        os.environ["PREFECT_API_URL"] = server.health.removesuffix("/health")
        try:
            yield
        finally:
            os.environ.pop("PREFECT_API_URL", None)
