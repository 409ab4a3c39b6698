"""What an event does to a series, as columns: a burst around its onset, a plateau, a rush before its end, and the days.

The bursts are tied to the onset and to the end, the plateau fills what lies between: an event that is moved takes its
shape along, and one that is stretched stretches its plateau. Events of one kind that overlap are a union: the larger
counts. Effects are on the log, times the intensity; an intensity beyond what was ever seen is capped.
"""

from collections.abc import Sequence
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from headgate.domains.capacity.companions.calendar import Event
from headgate.domains.capacity.model.clock import DAY, offsets

Floats = NDArray[np.float64]

#: Knots of the bursts, in minutes from the onset and from the end; piecewise linear between them, zero at both ends.
ONSET = (-240, -120, -60, -20, 0, 10, 30, 60, 90, 120, 180, 300)
END = (-240, -120, -45, -15, 0, 20, 60, 120, 240)

SLOW = ("day", "several", "before", "after")
FAST = ("plateau", *(f"onset {k:+d}" for k in ONSET[1:-1]), *(f"end {k:+d}" for k in END[1:-1]))

#: An intensity counts at most this many times the highest one that was seen.
BEYOND = 1.5


def slow_features(events: Sequence[Event], day: NDArray[np.int64], zone: str, highest: float) -> list[Floats]:
    """The columns SLOW [n] at local dates `day` [n], in days since 1970: a day of the event, of several, before, after.

    A day counts as the share of it that the event covers, at least a quarter: a match of two hours marks its day.
    """
    if not len(day):
        return [np.zeros(0)] * len(SLOW)
    first, last = int(day.min()) - 1, int(day.max()) + 1
    marks = np.zeros((len(SLOW), last - first + 1))
    count = np.zeros(last - first + 1)
    for event in events:
        begins, ends = (instant.timestamp() // DAY for instant in event.span(zone))
        if begins > last + 2 or ends < first - 2:
            continue
        strength = _strength(event, highest)
        start, end = _local(event, zone)
        for date in range(max(start // DAY, first), min((end - 1) // DAY, last) + 1):
            covered = (min(end, (date + 1) * DAY) - max(start, date * DAY)) / DAY
            marks[0, date - first] = max(marks[0, date - first], strength * max(covered, 0.25))
            count[date - first] += 1
        for row, date in ((2, start // DAY - 1), (3, (end - 1) // DAY + 1)):
            if first <= date <= last:
                marks[row, date - first] = max(marks[row, date - first], strength)
    marks[1] = np.log(np.maximum(count, 1))
    marks[2:] *= marks[0] == 0  # a day of the event is no day before or after one
    return [marks[row][day - first] for row in range(len(SLOW))]


def fast_features(events: Sequence[Event], times: NDArray[np.int64], zone: str, highest: float) -> list[Floats]:
    """The columns FAST [n] at epoch seconds `times` [n], ascending."""
    found = np.zeros((len(FAST), len(times)))
    for event in events:
        strength = _strength(event, highest)
        start, end = (int(instant.timestamp()) for instant in event.span(zone))
        low, high = np.searchsorted(times, (start + ONSET[0] * 60, end + END[-1] * 60))
        if low == high:
            continue
        near = times[low:high]
        rows = [((near >= start) & (near < end)).astype(np.float64)]
        rows += _hats((near - start) / 60, ONSET)
        rows += _hats((near - end) / 60, END)
        found[:, low:high] = np.maximum(found[:, low:high], strength * np.stack(rows))
    return list(found)


def active(events: Sequence[Event], times: NDArray[np.int64], zone: str) -> NDArray[np.bool_]:
    """Whether any of `events` is on [n] at epoch seconds `times` [n]; a break is no event."""
    found = np.zeros(len(times), dtype=bool)
    for event in events:
        if event.kind != "break":
            start, end = (instant.timestamp() for instant in event.span(zone))
            found |= (times >= start) & (times < end)
    return found


def breaks(events: Sequence[Event], zone: str) -> list[int]:
    """The declared slope breaks, in epoch seconds."""
    return sorted(int(event.span(zone)[0].timestamp()) for event in events if event.kind == "break")


def _strength(event: Event, highest: float) -> float:
    """The intensity on the log: 1 counts 1, 3 counts 2."""
    return float(np.log2(1 + min(event.intensity, BEYOND * highest)))


def _local(event: Event, zone: str) -> tuple[int, int]:
    """Onset and end as the local clock shows them, in seconds since 1970."""
    start, end = (_seconds(instant) for instant in event.span(zone))
    shift = offsets(np.array([start, end]), zone)
    return start + int(shift[0]), max(end + int(shift[1]), start + int(shift[0]) + 1)


def _seconds(instant: datetime) -> int:
    return int(instant.timestamp())


def _hats(x: Floats, knots: Sequence[int]) -> list[Floats]:
    """Piecewise linear functions of `x` [n], one for each inner knot: one there, zero at its neighbours."""
    return [np.interp(x, knots[i - 1 : i + 2], (0.0, 1.0, 0.0), left=0.0, right=0.0) for i in range(1, len(knots) - 1)]
