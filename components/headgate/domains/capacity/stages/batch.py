"""A version on a folder of raw files: a forecast of every point there, or a scorecard of what it forecast."""

import tempfile
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl

from headgate.contract.results import Decided, Scored
from headgate.domains.capacity.companions.calendar import as_of
from headgate.domains.capacity.data import raw
from headgate.domains.capacity.model import histories
from headgate.domains.capacity.model.clock import DAY
from headgate.domains.capacity.model.forecaster import Forecaster
from headgate.domains.capacity.model.measures import inside
from headgate.domains.capacity.model.origins import Origin, OriginForecast
from headgate.domains.capacity.stages.evaluate import scorecard, units_of
from headgate.errors import DataRefused, UsageError
from headgate.files import atomic_file, read_json


def decide(bundle: Path, on: Path, out: Path) -> Decided:
    """Forecast every point below `on`; how many there were, and how many of them lie inside and outside of a band.

    `out` is Parquet: series, time, value, q05, q10, q50, q90, q95; forecasts are null where the version has none.
    """
    forecaster = Forecaster(bundle)
    files = sorted((on / "points").glob("*.parquet"))
    if not files:
        raise UsageError(f"There are no point files in {on}: it must hold series.csv and points/DAY.parquet.")
    series = raw.read_series(on)
    frames = []
    for path in files:
        raw.check_file(path, series)
        points = pl.read_parquet(path).select("series", "time", "value")
        frames.append(pl.concat([points, forecaster.decide(points)], how="horizontal"))
    decided = pl.concat(frames)
    with atomic_file(out) as draft:
        decided.write_parquet(draft)
    held = decided.select(inside(pl.col("value"), pl.col("q05"), pl.col("q95"))).to_series().drop_nulls()
    return Decided(len(decided), {"inside": int(held.sum()), "outside": int((~held).sum())})


def score(bundle: Path, on: Path, since: datetime | None) -> Scored:
    """The scorecard of a bundle's own forecast on the points below `on` from `since` (its as-of if None) on.

    Version and baselines know what came before the as-of and nothing later, so `since` only chooses what is held
    against them: how far ahead a point was forecast does not depend on it. Raises DataRefused where the version
    forecasts none of them.
    """
    forecaster = Forecaster(bundle)
    as_of_second = int(forecaster.as_of.timestamp())
    lines, rows = [], 0
    for history, model in ((h, m) for h in histories.load(on) for m in forecaster.models):
        known = [one for one in history.series if one in model.series]
        low = int(np.searchsorted(history.times, as_of_second))
        high = int(np.searchsorted(history.times, (model.until - 1) * DAY))
        if not known or high <= low:
            continue
        columns, mine = [history.series.index(one) for one in known], [model.number(one.series) for one in known]
        events = tuple(e for e in forecaster.calendar if e.applies(known[0].region, known[0].service))
        times = history.times[low:high]
        forecast = np.exp(model.log_forecast(times, events, mine))
        origin = Origin("test", as_of_second, int(high - low))
        chosen = histories.History(
            tuple(known), history.times, history.values[:, columns], history.calendar, history.masks
        )
        later = as_of(history.calendar, datetime.max.replace(tzinfo=UTC))
        actual = chosen.actual()[low:high]
        if since is not None:
            actual = np.where(times[:, None] < since.timestamp(), np.float32("nan"), actual)
        tried = OriginForecast(origin, tuple(known), times, forecast, actual, later)
        lines += units_of(forecaster, chosen, tried)
        rows += int(np.isfinite(tried.actual).sum())
    if not rows:
        raise DataRefused(
            f"{on} has no point that this version forecasts: it knows its {len(forecaster.series)} series from "
            f"{forecaster.as_of:%Y-%m-%d %H:%M} UTC on."
        )
    with tempfile.TemporaryDirectory() as folder:
        scorecard(lines, Path(folder))
        return Scored(rows, read_json(Path(folder) / "scorecard.json"))
