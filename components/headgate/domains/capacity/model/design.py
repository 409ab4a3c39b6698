"""The columns of a regression: level, trend, week, year, clock, and each kind of event, on the local clock.

*Slow* columns change with the local day and say how large a day is, *fast* ones say how a day runs. A trend never runs
on past the last known day: growth is a level model of its own, see `levels`.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headgate.domains.capacity.companions.calendar import Event
from headgate.domains.capacity.model.clock import DAY, local, weekday, year_position
from headgate.domains.capacity.model.event_features import FAST, SLOW, fast_features, slow_features

Floats = NDArray[np.float64]

#: Harmonics of the day on a weekday, and at most so many days between the hinges of the trend.
HARMONICS, HINGE_DAYS = 12, 7

#: At most so many hinges; a longer history has them further apart.
MOST_HINGES = 26

#: A yearly season is fitted from this many days on: fewer cannot tell it from a trend.
YEAR_DAYS = 548

YEAR_HARMONICS = 4

#: Ridge a row: the constant is free, harmonics cost more the faster they run.
_FREE, _LIGHT, _FIRM = 1e-7, 1e-4, 1e-3


@dataclass(frozen=True)
class Design:
    """How the columns are made; enough to make them again for any other time. Dates are local days since 1970."""

    zone: str
    step: int  # seconds
    first: int  # the first date that was learned from
    last: int  # the first date that was not known any more
    hinges: tuple[int, ...]  # dates at which the trend may bend
    kinds: tuple[str, ...]  # kinds of events that had happened
    intensities: tuple[float, ...]  # the highest intensity seen of each kind

    @property
    def days(self) -> int:
        """Days of a period: one, or seven for weekly series."""
        return max(self.step // DAY, 1)

    @property
    def yearly(self) -> bool:
        """Whether there is enough history for a yearly season."""
        return self.last - self.first >= YEAR_DAYS

    @property
    def harmonics(self) -> int:
        """Harmonics of the day that the step can show."""
        return max(0, min(HARMONICS, DAY // self.step // 2 - 1))

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> "Design":
        """The inverse of `to_dict`."""
        return cls(**(value | {name: tuple(value[name]) for name in ("hinges", "kinds", "intensities")}))


@dataclass(frozen=True)
class Columns:
    """Some of a design's columns."""

    X: Floats  # [n, p]
    groups: tuple[str, ...]  # [p] level, trend, week, year, clock, or event:KIND
    penalty: Floats  # [p] ridge a row

    def of(self, *chosen: str) -> NDArray[np.bool_]:
        """Which columns [p] are of the groups `chosen`; "event" means all events."""
        return np.array([group in chosen or group.partition(":")[0] in chosen for group in self.groups], dtype=bool)


def plan(zone: str, step: int, first: int, last: int, events: Iterable[Event], breaks: Iterable[int] = ()) -> Design:
    """The design for the dates [first, last) and their `events`; its trend may bend at the dates `breaks` too."""
    apart = max(HINGE_DAYS, (last - first) / MOST_HINGES)
    regular = np.arange(first + apart, last - 5, apart).astype(int).tolist()
    declared = [int(date) for date in breaks if first < date < last]
    seen: dict[str, float] = {}
    for event in events:
        start, end = (instant.timestamp() // DAY for instant in event.span(zone))
        if event.kind != "break" and start < last and end >= first:
            seen[event.kind] = max(seen.get(event.kind, 0.0), event.intensity)
    kinds = tuple(sorted(seen))
    highest = tuple(seen[kind] for kind in kinds)
    return Design(zone, step, first, last, tuple(sorted({*regular, *declared})), kinds, highest)


def slow(design: Design, dates: NDArray[np.int64], events: Iterable[Event]) -> Columns:
    """The slow columns for the periods that begin at `dates` [T]; a week has the mean of its days."""
    made = _Made()
    days = (dates[:, None] + np.arange(design.days)).ravel()
    made.add("level", np.ones(len(days)), _FREE)
    known = np.minimum(days, design.last - 1)
    made.add("trend", (known - design.last) / max(design.last - design.first, 1), _LIGHT)
    for hinge in design.hinges:
        made.add("trend", np.clip(known - hinge, 0, None) / HINGE_DAYS, 2 * _FIRM)
    if design.days == 1:
        for number in range(7):
            made.add("week", weekday(days) == number, _LIGHT)
    if design.yearly:
        for harmonic in range(1, YEAR_HARMONICS + 1):
            for wave in _waves(year_position(days), harmonic):
                made.add("year", wave, _LIGHT)
    for kind, highest, same in _by_kind(design, events):
        for column in slow_features(same, days, design.zone, highest):
            made.add(f"event:{kind}", column, _FIRM)
    found = made.columns()
    return Columns(found.X.reshape(len(dates), design.days, -1).mean(axis=1), found.groups, found.penalty)


def fast(design: Design, times: NDArray[np.int64], events: Iterable[Event]) -> Columns:
    """The fast columns at epoch seconds `times` [n], ascending. There are none for steps of a day and more."""
    made = _Made()
    if design.step < DAY:
        clock = local(times, design.zone)
        for harmonic in range(1, design.harmonics + 1):
            cost = _LIGHT * (1 + (harmonic / 4) ** 4)
            for wave in _waves(clock.clock, harmonic):
                made.add("clock", wave, cost)
                for number in (5, 6):  # Saturdays and Sundays run otherwise
                    made.add("clock", wave * (clock.weekday == number), 10 * cost)
        for kind, highest, same in _by_kind(design, events):
            for column in fast_features(same, times, design.zone, highest):
                made.add(f"event:{kind}", column, _FIRM)
    return made.columns() if made.groups else Columns(np.zeros((len(times), 0)), (), np.zeros(0))


#: How many columns one kind of event takes, slow and fast.
EVENT_COLUMNS = len(SLOW), len(FAST)


def _by_kind(design: Design, events: Iterable[Event]) -> list[tuple[str, float, list[Event]]]:
    chosen = list(events)
    return [
        (kind, highest, [event for event in chosen if event.kind == kind])
        for kind, highest in zip(design.kinds, design.intensities, strict=True)
    ]


def _waves(position: Floats, harmonic: int) -> tuple[Floats, Floats]:
    angle = 2 * np.pi * harmonic * position
    return np.sin(angle), np.cos(angle)


class _Made:
    """Columns in the making."""

    def __init__(self) -> None:
        self._columns: list[Floats] = []
        self.groups: list[str] = []
        self._penalty: list[float] = []

    def add(self, group: str, column: NDArray[Any], penalty: float) -> None:
        self._columns.append(np.asarray(column, dtype=np.float64))
        self.groups.append(group)
        self._penalty.append(penalty)

    def columns(self) -> Columns:
        return Columns(np.stack(self._columns, axis=1), tuple(self.groups), np.array(self._penalty))
