"""The evaluate step: what a version's recipe would have forecast at the test origin, and what it says of the future.

A champion and a candidate are tried at the same origins on the same series: each brings the weights of its level models
and its intervals, both learn anew what was known at the origin. Beside them stand what a planner would do without a
model.
"""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from headgate.domains.capacity.data import snapshots
from headgate.domains.capacity.limits import METRICS, STABLE_DAYS
from headgate.domains.capacity.model import histories
from headgate.domains.capacity.model.backtest import origins, roles, try_all
from headgate.domains.capacity.model.clock import DAY, local_days
from headgate.domains.capacity.model.event_features import active
from headgate.domains.capacity.model.forecaster import Forecaster
from headgate.domains.capacity.model.histories import History
from headgate.domains.capacity.model.intervals import Bands, Noise, coarser
from headgate.domains.capacity.model.levels import LEVEL_MODELS
from headgate.domains.capacity.model.measures import absolute_error, inside
from headgate.domains.capacity.model.origins import OriginForecast
from headgate.domains.capacity.model.series_model import Model, grid
from headgate.domains.capacity.stages.train import newest
from headgate.errors import DataRefused
from headgate.files import write_json
from headgate.gate.compare import UNITS
from headgate.gate.ratios import ratio

Floats = NDArray[np.float64]

#: What is judged, and what it is held against.
HEADGATE, PROFILE, NAIVE = "headgate", "profile", "seasonal naive"

FUTURE, PATHS = "future.parquet", "tried.parquet"

#: Steps whose answers a fresh process must reproduce before the bundle serves.
GOLDEN_ROWS = 256

#: Weeks whose mean is the profile.
WEEKS = 4

_SIZES = {"wape_15min": 900, "wape_1h": 3600, "wape_1d": DAY}
_SHARES = {metric.name: metric.share for metric in METRICS}


def step(bundle: Path, work: Path, out: Path) -> None:
    """Evaluate `bundle` at the test origins of `work`: scorecard, units, what comes next, golden answers in `out`."""
    snapshot = snapshots.read_snapshot(work / "snapshot")
    forecaster = Forecaster(bundle)
    found = [newest(history) for history in histories.load(snapshot.folder, snapshot.as_of)]
    if not any(roles(origins(history), "test") for history in found):
        raise DataRefused(
            "No series is long enough to try a forecast at an earlier instant, so nothing can be judged: give at least "
            "five weeks of minutes or hours, or five years of weeks."
        )
    lines, shown = [], []
    for history, _, tried in try_all(found, "test", [_weights(forecaster, history) for history in found]):
        lines += units_of(forecaster, history, tried)
        shown.append(_sample(forecaster, tried))
    scorecard(lines, out)
    pl.concat(shown).write_parquet(out / PATHS)
    _future(forecaster, found, out)
    _golden(forecaster, out)


def _weights(forecaster: Forecaster, history: History) -> Floats:
    """The version's weights of level models [K, S] for the series of `history`; even for those it does not know."""
    known = {one.series: m.weights[:, i] for m in forecaster.models for i, one in enumerate(m.series)}
    even = np.full(len(LEVEL_MODELS), 1 / len(LEVEL_MODELS))
    return np.stack([known.get(one.series, even) for one in history.series], axis=1)


_SCHEMA = {
    "model": pl.String(),
    "metric": pl.String(),
    "slice": pl.String(),
    "unit": pl.String(),
    "numerator": pl.Float64(),
    "denominator": pl.Float64(),
}
Line = tuple[str, str, str, str, float, float]


def units_of(forecaster: Forecaster, history: History, tried: OriginForecast) -> list[Line]:
    """Numerators and denominators of every metric for each series at an origin, by slice."""
    rivals = {HEADGATE: tried.forecast} | baselines(history, tried)
    on = active(tried.events, tried.times, history.zone)
    ahead = (tried.times - tried.origin.instant) / DAY
    lines: list[Line] = []
    for number, one in enumerate(history.series):
        unit = f"{one.series} @ {np.datetime64(tried.origin.instant, 's')}"
        slices = {"all": np.full(len(on), True), "events": on, "no event": ~on, _length(one.step): on | True}
        slices |= {"first week": ahead < 7, "later": ahead >= 7} if one.step < 7 * DAY else {}
        for model, forecast in rivals.items():
            mine = _only(tried, forecast, number)
            for name, where in slices.items():
                lines += [(model, *line) for line in _errors(mine, where, name, unit)]
        lines += [(HEADGATE, *line) for line in _coverage(forecaster, tried, number, slices, unit)]
    return lines


