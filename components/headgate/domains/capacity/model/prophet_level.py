"""The level by Prophet: a trend and a season of the log of each day's (or week's) size, with events as regressors.

Prophet fits; its parts are read off the fitted parameters rather than predicted by sampling, which is the same to
rounding (a test holds them together) and hundreds of times quicker.
"""

import logging
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from headgate.domains.capacity.model.clock import DAY

Floats = NDArray[np.float64]

Growth = Literal["flat", "linear"]

#: A weekly and a yearly season are Fourier sums of these orders; Prophet's own.
WEEK_ORDER, YEAR_ORDER = 3, 10

#: Fewer known periods than this are no history for Prophet.
LEAST = 10


@dataclass(frozen=True)
class Parts:
    """Additive parts of a log level over periods."""

    trend: Floats  # [T]
    season: Floats  # [T] week and year
    effects: Floats  # [r] of the regressors


def fit(
    log_level: Floats,
    *,
    dates: NDArray[np.int64],
    regressors: Floats,
    until: int,
    growth: Growth,
    weekly: bool,
    yearly: bool,
    breaks: tuple[int, ...] = (),
) -> Parts | None:
    """Fit the known part of a log level; its parts at all `dates`, or None where the history is too short.

    `log_level` [T] is NaN where unknown, and counts only before date `until`; `dates` [T] are ascending days since
    1970, evenly spaced; `regressors` [T, r]; the trend may bend at the dates `breaks` besides Prophet's own.
    """
    known = np.isfinite(log_level) & (dates < until)
    if known.sum() < LEAST:
        return None
    for name in ("prophet", "prophet.plot", "cmdstanpy"):  # they speak of what is well, and of plots
        logging.getLogger(name).disabled = True
    import pandas as pd
    from prophet import Prophet

    spread = float(np.std(log_level[known]))
    if spread < 1e-9:  # Prophet cannot scale a constant
        return Parts(np.full(len(dates), log_level[known][0]), np.zeros(len(dates)), np.zeros(regressors.shape[1]))
    stamps = pd.to_datetime(dates, unit="D")
    frame = pd.DataFrame({"ds": stamps[known], "y": log_level[known]})
    used = [i for i in range(regressors.shape[1]) if np.ptp(regressors[known, i]) > 0]
    model = Prophet(
        growth=growth,
        changepoints=_bends(dates[known], breaks) if growth == "linear" else None,
        weekly_seasonality=WEEK_ORDER if weekly else False,
        yearly_seasonality=YEAR_ORDER if yearly else False,
        daily_seasonality=False,
        uncertainty_samples=0,
    )
    for i in used:
        model.add_regressor(f"x{i}", standardize=False)
        frame[f"x{i}"] = regressors[known, i]
    model.fit(frame, seed=0)
    effects = np.zeros(regressors.shape[1])
    parts = _parts(model, dates)
    effects[used] = parts.effects
    return Parts(parts.trend, parts.season, effects)


def _bends(known: NDArray[np.int64], declared: tuple[int, ...]) -> Any:
    """Where the trend may bend: evenly over the first nine tenths of the known dates, and where a person said so."""
    import pandas as pd

    regular = known[np.linspace(0, int(len(known) * 0.9), min(25, len(known) // 3) + 1).astype(int)[1:]]
    chosen = {int(date) for date in regular} | {date for date in declared if known[0] < date <= known[-1]}
    return pd.to_datetime(sorted(chosen), unit="D")


def _parts(model: Any, dates: NDArray[np.int64]) -> Parts:
    """Prophet's deterministic parts at `dates`, from its maximum a posteriori parameters."""
    value = {name: np.asarray(model.params[name], dtype=np.float64)[0] for name in ("k", "m", "delta", "beta")}
    k, m = float(np.ravel(value["k"])[0]), float(np.ravel(value["m"])[0])
    scale = float(model.y_scale)
    t = (dates - model.start.value // (DAY * 10**9)) / (model.t_scale / np.timedelta64(1, "D"))
    if model.growth == "flat":
        trend = np.full(len(dates), m)
    else:
        bends = np.asarray(model.changepoints_t, dtype=np.float64)
        delta = np.ravel(value["delta"])
        trend = k * t + m + np.clip(t[:, None] - bends[None, :], 0, None) @ delta
    beta = np.ravel(value["beta"])
    season, at = np.zeros(len(dates)), 0
    for seasonality in model.seasonalities.values():
        order = int(seasonality["fourier_order"])
        season += fourier(dates, float(seasonality["period"]), order) @ beta[at : at + 2 * order]
        at += 2 * order
    return Parts(trend * scale, season * scale, beta[at : at + len(model.extra_regressors)] * scale)


def fourier(dates: NDArray[np.int64], period: float, order: int) -> Floats:
    """Prophet's Fourier columns [T, 2·order] at days since 1970 `dates` [T]."""
    angle = 2 * np.pi * np.outer(dates / period, np.arange(1, order + 1))
    return np.stack([np.sin(angle), np.cos(angle)], axis=2).reshape(len(dates), 2 * order)
