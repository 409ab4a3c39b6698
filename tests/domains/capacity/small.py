"""Small worlds whose truth is known: series, events and masks as people write them, and loads drawn from factors."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headgate.domains.capacity.companions.calendar import Event, Mask
from headgate.domains.capacity.data.raw import Series
from headgate.domains.capacity.model.clock import local
from headgate.domains.capacity.model.fit import Batch
from headgate.domains.capacity.model.histories import History

Floats = NDArray[np.float64]

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)

#: Level models that need no Prophet, for tests of what all have in common.
QUICK = ("regression", "recent", "growth")


def at(text: str) -> int:
    """A UTC time as epoch seconds."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


def one(name: str = "eu/home/requests", *, zone: str = "UTC", step: int = 900, **fields: Any) -> Series:
    region, service, metric = name.split("/")
    return Series(name, region, service, metric, metric, zone, step, **{"aggregation": "sum"} | fields)


def event(start: str, end: str, kind: str = "sale", **fields: Any) -> Event:
    usual: dict[str, Any] = {
        "event": f"{kind} {start}",
        "revision": 1,
        "kind": kind,
        "name": kind,
        "region": "*",
        "services": ("*",),
        "start": start,
        "end": end,
        "intensity": 1.0,
        "known_since": LONG_AGO,
        "status": "planned",
        "author": "ana",
        "reason": "",
    }
    return Event(**usual | fields)


def mask(start: str, end: str, effect: str = "robots", **fields: Any) -> Mask:
    usual: dict[str, Any] = {
        "mask": f"{effect} {start}",
        "revision": 1,
        "region": "*",
        "services": ("*",),
        "start": start,
        "end": end,
        "effect": effect,
        "known_since": LONG_AGO,
        "status": "active",
        "author": "ana",
        "reason": "seen",
    }
    return Mask(**usual | fields)


def span(start: str, end: str, step: int = 900) -> NDArray[np.int64]:
    return np.arange(at(start), at(end), step, dtype=np.int64)


def load(times: NDArray[np.int64], *, zone: str = "UTC", size: float = 200.0, peak: float = 18.0) -> Floats:
    """A load that peaks at `peak` o'clock of the local clock, with quieter weekends."""
    clock = local(times, zone)
    day = np.exp(0.8 * np.cos(2 * np.pi * (clock.clock - peak / 24)))
    return np.asarray(size * day * np.where(clock.weekday >= 5, 0.7, 1.0))


def during(times: NDArray[np.int64], start: str, end: str, factor: float) -> Floats:
    """`factor` from `start` to `end` (UTC), one elsewhere."""
    return np.where((times >= at(start)) & (times < at(end)), factor, 1.0)


def noisy(mean: Floats, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).poisson(mean).astype(np.float32)


def batch(
    times: NDArray[np.int64],
    values: NDArray[Any],
    *,
    zone: str = "UTC",
    events: Sequence[Event] = (),
    names: Sequence[str] | None = None,
    **fields: Any,
) -> Batch:
    """A batch of the columns of `values` [n, S] or [n]."""
    columns = np.asarray(values, dtype=np.float32).reshape(len(times), -1)
    step = int(times[1] - times[0])
    series = tuple(
        one(name, zone=zone, step=step) for name in names or [f"eu/s{i}/requests" for i in range(columns.shape[1])]
    )
    return Batch(series, zone, step, times, columns, tuple(events), **fields)


def history(
    times: NDArray[np.int64],
    values: NDArray[Any],
    *,
    zone: str = "UTC",
    calendar: Sequence[Event] = (),
    masks: Sequence[Mask] = (),
    names: Sequence[str] | None = None,
    **fields: Any,
) -> History:
    columns = np.asarray(values, dtype=np.float32).reshape(len(times), -1)
    step = int(times[1] - times[0])
    series = tuple(
        one(name, zone=zone, step=step, **fields)
        for name in names or [f"eu/s{i}/requests" for i in range(columns.shape[1])]
    )
    return History(series, times, columns, tuple(calendar), tuple(masks))
