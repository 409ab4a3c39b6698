"""What a load or a game day sends to a domain's endpoint: where requests go, and who makes them."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import urlsplit

from headgate.errors import UsageError


@dataclass(frozen=True)
class Target:
    """Where requests go: an address such as http://127.0.0.1:8000, a path, and a bearer token if one is needed."""

    address: str
    path: str
    token: str | None = field(default=None, repr=False)

    @property
    def place(self) -> tuple[str, int]:
        """Host and port; a UsageError where the address is not http://host:port."""
        try:
            parts = urlsplit(self.address)
            host, port, user = parts.hostname, parts.port or 80, parts.username
        except ValueError:
            host, port, user = None, 0, None
        if user is not None:
            raise UsageError("The address names a user, and endpoints know tokens only: give one with --token.")
        if not host or parts.scheme != "http" or parts.path.strip("/") or parts.query:
            raise UsageError(f"{self.address} is no address to load: write it as http://127.0.0.1:8000.")
        return host, port

    def whole(self, body: bytes) -> bytes:
        """The request with `body`."""
        return self.head(len(body)) + body

    def head(self, length: int) -> bytes:
        """The head of a request whose body has so many bytes."""
        host, port = self.place
        lines = [f"POST {self.path} HTTP/1.1", f"Host: {host}:{port}", "Content-Type: application/json"]
        if self.token:
            if not self.token.isascii() or not self.token.isprintable():
                raise UsageError("The token holds characters that no HTTP header can: copy it again.")
            lines.append(f"Authorization: Bearer {self.token}")
        return "\r\n".join([*lines, f"Content-Length: {length}", "", ""]).encode()


class Population(Protocol):
    """Who makes the requests of one load; all that can be made before it starts is."""

    def request(self, number: int, wall: float) -> bytes:
        """The whole request `number`, which happens at `wall`, in seconds since the epoch."""
        ...


@dataclass(frozen=True)
class Requests:
    """The requests of a domain's busiest endpoint.

    `draw(n, target, batch=None, seed=0, tag="")` draws who makes `n` requests of `batch` events each (None: one that is
    not in a list), the same for the same seed; `tag` leads all names.
    """

    path: str  # of the endpoint
    events: str  # what is to be decided, in words: clicks
    draw: Callable[..., Population]
    decided: bytes  # what every answer that decides has in it
    by_default: bytes  # what an answer has in it for each decision that was made without its inputs