def _errors(
    tried: OriginForecast, where: NDArray[np.bool_], name: str, unit: str
) -> list[tuple[str, str, str, float, float]]:
    """Errors of one series; coarser steps and peaks only where whole days are judged."""
    actual, forecast = tried.actual[:, 0].astype(np.float64), tried.forecast[:, 0]
    known = np.isfinite(actual) & where
    if not known.any():
        return []
    missed, came = absolute_error(actual[known], forecast[known])
    lines = [("wape", name, unit, float(missed.sum()), float(came.sum()))]
    own = tried.series[0].step
    if name in ("events", "no event"):
        return lines
    cut = _cut(tried, where)
    for metric, size in _SIZES.items():
        if size > own and size % own == 0 and own < DAY:
            seen = coarser(cut, size)
            there = np.isfinite(seen.actual[:, 0])
            missed, came = absolute_error(seen.actual[there], seen.forecast[there])
            lines.append((metric, name, unit, float(missed.sum()), float(came.sum())))
    if own < DAY:
        lines += [(metric, name, unit, *sums) for metric, sums in _peaks(cut).items()]
    return lines


def _peaks(tried: OriginForecast) -> dict[str, tuple[float, float]]:
    """How far each local day's largest quarter of an hour, and its time, were missed."""
    size = max(900, tried.series[0].step)
    seen = coarser(tried, size)
    days = local_days(seen.times, tried.series[0].zone)
    miss = total = minutes = count = 0.0
    for day in np.unique(days):
        rows = days == day
        actual, forecast = seen.actual[rows, 0], seen.forecast[rows, 0]
        if np.isfinite(actual).all() and len(actual) >= 0.9 * DAY / size:
            miss += abs(float(forecast.max() - actual.max()))
            total += float(actual.max())
            minutes += abs(int(forecast.argmax()) - int(actual.argmax())) * size / 60
            count += 1
    return {"peak": (miss, total), "peak_minutes": (minutes, count)} if count else {}


def _coverage(
    forecaster: Forecaster, tried: OriginForecast, number: int, slices: dict[str, NDArray[np.bool_]], unit: str
) -> list[tuple[str, str, str, float, float]]:
    low, high, lower, upper = band(forecaster, tried, number)
    actual = tried.actual[:, number]
    lines = []
    for name, where in slices.items():
        known = np.isfinite(actual) & where & np.isfinite(low)
        for metric, bottom, top in (("cover80", low, high), ("cover90", lower, upper)):
            if known.any():
                held = inside(actual, bottom, top) & known
                lines.append((metric, name, unit, float(held.sum()), float(known.sum())))
    return lines


def band(forecaster: Forecaster, tried: OriginForecast, number: int) -> tuple[Floats, Floats, Floats, Floats]:
    """The ends of the 80 % and of the 90 % band around a tried forecast of one series; NaN where there is none."""
    one = tried.series[number]
    bands: Bands | None = forecaster.bands.get((one.step, one.step))
    noise: Noise | None = forecaster.noise.get(one.step, {}).get(one.series)
    forecast = tried.forecast[:, number]
    if bands is None or noise is None:
        nothing = np.full(len(forecast), np.nan)
        return nothing, nothing, nothing, nothing
    ahead = (tried.times + one.step - tried.origin.instant) / DAY
    on = active(tried.events, tried.times, one.zone)
    ends = [noise.at(forecast, bands.score(ahead, on, level)) for level in (0.1, 0.9, 0.05, 0.95)]
    return ends[0], ends[1], ends[2], ends[3]


