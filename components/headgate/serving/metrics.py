"""What Prometheus sees of a serving process, and the middleware that times its requests."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from psutil import pid_exists
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from headgate.contract.limits import QUICK
from headgate.telemetry import Children

if TYPE_CHECKING:
    from headgate.domain import Domain

DECISIONS = Counter("headgate_decisions", "Decisions answered.", ["domain", "slice", "outcome"])
VERSION = Gauge("headgate_champion_version", "The version that decides.", ["domain"], multiprocess_mode="livemin")
SWAPS = Counter("headgate_swaps", "Versions put in the champion's slot.", ["domain"])
PROBLEM = Gauge(
    "headgate_problem",
    "1 where serving is not what the registry says; /v1/models says why.",
    ["domain"],
    multiprocess_mode="livemax",
)
COMPANION_SWAPS = Counter("headgate_companion_swaps", "Changes of a companion.", ["domain", "companion"])
COMPANION_PROBLEM = Gauge(
    "headgate_companion_problem",
    "1 where a companion that is set cannot be read; /v1/models says why.",
    ["domain", "companion"],
    multiprocess_mode="livemax",
)
DEFAULTS = Counter("headgate_default_answers", "Decisions answered by default, to be decided by a replay.", ["domain"])
INCOMPLETE = Counter("headgate_incomplete", "Decisions by windows that may hold too few events.", ["domain"])
AWAY = Gauge("headgate_counters_away", "1 while the counters do not answer.", ["domain"], multiprocess_mode="livemax")
OWED = Gauge("headgate_counters_owed", "Events that are not counted yet.", ["domain"], multiprocess_mode="livesum")
LOOKUPS_AWAY = Gauge(
    "headgate_lookups_away", "1 while the lookups' database is away; requests go on.", multiprocess_mode="livemax"
)
REVIEWS_WAITING = Gauge(
    "headgate_reviews_waiting", "Cases that wait for a person.", ["domain"], multiprocess_mode="livemostrecent"
)
REVIEWS_OVERDUE = Gauge(
    "headgate_reviews_overdue", "Of those, whose deadline is over.", ["domain"], multiprocess_mode="livemostrecent"
)
_request_times: Histogram | None = None  # of the app that was built last


def request_times(domains: "Sequence[Domain]") -> Histogram:
    """The histogram of request times by path and status, with the bounds that any of the served `domains` asks for.

    It takes the place of the one of an app that was built before in this process: Prometheus knows a name once.
    """
    global _request_times
    if _request_times is not None:
        REGISTRY.unregister(_request_times)
    _request_times = Histogram(
        "headgate_request_seconds",
        "Time from the request's head to the answer's last byte.",
        ["path", "status"],
        buckets=sorted({bound for domain in domains for bound in domain.limits.runtime.histogram} or QUICK),
    )
    return _request_times


def text() -> bytes:
    """All metrics in Prometheus' words, added up over the workers where there are several."""
    shared = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
    if shared is None:
        return generate_latest()
    for file in Path(shared).glob("gauge_live*.db"):  # what a worker showed that is no more
        if not pid_exists(int(file.stem.rpartition("_")[2])):
            file.unlink(missing_ok=True)
    registry = CollectorRegistry()
    MultiProcessCollector(registry, shared)  # type: ignore[no-untyped-call]
    return generate_latest(registry)


class Timed:
    """ASGI middleware that observes request times. A path that no route knows is counted as "unknown"."""

    def __init__(self, app: ASGIApp, paths: Mapping[Any, str], times: Histogram) -> None:
        """Wrap `app`; `paths` leads from an endpoint's function to its path, `times` is of `request_times`."""
        self._app, self._paths = app, paths
        self._observed = Children(times)

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
            self._observed[path, status].observe(perf_counter() - started)
