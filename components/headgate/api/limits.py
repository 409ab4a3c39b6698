"""What one connection may take: a head of bounded size, and a request that arrives in time."""

import asyncio
import sys
from itertools import chain
from typing import Any

from httptools import HttpRequestParser
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from headgate.api.problems import MEDIA, Problem
from headgate.api.signals import ENDING, PATIENT

#: Longest head of a request (its line and headers), in bytes, and the most headers in it.
MAX_HEAD = 64 << 10
MAX_HEADERS = 100

#: How long a request may take to arrive, head and body together, in seconds.
ARRIVE_SECONDS = 10.0

#: How long a connection may take none of what is sent to it, or after its end its last answer, in seconds.
UNREAD_SECONDS = 60.0


class BoundedHttp(HttpToolsProtocol):
    """uvicorn's HTTP, which itself waits for ever for a request, and takes a head of any size.

    A request that comes whole in what is read at once, as nearly all do, costs no timer.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Await a first request."""
        super().connection_made(transport)
        self._arriving = self._in_head = True
        self._head, self._chunk = 0, b""  # bytes of the head so far, and what was just read
        self._again = b""  # what is to be read as if it had just come
        self._deadline: asyncio.TimerHandle | None = self.loop.call_later(ARRIVE_SECONDS, self._late)
        self._unread: asyncio.TimerHandle | None = None

    def connection_lost(self, exc: Exception | None) -> None:
        """Await nothing any more."""
        self._end_deadline()
        self._end_unread()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take what was read, and hold what is still missing against the limits."""
        self._again = data
        while self._again and not self.transport.is_closing():
            self._chunk, self._again = self._again, b""
            super().data_received(self._chunk)
        if not self._arriving:
            if self._deadline is not None:
                self._end_deadline()
        elif not self.transport.is_closing():
            if self._in_head:
                self._head += len(self._chunk)
                if self._head > MAX_HEAD:
                    self._refuse(_TOO_LARGE)
            if self._deadline is None:
                self._deadline = self.loop.call_later(ARRIVE_SECONDS, self._late)

    def on_message_begin(self) -> None:
        """A request begins."""
        self._arriving = self._in_head = True
        self._head = 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Start to answer, unless the head is larger than any honest one. An error here is answered 400 by uvicorn."""
        self._in_head = False
        if len(self.headers) > MAX_HEADERS:
            raise ValueError("too many headers")
        if self._head + len(self._chunk) > MAX_HEAD and self._head_bytes() > MAX_HEAD:
            raise ValueError("too long a head")
        if not self.parser.should_upgrade():
            super().on_headers_complete()
        elif self.parser.get_method() == b"CONNECT":
            raise ValueError("no proxy")

    def on_message_complete(self) -> None:
        """The request is here, unless it is read again without its wish for another protocol."""
        if not self.parser.should_upgrade():
            self._arriving = False
            super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP. Nobody reads the answers to what came before it on this connection."""
        for cycle in (self.cycle, *(waiting for waiting, _ in self.pipeline)):
            if cycle is not None:
                cycle.disconnected = True
        super().send_400_response(msg)

    def _unsupported_upgrade_warning(self) -> None:
        """Read a request that wishes for another protocol again as if it did not, as HTTP lets us (RFC 9110, 7.8).

        The parser takes what follows its head for that other protocol, so it must not see the wish: a body that it
        lost would be read as the next request.
        """
        stopped: Any = sys.exception()  # httptools says at which byte
        kept = [b"%s: %s\r\n" % one for one in self.headers if one[0] != b"upgrade"]
        start = b"%s %s HTTP/%s\r\n" % (self.parser.get_method(), self.url, self.parser.get_http_version().encode())
        self._again = b"".join([start, *kept, b"\r\n", self._chunk[stopped.args[0] :]])
        self.parser = HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn has it

    def timeout_keep_alive_handler(self) -> None:
        """Close an idle connection, at last also one that never reads its answer."""
        super().timeout_keep_alive_handler()
        self.loop.call_later(UNREAD_SECONDS, self.transport.abort)

    def pause_writing(self) -> None:
        """Wait for one who does not read, and at last no longer: whoever reads slowly is waited for again and again."""
        super().pause_writing()
        self._unread = self.loop.call_later(UNREAD_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        """Write again."""
        self._end_unread()
        super().resume_writing()

    def shutdown(self) -> None:
        """The server ends: an answer without an end of its own is told so."""
        super().shutdown()
        told: Any = None if self.cycle is None or self.cycle.response_complete else self.cycle.scope
        if told and ENDING in told:
            if self.flow.write_paused:  # nobody reads, so that the end would not be read either
                self.transport.abort()
            else:
                told[ENDING]()

    def _late(self) -> None:
        """The request did not arrive in time."""
        self._deadline = None
        if self.flow.read_paused or self._is_patient():  # it is we who do not read, or an upload, which may take longer
            self._deadline = self.loop.call_later(ARRIVE_SECONDS, self._late)
        elif not self.transport.is_closing():
            self._refuse(_TOO_SLOW)

    def _is_patient(self) -> bool:
        """Whether the endpoint takes care of the time itself: asked when it is late, so that no request pays for it."""
        return not self._in_head and PATIENT in self.cycle.scope

    def _refuse(self, answer: bytes) -> None:
        """Close the connection, with `answer` where it is the unfinished request's turn."""
        cycle: Any = self.cycle
        if self._in_head:  # its turn comes after what is still being answered; who sent nothing is told nothing
            mine = self._head > 0 and (cycle is None or cycle.response_complete)
        else:
            mine = not cycle.response_started
        if mine and not self.pipeline:
            self.transport.write(answer)
        if cycle is not None and not cycle.response_complete:
            cycle.disconnected = True  # whoever waits for the body waits no longer
            cycle.message_event.set()
        self.transport.close()

    def _head_bytes(self) -> int:
        return len(self.url) + sum(map(len, chain.from_iterable(self.headers)))

    def _end_unread(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None

    def _end_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


def _whole(problem: Problem) -> bytes:
    """The bytes of an answer that the app takes no part in."""
    body = bytes(problem.response.body)
    head = f"content-type: {MEDIA}\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
    return STATUS_LINE[problem.details.status] + head.encode() + body


_TOO_LARGE = _whole(Problem(431, "too-large", f"The head is longer than {MAX_HEAD} bytes: send fewer headers."))
_TOO_SLOW = _whole(Problem(408, "too-slow", f"The request did not arrive within {ARRIVE_SECONDS:g} s: send it again."))
