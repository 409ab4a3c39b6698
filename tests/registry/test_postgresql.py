"""PostgreSQL in production: MLflow's registry and the ledger in one database, and Prefect in another."""

import os
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import replace

import httpx
import pytest

from headgate import servers
from headgate.settings import Settings

from ..postgres import Postgres
from .conftest import Registry

PATIENCE = 180.0


def test_registry_and_ledger_in_one_database(postgres: Postgres, settings: Settings) -> None:
    """Promote, roll back, follow a person's stage and put back what may not serve, all in PostgreSQL."""
    name = postgres.database()
    there = replace(settings, tracking_uri=postgres.url(name), ledger=postgres.url(name))
    registry = Registry(there)
    registry.line(3)
    registry.settled(champion=3)
    registry.roll_back()
    registry.settled(champion=2)
    registry.stage(1, archive_existing_versions=True)
    assert [entry.to_version for entry in registry.look()] == [1]
    registry.settled(champion=1)
    registry.alias(registry.register("refused"))
    assert [entry.what for entry in registry.look()] == ["refused"]
    registry.settled(champion=1)
    assert not settings.home.exists()  # nothing fell back to SQLite


@pytest.mark.nightly
def test_prefect_keeps_its_runs_there(postgres: Postgres, settings: Settings) -> None:
    """Prefect's server starts on PostgreSQL with the driver that comes with it."""
    server = servers.prefect_server(settings)
    address = postgres.url(postgres.database(), "asyncpg")
    environment = os.environ | server.environment | {"PREFECT_API_DATABASE_CONNECTION_URL": address}
    process = subprocess.Popen(server.command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline, healthy = time.monotonic() + PATIENCE, False
        while not healthy:
            assert process.poll() is None, "the server ended"
            assert time.monotonic() < deadline
            with suppress(httpx.HTTPError):
                healthy = httpx.get(server.health, timeout=5).status_code == 200
            time.sleep(0.1)
        api = {"PREFECT_API_URL": server.health.removesuffix("/health")}
        script = "from prefect import flow\n@flow\ndef one(): return 1\none()"
        subprocess.run([sys.executable, "-c", script], env=environment | api, check=True, timeout=PATIENCE)
        found = httpx.post(f"{api['PREFECT_API_URL']}/flow_runs/filter", json={}, timeout=30).json()
        assert [run["state_type"] for run in found] == ["COMPLETED"]
    finally:
        process.terminate()
        process.wait(PATIENCE)
