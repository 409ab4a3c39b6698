"""World Cup 98 per minute: cost and accuracy beside Prophet with the same calendar."""

import importlib
from datetime import timedelta

import numpy as np

import worldcup as job
from headgate.domains.capacity.model.backtest import against, level_errors, try_out
from headgate.domains.capacity.model.ensemble import ensemble_weights
from headgate.domains.capacity.model.series_model import mixed
from peers.rivals import cpu, prophet, summed, wape


def report() -> str:
    history = job.load(job.DATA)
    importlib.import_module("prophet")  # its import is nobody's cost

    tried, rival_cpu, rows = [], 0.0, []
    start = cpu()
    for origin in job.origins(history):
        fitted, _model, _tried = try_out(history, origin)
        tried.append((origin, fitted, level_errors(history, fitted, origin)))
    fitting = cpu() - start
    for number, (origin, fitted, _errors) in enumerate(tried):
        before = [found for _, _, found in tried[:number]]
        start = cpu()
        weights = (
            ensemble_weights(np.concatenate([e for e, _ in before]), np.concatenate([v for _, v in before]))
            if before
            else np.full((5, 1), 0.2)
        )
        mine = against(history, mixed(fitted, weights), origin, history.calendar)
        fitting += cpu() - start
        seen = history.known(origin.instant)
        start = cpu()
        theirs = prophet(seen.times, seen.values[:, 0], mine.times, "UTC", history.calendar)
        rival_cpu += cpu() - start
        actual = mine.actual[:, 0].astype(float)
        rows.append((origin, actual, mine.forecast[:, 0], theirs))
    start = cpu()
    weights = job.weigh(history)
    weighing = cpu() - start
    start = cpu()
    model = job.fitted(history, weights)
    times = int(job.START.timestamp()) + 60 * np.arange(job.DAYS * 1440)
    np.exp(model.log_forecast(times, history.calendar))
    final = cpu() - start
    start = cpu()
    prophet(history.times, history.values[:, 0].astype(float), times, "UTC", history.calendar)
    rival_final = cpu() - start
    lines = []
    for (origin, actual, mine, theirs), (*_,) in zip(rows, tried, strict=True):
        when = np.datetime64(origin.instant, "s").astype("datetime64[D]")
        cells = [
            f"{wape(f, actual):.3f} | {wape(summed(f, 60), summed(actual, 60)):.3f} | {_late(f, actual):.0f}"
            for f in (mine, theirs)
        ]
        lines.append(f"| {when}, {origin.ahead} days | {cells[0]} | {cells[1]} |")
    all_mine, all_theirs, all_actual = (np.concatenate([row[i] for row in rows]) for i in (2, 3, 1))
    cells = [
        f"{wape(f, all_actual):.3f} | {wape(summed(f, 60), summed(all_actual, 60)):.3f} | {_late(f, all_actual):.0f}"
        for f in (all_mine, all_theirs)
    ]
    lines.append(f"| all | {cells[0]} | {cells[1]} |")
    table = "\n".join(lines)
    return f"""## World Cup 98, per minute

Learned from 30 April 1998 on, with the calendar of matches, at origins inside the data; a match lasts {job.MATCH / timedelta(minutes=1):.0f} minutes.
How level models are mixed at an origin comes from the origins before it (evenly at the first). Prophet: log, flexible day,
each kind of event as two regressors (is it on; how many begin that day), without its simulated intervals.

| origin | WAPE minute | WAPE hour | peak's time off, min (median) | Prophet: minute | hour | peak's time |
|---|---|---|---|---|---|---|
{table}

| CPU seconds | Headgate | Prophet | ratio |
|---|---|---|---|
| fit and predict 31 days per minute | {final:.2f} | {rival_final:.1f} | 1/{rival_final / final:.0f} |
| the whole job with its four origins | {fitting + weighing + final:.1f} | {rival_cpu + rival_final:.1f} | 1/{(rival_cpu + rival_final) / (fitting + weighing + final):.0f} |

The job counts its origins twice: once for these figures, once for the weights of the final forecast.
"""


def _late(forecast: np.ndarray, actual: np.ndarray) -> float:
    """Median minutes between a day's largest quarter of an hour and its forecast."""
    apart = []
    for day in range(0, len(actual) - 1439, 1440):
        f, a = (summed(values[day : day + 1440], 15) for values in (forecast, actual))
        if np.isfinite(a).all():
            apart.append(abs(int(f.argmax()) - int(a.argmax())) * 15)
    return float(np.median(apart)) if apart else float("nan")
