"""A real server on a real socket, for what no client library would send."""

import re
import socket
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn

from headgate.api.limits import BoundedHttp

from ..waiting import until

#: How long an answer may take before a test calls it a hang, in seconds.
HANG = 30.0


@contextmanager
def listening(app: Any) -> Iterator[int]:
    """Serve `app` as `headgate serve` does, in this process; its port."""
    config = uvicorn.Config(
        app, port=0, loop="uvloop", http=BoundedHttp, ws="none", log_config=None, timeout_graceful_shutdown=5
    )
    server = uvicorn.Server(config)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        thread = threading.Thread(target=server.run)
        thread.start()
        try:
            until(lambda: server.started)
            yield server.servers[0].sockets[0].getsockname()[1]
        finally:
            server.should_exit = True
            thread.join()


def told(port: int, *sent: bytes) -> bytes:
    """All that the server says to `sent` until it closes the connection, which stays open on our side."""
    with socket.create_connection(("127.0.0.1", port), timeout=HANG) as line:
        try:
            for part in sent:
                line.sendall(part)
        except ConnectionError:  # it has closed already: what it said can still be read, mostly
            pass
        said = bytearray()
        try:
            while part := line.recv(65_536):
                said += part
        except ConnectionError:
            pass
        return bytes(said)


def status(said: bytes) -> int | None:
    """The status of the last answer; None where there is none."""
    answered = re.findall(rb"HTTP/1\.1 (\d{3}) ", said)
    return int(answered[-1]) if answered else None
