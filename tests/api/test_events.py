"""Server-sent events on real sockets."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response

from headgate.access import tokens
from headgate.access.tokens import Keys
from headgate.api import events, limits
from headgate.api.endpoints import Endpoint, Operation, json
from headgate.api.events import Event, Streams, answer_events
from headgate.api.guard import Guard, admission
from headgate.api.problems import Problem, on_problem
from headgate.settings import Settings

from ..waiting import until
from .wires import HANG, listening, status, told

ASK = b"GET /events HTTP/1.1\r\nHost: x\r\n"


@dataclass
class Talk:
    """A source that says what it is given, and how it went."""

    first: list[Event] = field(default_factory=list)
    large: int = 0
    stays: bool = True
    fails: bool = False
    asked_after: list[str] = field(default_factory=list)
    made: int = 0
    left: int = 0

    async def __call__(self, last: str) -> AsyncIterator[Event]:
        self.asked_after.append(last)
        try:
            for event in self.first:
                yield event
            while self.large:
                self.made += 1
                yield Event("x" * self.large)
                await asyncio.sleep(0)
            if self.fails:
                raise RuntimeError("inside")
            if self.stays:
                await asyncio.Event().wait()
        finally:
            self.left += 1


@contextmanager
def talking(talk: Talk, admits: Callable[[Request], bool] = lambda request: True, most: int = 2) -> Iterator[int]:
    async def listen(request: Request) -> Response:
        return answer_events(request, talk)

    async def light(request: Request) -> Response:
        return json("ok")

    routes = [Endpoint("GET", "/events", listen, Operation("", "", None))]
    routes.append(Endpoint("GET", "/light", light, Operation("", "", None)))
    app = Starlette(routes=routes, exception_handlers={Problem: on_problem})
    app.state.streams = Streams(admits, most)
    with listening(app) as port:
        yield port


@contextmanager
def client(port: int, more: bytes = b"") -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", port), timeout=HANG) as line:
        line.sendall(ASK + more + b"\r\n")
        yield line


def heard(line: socket.socket, ends: bytes) -> bytes:
    said, deadline = b"", time.monotonic() + HANG
    while ends not in said:
        assert time.monotonic() < deadline, f"{ends!r} did not come"
        part = line.recv(65_536)
        assert part, f"closed before {ends!r}: {said[-300:]!r}"
        said += part
    return said


def test_events_come_as_browsers_read_them_and_a_last_id_comes_back() -> None:
    talk = Talk([Event({"a": "line\nline"}, "claimed", "7"), Event(None)], stays=False)
    with talking(talk) as port:
        said = told(port, ASK + b"Connection: close\r\nLast-Event-ID: 41\r\n\r\n")
    assert b"content-type: text/event-stream" in said
    assert b"cache-control: no-store" in said
    assert b"content-length" not in said
    assert b"retry: 2000\n\n" in said
    assert b'id: 7\nevent: claimed\ndata: {"a":"line\\nline"}\n\nevent: message\ndata: null\n\n' in said
    assert said.endswith(b"0\r\n\r\n"), "it ends in order"
    assert talk.asked_after == ["41"]


def test_a_name_or_id_of_two_lines_is_no_event() -> None:
    for event in (Event(1, "a\nb"), Event(1, id="a\rb"), Event(1, id="\0")):
        with pytest.raises(ValueError, match="one line"):
            event.encode()


def test_who_reads_gets_every_event_however_many_come_at_once() -> None:
    with talking(Talk([Event(n) for n in range(20 * events.BEHIND)], stays=False)) as port:
        said = told(port, ASK + b"Connection: close\r\n\r\n")
    assert said.count(b"event: message") == 20 * events.BEHIND
    assert b"reload" not in said


def test_who_does_not_read_is_told_to_load_anew_and_holds_nothing_up() -> None:
    talk = Talk(large=1 << 16)
    with talking(talk) as port, client(port) as slow:
        until(lambda: talk.made > 500)  # 32 MiB, of which nobody has read one
        assert status(told(port, b"GET /light HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")) == 200
        assert b"event: reload\ndata: null\n\n" in heard(slow, b"event: reload")
        talk.large = 0


def test_who_never_reads_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "UNREAD_SECONDS", 0.2)
    talk = Talk(large=1 << 16)
    with talking(talk) as port, client(port):
        until(lambda: talk.left)


def test_who_goes_ends_the_source() -> None:
    talk = Talk([Event(1)])
    with talking(talk) as port:
        with client(port) as line:
            heard(line, b"data: 1")
            assert talk.left == 0
        until(lambda: talk.left)


def test_a_quiet_source_is_heard_to_live(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "HEARTBEAT", 0.05)
    with talking(Talk()) as port, client(port) as line:
        heard(line, b":\n\n")


def test_so_many_clients_are_sent_events_and_the_next_is_told_when() -> None:
    talk = Talk([Event(1)])
    with talking(talk, most=1) as port:
        with client(port) as line:
            heard(line, b"data: 1")
            answer = told(port, ASK + b"Connection: close\r\n\r\n")
            assert status(answer) == 503
            assert b"retry-after: 5" in answer
        until(lambda: talk.left)
        with client(port) as line:
            heard(line, b"data: 1")


def test_a_head_alone_is_answered_at_once() -> None:
    talk = Talk()
    with talking(talk) as port:
        said = told(port, ASK.replace(b"GET", b"HEAD") + b"Connection: close\r\n\r\n")
    assert status(said) == 200


def test_a_source_that_fails_ends_and_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    with talking(Talk([Event(1)], fails=True)) as port:
        said = told(port, ASK + b"Connection: close\r\n\r\n")
    assert b"data: 1" in said
    assert said.endswith(b"0\r\n\r\n")
    assert "source of events failed" in caplog.text


@pytest.mark.parametrize("large", [0, 1 << 16])
def test_a_server_that_ends_waits_for_no_stream(caplog: pytest.LogCaptureFixture, large: int) -> None:
    talk = Talk([Event(1)], large=large)
    with talking(talk) as port:
        line = socket.create_connection(("127.0.0.1", port), timeout=HANG)
        line.sendall(ASK + b"\r\n")
        until(lambda: talk.made > 200 if large else talk.asked_after)
        if not large:
            heard(line, b"data: 1")
    assert talk.left == 1
    cut_off = [
        one.getMessage() for one in caplog.records if one.levelname == "ERROR"
    ]  # uvicorn says it after its grace
    assert cut_off == []
    if not large:
        assert heard(line, b"0\r\n\r\n")
    line.close()


def test_a_token_that_is_removed_ends_its_stream(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "LOOK_SECONDS", 0.0)
    monkeypatch.setattr(events, "HEARTBEAT", 0.05)
    shown = {name: tokens.add(settings.tokens_file, name, ["read"]) for name in ("one", "other")}
    keys, talk = Keys(settings.tokens_file), Talk([Event(1)])

    async def listen(request: Request) -> Response:
        return answer_events(request, talk)

    endpoint = Endpoint("GET", "/events", listen, Operation("", "", None))
    doors = Middleware(Guard, [endpoint], keys, required=False, rate=None)
    app = Starlette(routes=[endpoint], middleware=[doors])
    app.state.streams = Streams(admission(keys, required=False))
    with listening(app) as port:
        assert status(told(port, ASK + b"Connection: close\r\n\r\n")) == 401
        heads = {name: f"Authorization: Bearer {token}\r\n".encode() for name, token in shown.items()}
        with client(port, heads["one"]) as one, client(port, heads["other"]) as other:
            heard(one, b":\n\n")
            heard(other, b":\n\n")
            tokens.remove(settings.tokens_file, "one")
            assert heard(one, b"0\r\n\r\n")
            assert talk.left == 1
            heard(other, b":\n\n")
            had = settings.tokens_file.read_bytes()
            settings.tokens_file.write_bytes(had.replace(b'"read"', b'"decide"'))
            assert heard(other, b"0\r\n\r\n"), "nor may it do what it no longer may"


def test_where_the_first_token_is_made_nobody_listens_on_without_one(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokens, "LOOK_SECONDS", 0.0)
    monkeypatch.setattr(events, "HEARTBEAT", 0.05)
    settings.home.mkdir(parents=True, exist_ok=True)
    admits = admission(Keys(settings.tokens_file), required=False)
    with talking(Talk(), admits) as port, client(port) as line:
        heard(line, b":\n\n")
        tokens.add(settings.tokens_file, "first", ["read"])
        assert heard(line, b"0\r\n\r\n")
