"""Shell completion by the protocol that the installed script speaks: domains, versions, aliases, series."""

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from headgate.domain import NAMES
from headgate.files import write_json

Complete = Callable[..., list[str]]


@pytest.fixture
def complete(tmp_path: Path) -> Complete:
    """What a shell is offered for the last word of a line; nothing may go to standard error."""

    def call(line: str, **environment: str) -> list[str]:
        words = line.split(" ")
        asked = {"_HEADGATE_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)}
        env = os.environ | {"HEADGATE_HOME": str(tmp_path / "state")} | asked | environment
        done = subprocess.run(
            [sys.executable, "-m", "headgate.cli"], capture_output=True, text=True, env=env, check=False
        )
        assert done.stderr == ""
        return done.stdout.split()

    return call


@pytest.fixture
def registry(tmp_path: Path, empty_database: Path) -> None:
    """Three versions, of which one is deleted, and two aliases."""
    from mlflow import MlflowClient

    database = tmp_path / "state" / "mlflow" / "mlflow.db"
    database.parent.mkdir(parents=True)
    shutil.copy(empty_database, database)
    client = MlflowClient(f"sqlite:///{database}")
    client.create_registered_model("adclicks")
    for _ in range(3):
        client.create_model_version("adclicks", str(tmp_path / "bundle"))
    client.delete_model_version("adclicks", "2")
    client.set_registered_model_alias("adclicks", "champion", "3")
    client.set_registered_model_alias("adclicks", "previous", "1")


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("headgate rollb", ["rollback"]),
        ("headgate rollback ad", ["adclicks"]),
        ("headgate simulate ", list(NAMES)),
        ("headgate serve adclicks c", ["capacity"]),
        ("headgate gc ca", ["capacity"]),
        ("headgate capacity cal", ["calendar"]),
        ("headgate capacity calendar str", ["stretch"]),
        ("headgate simulate capacity --weekly", ["--weekly-years"]),
        ("headgate simulate fruit --d", []),
        ("headgate decide fruit --version ch", []),
    ],
)
def test_commands_domains_and_options_are_offered(complete: Complete, line: str, offered: list[str]) -> None:
    assert complete(line) == offered


@pytest.mark.usefixtures("registry")
@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("headgate decide adclicks --version ", ["champion", "previous", "3", "1"]),
        ("headgate rollback adclicks --to ch", ["champion"]),
        ("headgate replay adclicks --with p", ["previous"]),
        ("headgate capacity forecast --version ", []),
    ],
)
def test_versions_and_aliases_of_the_local_registry_are_offered(
    complete: Complete, line: str, offered: list[str]
) -> None:
    assert complete(line) == offered


@pytest.fixture
def server() -> Iterator[str]:
    """A registry's REST interface: what MLflow answers of one model with two versions."""
    answers = {
        "registered-models/get": {"registered_model": {"name": "adclicks", "aliases": [{"alias": "champion"}]}},
        "model-versions/search": {"model_versions": [{"version": "12"}, {"version": "9"}]},
    }

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps(next(answer for path, answer in answers.items() if path in self.path)).encode()
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as listening:
        threading.Thread(target=listening.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{listening.server_address[1]}"
        listening.shutdown()


def test_versions_and_aliases_of_a_server_are_offered(complete: Complete, server: str) -> None:
    line = "headgate decide adclicks --version "
    assert complete(line, MLFLOW_TRACKING_URI=server) == ["champion", "12", "9"]


def test_nothing_is_offered_where_there_is_no_registry_and_nothing_is_made(complete: Complete, tmp_path: Path) -> None:
    line = "headgate decide adclicks --version "
    assert complete(line) == []
    assert complete(line, MLFLOW_TRACKING_URI="http://127.0.0.1:9") == []
    assert complete(line, HEADGATE_PORT="no port") == []
    assert list(tmp_path.iterdir()) == []


def test_series_are_those_of_the_newest_version_or_of_the_source(complete: Complete, tmp_path: Path) -> None:
    line = "headgate capacity forecast --series eu/"
    assert complete(line) == []
    source = tmp_path / "source"
    source.mkdir()
    (source / "series.csv").write_text("series,step\neu/home/requests,60\nus/home/requests,60\n")
    assert complete(line, HEADGATE_SOURCE_CAPACITY=str(source)) == ["eu/home/requests"]
    for age, name in enumerate(("old", "new")):
        bundle = tmp_path / "state" / "bundles" / name
        write_json(bundle / "model.json", [{"series": [{"series": f"eu/{name}/requests"}]}])
        os.utime(bundle / "model.json", (age, age))
    assert complete(line, HEADGATE_SOURCE_CAPACITY=str(source)) == ["eu/new/requests"]


def test_the_script_can_be_shown_and_installed(tmp_path: Path) -> None:
    env = os.environ | {"HOME": str(tmp_path), "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}
    for option in ("--show-completion", "--install-completion"):
        command = [sys.executable, "-m", "headgate.cli", option, "bash"]
        done = subprocess.run(command, capture_output=True, text=True, env=env, check=True)
        assert "headgate" in done.stdout or "bash completion installed" in done.stdout
    installed = (tmp_path / ".bash_completions" / "headgate.sh").read_text()
    assert "_HEADGATE_COMPLETE=complete_bash" in installed
