"""Totals as sums of their parts, or reconciled with forecasts of their own (MinT): which errs less?"""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from headgate.domains.capacity.data.raw import Series
from headgate.domains.capacity.model import histories
from headgate.domains.capacity.model.backtest import origins, roles, try_out
from headgate.domains.capacity.model.clock import local_days
from headgate.domains.capacity.model.histories import History
from headgate.domains.capacity.model.origins import OriginForecast
from headgate.domains.capacity.simulated.simulator import simulate
from headgate.domains.capacity.simulated.sizes import LoadSizes
from headgate.domains.capacity.stages.train import weigh

REGIONS, SERVICES, DAYS, SEEDS = 3, 6, 84, (31, 32, 33)


def report() -> str:
    rows = []
    for seed in SEEDS:
        with tempfile.TemporaryDirectory() as folder:
            simulate(Path(folder) / "raw", LoadSizes(days=DAYS, regions=REGIONS, services=SERVICES), seed=seed)
            found = [with_total(history) for history in histories.load(Path(folder) / "raw")]
        rows.append(np.mean([_compare(history) for history in found], axis=0))
    table = "\n".join(
        f"| {seed} | " + " | ".join(f"{v:.4f}" for v in row) + " |" for seed, row in zip(SEEDS, rows, strict=True)
    )
    mean = np.mean(rows, axis=0)
    better = mean[1] < mean[0] and mean[3] <= mean[2] * 1.005
    verdict = (
        "MinT errs less."
        if better
        else "MinT does not err less, so totals are the sums of their parts: coherent at every step."
    )
    return f"""## Hierarchy

{REGIONS} regions × {SERVICES} services, {DAYS} simulated days; WAPE of days at the test origin. MinT: the region's own forecast and its
services' are reconciled day by day, weighed by the variances that the origins which tune show, non-negative (cvxpy).

| seed | region, sum of parts | region, MinT | services as they are | services, MinT |
|---|---|---|---|---|
{table}
| mean | {" | ".join(f"{v:.4f}" for v in mean)} |

{verdict}
"""


def with_total(history: History) -> History:
    """A history with the sum of its series as one more; missing where one of them is."""
    first = history.series[0]
    total = Series(
        f"{first.region}/all/{first.metric}",
        first.region,
        "all",
        first.metric,
        first.unit,
        first.zone,
        first.step,
        "sum",
    )
    values = np.concatenate([history.values, history.values.sum(axis=1, keepdims=True)], axis=1)
    return History((*history.series, total), history.times, values, history.calendar, history.masks)


def reconciled(base: np.ndarray, variance: np.ndarray) -> np.ndarray:
    """Parts [T, S] nearest to forecasts of parts and total [T, S + 1], weighed by 1 / variance [S + 1], none negative.

    Wickramasuriya, Athanasopoulos and Hyndman, Optimal forecast reconciliation, JASA 2019, with a diagonal covariance.
    """
    import cvxpy

    cp: Any = cvxpy
    S = base.shape[1] - 1
    parts = cp.Variable((base.shape[0], S), nonneg=True)
    scale = float(np.mean(base[:, :S]))
    cost = cp.sum_squares(cp.multiply(parts - base[:, :S] / scale, scale / np.sqrt(variance[:S])))
    cost += cp.sum_squares((cp.sum(parts, axis=1) - base[:, S] / scale) * (scale / np.sqrt(variance[S])))
    cp.Problem(cp.Minimize(cost)).solve(solver=cp.CLARABEL)
    return np.asarray(parts.value) * scale


def _compare(history: History) -> tuple[float, float, float, float]:
    weights = weigh(history)
    tuned = [_daily(try_out(history, origin, weights)[2]) for origin in roles(origins(history), "tune")]
    variance = np.mean([np.nanmean((f - a) ** 2, axis=0) for f, a in tuned], axis=0)
    (origin,) = roles(origins(history), "test")
    forecast, actual = _daily(try_out(history, origin, weights)[2])
    parts = reconciled(forecast, variance)

    def wape(f: np.ndarray, a: np.ndarray) -> float:
        known = np.isfinite(a)
        return float(np.abs(f - a)[known].sum() / a[known].sum())

    total = actual[:, -1]
    return (
        wape(forecast[:, :-1].sum(axis=1), total),
        wape(parts.sum(axis=1), total),
        wape(forecast[:, :-1], actual[:, :-1]),
        wape(parts, actual[:, :-1]),
    )


def _daily(tried: OriginForecast) -> tuple[np.ndarray, np.ndarray]:
    days = local_days(tried.times, tried.series[0].zone)
    starts = np.flatnonzero(np.diff(days, prepend=-1))
    return np.add.reduceat(tried.forecast, starts), np.add.reduceat(tried.actual.astype(float), starts)
