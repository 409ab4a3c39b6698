"""Intervals around a forecast: conformal over rolling origins, by step, horizon, and whether an event is on.

A score is ``log((actual + c) / (forecast + c))`` over its standard deviation, which has two parts: how wrong the series
usually is, σ, and for counts what chance alone does, ``1 / (forecast + c)`` (the delta method for Poisson counts). So
one table of quantiles serves large and small series, busy hours and quiet nights. Beyond the longest horizon that an
origin could test, bands widen with the square root of the horizon: an assumption, and said so where it is used.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headgate.calibration.conformal import quantiles
from headgate.domains.capacity.model.clock import DAY
from headgate.domains.capacity.model.event_features import active
from headgate.domains.capacity.model.origins import OriginForecast
from headgate.files import read_json

Floats = NDArray[np.float64]

#: The file of a bundle that holds bands and noises.
BANDS = "bands.json"

#: Shares of the truth that a band is to hold. Bands are symmetric in scores: few origins cannot tell on which side the
#: next common surprise will lie.
SHARES = (0.0, 0.2, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.98)

#: Ends of the horizons that are told apart, in days; the last of them is open.
HORIZONS = (2, 8, 29, 92, 183, 366, 800)

#: Steps that have intervals of their own besides the series' step: a quarter of an hour, an hour, a day.
COARSER = (900, 3600, DAY)

#: A count is smoothed by half an event, a gauge by a thousandth of its mean.
HALF, THOUSANDTH = 0.5, 1e-3

#: A cell of the table with fewer scores than this is joined with all horizons of its class.
LEAST = 50

#: At most so many scores of a cell are kept; more change nothing.
MOST = 100_000

_SMALL = 0.02  # σ is never smaller: a series that was right by luck will not stay so


@dataclass(frozen=True)
class Noise:
    """What scores of one series are measured by."""

    sigma: float  # standard deviation of the log error, chance aside
    smooth: float  # c
    chance: bool  # whether it is a count, that chance alone would move

    def spread(self, forecast: Floats) -> Floats:
        """The standard deviation [n] of the log error at forecasts [n]."""
        by_chance = 1 / (forecast + self.smooth) if self.chance else 0.0
        return np.sqrt(self.sigma**2 + by_chance)

    def scores(self, forecast: Floats, actual: NDArray[Any]) -> Floats:
        """How far [n] the actual values lay from the forecasts, in standard deviations; NaN where unknown."""
        return np.asarray(np.log((actual + self.smooth) / (forecast + self.smooth)) / self.spread(forecast))

    def at(self, forecast: Floats, score: Floats | float) -> Floats:
        """The values [n] that lie `score` standard deviations from forecasts [n]; never negative."""
        moved = (forecast + self.smooth) * np.exp(score * self.spread(forecast)) - self.smooth
        return np.maximum(moved, 0.0)


@dataclass(frozen=True)
class Bands:
    """Conformal quantiles of scores, for one kind of step."""

    tested: float  # days ahead that origins reached
    table: dict[str, Floats]  # "horizon/class" → how far a band reaches, for each of SHARES

    def score(self, days_ahead: Floats, event: NDArray[np.bool_], level: float) -> Floats:
        """The score [n] of the quantile `level`: an end of the band that holds |2·level − 1|; zero for the median."""
        reach = np.minimum(days_ahead, self.tested)
        cell = np.minimum(np.searchsorted(HORIZONS, reach, side="right"), len(HORIZONS) - 1)
        found = np.empty(len(days_ahead))
        for number in np.unique(cell):
            for name, on in (("event", True), ("calm", False)):
                where = (cell == number) & (event == on)
                if where.any():
                    found[where] = np.interp(abs(2 * level - 1), SHARES, self.table[f"{number}/{name}"])
        return np.asarray(np.sign(level - 0.5) * found * np.sqrt(np.maximum(days_ahead / self.tested, 1.0)))

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {"tested": self.tested, "table": {name: list(map(float, row)) for name, row in self.table.items()}}

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> "Bands":
        """The inverse of `to_dict`."""
        return cls(value["tested"], {name: np.array(row) for name, row in value["table"].items()})


def noise(tried: Sequence[OriginForecast], step: int) -> dict[str, Noise]:
    """What the series of `tried` are measured by, from stretches that neither certify nor test.

    A stretch is about one draw of a series' error, so each σ is drawn half way to that of all.
    """
    squares: dict[str, list[float]] = defaultdict(list)
    smooths: dict[str, tuple[float, bool]] = {}
    for one in tried:
        seen = coarser(one, step)
        for number, series in enumerate(one.series):
            forecast, actual = seen.forecast[:, number], seen.actual[:, number]
            known = np.isfinite(actual)
            if not known.any():
                continue
            chance = series.aggregation == "sum"
            smooth = HALF if chance else THOUSANDTH * max(float(np.nanmean(actual)), 1e-9)
            apart = np.log((actual[known] + smooth) / (forecast[known] + smooth))
            by_chance = float(np.median(1 / (forecast[known] + smooth))) if chance else 0.0
            squares[series.series].append(max(2.2 * float(np.median(np.abs(apart))) ** 2 - by_chance, _SMALL**2))
            smooths[series.series] = (smooth, chance)
    if not squares:
        return {}
    shared = float(np.median([np.mean(values) for values in squares.values()]))
    return {
        name: Noise(_meant(np.sqrt((np.mean(values) + shared) / 2)), _meant(smooths[name][0]), smooths[name][1])
        for name, values in squares.items()
    }


def certified(tried: Iterable[OriginForecast], step: int, noises: dict[str, Noise]) -> Bands | None:
    """The bands that the origins `tried` show for `step`; None without any score."""
    cells: dict[str, list[Floats]] = defaultdict(list)
    reach = 0.0
    for one in tried:
        seen = coarser(one, step)
        ahead = (seen.times + step - one.origin.instant) / DAY
        cell = np.minimum(np.searchsorted(HORIZONS, ahead, side="right"), len(HORIZONS) - 1)
        on = active(one.events, seen.times, one.series[0].zone)
        for number, series in enumerate(one.series):
            if series.series not in noises:
                continue
            score = noises[series.series].scores(seen.forecast[:, number], seen.actual[:, number])
            for key in np.unique(cell):
                for name, event in (("event", True), ("calm", False)):
                    cells[f"{key}/{name}"].append(score[(cell == key) & (on == event) & np.isfinite(score)])
        reach = max(reach, float(ahead[-1]) if len(ahead) else 0.0)
    scores = {name: np.concatenate(parts) for name, parts in cells.items()}
    everything = np.concatenate(list(scores.values())) if scores else np.empty(0)
    if len(everything) < LEAST:
        return None
    table = {}
    for number in range(len(HORIZONS)):
        for name in ("event", "calm"):
            found = scores.get(f"{number}/{name}", np.empty(0))
            if len(found) < LEAST:
                found = np.concatenate([part for key, part in scores.items() if key.endswith(name)] or [found])
            if len(found) < LEAST:
                found = everything
            reaches = quantiles(np.abs(found[:: max(1, len(found) // MOST)]), SHARES[1:])
            table[f"{number}/{name}"] = np.array([0.0, *map(_meant, reaches)])
    return Bands(reach, table)


def _meant(value: float) -> float:
    """`value` to six digits: the last ones of a sum depend on how many threads shared it."""
    return float(f"{value:.6g}")


@dataclass(frozen=True)
class Coarse:
    """A stretch in larger steps."""

    times: NDArray[np.int64]  # [m]
    forecast: Floats  # [m, S]
    actual: Floats  # [m, S] NaN where less than nine tenths was seen


def coarser(tried: OriginForecast, step: int) -> Coarse:
    """What was forecast and what came, in steps of `step` seconds: sums of counts, means of gauges."""
    series = tried.series
    factor = step // series[0].step
    if factor <= 1:
        return Coarse(tried.times, tried.forecast, tried.actual.astype(np.float64))
    skip = int(-(tried.times[0] // series[0].step) % factor)
    n = (len(tried.times) - skip) // factor
    rows = slice(skip, skip + n * factor)
    shape = (n, factor, len(series))
    known = ~np.isnan(tried.actual[rows]).reshape(shape)
    forecast = tried.forecast[rows].reshape(shape).sum(axis=1)
    expected = np.where(known, tried.forecast[rows].reshape(shape), 0).sum(axis=1)
    seen = np.where(known, np.nan_to_num(tried.actual[rows]).reshape(shape), 0).sum(axis=1, dtype=np.float64)
    enough = known.mean(axis=1) >= 0.9
    with np.errstate(invalid="ignore", divide="ignore"):
        actual = np.where(enough, seen * np.where(expected > 0, forecast / expected, 1.0), np.nan)
    share = np.where([one.aggregation == "mean" for one in series], 1 / factor, 1.0)
    return Coarse(tried.times[rows][::factor], forecast * share, actual * share)


def steps(step: int) -> list[int]:
    """The steps that a series of `step` has intervals for."""
    return [step, *(other for other in COARSER if other > step and other % step == 0)]


def read_bands(bundle: Path) -> tuple[dict[tuple[int, int], Bands], dict[int, dict[str, Noise]]]:
    """The bands of a bundle by (series' step, step), and the noise of its series by step and id."""
    value = read_json(bundle / BANDS)
    bands = {}
    for name, one in value["bands"].items():
        own, _, coarse = name.partition("/")
        bands[int(own), int(coarse)] = Bands.from_dict(one)
    return bands, {int(s): {name: Noise(*one) for name, one in values.items()} for s, values in value["noise"].items()}
