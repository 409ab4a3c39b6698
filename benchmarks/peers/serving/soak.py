"""Whether memory stays: millions of clicks over three times the longest history, played fast, keys expiring as fast."""

import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta

import msgspec
import numpy as np
import psutil
from scipy import stats

from headgate.contract.requests import Target
from headgate.domains.adclicks.features.windows import HISTORY
from headgate.load.generator import Limits, run
from headgate.load.schedule import Schedule
from headgate.servers import free_port
from peers.serving import rig
from peers.serving.rig import Running, Sizes
from peers.serving.state import state

#: Clicks in a request, and a second.
BATCH, RATE = 100, 3000

#: The clicks cover so many times what a window can reach.
HISTORIES = 3

#: Seconds between two looks at the memory.
EVERY = 2.0


def report(sizes: Sizes) -> str:
    """The section."""
    seconds = sizes.soak / RATE
    fraction = seconds / (HISTORIES * HISTORY / 1e6)
    with state() as at, rig.redis() as (store, url):
        port = free_port("127.0.0.1", 18_400)
        command = [sys.executable, str(rig.HERE / "apps" / "scaled.py"), str(port), str(fraction)]
        with rig.web("scaled", command, port, "/readyz", at.folder, {"HEADGATE_REDIS": url}) as server:
            seen, stopped = [], threading.Event()
            watcher = threading.Thread(target=_watch, args=(server, store, url, seen, stopped))
            watcher.start()
            try:
                target = Target(server.address, "/v1/adclicks/decisions")
                bodies = _Bodies(target, sizes.soak)
                due = Schedule(RATE / BATCH, seconds).due(0)
                measured = run(target, due, bodies.request, Limits(8))
            finally:
                stopped.set()
                watcher.join()
    at_, server_mb, redis_mb = np.array(seen).T
    half = at_ > at_[-1] / 2
    rows = [
        f"| {name} | {values[half][0]:.1f} | {values[half][-1]:.1f} | {values.max():.1f} | {_slope(at_[half], values[half])} |"
        for name, values in (("server", server_mb), ("Redis", redis_mb))
    ]
    return "\n".join(
        [
            "## Memory over days of clicks",
            "",
            f"{len(due) * BATCH:,} clicks in lists of {BATCH} at {RATE:,}/s over {seconds:.0f} s, during which the clicks' "
            f"own clock covers {HISTORIES} times 25 hours and keys expire {1 / fraction:.0f} times as fast; "
            f"{measured.failed} requests failed, {int(measured.pending.sum())} clicks were answered by default. "
            "Megabytes: of the server its resident set, of Redis what it says it uses. The slope is that of a line over "
            "the second half, with its 95 % interval from the residuals of ten-second means.",
            "",
            "| | half way | at the end | most | slope, MB per million clicks |",
            "|---|---|---|---|---|",
            *rows,
        ]
    )


def _watch(server: Running, store: Running, url: str, seen: list, stopped: threading.Event) -> None:
    path, began = url.removeprefix("unix://"), time.monotonic()
    while not stopped.wait(EVERY):
        told = subprocess.run(["redis-cli", "-s", path, "info", "memory"], capture_output=True, text=True, check=True)
        used = next(line for line in told.stdout.splitlines() if line.startswith("used_memory:"))
        resident = psutil.Process(server.pid).memory_info().rss
        seen.append((time.monotonic() - began, resident / 1e6, int(used.partition(":")[2]) / 1e6))


def _slope(at: np.ndarray, megabytes: np.ndarray) -> str:
    """MB per million clicks, with its interval."""
    bins = (at // 10).astype(int)
    times, means = (np.array([values[bins == one].mean() for one in np.unique(bins)]) for values in (at, megabytes))
    found = stats.linregress(times, means)
    scale, width = 1e6 / RATE, stats.t.ppf(0.975, max(1, len(times) - 2)) * found.stderr
    return f"{scale * found.slope:+.2f} ({scale * (found.slope - width):+.2f} to {scale * (found.slope + width):+.2f})"


class _Bodies:
    """Lists of clicks whose own clock runs fast: it ends now."""

    def __init__(self, target: Target, clicks: int) -> None:
        self._target, self._step = target, timedelta(microseconds=HISTORIES * HISTORY / clicks)
        self._start = datetime.now(UTC) - clicks * self._step
        self._random = np.random.default_rng(0)

    def request(self, number: int, wall: float) -> bytes:
        users = self._random.zipf(1.3, BATCH) % 50_000
        clicks = []
        for n, user in enumerate(users.tolist(), number * BATCH):
            at = (self._start + n * self._step).isoformat()
            clicks.append(
                {
                    "click_id": f"s{n}",
                    "event_time": at,
                    "received_at": at,
                    "user_id": f"u{user}",
                    "session_id": f"s{user}-{n // 20_000}",
                    "ip": f"10.{user % 7}.{user % 200}.1",
                    "rfm": 5,
                }
            )
        body = msgspec.json.encode(clicks)
        return self._target.whole(body)
