"""Sends requests at the instants at which they are due, over keep-alive connections, and times the answers.

It runs on the machine of the server that it measures, so what it costs is what it spoils: one raw asyncio protocol on
uvloop, requests put together from parts that are there already, answers read by httptools, nothing kept but arrays.
"""

import asyncio
import gc
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray

from headgate.contract.requests import Target
from headgate.errors import HeadgateError
from headgate.load.measured import DROPPED, GARBLED, LATE, LOST, Measured, view
from headgate.load.timer import Timer, clock

#: Seconds between two looks for requests that were not answered in time.
SWEEP = 0.1

#: An idle connection is opened anew after so many seconds: a server that closed it just then would lose a request.
IDLE = 1.0

#: Seconds that opening a connection may take, and until the next try where it was refused.
OPENING, AGAIN = 5.0, 0.05

#: Seconds until the first request, in which connections are opened.
HEADSTART = 0.1

Request = Callable[[int, float], bytes]  # (number, when it is due since the epoch) → the whole request
Progress = Callable[[float, int], None]  # (seconds from the start, requests sent)
Heard = Callable[[int, int, bytes], None]  # (number, status, body of the answer)


@dataclass(frozen=True)
class Limits:
    """How much is under way at once. `queue` None: as many wait as there are; `stop`: send nothing after so long."""

    connections: int = 32
    queue: int | None = 10_000  # requests that are due and wait for a connection
    patience: float = 10.0  # seconds from due until an answer counts as none
    stop: float | None = None  # seconds from the start
    drowned: int | None = None  # send nothing more once so many are due and not answered: those that wait are dropped
    failures: int | None = None  # … or once so many have failed


def run(
    target: Target,
    due: NDArray[np.float64],
    request: Request,
    limits: Limits | None = None,
    *,
    heard: Heard | None = None,
    progress: Progress | None = None,
    by_default: bytes = b"",
) -> Measured:
    """Send a request at each instant of `due` [n], in seconds from the start, ascending; what came of them.

    Ctrl-C ends it early, with what there is. `heard` is told every answer, `progress` about ten times a second how far
    it is. `by_default` is what an answer has in it for each decision that was given by default. Raises HeadgateError
    where nothing listens at `target`.
    """
    import uvloop

    generator = _Generator(target, due, request, limits or Limits(), heard, progress, by_default)
    gc.collect()
    gc.freeze()  # no pause of ours may look like one of the server's
    gc.disable()
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(generator.run())
    finally:
        gc.enable()
        gc.unfreeze()


