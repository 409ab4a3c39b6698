"""The newest weeks of a snapshot's series, side by side, with what people noted of them: what its profile looks at."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from headgate.domains.capacity.companions.calendar import BREAK, Event, Mask, as_of, read_calendar, read_masks
from headgate.domains.capacity.data.raw import Series, load_matrix, read_series
from headgate.domains.capacity.data.schema import DAY
from headgate.domains.capacity.data.snapshots import Snapshot

Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]

#: The last whole days, and today, are judged against the days before them.
RECENT_DAYS, REFERENCE_DAYS = 7, 28


@dataclass(frozen=True)
class Panel:
    """Series of one step from midnight of the day `first` on; rows are steps, and begin with the reference."""

    series: tuple[Series, ...]
    first: date
    as_of: datetime
    values: Floats  # [n, S] up to the as-of, NaN where missing
    noted: Bools  # [n, S] whether people masked it
    moved: Bools  # [n, S] whether an event was on

    @property
    def step(self) -> int:
        """Seconds from row to row."""
        return self.series[0].step

    @property
    def recent(self) -> int:
        """The first row of the recent days."""
        return REFERENCE_DAYS * DAY // self.step

    @property
    def born(self) -> NDArray[np.int64]:
        """The row [S] of each series' first point; beyond the last where it has none."""
        seen = ~np.isnan(self.values)
        return np.where(seen.any(axis=0), seen.argmax(axis=0), len(seen))

    def at(self, row: int) -> datetime:
        """The instant at which a row's step begins."""
        return _midnight(self.first) + timedelta(seconds=row * self.step)

    def day(self, number: int) -> slice:
        """The rows of a UTC day; 0 is the first."""
        return slice(number * DAY // self.step, (number + 1) * DAY // self.step)


def panels(snapshot: Snapshot) -> list[Panel]:
    """The series of the snapshot by step, but for those of weeks."""
    events = [one for one in as_of(read_calendar(snapshot.folder), snapshot.as_of) if one.kind != BREAK]
    masks = [one for one in as_of(read_masks(snapshot.folder), snapshot.as_of) if one.effect != "keep"]
    series = sorted(read_series(snapshot.folder).values(), key=lambda one: one.step)
    groups = {step: tuple(group) for step, group in groupby(series, key=lambda one: one.step)}
    return [_panel(snapshot, group, events, masks) for step, group in groups.items() if step <= DAY]


def _panel(snapshot: Snapshot, series: tuple[Series, ...], events: Sequence[Event], masks: Sequence[Mask]) -> Panel:
    first = snapshot.as_of.date() - timedelta(RECENT_DAYS + REFERENCE_DAYS)
    step, begin = series[0].step, int(_midnight(first).timestamp())
    rows = int(snapshot.as_of.timestamp() - begin) // step
    values = np.full((rows, len(series)), np.nan, np.float32)
    names = [one.series for one in series]
    times, found = load_matrix(snapshot.folder, names, snapshot.as_of, since=_midnight(first))
    if len(times):
        low = (int(times[0]) - begin) // step
        values[low : low + len(times)] = found
    noted, moved = (_touched(series, rows, begin, spans) for spans in (masks, events))
    return Panel(series, first, snapshot.as_of, values, noted, moved)


def _touched(series: Sequence[Series], rows: int, begin: int, spans: Sequence[Event] | Sequence[Mask]) -> Bools:
    """Which steps [rows, S] of which series overlap with one of `spans`."""
    touched = np.zeros((rows, len(series)), bool)
    step = series[0].step
    for zone in {one.zone for one in series}:
        for span in spans:
            start, end = ((at.timestamp() - begin) / step for at in span.span(zone))
            if end > 0 and start < rows:
                columns = [
                    n for n, one in enumerate(series) if one.zone == zone and span.applies(one.region, one.service)
                ]
                touched[max(0, int(start)) : int(np.ceil(end)), columns] = True
    return touched


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
