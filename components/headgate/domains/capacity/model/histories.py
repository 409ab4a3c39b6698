"""What was seen of series that share a grid and a calendar, raw, with all that people ever wrote about it.

A back-test at an origin must not know more than was known then: `known` cuts values, calendar and masks at once. A
value counts as known once its step was over; that some came later (`known_at`) is not kept here.
"""

from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from headgate.domains.capacity.companions.calendar import Event, Mask, as_of, read_calendar, read_masks
from headgate.domains.capacity.data.raw import Series, load_matrix, read_series
from headgate.domains.capacity.model.fit import Batch


@dataclass(frozen=True)
class History:
    """Series side by side on one grid, in one zone, that the same events apply to."""

    series: tuple[Series, ...]
    times: NDArray[np.int64]  # [n] epoch seconds, one step apart
    values: NDArray[np.float32]  # [n, S] NaN where missing; masks are not applied
    calendar: tuple[Event, ...]  # every revision of every event that applies
    masks: tuple[Mask, ...]  # every revision of every mask that applies to any of the series

    @property
    def step(self) -> int:
        """Seconds from row to row."""
        return self.series[0].step

    @property
    def zone(self) -> str:
        """Whose clock the series live by."""
        return self.series[0].zone

    @property
    def until(self) -> int:
        """The instant after the last step."""
        return int(self.times[-1]) + self.step

    def known(self, instant: int) -> Batch:
        """What was over and known at `instant`, in epoch seconds, with what was masked then taken out."""
        n = int(np.searchsorted(self.times, instant - self.step, side="right"))
        when = datetime.fromtimestamp(instant, UTC)
        masked, at_least = self._masked(n, when)
        values = self.values[:n]
        if masked.any():
            values = np.where(masked, np.float32("nan"), values)
        events = as_of(self.calendar, when)
        keep = self._marked(n, when, "keep")
        seen = at_least if at_least.any() else None
        return Batch(self.series, self.zone, self.step, self.times[:n], values, events, seen, keep)

    def actual(self) -> NDArray[np.float32]:
        """The values [n, S] that forecasts are held against: what is masked as of now is no truth."""
        masked, at_least = self._masked(len(self.times), datetime.max.replace(tzinfo=UTC))
        return np.where(masked | at_least, np.float32("nan"), self.values)

    def _masked(self, n: int, when: datetime) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """What is left out [n, S], and where the value is only a lower bound [n, S]."""
        left_out = self._marked(n, when, "robots", "outage", "load-test")
        return left_out, self._marked(n, when, "throttled") & ~left_out

    def _marked(self, n: int, when: datetime, *effects: str) -> NDArray[np.bool_]:
        marked = np.zeros((n, len(self.series)), dtype=bool)
        for mask in as_of(self.masks, when):
            if mask.effect in effects:
                start, end = (instant.timestamp() for instant in mask.span(self.zone))
                low, high = np.searchsorted(self.times[:n], (start - self.step + 1, end))
                columns = [i for i, one in enumerate(self.series) if mask.applies(one.region, one.service)]
                marked[low:high, columns] = True
        return marked


def load(folder: Path, at: datetime | None = None) -> list[History]:
    """The series of a source or a snapshot, grouped by zone, step and calendar; nothing known later than `at`."""
    calendar, masks = read_calendar(folder), read_masks(folder)
    groups: dict[tuple[int, str, frozenset[str]], list[Series]] = defaultdict(list)
    for one in read_series(folder).values():
        apply = frozenset(event.event for event in calendar if event.applies(one.region, one.service))
        groups[one.step, one.zone, apply].append(one)
    found = []
    for (_, _, apply), series in sorted(groups.items(), key=lambda item: (item[0][0], item[0][1], sorted(item[0][2]))):
        times, values = load_matrix(folder, [one.series for one in series], at)
        if len(times):
            mine = tuple(event for event in calendar if event.event in apply)
            theirs = tuple(mask for mask in masks if any(mask.applies(one.region, one.service) for one in series))
            found.append(History(tuple(series), times, values, mine, theirs))
    return found
