"""A tiny HTTP server in a thread, whose answers a test chooses."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

#: The number of a request, from 0 in order of arrival → the bytes of its whole answer; None closes the connection.
Answer = Callable[[int], bytes | None]


def ok(body: bytes = b"{}", status: str = "200 OK") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def decided() -> bytes:
    """An answer as Headgate gives it."""
    return ok(b'{"decision_id":"d","outcome":"fine"}')


@dataclass
class Queue:
    """One who serves so many a second and no more, first come first served, by the clock and not by work."""

    rate: float
    free: float = 0.0
    served: int = 0

    def wait(self) -> float:
        """Seconds until the request that comes now is served."""
        now = time.monotonic()
        self.free = max(now, self.free) + 1 / self.rate
        self.served += 1
        return self.free - now


@contextmanager
def answering(answer: Answer, queue: Queue | None = None) -> Iterator[str]:
    """A server whose address is yielded; `answer` runs in its only thread, so what blocks there stalls them all.

    With a `queue` each answer leaves when its turn has come.
    """
    loop = asyncio.new_event_loop()
    seen = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal seen
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                told = (int(line[15:]) for line in head.splitlines() if line.startswith(b"Content-Length:"))
                length = next(told, 0)
                await reader.readexactly(length)
                number, seen = seen, seen + 1
                if queue:
                    await asyncio.sleep(queue.wait())
                whole = answer(number)
                if whole is None:
                    break
                writer.write(whole)
        writer.close()

    server = loop.run_until_complete(asyncio.start_server(serve, "127.0.0.1", 0))
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        server.close()
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()