class _Generator:
    """The state of a run. Requests are sent in order: before `_next` all were sent, from `_coming` on none is due."""

    def __init__(
        self,
        target: Target,
        due: NDArray[np.float64],
        request: Request,
        limits: Limits,
        heard: Heard | None,
        progress: Progress | None,
        by_default: bytes,
    ) -> None:
        self._by_default = by_default
        self.measured = Measured.nothing(due)
        self.heard = heard
        self.free: deque[_Connection] = deque()
        self.busy: set[_Connection] = set()
        self._target, self._limits, self._progress, self._make = target, limits, progress, request
        self._due = view(due)
        self._waited, self._latency = view(self.measured.waited), view(self.measured.latency)
        self._status, self._pending = view(self.measured.status), view(self.measured.pending)
        self._next = self._coming = self._failed = 0
        self._end = len(due)
        self._queue = len(due) if limits.queue is None else limits.queue
        self._start = self._wall = 0.0

    async def run(self) -> Measured:
        """Open the connections, send what is due, wait for the answers."""
        measured, loop = self.measured, asyncio.get_running_loop()
        self._done = loop.create_future()
        first: list[_Connection | None] = [await self._first()]
        openers = [
            loop.create_task(self._keep_open(connection))
            for connection in first + [None] * (self._limits.connections - 1)
        ]
        used = time.process_time()
        self._start, self._wall = clock() + HEADSTART, time.time() + HEADSTART
        measured.started = self._wall
        self._alarm = Timer(loop, self._ring)
        self._alarm.set(self._start + self._due[0])
        sweeper = loop.create_task(self._sweep())
        try:
            await self._done
        except asyncio.CancelledError:  # Ctrl-C
            measured.interrupted = True
        finally:
            measured.seconds, measured.cpu = max(0.0, clock() - self._start), time.process_time() - used
            self._alarm.close()
            for connection in self.busy:
                connection.request = -1  # what nobody waits for any more did not fail
            for task in (sweeper, *openers):
                task.cancel()
            await asyncio.gather(sweeper, *openers, return_exceptions=True)
        return measured

    def send(self, connection: "_Connection") -> bool:
        """Send the next request that is due over a free `connection`; whether there was one."""
        request = self._next
        if request >= self._coming:
            return False
        self._next = request + 1
        due = self._due[request]
        whole = self._make(request, self._wall + due)
        self.measured.bytes_sent += len(whole)
        now = clock()
        connection.ask(request, whole, now)
        self.busy.add(connection)
        self._waited[request] = now - self._start - due
        return True

    def answered(self, connection: "_Connection", request: int, status: int, body: bytes) -> None:
        """Note an answer, and give the connection its next request."""
        now = clock()
        self._latency[request] = now - self._start - self._due[request]
        self._status[request] = status
        self._pending[request] = body.count(self._by_default) if self._by_default else 0
        if not 200 <= status < 300:
            self._count_failures(1)
        if self.heard:
            self.heard(request, status, body)
        self.busy.discard(connection)
        if connection.reusable and not self.send(connection):
            connection.since = now
            self.free.append(connection)
        self._look_whether_done()

    def failed(self, connection: "_Connection", request: int, why: int) -> None:
        """Note a request that will not be answered."""
        self._status[request] = why
        self.busy.discard(connection)
        self._count_failures(1)
        self._look_whether_done()

    def _count_failures(self, more: int) -> None:
        self._failed += more
        if self._limits.failures is not None and self._failed >= self._limits.failures:
            self._end_early()

    def _end_early(self) -> None:
        """Send nothing more; who waits for a connection is dropped, who waits for an answer gets it."""
        self.measured.ended_early = True
        for request in range(self._next, self._coming):
            self._status[request] = DROPPED
        self._next = self._end = self._coming

    def _look_whether_done(self) -> None:
        if self._next == self._end and not self.busy and not self._done.done():
            self._done.set_result(None)

    def _ring(self) -> None:
        """Send what is due, and set the alarm for what comes next."""
        now = clock() - self._start
        coming, end, due = self._coming, self._end, self._due
        while coming < end and due[coming] <= now:
            coming += 1
        self._coming = coming
        while self.free and self._next < coming:
            self.send(self.free.popleft())
        for request in range(self._next, coming - self._queue):  # those that waited longest
            self._status[request] = DROPPED
            self._next = request + 1
        drowned = self._limits.drowned
        if drowned is not None and coming - self._next + len(self.busy) > drowned:
            self._end_early()
            end = coming
        if coming < end:
            self._alarm.set(self._start + due[coming])
        else:
            self._alarm.close()

    async def _sweep(self) -> None:
        """Give up what was not answered in time, and connections that idled."""
        limits = self._limits
        while True:
            await asyncio.sleep(SWEEP)
            now = clock()
            late = now - self._start - limits.patience  # what was due before
            for connection in [one for one in self.busy if self._due[one.request] < late]:
                connection.give_up(LATE)
            waited = self._next
            while self._next < self._coming and self._due[self._next] < late:
                self._status[self._next] = LATE
                self._next += 1
            self._count_failures(self._next - waited)
            if limits.stop is not None and now - self._start > limits.stop:
                self._end = self._coming = self._next
            while self.free and now - self.free[0].since > IDLE:
                self.free.popleft().close()
            if self._progress:
                self._progress(now - self._start, self._next)
            self._look_whether_done()

    async def _first(self) -> "_Connection":
        host, port = self._target.place
        try:
            return await self._open()
        except OSError as error:
            raise HeadgateError(
                f"Nothing answers at http://{host}:{port} ({error.strerror or type(error).__name__}): start it with "
                "`headgate serve`, or name where it is with --target."
            ) from error

    async def _open(self) -> "_Connection":
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(OPENING):
            _, connection = await loop.create_connection(lambda: _Connection(self), *self._target.place)
        self.measured.connections += 1
        return connection

    async def _keep_open(self, connection: "_Connection | None") -> None:
        """Keep one connection open, opened anew as often as it is lost."""
        try:
            while True:
                if connection is None:
                    try:
                        connection = await self._open()
                    except OSError:  # TimeoutError is one
                        await asyncio.sleep(AGAIN)
                        continue
                if not self.send(connection):
                    self.free.append(connection)
                await connection.lost
                connection = None
        finally:
            if connection:
                connection.close()


class _Connection(asyncio.Protocol):
    """One keep-alive connection, with at most one request under way."""

    def __init__(self, generator: _Generator) -> None:
        import httptools

        self._generator = generator
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._body, self._whole = b"", False
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.request = -1  # under way; -1 is none
        self.since = 0.0  # when it was last free, opened or sent over
        self.reusable = True

    def ask(self, request: int, whole: bytes, now: float) -> None:
        """Send a request."""
        self.request, self.since = request, now
        self._body, self._whole = b"", False
        assert self._transport is not None
        self._transport.write(whole)

    def give_up(self, why: int) -> None:
        """The request under way fails; the connection goes."""
        request, self.request = self.request, -1
        if request >= 0:
            self._generator.failed(self, request, why)
        self.close()

    def close(self) -> None:
        """Close at once."""
        self.reusable = False
        if self._transport:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport, self.since = cast(asyncio.Transport, transport), clock()

    def data_received(self, data: bytes) -> None:
        import httptools

        self._generator.measured.bytes_received += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self.give_up(GARBLED)
        if not self._whole:
            return
        request, self.request = self.request, -1
        if request < 0:  # nobody asked
            self.close()
            return
        self._generator.answered(self, request, self._parser.get_status_code(), self._body)
        if not self.reusable:
            self.close()

    def connection_lost(self, error: Exception | None) -> None:
        self.give_up(LOST)
        with suppress(ValueError):
            self._generator.free.remove(self)
        if not self.lost.done():
            self.lost.set_result(None)

    def on_body(self, body: bytes) -> None:
        """A part of the answer's body, as httptools calls it."""
        self._body += body

    def on_message_complete(self) -> None:
        """The answer is whole, as httptools calls it: only here it knows whether the connection stays."""
        self._whole, self.reusable = True, self._parser.should_keep_alive()