def baselines(history: History, tried: OriginForecast) -> dict[str, Floats]:
    """What a planner would do without a model: the mean of the last weeks, and last week (last year for weeks)."""
    n, low = len(tried.times), int(np.searchsorted(history.times, tried.origin.instant))
    season = 52 if history.step >= 7 * DAY else 7 * DAY // history.step
    seen = history.actual()[:low].astype(np.float64)
    weeks = min(WEEKS, low // season)
    if weeks < 1:
        return {}
    shaped = seen[low - weeks * season :].reshape(weeks, season, -1)
    profile = _mean(shaped, _mean(seen, 0.0))
    naive = np.where(np.isfinite(shaped[-1]), shaped[-1], profile)
    repeat = -(-n // season)
    return {PROFILE: np.tile(profile, (repeat, 1))[:n], NAIVE: np.tile(naive, (repeat, 1))[:n]}


def _mean(values: Floats, otherwise: Floats | float) -> Floats:
    """The mean over the first axis of what is known; `otherwise` where nothing is."""
    known = np.isfinite(values)
    count = known.sum(axis=0)
    return np.where(count > 0, np.where(known, values, 0.0).sum(axis=0) / np.maximum(count, 1), otherwise)


def scorecard(lines: Sequence[Line], out: Path) -> None:
    """Write the scorecard of `lines` to `out`, and the units behind it."""
    units = pl.DataFrame(lines, schema=_SCHEMA, orient="row")
    units.filter(pl.col("model") == HEADGATE).drop("model").sort("metric", "slice", "unit").write_parquet(out / UNITS)
    card: list[dict[str, Any]] = []
    order = {metric.name: number for number, metric in enumerate(METRICS)}
    for (model, metric, name), group in sorted(
        units.group_by("model", "metric", "slice"),
        key=lambda item: (str(item[0][0]), order[str(item[0][1])], item[0][2]),
    ):
        estimate = ratio(group["numerator"].to_numpy(), group["denominator"].to_numpy(), share=_SHARES[str(metric)])
        card.append({"model": model, "metric": metric, "slice": name, **asdict(estimate)})
    write_json(out / "scorecard.json", card)


def _future(forecaster: Forecaster, found: Sequence[History], out: Path) -> None:
    """The sums by day that the version itself forecasts, from some weeks ago on, and what has come of them by now."""
    frames = []
    for history in found:
        for model in forecaster.models:
            known = [(history.series.index(one), j) for j, one in enumerate(model.series) if one in history.series]
            if known and history.step <= DAY:
                frames.append(_days(forecaster, history, model, known))
    numbers = ("said", "plain", "actual")
    schema = {"series": pl.String(), "day": pl.Int64()} | dict.fromkeys(numbers, pl.Float64())
    pl.concat([pl.DataFrame(schema=schema), *(frame.cast(schema) for frame in frames)]).with_columns(  # type: ignore[arg-type]
        known=pl.col("day") * DAY < forecaster.as_of.timestamp()
    ).write_parquet(out / FUTURE)
    write_json(out / "companions.json", {"calendar": forecaster.companion(), "as_of": forecaster.as_of.isoformat()})


def _days(forecaster: Forecaster, history: History, model: Model, known: list[tuple[int, int]]) -> pl.DataFrame:
    """Days of the series `known` (their columns in history and model).

    What is said of each, what would be said without any event, and what came (null where not whole).
    """
    first = max(history.until // DAY - STABLE_DAYS, int(model.dates[0]) + 1, int(history.times[0]) // DAY + 1)
    last = min(history.until // DAY + STABLE_DAYS, model.until - 1)
    times = grid(first * DAY, last * DAY, history.step)
    mine, theirs = (list(columns) for columns in zip(*known, strict=True))
    one = model.series[theirs[0]]
    events = tuple(event for event in forecaster.calendar if event.applies(one.region, one.service))
    a_day = DAY // history.step
    said, plain = (
        np.exp(model.log_forecast(times, planned, theirs)).reshape(-1, a_day, len(known)).sum(axis=1)
        for planned in (events, ())
    )
    came = np.full((len(times), len(known)), np.nan)
    row = (times - history.times[0]) // history.step
    there = row < len(history.times)
    came[there] = history.actual()[row[there]][:, mine]
    actual = came.reshape(-1, a_day, len(known)).sum(axis=1)
    days = np.repeat(np.arange(first, last), len(known))
    names = [model.series[j].series for j in theirs] * (last - first)
    return pl.DataFrame(
        {
            "series": names,
            "day": days,
            "said": said.ravel(),
            "plain": plain.ravel(),
            "actual": pl.Series(actual.ravel()).fill_nan(None),
        }
    )


def _golden(forecaster: Forecaster, out: Path) -> None:
    """Steps spread over series and horizon, with the answers that any process must give to them."""
    series = forecaster.series
    chosen = [series[i] for i in np.unique(np.linspace(0, len(series) - 1, min(8, len(series))).astype(int))]
    rows = []
    for one in chosen:
        for k in np.linspace(1, 60, GOLDEN_ROWS // len(chosen)):
            time = forecaster.as_of + timedelta(days=float(k))
            rows.append((one.series, int(time.timestamp()) // one.step * one.step))
    inputs = pl.DataFrame(rows, schema={"series": pl.String(), "time": pl.Int64()}, orient="row").with_columns(
        time=pl.from_epoch("time", time_unit="s").dt.replace_time_zone("UTC").cast(pl.Datetime("us", "UTC"))
    )
    answers = forecaster.decide(inputs).rename(lambda name: f"expected_{name}")
    pl.concat([inputs, answers], how="horizontal").write_parquet(out / "golden.parquet")


def _sample(forecaster: Forecaster, tried: OriginForecast) -> pl.DataFrame:
    """A few series' tried forecasts by hour with their bands, for pictures."""
    frames = []
    for number in np.unique(np.linspace(0, len(tried.series) - 1, min(6, len(tried.series))).astype(int)):
        one = tried.series[number]
        low, high, _, _ = band(forecaster, tried, number)
        frames.append(
            pl.DataFrame(
                {
                    "series": np.full(len(tried.times), one.series),
                    "time": tried.times,
                    "forecast": tried.forecast[:, number],
                    "actual": tried.actual[:, number].astype(np.float64),
                    "low": low,
                    "high": high,
                }
            )
        )
    return pl.concat(frames)


def _only(tried: OriginForecast, forecast: Floats, number: int) -> OriginForecast:
    return OriginForecast(
        tried.origin,
        (tried.series[number],),
        tried.times,
        forecast[:, [number]],
        tried.actual[:, [number]],
        tried.events,
    )


def _cut(tried: OriginForecast, where: NDArray[np.bool_]) -> OriginForecast:
    return OriginForecast(
        tried.origin, tried.series, tried.times[where], tried.forecast[where], tried.actual[where], tried.events
    )


def _length(step: int) -> str:
    """The slice of a step."""
    return {60: "minutes", 3600: "hours", DAY: "days", 7 * DAY: "weeks"}.get(step, f"{step // 60} minutes")
