"""Trailing windows as rings of buckets: one definition for the batch kernel and for every online store.

A window of `seconds` is a ring of `buckets`, each ``width = seconds / buckets`` wide. A click at effective time t falls
into bucket ``t // width``. What a window holds for a click is what arrived *before* it for the same entity and lies in
its own bucket or in the ``buckets - 1`` before that. So a window reaches back between ``seconds - width`` and
``seconds``, an online store needs one integer a bucket, and both count the same to the last digit.

Late clicks. Rows count in order of arrival. The effective time of a click is its event time, no later than its arrival
and no earlier than `LATENESS` before it, raised to the latest effective time of its entity: a late click counts at its
entity's running maximum. Only arrivals up to now enter, so no feature can see the future.

Distinct counts saturate at `DISTINCT_CAP`. A store that keeps the most recently seen `DISTINCT_CAP` members, each with
the bucket it was last seen in, counts min(cap, distinct members in the window) exactly: when a member still in the
window has been dropped, every member that was kept was seen no earlier.

Times are integer microseconds since the epoch.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]

SECOND = 1_000_000
LATENESS = 3600 * SECOND
DISTINCT_CAP = 256


@dataclass(frozen=True)
class Window:
    """A trailing window of `seconds`, kept as a ring of `buckets`."""

    name: str
    seconds: int
    buckets: int

    @property
    def width(self) -> int:
        """Width of one bucket in microseconds."""
        return self.seconds * SECOND // self.buckets


MINUTE = Window("1m", 60, 12)
TEN_MINUTES = Window("10m", 600, 10)
HOUR = Window("1h", 3600, 12)
DAY = Window("1d", 86_400, 24)
WINDOWS = (MINUTE, TEN_MINUTES, HOUR, DAY)

#: Clicks that arrived longer ago than this change no window.
HISTORY = DAY.seconds * SECOND + LATENESS


@dataclass(frozen=True)
class Timeline:
    """Clicks grouped by entity and, within it, in order of arrival.

    `order` [n] leads from a position on the timeline to the row it came from; `entity` [n] and `time` [n] (effective
    time) are in timeline order.
    """

    order: Ints
    entity: Ints
    time: Ints

    def restore(self, values: NDArray) -> NDArray:
        """Bring `values` [n, …] from timeline order back to the order of the rows."""
        rows = np.empty_like(values)
        rows[self.order] = values
        return rows


def timeline(entity: Ints, event: Ints, received: Ints) -> Timeline:
    """Group rows that stand in order of arrival by `entity` [n], codes from 0, and give each its effective time."""
    order = np.argsort(entity, kind="stable")
    grouped = entity[order]
    clipped = np.clip(event, received - LATENESS, received)[order]
    if not len(grouped):
        return Timeline(order, grouped, clipped)
    origin = clipped.min()
    stride = int(clipped.max() - origin) + 1
    if int(grouped[-1] + 1) * stride >= 2**63:
        raise OverflowError("too many entities over too long a time for one pass: split the rows by day")
    lift = grouped * stride  # makes one running maximum serve all entities
    return Timeline(order, grouped, np.maximum.accumulate(clipped - origin + lift) - lift + origin)


def window_start(line: Timeline, window: Window) -> Ints:
    """Position [n] of the oldest click that `window` still holds at each click; the click's own if it holds none."""
    bucket = line.time // window.width
    if not len(bucket):
        return bucket
    bucket = bucket - bucket.min() + window.buckets
    key = line.entity * (int(bucket.max()) + 1) + bucket
    start: Ints = np.searchsorted(key, key - (window.buckets - 1))
    return start


def counts(start: Ints) -> Ints:
    """Clicks [n] that a window holds, given where it starts."""
    return np.arange(len(start)) - start


def velocity(line: Timeline, window: Window, start: Ints) -> NDArray[np.float64]:
    """Clicks per second [n] over the buckets from the oldest occupied one to the click's own; 0 for an empty window."""
    bucket = line.time // window.width
    span = (bucket - bucket[start] + 1) * window.width / SECOND
    return counts(start) / span


def gap(line: Timeline) -> NDArray[np.float64]:
    """Seconds [n] since the entity's previous click, at most the longest window; that for a first click."""
    longest = DAY.seconds * SECOND
    seconds = np.full(len(line.time), longest, dtype=np.int64)
    same = line.entity[1:] == line.entity[:-1]
    seconds[1:][same] = np.minimum(np.diff(line.time)[same], longest)
    return seconds / SECOND


def following(line: Timeline, member: Ints) -> Ints:
    """Position [n] of the next click of the same entity with the same `member` [n] (codes, timeline order), or n."""
    n = len(member)
    after = np.full(n, n, dtype=np.int64)
    pairs = np.argsort(member, kind="stable")  # by entity within each member, since the timeline is
    same = (member[pairs[1:]] == member[pairs[:-1]]) & (line.entity[pairs[1:]] == line.entity[pairs[:-1]])
    after[pairs[:-1][same]] = pairs[1:][same]
    return after


def distinct(start: Ints, after: Ints) -> Ints:
    """Distinct members [n] among the clicks that a window holds, at most `DISTINCT_CAP`; `after` [n] is `following`.

    A member is counted through its latest click before the one at hand. Click j is that from j+1 until the member's
    next click, and is held until the window starts after j: an interval of positions. Counting is summing intervals.
    """
    n = len(start)
    dropped = np.searchsorted(start, np.arange(n), side="right")
    end = np.minimum(after + 1, dropped)
    change = -np.bincount(end, minlength=n + 1)
    change[1:] += 1
    return np.minimum(np.cumsum(change)[:n], DISTINCT_CAP)
