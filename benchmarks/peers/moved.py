"""A sale moved by three days and stretched from 24 h to 48 h: does the forecast follow what customers really do?"""

import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl

from headgate.domains.capacity.model import histories
from headgate.domains.capacity.model.clock import local_days
from headgate.domains.capacity.model.design import fast, slow
from headgate.domains.capacity.model.event_features import active
from headgate.domains.capacity.simulated.simulator import simulate, truth_folder
from headgate.domains.capacity.simulated.sizes import LoadSizes
from headgate.domains.capacity.stages.train import fit_all, weigh

DAYS, AHEAD, SEEDS = 84, 28, (21, 22, 23)


def report() -> str:
    rows = [_play(seed) for seed in SEEDS]
    table = "\n".join(
        f"| {seed} | " + " | ".join(f"{v:+.1%}" for v in row) + " |" for seed, row in zip(SEEDS, rows, strict=True)
    )
    mean = " | ".join(f"{v:+.1%}" for v in np.mean(rows, axis=0))
    return f"""## A sale that is moved and stretched

{DAYS} simulated days, then {AHEAD} days ahead. Uplift: the expected load inside the sale over what it would be without
it, by the hidden truth and by the forecast; the error is forecast over truth minus one, mean over series. *Planned*: the
sale as first planned, 24 h. *Moved*: three days later and 48 h long, known to the calendar. *Basis*: the same columns
fitted to the hidden truth of the moved sale itself, the best that the model's basis allows.

| seed | planned | moved | basis, moved |
|---|---|---|---|
{table}
| mean | {mean} |
"""


def _play(seed: int) -> tuple[float, float, float]:
    planned = _errors("calm", seed)[0]
    moved, basis = _errors("sale-moved", seed)
    return planned, moved, basis


def _errors(scenario: str, seed: int) -> tuple[float, float]:
    """Mean relative error of the uplift of the first sale ahead: of the forecast, and of the basis itself."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "raw"
        simulate(out, LoadSizes(days=DAYS, regions=2, services=4, ahead=AHEAD), seed=seed, scenario=scenario)
        truth = pl.concat([pl.read_parquet(p) for p in sorted((truth_folder(out) / "truth").glob("*.parquet"))])
        found = histories.load(out)
    apart, fits = [], []
    for history in found:
        model, _ = fit_all(history, weigh(history))
        until = datetime.fromtimestamp(history.until, UTC)
        known = history.known(history.until).events
        sales = [
            e
            for e in known
            if e.kind == "sale" and until <= e.span(history.zone)[0] < until + timedelta(days=AHEAD - 3)
        ]
        if not sales:
            continue
        sale = _told(sales, scenario, history.zone)
        without = tuple(e for e in known if e.event != sale.event)
        for s, one in enumerate(history.series):
            mine = truth.filter((pl.col("series") == one.series) & (pl.col("time") >= until)).sort("time")
            times = mine["time"].dt.epoch("s").to_numpy()
            on = active([sale], times, history.zone)
            real = float(
                mine["expected"].to_numpy()[on].sum() / (mine["expected"] / mine["event_factor"]).to_numpy()[on].sum()
            )
            both = (np.exp(model.log_forecast(times, events, [s]))[on, 0].sum() for events in (known, without))
            said = next(both) / next(both)
            apart.append(said / real - 1)
            fits.append(
                _best(model, times, on, known, without, np.log(mine["event_factor"].to_numpy()), mine) / real - 1
            )
    return float(np.mean(apart)), float(np.mean(fits))


def _told(sales, scenario, zone):  # type: ignore[no-untyped-def]
    """The sale that the scenario is about: the moved one, or the first."""
    two_days = [e for e in sales if e.length == timedelta(hours=48) and e.revision > 1]
    return (two_days or sorted(sales, key=lambda e: e.span(zone)[0]))[0]


def _best(model, times, on, known, without, factor, mine) -> float:  # type: ignore[no-untyped-def]
    """The uplift that the columns of events give when they are fitted to the true factor itself."""
    row = local_days(times, model.design.zone) - model.dates[0]
    X = []
    for events in (known, without):
        s, f = slow(model.design, model.dates, events), fast(model.design, times, events)
        X.append(np.concatenate([s.X[:, s.of("event")][row], f.X[:, f.of("event")]], axis=1))
    beta = np.linalg.lstsq(X[0], factor, rcond=1e-6)[0]
    base = (mine["expected"] / mine["event_factor"]).to_numpy()
    return float((base * np.exp(X[0] @ beta))[on].sum() / (base * np.exp(X[1] @ beta))[on].sum())
