"""Server-sent events: an answer that goes on, to a bounded number of clients, none of whom makes it hold ever more."""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from headgate.api.media import EVENTS
from headgate.api.problems import Problem
from headgate.api.signals import ENDING

log = logging.getLogger(__name__)

#: Clients of a process at once; more are asked to come again.
MOST = 256

#: Events that wait for one client. One who is further behind is told to load anew, and gets what comes from then on.
BEHIND = 64

#: Seconds after which something is sent, so that a connection that is gone is noticed and proxies keep one that is not.
HEARTBEAT = 10.0

#: Milliseconds after which a browser connects again, and seconds after which one who found no place may ask again.
RETRY, LATER = 2000, "5"

#: The name of the event that tells a client that it missed some.
RELOAD = "reload"


@dataclass(frozen=True)
class Event:
    """One event: any value as JSON; an `id` is what a client that comes back names as the last it saw."""

    data: Any
    name: str = "message"
    id: str = ""

    def encode(self) -> bytes:
        """As it is sent. JSON is one line; a name and an id must be too."""
        if set("\r\n\0") & {*self.name, *self.id}:
            raise ValueError(f"an event's name and id are one line each: {self.name!r}, {self.id!r}")
        head = f"id: {self.id}\n" if self.id else ""
        return f"{head}event: {self.name}\ndata: ".encode() + msgspec.json.encode(self.data) + b"\n\n"


#: Makes the events of one client, after the one whose id it names as its last; "" where it comes for the first time.
Source = Callable[[str], AsyncIterator[Event]]


class Streams:
    """The clients of this process that are sent events: a bounded number, whose tokens are looked at again."""

    def __init__(self, admits: Callable[[Request], bool], most: int = MOST) -> None:
        """`admits` tells whether the token that a request showed still opens."""
        self._admits, self._most = admits, most
        self.open = 0  # clients that are sent events now

    def answer(self, request: Request, source: Source) -> Response:
        """The events of `source`; `Problem` (503) where there is no place for another client."""
        if self.open >= self._most:
            said = f"{self._most} clients are sent events, as many as there may be: try again in a moment."
            raise Problem(503, "busy", said, headers={"Retry-After": LATER})
        return _Stream(self, request, source)

    def admits(self, request: Request) -> bool:
        """Whether the client may be sent more."""
        return self._admits(request)


def answer_events(request: Request, source: Source) -> Response:
    """The events of `source`, for as long as the client stays, its token opens, and the server lives."""
    streams: Streams = request.app.state.streams
    return streams.answer(request, source)


class _Mailbox:
    """What waits for one client: bounded, so that a slow one costs no memory."""

    def __init__(self) -> None:
        self._waiting: deque[bytes] = deque()
        self._woken = asyncio.Event()
        self.ended = False

    @property
    def is_filling(self) -> bool:
        """Whether half of what may wait does."""
        return len(self._waiting) >= BEHIND // 2

    def put(self, event: bytes) -> None:
        """Note an event; where too many wait, all of them make way for one that says so."""
        if len(self._waiting) >= BEHIND:
            self._waiting.clear()
            self._waiting.append(Event(None, RELOAD).encode())
        self._waiting.append(event)
        self._woken.set()

    def end(self) -> None:
        """Nothing comes any more."""
        self.ended = True
        self._woken.set()

    async def take(self, seconds: float) -> Iterable[bytes]:
        """What waits, as soon as something does; nothing where it has ended, or after so many seconds without."""
        if not self._waiting and not self.ended:
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._woken.wait()
        self._woken.clear()
        taken, self._waiting = self._waiting, deque()
        return taken


class _Stream(Response):
    """The answer to one client."""

    media_type = EVENTS

    def __init__(self, streams: Streams, request: Request, source: Source) -> None:
        super().__init__(headers={"cache-control": "no-store", "x-accel-buffering": "no"}, media_type=EVENTS)
        del self.headers["content-length"]
        self._streams, self._request, self._source = streams, request, source

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send events until one of the three ends it: the client, the source, or we."""
        mail = _Mailbox()
        scope[ENDING] = mail.end
        if scope["method"] == "HEAD":
            mail.end()
        self._streams.open += 1
        beside = [asyncio.create_task(self._fill(mail)), asyncio.create_task(_until_gone(receive, mail))]
        try:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            await self._send(mail, send)
        finally:
            self._streams.open -= 1
            del scope[ENDING]
            for task in beside:
                task.cancel()
            await asyncio.gather(*beside, return_exceptions=True)

    async def _send(self, mail: _Mailbox, send: Send) -> None:
        await send({"type": "http.response.body", "body": b"retry: %d\n\n" % RETRY, "more_body": True})
        while True:
            body = b"".join(await mail.take(HEARTBEAT))
            if not self._streams.admits(self._request) or (mail.ended and not body):
                break
            await send({"type": "http.response.body", "body": body or b":\n\n", "more_body": True})
        await send({"type": "http.response.body"})

    async def _fill(self, mail: _Mailbox) -> None:
        """Take what the source makes, as soon as it is made: a slow client keeps nobody but itself waiting."""
        try:
            async for event in self._source(self._request.headers.get("last-event-id", "")):
                mail.put(event.encode())
                if mail.is_filling:  # many at once are no sign of a slow client: let them be sent
                    await asyncio.sleep(0)
        except Exception:
            log.exception("A source of events failed; its client will connect again.")
        finally:
            mail.end()


async def _until_gone(receive: Receive, mail: _Mailbox) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    mail.end()
