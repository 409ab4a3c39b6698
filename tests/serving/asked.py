"""An app that is asked without a socket between."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from starlette.applications import Starlette

#: How long one answer may take before it counts as a hang, in seconds.
HANG = 60.0

HOST = {"host": "testserver"}

#: Status, headers and body.
Answer = tuple[int, dict[bytes, bytes], bytes]


@contextmanager
def asking(app: Starlette) -> Iterator[Any]:
    """A function (method, path, body, query, **headers) → `Answer` that asks `app` without a socket between."""

    async def once(scope: dict[str, Any], body: bytes) -> Answer:
        said: list[Any] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Any) -> None:
            said.append(message)

        async with asyncio.timeout(HANG):
            await app(scope, receive, send)
        return said[0]["status"], dict(said[0]["headers"]), b"".join(part.get("body", b"") for part in said[1:])

    with asyncio.Runner() as runner:
        lifespan = app.router.lifespan_context(app)
        runner.run(lifespan.__aenter__())

        def ask(method: str, path: str, body: bytes = b"", query: str = "", **headers: str) -> Answer:
            scope = {
                "type": "http",
                "asgi": {"version": "3.0"},
                "http_version": "1.1",
                "method": method,
                "scheme": "http",
                "path": path,
                "raw_path": path.encode(),
                "root_path": "",
                "query_string": query.encode(),
                "headers": [(name.encode(), said.encode("latin-1")) for name, said in (HOST | headers).items()],
                "client": ("127.0.0.1", 1),
                "server": ("testserver", 80),
                "state": {},
            }
            return runner.run(once(scope, body))

        try:
            yield ask
        finally:
            runner.run(lifespan.__aexit__(None, None, None))
