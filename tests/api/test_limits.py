"""What a connection may take, on real sockets."""

import asyncio
import re
import socket
from collections.abc import Iterator

import msgspec
import pytest
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from headgate.api import limits
from headgate.api.endpoints import Endpoint, Operation, json, read
from headgate.api.problems import Problem, on_problem

from .wires import HANG, listening, status, told

POST = b"POST /echo HTTP/1.1\r\nHost: x\r\n"
CLOSE = b"Connection: close\r\n"


async def echo(request):
    return json(await read(request, msgspec.json.Decoder(dict)))


async def late(request):
    await asyncio.sleep(3 * limits.ARRIVE_SECONDS)
    return json(await read(request, msgspec.json.Decoder(dict)))


async def deaf(request):
    """Answers without reading the body."""
    raise Problem(401, "unauthenticated", "no")


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    patch = pytest.MonkeyPatch()
    patch.setattr(limits, "ARRIVE_SECONDS", 0.1)
    paths = {"/echo": echo, "/late": late, "/deaf": deaf}
    routes = [Endpoint("POST", path, handler, Operation("", "", None)) for path, handler in paths.items()]
    gone = {ClientDisconnect: lambda request, error: Response(status_code=400)}
    with listening(Starlette(routes=routes, exception_handlers={Problem: on_problem, **gone})) as found:
        yield found
    patch.undo()


def test_a_head_of_a_megabyte_is_refused(port):
    assert status(told(port, POST + b"X: " + b"x" * (1 << 20) + b"\r\n\r\n")) in (431, None)
    assert status(told(port, POST + b"X: " + b"x" * limits.MAX_HEAD)) == 431, "before it ends, for it may never end"
    exact = told(port, POST + CLOSE + b"X: " + b"x" * (limits.MAX_HEAD - 200) + b"\r\nContent-Length: 2\r\n\r\n{}")
    assert status(exact) == 200
    assert status(told(port, POST + CLOSE + b"X: " + b"x" * (limits.MAX_HEAD + 200) + b"\r\n\r\n")) in (400, 431)


def test_a_long_path_is_refused(port):
    assert status(told(port, b"GET /" + b"x" * (1 << 20) + b" HTTP/1.1\r\nHost: x\r\n\r\n")) in (431, None)


def test_ten_thousand_headers_are_refused(port):
    many = b"".join(b"X%d: 1\r\n" % n for n in range(10_000))
    assert status(told(port, POST + many + b"\r\n")) in (400, 431, None)
    few_bytes = b"a:\r\n" * (limits.MAX_HEADERS + 1)
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


def invited(port: int, head: bytes, rest: bytes) -> bytes:
    """All that the server says, where the rest is sent once it asked for a body: so the head was read by itself."""
    with socket.create_connection(("127.0.0.1", port), timeout=HANG) as line:
        line.sendall(head.replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\n\r\n"))
        asked = line.recv(65_536)
        assert b" 100 Continue" in asked
        line.sendall(rest)
        said = [asked]
        while part := line.recv(65_536):
            said.append(part)
    return b"".join(said).replace(b"HTTP/1.1 100 Continue\r\n\r\n", b"")


@pytest.mark.parametrize("protocol", [b"h2c", b"websocket"])
def test_the_body_of_a_request_that_wishes_for_another_protocol_is_read_and_never_taken_for_a_request(port, protocol):
    """Java's HTTP client wishes for h2c by itself; and a body that were a request would be a smuggled one."""
    upgrade = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: " + protocol + b"\r\nHTTP2-Settings: AAMAAABkAAQ\r\n"
    with_body = POST + upgrade + b'Content-Length: 8\r\n\r\n{"a": 1}'
    plain = POST + CLOSE + b'Content-Length: 8\r\n\r\n{"b": 2}'
    said = told(port, with_body + with_body + plain)
    assert said.count(b"200 OK") == 3
    assert re.findall(rb'\{"(\w)":', said) == [b"a", b"a", b"b"]
    smuggled = b"POST /deaf HTTP/1.1\r\nHost: x\r\n\r\n"
    head = POST + upgrade + b"Content-Length: %d\r\n\r\n" % len(smuggled)
    said = invited(port, head, smuggled + plain)
    assert re.findall(rb"HTTP/1\.1 (\d{3}) ", said) == [b"400", b"200"]
    chunked = POST + upgrade + b"Transfer-Encoding: chunked\r\n\r\n"
    assert invited(port, chunked, b"2\r\n{}\r\n0\r\n\r\n" + plain).count(b"200 OK") == 2
    many = told(port, (POST + upgrade + b"Content-Length: 2\r\n\r\n{}") * 300 + plain)
    assert many.count(b"200 OK") == 301


def test_a_tunnel_is_refused(port):
    for where in (b"x:80", b"/echo"):
        assert status(told(port, b"CONNECT " + where + b" HTTP/1.1\r\nHost: x\r\n\r\n")) == 400


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
