"""The upper path of an event as a load: what one instance would carry of it under the plan, in a few minutes."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from headgate.domains.capacity.companions import local_time
from headgate.domains.capacity.companions.calendar import Event
from headgate.domains.capacity.data.raw import Series
from headgate.domains.capacity.gameday.report import Window
from headgate.domains.capacity.model.forecaster import Forecaster, instant
from headgate.errors import UsageError
from headgate.load.measured import Measured
from headgate.load.objective import Judged, Objective, judge_load
from headgate.load.schedule import Path, Schedule

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Upper:
    """A quantile of a series over an event's window, step by step."""

    series: Series
    start: datetime
    end: datetime
    values: Floats  # [n] in the unit of the series

    @property
    def peak(self) -> float:
        """The highest step."""
        return float(self.values.max())

    def schedule(self, rate: float, seconds: float) -> Schedule:
        """The path compressed to `seconds`, its highest step at `rate` requests a second."""
        shares = np.maximum(self.values, 0.0) / self.peak
        return Schedule(rate, seconds, Path("path", tuple(shares.tolist()) * (2 if len(shares) == 1 else 1)))

    def instant(self, share: float) -> datetime:
        """The instant of the window when a `share` of the rehearsal is over."""
        return self.start + share * (self.end - self.start)


def event_of(calendar: Sequence[Event], name: str) -> Event:
    """The event of that id. Raises UsageError naming some that there are."""
    for event in calendar:
        if event.event == name:
            return event
    known = ", ".join(sorted(event.event for event in calendar)[-5:]) or "none"
    raise UsageError(f"The calendar has no event {name}; it has, for example: {known}.")


def series_of(forecaster: Forecaster, event: Event, asked: str | None) -> Series:
    """The series that was `asked` for, or the only one that the event touches. Raises UsageError."""
    counts = [one for one in forecaster.series if one.aggregation == "sum"]
    if asked is not None:
        model, columns = forecaster.parts(asked)[0]
        one = model.series[columns[0]]
        if one.series != asked or one.aggregation != "sum":
            raise UsageError(f"{asked} is no single series that counts something: an instance carries requests.")
        return one
    touched = [one for one in counts if event.applies(one.region, one.service)]
    finest = [one for one in touched if one.step == min(other.step for other in touched)]
    if len(finest) != 1:
        known = ", ".join(one.series for one in (finest or counts)[:5])
        raise UsageError(f"{event.event} touches {len(finest)} series: choose one with --series, for example {known}.")
    return finest[0]


def upper(
    forecaster: Forecaster,
    one: Series,
    event: Event,
    around: timedelta,
    quantile: float,
    calendar: Sequence[Event] | None,
) -> Upper:
    """The path of `quantile` over `event` and as much `around` it. Raises what `Forecaster.forecast` raises."""
    start, end = event.span(one.zone)
    said = forecaster.forecast(one.series, start - around, end + around, levels=(quantile,), calendar=calendar)
    return Upper(one, instant(said.times[0]), instant(said.times[-1] + said.step), said.quantiles[quantile])


def windows(
    measured: Measured, schedule: Schedule, path: Upper, objective: Objective, seconds: float
) -> tuple[list[Window], str | None]:
    """The path in windows of about `seconds`, and the instant of the event at which it broke first.

    It broke where two windows in a row did: a pause of the machine is over within one.
    """
    edges = np.linspace(0, schedule.seconds, max(1, round(schedule.seconds / seconds)) + 1)
    found = []
    for low, high in pairwise(edges):
        inside = (measured.due >= low) & (measured.due < high)
        judged = judge_load(part(measured, inside), objective)
        at = local_time.brief(path.instant(float(low / schedule.seconds)))
        found.append(Window(at, judged.requests / float(high - low), milliseconds(judged), judged.why))
    first = next((a.at for a, b in pairwise(found) if a.why and b.why), None)
    return found, found[0].at if len(found) == 1 and found[0].why else first


def part(measured: Measured, inside: NDArray[np.bool_]) -> Measured:
    """Some of the requests."""
    arrays = (measured.due, measured.waited, measured.latency, measured.status, measured.pending)
    return Measured(*(array[inside] for array in arrays))  # type: ignore[arg-type]


def milliseconds(judged: Judged) -> float | None:
    """The latency as JSON can hold it."""
    return round(1000 * judged.latency, 3) if np.isfinite(judged.latency) else None
