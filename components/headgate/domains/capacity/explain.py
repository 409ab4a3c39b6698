"""Why a forecast is what it is: factors whose product it is, in words; and what it would be under another calendar."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from headgate.domains.capacity import local_time
from headgate.domains.capacity.companion_text import Misfit
from headgate.domains.capacity.companions import Event, build, cells
from headgate.domains.capacity.forecaster import Forecaster
from headgate.errors import DataRefused, UsageError

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Factor:
    """One factor of a forecast: `baseline` in the series' unit, every other a multiple."""

    name: str
    value: float
    words: str


@dataclass(frozen=True)
class Explanation:
    """A forecast of one window, taken apart. The factors multiply to `forecast`."""

    series: str
    start: str
    end: str
    forecast: float
    low: float | None
    high: float | None
    factors: tuple[Factor, ...]
    events: tuple[str, ...]
    version_as_of: str
    calendar: str

    def words(self) -> str:
        """The explanation as a few lines."""
        band = "" if self.low is None else f" (80 % between {self.low:,.0f} and {self.high:,.0f})"
        lines = [f"{self.series}, {self.start} to {self.end}: {self.forecast:,.0f}{band}"]
        return "\n".join([*lines, *(f"  {factor.words}" for factor in self.factors)])


def explain(
    forecaster: Forecaster, series: str, start: datetime, end: datetime, calendar: Sequence[Event] | None = None
) -> Explanation:
    """Take the sum of `series` over [start, end) apart.

    Parts are sums on the log. Taken away one after the other (events, clock, season, trend), each leaves a factor, so
    they multiply to the forecast exactly, for a minute and for a window.
    """
    found = forecaster.parts(series)
    if len(found) != 1 or len(found[0][1]) != 1:
        raise UsageError(f"{series} is a total: explain one of its parts, each has factors of its own.")
    model, (number,) = found[0]
    said = forecaster.forecast(series, start, end, levels=(0.5,), calendar=calendar)
    known = forecaster.calendar if calendar is None else calendar
    one = model.series[number]
    events = tuple(event for event in known if event.applies(one.region, one.service))
    parts, whole = model.parts(said.times, events, number)
    total = float(np.exp(whole).sum())
    order = [*reversed(model.design.kinds), "clock", "season"]
    factors, rest = [], whole
    for name in order:
        with_it = np.exp(rest).sum()
        rest = rest - parts[name]
        factors.append(_factor(name, float(with_it / np.exp(rest).sum()), model.design.kinds))
    base = float(np.exp(rest[:1]).sum()) * len(rest)
    drift = float(np.exp(rest).sum() / base)
    factors.append(Factor("trend", drift, f"× {drift:.3f} trend within the window"))
    factors.append(Factor("baseline", base, f"{base:,.0f} baseline: the level at its beginning"))
    if one.aggregation == "mean":
        total, base = total / len(whole), base / len(whole)
        factors[-1] = Factor("baseline", base, f"{base:,.1f} baseline: the level at its beginning")
    low = high = None
    if len(said.times) == 1:
        try:
            both = forecaster.forecast(series, start, end, levels=(0.1, 0.9), calendar=calendar).quantiles
            low, high = float(both[0.1][0]), float(both[0.9][0])
        except DataRefused:  # a young series has no band; its factors are no less true
            low = high = None
    touching = [
        f"{event.name} ({event.kind}), {event.start} to {event.end}"
        for event in events
        if event.span(one.zone)[0] < end + timedelta(days=1) and event.span(one.zone)[1] > start - timedelta(days=1)
    ]
    return Explanation(
        series,
        start.isoformat(),
        end.isoformat(),
        total,
        low,
        high,
        tuple(reversed(factors)),
        tuple(touching),
        forecaster.as_of.isoformat(),
        forecaster.companion(calendar),
    )


