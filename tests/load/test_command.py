"""`headgate load adclicks` from the command line, against a real server."""

import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn
from prometheus_client import generate_latest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from typer.testing import CliRunner

from headgate.cli import app
from headgate.errors import HeadgateError, UsageError
from headgate.serving.metrics import Timed, request_times

PATH = "/v1/adclicks/decisions"
RUN = ["load", "adclicks", "--rate", "200", "--seconds", "0.5"]


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """A server that times its requests as ours does; it refuses who has no token, and at times who has a tired one."""

    async def decide(request: Request) -> Response:
        clicks = json.loads(await request.body())
        told = request.headers.get("authorization")
        good = told == "Bearer good" or (told == "Bearer tired" and not clicks["click_id"].endswith("0"))
        return Response(status_code=200 if good else 429 if told else 401)

    async def metrics(request: Request) -> Response:
        return Response(generate_latest())

    routes = [Route(PATH, decide, methods=["POST"]), Route("/metrics", metrics)]
    timed = Middleware(Timed, {route.endpoint: route.path for route in routes}, request_times([]))
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(Starlette(routes=routes, middleware=[timed]), log_config=None))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    server.should_exit = True
    thread.join(10)
    listening.close()


def invoke(*arguments: str):
    return CliRunner().invoke(app, [*RUN, *arguments], env={"HEADGATE_TOKEN": None})


def test_what_cannot_be_loaded_or_written_is_said_before_anything_is_sent(address: str, tmp_path: Path):
    (tmp_path / "file").touch()
    asked = {
        "endpoints know tokens only": ("--target", address.replace("http://", "http://user:password@")),
        "name another folder with --out": ("--target", address, "--out", str(tmp_path / "file" / "below")),
    }
    for words, arguments in asked.items():
        done = invoke(*arguments)
        assert isinstance(done.exception, UsageError)
        assert words in str(done.exception)


def test_a_load_is_shown_and_drawn(address: str, tmp_path: Path):
    done = invoke("--target", address, "--token", "good", "--out", str(tmp_path / "out"), "--shape", "peak")
    assert done.exit_code == 0, done.output
    for words in ("p99.9", "inside the server", "No request failed.", "of CPU a request", "peak 200/s"):
        assert words in done.output
    assert (tmp_path / "out" / "latency.png").read_bytes().startswith(b"\x89PNG")
    told = json.loads((tmp_path / "out" / "latency.json").read_text())
    assert told["answered"] == told["requests"] == round(200 * 0.5 * 2 / 3)
    assert told["latency"]["p50"] <= told["latency"]["p99"] <= told["latency"]["max"]
    assert told["inside"]["p50"]["high"] <= told["latency"]["max"] * 10


def test_programs_get_json(address: str, tmp_path: Path):
    done = invoke("--target", address, "--token", "good", "--out", str(tmp_path), "--json")
    assert done.exit_code == 0
    assert json.loads(done.stdout)["failed"] == 0


def test_the_exit_code_tells_of_a_few_failures(address: str, tmp_path: Path):
    done = invoke("--target", address, "--token", "tired", "--out", str(tmp_path))
    assert done.exit_code == 1
    assert "7 failed: HTTP 429. The server limits the rate" in done.output


def test_refused_requests_are_an_error_with_advice(address: str, tmp_path: Path):
    done = invoke("--target", address, "--out", str(tmp_path))
    assert done.exit_code == 1
    assert "100 failed: HTTP 401. Name a token" in done.output


def test_where_nothing_listens_it_says_what_to_start(tmp_path: Path):
    done = invoke("--target", "http://127.0.0.1:9", "--out", str(tmp_path))
    assert isinstance(done.exception, HeadgateError)
    assert "start it with `headgate serve`" in str(done.exception)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--shape", "square"], "Choose one of"),
        (["--target", "localhost"], "write it as http"),
        (["--token", "schlüssel"], "copy it again"),
    ],
)
def test_what_cannot_be_is_refused_with_what_can(arguments: list[str], words: str):
    done = invoke(*arguments)
    assert isinstance(done.exception, UsageError)
    assert words in str(done.exception)


def test_it_says_how_long_it_must_be_told():
    done = CliRunner().invoke(app, ["load", "adclicks", "--rate", "10"])
    assert isinstance(done.exception, UsageError)
    assert "--minutes" in str(done.exception)
