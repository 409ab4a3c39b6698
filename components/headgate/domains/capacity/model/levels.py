"""Level models: they agree on season and events, and differ in how the trend goes on.

- *regression*: the trend of the regression, flat from the last known period on;
- *recent*: the same, moved to where the newest periods are;
- *growth*: recent, with the last weeks' slope going on and fading;
- *prophet*, *prophet growth*: Prophet on the log level, with a flat and with a fading linear trend.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from headgate.domains.capacity.model import prophet_level
from headgate.domains.capacity.model.design import YEAR_DAYS, Columns, Design
from headgate.parallel import map_parallel

Floats = NDArray[np.float64]

LEVEL_MODELS = ("regression", "recent", "growth", "prophet", "prophet growth")

#: By days a period: half-life of what the newest periods say, of a slope that goes on, and periods it is read from.
RECENT = {1: 5.0, 7: 1.5}
FADES = {1: 30.0, 7: 26.0}
SLOPE = {1: 42, 7: 26}

#: A trend that goes on at most doubles or halves a level: it is the main danger far ahead.
FURTHEST = float(np.log(2))


@dataclass(frozen=True)
class LevelModel:
    """A log level of S series over T periods in parts; `effects` belong to the slow columns of events."""

    trend: Floats  # [T, S]
    season: Floats  # [T, S]
    effects: Floats  # [r, S]

    def level(self, slow_events: Floats) -> Floats:
        """The whole [T, S], given the slow columns of events [T, r]."""
        return self.trend + self.season + slow_events @ self.effects


def form(
    design: Design,
    dates: NDArray[np.int64],
    known: int,
    level: Floats,
    columns: Columns,
    beta: Floats,
    breaks: Sequence[int],
    wanted: Sequence[str],
) -> dict[str, LevelModel]:
    """The level models `wanted` on `level` [T, S], of which the first `known` periods were seen.

    `columns` are the slow columns [T, p] and `beta` [p, S] the regression's coefficients.
    """
    events = columns.of("event")
    trend = columns.X[:, columns.of("level", "trend")] @ beta[columns.of("level", "trend")]
    season = columns.X[:, columns.of("week", "year")] @ beta[columns.of("week", "year")]
    regression = LevelModel(trend, season, beta[events])
    apart = _newest(level[:known] - regression.level(columns.X[:, events])[:known], RECENT[design.days])
    recent = LevelModel(trend + apart, season, beta[events])
    formed = {"regression": regression, "recent": recent}
    if "growth" in wanted:
        back = min(SLOPE[design.days], known - 1)
        slope = (trend[known - 1] - trend[known - 1 - back]) / max(back, 1)
        ahead = _faded(np.arange(len(dates)) - (known - 1), FADES[design.days])
        formed["growth"] = LevelModel(
            recent.trend + np.clip(ahead[:, None] * slope, -FURTHEST, FURTHEST), season, beta[events]
        )
    growths: dict[str, prophet_level.Growth] = {"prophet": "flat", "prophet growth": "linear"}
    for name, growth in growths.items():
        if name in wanted:
            formed[name] = _by_prophet(design, dates, known, level, columns.X[:, events], breaks, growth, recent)
    return {name: formed[name] for name in LEVEL_MODELS if name in wanted}


def _by_prophet(
    design: Design,
    dates: NDArray[np.int64],
    known: int,
    level: Floats,
    events: Floats,
    breaks: Sequence[int],
    growth: prophet_level.Growth,
    otherwise: LevelModel,
) -> LevelModel:
    """Prophet's level model, series by series, side by side; `otherwise` where a history is too short for one."""

    fit = partial(
        prophet_level.fit,
        dates=dates,
        regressors=events,
        until=int(dates[known - 1]) + 1,
        growth=growth,
        weekly=design.days == 1 and known >= 14,
        yearly=design.last - design.first >= YEAR_DAYS,
        breaks=tuple(breaks),
    )
    after = np.arange(len(dates)) - (known - 1)
    carries = _faded(after, FADES[design.days])
    found = []
    for number, parts in enumerate(map_parallel(fit, list(level.T))):
        if parts is None:
            found.append((otherwise.trend[:, number], otherwise.season[:, number], otherwise.effects[:, number]))
            continue
        trend = parts.trend
        if growth == "linear":
            carried = np.clip((trend[-1] - trend[-2]) * carries, -FURTHEST, FURTHEST)
            trend = np.where(after > 0, trend[known - 1] + carried, trend)
        found.append((trend, parts.season, parts.effects))
    return LevelModel(*(np.stack(part, axis=1) for part in zip(*found, strict=True)))


def _newest(residual: Floats, half_life: float) -> Floats:
    """The exponentially weighted mean [S] of the newest residuals [T, S]; zero where none is known."""
    age = np.arange(len(residual))[::-1]
    weight = np.where(np.isnan(residual), 0.0, 0.5 ** (age / half_life)[:, None])
    total = weight.sum(axis=0)
    return np.where(total > 0, (weight * np.nan_to_num(residual)).sum(axis=0) / np.maximum(total, 1e-300), 0.0)


def _faded(after: NDArray[np.int64], half_life: float) -> Floats:
    """How far a slope of one carries after so many periods, where it loses half of itself every `half_life`."""
    keeps = 0.5 ** (1 / half_life)
    return np.where(after > 0, keeps * (1 - keeps ** np.maximum(after, 0)) / (1 - keeps), 0.0)
