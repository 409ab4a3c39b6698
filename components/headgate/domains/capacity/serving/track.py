"""Actuals against the forecast while an event runs: the rest is re-scaled, and the band learns from its misses."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from headgate.calibration.conformal import Adaptive
from headgate.domains.capacity.companions.calendar import Event
from headgate.domains.capacity.model.forecaster import Forecaster
from headgate.domains.capacity.model.intervals import HALF
from headgate.errors import DataRefused

Floats = NDArray[np.float64]

#: The ratio of actual to forecast is followed with this half-life, in minutes.
HALF_LIFE = 60.0

#: Nominal share of steps outside the band.
MISSES = 0.1

#: With fewer seen steps the ratio is not believed wholly: it counts as if so many usual steps had come as forecast.
PRIOR = 10.0


#: The ratio is never lower than this: an outage ends.
LEAST = 1e-3


@dataclass(frozen=True)
class Tracked:
    """A window of a series: what was forecast, what came, and what is expected of the rest now."""

    series: str
    step: int
    times: NDArray[np.int64]
    forecast: Floats
    actual: Floats  # NaN where nothing came yet
    expected: Floats  # the forecast, re-scaled after what came; as it was where it came
    low: Floats
    high: Floats
    ratio: float  # actual over forecast, lately
    outside: int  # steps that left their band
    seen: int


def track_event(
    forecaster: Forecaster,
    series: str,
    times: NDArray[np.int64],
    values: NDArray[np.float64],
    start: datetime,
    end: datetime,
    step: int | None = None,
    calendar: Sequence[Event] | None = None,
) -> Tracked:
    """Follow `series` over [start, end): `values` [m] came at epoch seconds `times` [m], in steps of the forecast.

    The forecast is that of `calendar`, the version's own if None.

    The ratio is one of fading sums, not a mean of ratios: a quiet minute with nothing in it weighs what it is worth.
    """
    said = forecaster.forecast(series, start, end, step=step, levels=(0.1, 0.5, 0.9), calendar=calendar)
    forecast = said.quantiles[0.5]
    actual = np.full(len(said.times), np.nan)
    place = {int(time): number for number, time in enumerate(said.times)}
    for time, value in zip(times.tolist(), values.tolist(), strict=True):
        if time in place:
            actual[place[time]] = value
    if not np.isfinite(actual).any():
        raise DataRefused(f"Nothing of {series} has come yet from {start.isoformat()} to {end.isoformat()}.")
    keep = 0.5 ** (said.step / 60 / HALF_LIFE)
    up, down = (np.abs(np.log(np.maximum(said.quantiles[q], 1e-9) / np.maximum(forecast, 1e-9))) for q in (0.9, 0.1))
    came = told = PRIOR * max(float(forecast.mean()), 1e-9)
    log_ratio, outside, seen = 0.0, 0, 0
    band = Adaptive(MISSES)
    expected, low, high = (np.empty(len(forecast)) for _ in range(3))
    scores: list[float] = []
    for t in range(len(forecast)):
        expected[t] = forecast[t] * np.exp(log_ratio)
        width = _width(scores, band.asked)
        low[t], high[t] = expected[t] * np.exp(-width * down[t]), expected[t] * np.exp(width * up[t])
        if np.isfinite(actual[t]):
            missed = not low[t] <= actual[t] <= high[t]
            outside, seen, band = outside + missed, seen + 1, band.after(missed)
            error = float(np.log((actual[t] + HALF) / (forecast[t] + HALF)))
            side = up[t] if error > log_ratio else down[t]
            scores.append(abs(error - log_ratio) / max(float(side), 1e-6))
            came, told = keep * came + actual[t], keep * told + forecast[t]
            log_ratio = float(np.log(max(came / told, LEAST)))
    return Tracked(
        series, said.step, said.times, forecast, actual, expected, low, high, float(np.exp(log_ratio)), outside, seen
    )


def _width(scores: list[float], misses: float) -> float:
    """How many half-widths of the forecast's own band hold all but `misses` of the steps so far; one at first."""
    if len(scores) < PRIOR:
        return 1.0
    return float(np.quantile(np.array(scores[-500:]), 1 - misses)) if misses > 0 else max(scores)
