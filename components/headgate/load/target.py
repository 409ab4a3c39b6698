"""Where requests go, and what heads them."""

from dataclasses import dataclass, field
from urllib.parse import urlsplit

from headgate.errors import UsageError


@dataclass(frozen=True)
class Target:
    """Where requests go: an address such as http://127.0.0.1:8000, a path, and a bearer token if one is needed."""

    address: str
    path: str = "/v1/adclicks/decisions"
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
