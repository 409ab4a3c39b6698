"""What a user would pick instead, with the same care: Prophet with the calendar, Theta, ETS, profile, naive."""

import resource
from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np

from headgate.domains.capacity.companions.calendar import Event
from headgate.domains.capacity.model.clock import local, offsets

DAY = 86_400


def cpu() -> float:
    """CPU seconds of this process and its children so far."""
    mine, theirs = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return mine.ru_utime + mine.ru_stime + theirs.ru_utime + theirs.ru_stime


def prophet(
    times: np.ndarray,
    values: np.ndarray,
    ahead: np.ndarray,
    zone: str = "UTC",
    events: Sequence[Event] = (),
    *,
    growth: str = "linear",
    daily: bool = True,
) -> np.ndarray:
    """Prophet on the log and the local clock, an event as two regressors: is it on, and how many begin that day.

    Without its simulated intervals, which would double its cost.
    """
    import pandas as pd
    from prophet import Prophet

    kinds = sorted({event.kind for event in events})
    every = np.concatenate([times, ahead])
    day = local(every, zone).day
    columns = {}
    for kind in kinds:
        spans = [tuple(i.timestamp() for i in event.span(zone)) for event in events if event.kind == kind]
        columns[f"{kind} on"] = sum(((every >= a) & (every < b)).astype(float) for a, b in spans).clip(max=1)
        begins = local(np.array([int(a) for a, _ in spans]), zone).day
        columns[f"{kind} day"] = np.log1p(np.array([(begins == d).sum() for d in np.unique(day)]))[
            np.searchsorted(np.unique(day), day)
        ]
    stamps = pd.to_datetime(every + offsets(every, zone), unit="s")
    frame = pd.DataFrame({"ds": stamps, **columns})
    known = np.isfinite(values)
    train = frame.iloc[: len(times)][known].assign(y=np.log(values[known] + 1))
    seen = [name for name in columns if np.ptp(train[name]) > 0]
    model = Prophet(
        growth=growth,
        uncertainty_samples=0,
        daily_seasonality=20 if daily else False,
        weekly_seasonality=bool(daily),
        yearly_seasonality="auto",
    )
    for name in seen:
        model.add_regressor(name, standardize=False)
    model.fit(train[["ds", "y", *seen]], seed=0)
    said = model.predict(frame.iloc[len(times) :][["ds", *seen]])["yhat"].to_numpy()
    return np.clip(np.exp(np.minimum(said, 50)) - 1, 0, None)


def by_statsforecast(name: str, values: np.ndarray, steps: int, season: int) -> np.ndarray:
    """DynamicOptimizedTheta or AutoETS of statsforecast; gaps are filled with the step a season before."""
    from statsforecast.models import AutoETS, DynamicOptimizedTheta

    model = {"DynamicOptimizedTheta": DynamicOptimizedTheta, "AutoETS": AutoETS}[name](season_length=season)
    whole = values.astype(np.float64).copy()
    for i in np.flatnonzero(~np.isfinite(whole)):
        whole[i] = whole[i - season] if i >= season else np.nanmean(whole)
    return np.clip(model.forecast(y=whole, h=steps)["mean"], 0, None)


def profile(values: np.ndarray, steps: int, week: int, weeks: int = 4) -> np.ndarray:
    """The mean of the last weeks, step by step."""
    weeks = max(1, min(weeks, len(values) // week))
    return np.tile(np.nanmean(values[-weeks * week :].reshape(weeks, week), axis=0), -(-steps // week))[:steps]


def naive(values: np.ndarray, steps: int, season: int) -> np.ndarray:
    """The last season again; a gap in it is the mean of what is known."""
    last = values[-season:]
    return np.tile(np.where(np.isfinite(last), last, np.nanmean(values)), -(-steps // season))[:steps]


def wape(forecast: np.ndarray, actual: np.ndarray) -> float:
    known = np.isfinite(actual)
    return float(np.abs(forecast - actual)[known].sum() / actual[known].sum())


def summed(values: np.ndarray, factor: int) -> np.ndarray:
    """Sums of `factor` steps, NaN where one is missing."""
    n = len(values) // factor * factor
    return values[:n].reshape(-1, factor).sum(axis=1)


def paired(mine: np.ndarray, theirs: np.ndarray, actual: np.ndarray, block: int) -> tuple[float, float]:
    """95 % bootstrap interval of WAPE minus the rival's, over blocks of `block` steps."""
    known = np.isfinite(actual)
    n = len(actual) // block * block
    error = np.where(known, np.abs(mine - actual) - np.abs(theirs - actual), 0)[:n].reshape(-1, block).sum(axis=1)
    size = np.where(known, actual, 0)[:n].reshape(-1, block).sum(axis=1)
    random = np.random.default_rng(0)
    draws = random.integers(0, len(size), (2000, len(size)))
    low, high = np.quantile(error[draws].sum(axis=1) / size[draws].sum(axis=1), (0.025, 0.975))
    return float(low), float(high)


def epoch(year: int, month: int, day: int) -> int:
    return int(datetime(year, month, day, tzinfo=UTC).timestamp())
