"""`headgate status`: how things stand, and settings that cannot be."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from headgate import settings
from headgate.orchestration import outcome
from headgate.orchestration.outcome import Outcome

from .said import Headgate


def test_status_tells_a_run_that_did_not_end(headgate: Headgate) -> None:
    began = "from datetime import *; from headgate import settings; from headgate.orchestration import outcome;"
    began += "outcome.begin(settings.load(), 'adclicks', datetime.now(UTC))"
    subprocess.run([sys.executable, "-c", began], check=True)  # its process is gone
    assert "last run    did not end: what began at 20" in headgate("status").out
    outcome.begin(settings.load(), "adclicks", datetime.now(UTC))
    assert "last run    under way: since 20" in headgate("status").out
    assert Outcome.read(settings.load(), "adclicks") is None


def test_before_the_first_version_status_says_so_and_where_it_looked(headgate: Headgate, unmade: Path) -> None:
    said = headgate("status")
    assert (said.code, said.err) == (0, "")
    assert "adclicks" in said.out
    assert f"state        {unmade}" in said.out
    domains = json.loads(headgate("status", "--json").out)["domains"]
    assert [domain["champion"] for domain in domains] == [None, None]
    assert not unmade.exists()


@pytest.mark.parametrize(
    "where", ["/proc/nope", "/proc/nope/state", "a file", "below a file", "~nobody-of-that-name/x"]
)
def test_a_state_folder_that_cannot_be_is_a_usage_error(
    headgate: Headgate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    (tmp_path / "file").touch()
    where = {"a file": str(tmp_path / "file"), "below a file": str(tmp_path / "file" / "state")}.get(where, where)
    monkeypatch.setenv("HEADGATE_HOME", where)
    said = headgate("status")
    assert said.code == 2
    assert said.sentence.startswith(f"HEADGATE_HOME={where} can be no folder (")


def test_a_registry_that_does_not_answer_is_told_in_bounded_time(
    headgate: Headgate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    said = headgate("status")
    assert said.code == 1
    assert said.sentence.startswith("MLflow at http://127.0.0.1:9 does not answer")
    assert "Start it (`headgate servers`), or set MLFLOW_TRACKING_URI to where it is." in said.sentence
    assert int(os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"]) <= 2
    assert int(os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"]) <= 10


@pytest.mark.parametrize("port", ["abc", "0", "65536", "-1", "80.5"])
def test_a_port_that_is_none_is_a_usage_error(headgate: Headgate, monkeypatch: pytest.MonkeyPatch, port: str) -> None:
    monkeypatch.setenv("HEADGATE_PORT", port)
    said = headgate("status")
    assert (said.code, said.sentence) == (2, f"HEADGATE_PORT={port} is no port: give a number from 1 to 65535.")
