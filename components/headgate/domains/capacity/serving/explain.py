"""Why a forecast is what it is: factors whose product it is, in words; and what it would be under another calendar."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from headgate.domains.capacity.companions import local_time
from headgate.domains.capacity.companions.calendar import Event, build, cells
from headgate.domains.capacity.companions.text import Misfit
from headgate.domains.capacity.model.clock import DAY
from headgate.domains.capacity.model.forecaster import Forecaster, instant
from headgate.domains.capacity.model.intervals import steps
from headgate.domains.capacity.model.series_model import grid
from headgate.errors import DataRefused, UsageError
from headgate.files import atomic_file

Floats = NDArray[np.float64]

#: Effects of masks whose steps are not learned from.
LEFT_OUT = ("robots", "outage", "load-test")

#: Words name at most so many events of a kind.
NAMED = 3


@dataclass(frozen=True)
class Factor:
    """One factor of a forecast: `baseline` in the series' unit, every other a multiple."""

    name: str
    value: float
    words: str

    @property
    def telling(self) -> bool:
        """Whether it changes the forecast by as much as its words can show."""
        return self.name == "baseline" or f"{self.value:.3f}" != "1.000"


@dataclass(frozen=True)
class Explanation:
    """A forecast of one window of whole steps, taken apart. The factors multiply to `forecast`.

    `low` and `high` are the 80 % band, None where the window is no step that has one.
    """

    series: str
    start: str
    end: str
    forecast: float
    low: float | None
    high: float | None
    factors: tuple[Factor, ...]
    events: tuple[str, ...]
    masks: tuple[str, ...]  # steps of the window that were not learned from, and why
    version_as_of: str
    calendar: str

    def words(self) -> str:
        """The explanation as a few lines; factors that change nothing are left out."""
        band = "" if self.low is None else f" (80 % between {self.low:,.0f} and {self.high:,.0f})"
        lines = [f"{self.series}, {self.start} to {self.end}: {self.forecast:,.0f}{band}"]
        lines += [f"  {factor.words}" for factor in self.factors if factor.telling]
        return "\n".join([*lines, *(f"  not learned from: {mask}" for mask in self.masks)])


