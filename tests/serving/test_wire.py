"""What a connection may take, on real sockets."""

import asyncio
import socket
from collections.abc import Iterator

import msgspec
import pytest
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from headgate.serving import wire
from headgate.serving.endpoints import Endpoint, Operation, json, read
from headgate.serving.problems import Problem, on_problem

from .wires import HANG, listening, status, told

POST = b"POST /echo HTTP/1.1\r\nHost: x\r\n"
CLOSE = b"Connection: close\r\n"


async def echo(request):
    return json(await read(request, msgspec.json.Decoder(dict)))


async def late(request):
    await asyncio.sleep(3 * wire.ARRIVE_SECONDS)
    return json(await read(request, msgspec.json.Decoder(dict)))


async def deaf(request):
    """Answers without reading the body."""
    raise Problem(401, "unauthenticated", "no")


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    patch = pytest.MonkeyPatch()
    patch.setattr(wire, "ARRIVE_SECONDS", 0.1)
    paths = {"/echo": echo, "/late": late, "/deaf": deaf}
    routes = [Endpoint("POST", path, handler, Operation("", "", None)) for path, handler in paths.items()]
    gone = {ClientDisconnect: lambda request, error: Response(status_code=400)}
    with listening(Starlette(routes=routes, exception_handlers={Problem: on_problem, **gone})) as found:
        yield found
    patch.undo()


def test_a_head_of_a_megabyte_is_refused(port):
    assert status(told(port, POST + b"X: " + b"x" * (1 << 20) + b"\r\n\r\n")) in (431, None)
    assert status(told(port, POST + b"X: " + b"x" * wire.MAX_HEAD)) == 431, "before it ends, for it may never end"
    exact = told(port, POST + CLOSE + b"X: " + b"x" * (wire.MAX_HEAD - 200) + b"\r\nContent-Length: 2\r\n\r\n{}")
    assert status(exact) == 200
    assert status(told(port, POST + CLOSE + b"X: " + b"x" * (wire.MAX_HEAD + 200) + b"\r\n\r\n")) in (400, 431)


def test_a_long_path_is_refused(port):
    assert status(told(port, b"GET /" + b"x" * (1 << 20) + b" HTTP/1.1\r\nHost: x\r\n\r\n")) in (431, None)


def test_ten_thousand_headers_are_refused(port):
    many = b"".join(b"X%d: 1\r\n" % n for n in range(10_000))
    assert status(told(port, POST + many + b"\r\n")) in (400, 431, None)
    few_bytes = b"a:\r\n" * (wire.MAX_HEADERS + 1)
    assert status(told(port, POST + few_bytes + b"\r\n")) == 400


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(POST, id="a head that does not end"),
        pytest.param(POST + b"Content-Length: 10\r\n\r\n", id="a body that does not come"),
        pytest.param(POST + b"Content-Length: 10\r\n\r\n{}", id="a body shorter than declared"),
        pytest.param(POST + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n", id="chunks that do not end"),
    ],
)
def test_a_request_that_does_not_arrive_is_answered_408_and_closed(port, sent):
    said = told(port, sent)
    assert status(said) == 408
    head, _, body = said.partition(b"\r\n\r\n")
    assert b"content-type: application/problem+json" in head
    assert msgspec.json.decode(body)["type"] == "/docs#too-slow"


def test_a_trickle_wins_no_time(port):
    with socket.create_connection(("127.0.0.1", port), timeout=HANG) as line:
        line.sendall(POST + b"Content-Length: 100000\r\n\r\n")
        line.settimeout(0.02)
        said = b""
        while not said.startswith(b"HTTP/1.1 408"):
            line.sendall(b" ")
            try:
                said += line.recv(65_536)
            except TimeoutError:
                continue


def test_a_connection_that_says_nothing_is_closed_without_a_word(port):
    assert told(port) == b""


def test_the_rest_of_a_refused_body_is_not_waited_for(port):
    assert status(told(port, POST.replace(b"echo", b"deaf") + b"Content-Length: 9\r\n\r\n{")) == 401


def test_a_request_that_came_in_time_may_take_longer_to_answer(port):
    said = told(port, POST.replace(b"echo", b"late") + CLOSE + b"Content-Length: 2\r\n\r\n{}")
    assert status(said) == 200


def test_requests_in_one_breath_are_answered_in_turn(port):
    one = POST + b"Content-Length: 2\r\n\r\n{}"
    said = told(port, one, one, one[:-1])
    assert said.count(b"HTTP/1.1 200") == 2
    assert status(said) == 408


def test_garbage_after_a_request_is_no_fault_of_ours(port, caplog):
    one = POST + b"Content-Length: 2\r\n\r\n{}"
    assert status(told(port, one + one + one + b"garbage\r\n\r\n")) == 400
    assert status(told(port, POST + CLOSE + b"Content-Length: 2\r\n\r\n{}")) == 200
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == []


def test_another_protocol_is_not_spoken_and_not_advised(port, caplog):
    upgrade = b"Upgrade: websocket\r\nConnection: Upgrade\r\n"
    assert status(told(port, POST.replace(b"echo", b"deaf") + upgrade + b"Content-Length: 2\r\n\r\n{}")) == 401
    assert "pip install" not in caplog.text


def test_a_body_without_end_is_cut_off(port):
    chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    assert status(told(port, POST + b"Transfer-Encoding: chunked\r\n\r\n", *[chunk] * 40)) in (413, None)
    fits = b"Transfer-Encoding: chunked\r\n\r\n" + chunk * 17  # a little more than 1 MiB
    assert status(told(port, POST + CLOSE + fits + b"0\r\n\r\n")) == 413


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(POST + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}", id="two lengths"),
        pytest.param(POST + b"Content-Length: -1\r\n\r\n{}", id="a negative length"),
        pytest.param(POST + b"Content-Length: 99999999999999999999999\r\n\r\n{}", id="a length beyond numbers"),
        pytest.param(POST + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}", id="lengths that disagree"),
        pytest.param(b"\x16\x03\x01\x02\x00\x01", id="TLS"),
        pytest.param(b"POST /\xff HTTP/1.1\r\n\r\n", id="a path that is not ASCII"),
        pytest.param(b"OPTIONS * HTTP/1.1\r\nHost: x\r\n" + CLOSE + b"\r\n", id="no path"),
        pytest.param(b"CONNECT a:1 HTTP/1.1\r\nHost: x\r\n\r\n", id="a proxy's request"),
    ],
)
def test_what_is_no_request_is_refused(port, sent):
    assert status(told(port, sent)) in (400, 404, 405)
