"""Starting, finding and stopping servers: real processes on real ports."""

import os
import socket
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from headgate import settings
from headgate.commands import demo
from headgate.errors import HeadgateError
from headgate.files import read_json, write_json
from headgate.servers import Server, free_port, pages, running, tracking_uri, until_loaded, up
from headgate.settings import Settings

HOST = "127.0.0.1"


@pytest.fixture
def here(tmp_path: Path) -> Settings:
    return replace(settings.load(), home=tmp_path, tracking_uri=None)  # MLflow leaves its address in the environment


def _server(tmp_path: Path, script: str) -> Server:
    port = free_port(HOST, 18_500)
    url = f"http://{HOST}:{port}"
    return Server("mlflow", port, [sys.executable, "-c", script, str(port)], f"{url}/health", url, {})


ANSWERS = """
import http.server, os, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write(str(os.getpid()).encode())
    def log_message(self, *_): pass
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


def test_a_taken_port_gives_the_next_free_one() -> None:
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert free_port(HOST, port) > port


def test_a_server_is_found_while_it_is_up_and_gone_after(here: Settings, tmp_path: Path) -> None:
    server = _server(tmp_path, ANSWERS)
    assert tracking_uri(here).startswith("sqlite:///")
    with up(here, [server]):
        assert running(here) == {"mlflow": f"http://{HOST}:{server.port}"}
        assert tracking_uri(here) == f"http://{HOST}:{server.port}"
    assert running(here) == {}
    assert free_port(HOST, server.port) == server.port


def test_a_server_imports_nothing_from_the_folder_that_it_is_started_in(
    here: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "colorsys.py").write_text("raise SystemExit('imported')")
    monkeypatch.chdir(tmp_path)
    starts = "import subprocess, sys; subprocess.run([sys.executable, '-m', 'colorsys'], check=True)"
    with up(here, [_server(tmp_path, starts + ANSWERS)]):
        assert "mlflow" in running(here)


def test_an_error_in_the_block_stops_the_servers_too(here: Settings, tmp_path: Path) -> None:
    server = _server(tmp_path, ANSWERS)
    with pytest.raises(RuntimeError, match="mine"), up(here, [server]):
        raise RuntimeError("mine")
    assert running(here) == {}
    assert free_port(HOST, server.port) == server.port


def test_a_server_that_dies_is_told_with_its_last_words(here: Settings, tmp_path: Path) -> None:
    server = _server(tmp_path, "raise SystemExit('the database is from another version')")
    with (
        pytest.raises(HeadgateError, match=r"did not start: the database is from another version.*log is"),
        up(here, [server]),
    ):
        pytest.fail("it never came up")


def test_what_another_wrote_on_the_record_meanwhile_stays_there(here: Settings, tmp_path: Path) -> None:
    with up(here, [_server(tmp_path, ANSWERS)]):
        others = {"mlflow": {"url": "http://127.0.0.1:9", "health": "http://127.0.0.1:9/health", "page": ""}}
        write_json(here.servers_file, others)
    assert read_json(here.servers_file) == others


def test_servers_starts_only_what_is_not_up_and_leaves_the_rest_alone(
    here: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def make(name: str) -> Callable[[Settings], Server]:
        return lambda settings: replace(_server(tmp_path, ANSWERS), name=name, page=f"http://page.of/{name}")

    seen: list[dict[str, str]] = []
    monkeypatch.setattr(demo, "mlflow_server", make("mlflow"))
    monkeypatch.setattr(demo, "prefect_server", make("prefect"))
    monkeypatch.setattr(demo, "_until_stopped", lambda: seen.append(running(here)))
    prefect = make("prefect")(here)
    with up(here, [prefect]):
        demo.serve_all(here)
        assert seen[0].keys() == {"mlflow", "prefect"}
        assert running(here) == {"prefect": prefect.url} == {"prefect": seen[0]["prefect"]}
        shown = capsys.readouterr().out
        assert "http://page.of/mlflow" in shown
        assert "http://page.of/prefect" in shown
        assert pages(here) == {"prefect": "http://page.of/prefect"}
        with up(here, [make("mlflow")(here)]):
            demo.serve_all(here)
        assert len(seen) == 1  # nothing was started, so there is nothing to wait for
        assert "it was before" in capsys.readouterr().out


LOADS = """
import http.server, json, sys
asked = 0
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        global asked
        asked += self.path == "/v1/models"
        models = [{"domain": "rooms", "version": 1 if asked > 2 else None}, {"domain": "halls", "version": None}]
        self.send_response(200); self.end_headers(); self.wfile.write(json.dumps(models).encode())
    def log_message(self, *_): pass
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


def test_a_decision_server_is_waited_for_until_it_has_loaded_the_champions_there_are(
    here: Settings, tmp_path: Path
) -> None:
    server = _server(tmp_path, LOADS)
    with up(here, [server]):
        assert not until_loaded(server.url, ["rooms"], seconds=0.1)
        assert until_loaded(server.url, ["rooms"], seconds=20)
        assert until_loaded(server.url, [])
        assert not until_loaded(server.url, ["rooms", "halls"], seconds=0.1)


def test_a_stale_record_is_no_server(here: Settings) -> None:
    here.servers_file.write_text(
        '{"mlflow": {"url": "http://127.0.0.1:9", "health": "http://127.0.0.1:9/health", "page": ""}}'
    )
    assert running(here) == {}


@pytest.mark.parametrize("text", ["abc", "0", "70000", "-1"])
def test_a_port_that_is_none_is_refused(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADGATE_PORT", text)
    with pytest.raises(HeadgateError, match="HEADGATE_PORT"):
        settings.load()


def test_telemetry_is_off_for_whatever_is_imported_later() -> None:
    settings.load()
    assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "true"
    assert os.environ["DO_NOT_TRACK"] == "1"