def _factor(name: str, value: float, kinds: Sequence[str]) -> Factor:
    said = {"clock": "the hour of the day", "season": "the day of the week and the season"}.get(name, name)
    kind = f"{said} (event)" if name in kinds else said
    return Factor(name, value, f"× {value:.3f} {kind}")


@dataclass(frozen=True)
class WhatIf:
    """A forecast under the calendar as it stands and under another one."""

    series: str
    step: int
    times: NDArray[np.int64]
    before: Floats
    after: Floats
    calendar: str

    @property
    def change(self) -> float:
        """The sum after over the sum before."""
        return float(self.after.sum() / self.before.sum())


def what_if(
    forecaster: Forecaster,
    series: str,
    start: datetime,
    end: datetime,
    calendar: Sequence[Event],
    step: int | None = None,
) -> WhatIf:
    """`series` over [start, end) if the calendar were `calendar`. Nothing is fitted again."""
    before, after = (
        forecaster.forecast(series, start, end, step=step, levels=(0.5,), calendar=known) for known in (None, calendar)
    )
    return WhatIf(
        series,
        before.step,
        before.times,
        before.quantiles[0.5],
        after.quantiles[0.5],
        forecaster.companion(calendar),
    )


def moved(
    calendar: Sequence[Event],
    event: str,
    *,
    start: str | None = None,
    end: str | None = None,
    intensity: float | None = None,
) -> tuple[Event, ...]:
    """`calendar` with another start, end or intensity of one event; with a start alone it keeps its length.

    Raises UsageError if it plans none of that name, or where start and end are no times or do not go together.
    """
    if event not in {one.event for one in calendar}:
        known = ", ".join(one.event for one in calendar) or "none"
        raise UsageError(f"The calendar, as it was known to this version, plans no event {event!r}. It plans: {known}.")
    if start is not None and end is None:  # moved, and as long as before
        planned = next(one for one in calendar if one.event == event)
        try:
            end = local_time.write(local_time.parse(start) + planned.length)
        except ValueError as error:
            raise UsageError(f"The event's start does not fit: {error}.") from None
    texts = {"start": start, "end": end, "intensity": intensity}
    asked = {column: str(text) for column, text in texts.items() if text is not None}
    try:
        return tuple(build(Event, cells(one) | asked) if one.event == event else one for one in calendar)
    except Misfit as error:
        column, said = error.args
        raise UsageError(f"The event's {column} does not fit: {said}.") from None


def picture(
    forecaster: Forecaster,
    series: str,
    start: datetime,
    end: datetime,
    calendar: Sequence[Event] | None,
    path: Path,
) -> None:
    """Draw the forecast of a window and, below it, each factor over time; `path` is a PNG."""
    from matplotlib.figure import Figure

    (model, (number,)), *_ = forecaster.parts(series)
    said = forecaster.forecast(series, start, end, levels=(0.5,), calendar=calendar)
    one = model.series[number]
    known = forecaster.calendar if calendar is None else calendar
    parts, _ = model.parts(said.times, tuple(e for e in known if e.applies(one.region, one.service)), number)
    level = float(parts["trend"].mean())
    when = [datetime.fromtimestamp(int(t), start.tzinfo) for t in said.times]
    figure = Figure(figsize=(10.5, 6), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True)
    upper.plot(when, said.quantiles[0.5], color="#0b5394")
    upper.set_title(f"{series}: forecast", loc="left", fontsize=10)
    upper.set_ylim(bottom=0)
    for name, part in parts.items():
        factor = np.exp(part - level) if name == "trend" else np.exp(part)
        if np.ptp(factor) > 1e-3 or name == "trend":
            lower.plot(when, factor, label=name, linewidth=1.1)
    lower.axhline(1, color="#999999", linewidth=0.6)
    lower.set_yscale("log")
    lower.set_title("its factors (1 changes nothing)", loc="left", fontsize=10)
    lower.legend(frameon=False, fontsize=8, ncols=4)
    figure.savefig(path, dpi=110)