def explain_forecast(
    forecaster: Forecaster, series: str, start: datetime, end: datetime, calendar: Sequence[Event] | None = None
) -> Explanation:
    """Take the sum of `series` over the steps that begin in [start, end) apart.

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
    first, last = int(said.times[0]), int(said.times[-1]) + said.step
    start, end = instant(first), instant(last)
    touching = [
        event
        for event in events
        if event.span(one.zone)[0] < end + timedelta(days=1) and event.span(one.zone)[1] > start - timedelta(days=1)
    ]
    parts, whole = model.parts(said.times, events, number)
    total = float(np.exp(whole).sum())
    order = [*reversed(model.design.kinds), "clock", "season"]
    factors, rest = [], whole
    for name in order:
        with_it = np.exp(rest).sum()
        rest = rest - parts[name]
        mine = [event for event in touching if event.kind == name]
        factors.append(_factor(name, float(with_it / np.exp(rest).sum()), name in model.design.kinds, mine))
    base = float(np.exp(rest[:1]).sum()) * len(rest)
    drift = float(np.exp(rest).sum() / base)
    factors.append(_factor("trend", drift, False, ()))
    factors.append(Factor("baseline", base, f"{base:,.0f} baseline: the level at its beginning"))
    if one.aggregation == "mean":
        total, base = total / len(whole), base / len(whole)
        factors[-1] = Factor("baseline", base, f"{base:,.1f} baseline: the level at its beginning")
    low, high = _band(forecaster, series, first, last, said.step, calendar)
    masks = [
        f"{mask.effect}, {mask.start} to {mask.end}" + (f" ({mask.reason})" if mask.reason else "")
        for mask in forecaster.masks
        if mask.effect in LEFT_OUT and mask.applies(one.region, one.service)
        if mask.span(one.zone)[0] < end and mask.span(one.zone)[1] > start
    ]
    return Explanation(
        series,
        start.isoformat(),
        end.isoformat(),
        total,
        low,
        high,
        tuple(reversed(factors)),
        tuple(f"{_called(event)} ({event.kind}), {event.start} to {event.end}" for event in touching),
        tuple(masks),
        forecaster.as_of.isoformat(),
        forecaster.companion(calendar),
    )


def _factor(name: str, value: float, event: bool, planned: Sequence[Event]) -> Factor:
    said = {"clock": "the hour of the day", "season": "the day of the week and the season"}.get(name, name)
    if name == "trend":
        said = "trend within the window"
    if event:
        named = ", ".join(f"{_called(one)} {one.start} to {one.end}" for one in planned[:NAMED])
        more = f" and {len(planned) - NAMED} more" if len(planned) > NAMED else ""
        said = f"{name} (event)" + (f": {named}{more}" if named else "")
    return Factor(name, value, f"× {value:.3f} {said}")


def _called(event: Event) -> str:
    """What people call an event; its id where they gave it no name."""
    return event.name or event.event


def _band(
    forecaster: Forecaster, series: str, first: int, last: int, own: int, calendar: Sequence[Event] | None
) -> tuple[float | None, float | None]:
    """The 80 % band of [first, last) if that is one step with intervals; None otherwise, as for a young series."""
    length = last - first
    if length not in (*steps(own), 7 * DAY) or grid(first, last, length).tolist() != [first]:
        return None, None
    try:
        both = forecaster.forecast(
            series, instant(first), instant(last), step=length, levels=(0.1, 0.9), calendar=calendar
        ).quantiles
    except DataRefused:
        return None, None
    return float(both[0.1][0]), float(both[0.9][0])


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

    @property
    def differs(self) -> bool:
        """Whether any step is another under the other calendar."""
        return not np.allclose(self.before, self.after, rtol=1e-9)


def what_if(
    forecaster: Forecaster,
    series: str,
    start: datetime,
    end: datetime,
    calendar: Sequence[Event],
    step: int | None = None,
    planned: Sequence[Event] | None = None,
) -> WhatIf:
    """`series` over [start, end) if the calendar were `calendar`, beside `planned` (the version's own if None).

    Nothing is fitted again.
    """
    before, after = (
        forecaster.forecast(series, start, end, step=step, levels=(0.5,), calendar=known)
        for known in (planned, calendar)
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
        raise UsageError(f"The calendar plans no event {event!r}. It plans: {known}.")
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
    """Draw the forecast of a window with its 80 % band and, below, each factor over time; `path` is a PNG."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator

    (model, (number,)), *_ = forecaster.parts(series)
    try:
        said = forecaster.forecast(series, start, end, levels=(0.1, 0.5, 0.9), calendar=calendar)
    except DataRefused:  # a young series has no band
        said = forecaster.forecast(series, start, end, levels=(0.5,), calendar=calendar)
    one = model.series[number]
    known = forecaster.calendar if calendar is None else calendar
    parts, _ = model.parts(said.times, tuple(e for e in known if e.applies(one.region, one.service)), number)
    level = float(parts["trend"].mean())
    when = [instant(t) for t in [*said.times.tolist(), int(said.times[-1]) + said.step]]

    def whole(values: Floats) -> Floats:
        """Up to the end of the last step, so that a single step is a line too."""
        return np.append(values, values[-1])

    figure = Figure(figsize=(10.5, 6), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True)
    if 0.1 in said.quantiles:
        low, high = whole(said.quantiles[0.1]), whole(said.quantiles[0.9])
        upper.fill_between(when, low, high, color="#0b5394", alpha=0.2, linewidth=0, label="80 %")
    upper.plot(when, whole(said.quantiles[0.5]), color="#0b5394", label="median")
    upper.set_title(f"{series}: forecast in {one.unit or 'its unit'} each {said.step:,} s", loc="left", fontsize=10)
    upper.set_ylim(bottom=0)
    upper.set_xlim(when[0], when[-1])
    upper.yaxis.set_major_formatter("{x:,.0f}")
    upper.legend(frameon=False, fontsize=8, ncols=2)
    for name, part in parts.items():
        factor = np.exp(part - level) if name == "trend" else np.exp(part)
        if np.abs(part).max() > 1e-3 or name == "trend":
            lower.plot(when, whole(factor), label=name, linewidth=1.1)
    lower.axhline(1, color="#999999", linewidth=0.6)
    lower.set_yscale("log")
    lower.yaxis.set_major_formatter("{x:g}")
    lower.yaxis.set_minor_locator(LogLocator(subs=(2, 3, 5)))
    lower.yaxis.set_minor_formatter("{x:g}")
    lower.set_xlabel("UTC", fontsize=8)
    lower.set_title("its factors (1 changes nothing)", loc="left", fontsize=10)
    lower.legend(frameon=False, fontsize=8, ncols=4)
    with atomic_file(path) as draft:
        figure.savefig(draft, dpi=110, format="png")
