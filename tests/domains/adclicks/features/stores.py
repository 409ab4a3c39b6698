"""The online stores as tests drive them: without an event loop of their own, empty at the start."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
import pytest

from headgate.domains.adclicks.features.click import Click
from headgate.domains.adclicks.features.counters import Counters
from headgate.domains.adclicks.features.kernel import FEATURES
from headgate.domains.adclicks.features.memory_counters import MemoryCounters
from headgate.domains.adclicks.features.redis_counters import RedisCounters
from headgate.serving.redis import connect

from ....redises import running
from .reference import at


@dataclass
class Store:
    """A store and the event loop that it runs in."""

    counters: Any
    run: Callable[[Any], Any]

    def observe(self, clicks: Sequence[Click]) -> np.ndarray:
        """The vectors [n, d] of `clicks`, observed as many at once as a request may bring."""
        parts = [clicks[n : n + 1000] for n in range(0, len(clicks), 1000)] or [clicks]
        return np.concatenate([self.run(self.counters.observe(part)).vectors for part in parts])

    def whole(self, clicks: Sequence[Click]) -> list[bool]:
        """Whether the windows of `clicks` are complete."""
        return list(self.run(self.counters.observe(clicks)).complete)


def memory(**limits: int) -> Store:
    return Store(MemoryCounters(**limits), asyncio.run)


@pytest.fixture(scope="session")
def stores() -> Iterator[Callable[[str], Store]]:
    """Makes an empty store in memory, or in a Redis server that is started when it is first asked for."""
    made: dict[str, Any] = {}

    def make(kind: str) -> Store:
        if kind == "memory":
            return memory()
        if not made:
            made["server"] = running()
            url = made["server"].__enter__().url
            made["runner"] = asyncio.Runner()
            made["client"] = connect(url)
        run, client = made["runner"].run, made["client"]

        async def empty() -> Counters:
            await client.flushall()
            counters = RedisCounters(client, deadline=10.0)
            await counters._revive()  # as `running` does, which would close the client
            return counters

        return Store(run(empty()), run)

    yield make
    if made:
        made["runner"].run(made["client"].aclose())
        made["runner"].close()
        made["server"].__exit__(None, None, None)


def arriving(clicks: pl.DataFrame) -> list[Click]:
    """The clicks of a log as they come, repeated ones as well."""
    ordered = clicks.sort("received_at", "click_id", maintain_order=True)
    return [Click(**row, device="mobile") for row in ordered.to_dicts()]


def click(click_id: str, seconds: float, user_id: str = "u", ip: str = "10.0.0.1") -> Click:
    """A punctual click."""
    time = at(seconds)
    return Click(click_id, time, 0, user_id, "s", ip, "mobile", logged_in=False, received_at=time)


def feature(vector: np.ndarray, name: str) -> float:
    return float(vector[FEATURES.index(name)])
