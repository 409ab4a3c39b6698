"""What Prometheus sees of a serving process, and the middleware that times its requests."""

from collections.abc import Mapping
from time import perf_counter
from typing import Any

from prometheus_client import Counter, Gauge, Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

DECISIONS = Counter("headgate_decisions", "Decisions answered.", ["domain", "slice", "outcome"])
VERSION = Gauge("headgate_champion_version", "The version that decides.", ["domain"])
SWAPS = Counter("headgate_swaps", "Versions put in the champion's slot.", ["domain"])
PROBLEM = Gauge("headgate_problem", "1 where serving is not what the registry says; /v1/models says why.", ["domain"])
REQUESTS = Histogram(
    "headgate_request_seconds",
    "Time from the request's head to the answer's last byte.",
    ["path", "status"],
    buckets=(0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0),
)


class Timed:
    """ASGI middleware that observes `REQUESTS`. A path that no route knows is counted as "unknown"."""

    def __init__(self, app: ASGIApp, paths: Mapping[Any, str]) -> None:
        """Wrap `app`; `paths` leads from an endpoint's function to its path."""
        self._app, self._paths = app, paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and note its status and how long it took."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, status = perf_counter(), 500

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, watched)
        finally:
            path = self._paths.get(scope.get("endpoint"), "unknown")
            REQUESTS.labels(path, status).observe(perf_counter() - started)
