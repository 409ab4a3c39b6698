"""An event as it runs: the forecast, what came of it so far, and what is expected of the rest."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from headgate.contract.host import Host
from headgate.contract.row import COMMON
from headgate.decisions import reading
from headgate.decisions.layout import part_file
from headgate.domains.capacity.companions.calendar import Event
from headgate.domains.capacity.data.notation import STEPS
from headgate.domains.capacity.pages import query
from headgate.domains.capacity.pages.figures import figure
from headgate.domains.capacity.pages.query import View
from headgate.domains.capacity.serving.log_rows import LOG
from headgate.domains.capacity.serving.recording import DOMAIN
from headgate.domains.capacity.serving.track import Tracked, track_event
from headgate.errors import UsageError
from headgate.settings import Settings

#: Seconds between two looks, and that one may take.
EVERY, DEADLINE = 15, 10.0

#: Before and after an event this is shown too.
AROUND = timedelta(hours=6)

#: A window that has been over for so long is not looked at again.
LATE = timedelta(hours=1)

#: A window is at most so long: what came is looked up in the log of all its days.
LONGEST = timedelta(days=14)

#: Parts of the log whose actuals are remembered: a worker writes one a minute.
KEPT = 6000

_COLUMNS: dict[str, pl.DataType] = {
    "decided_at": COMMON["decided_at"],
    **{name: LOG.own[name] for name in ("kind", "series", "step", "time", "actual")},
}


def look(host: Host, asked: Mapping[str, str]) -> dict[str, Any]:
    """What the page shows for the fields `asked`. Raises HeadgateError for what cannot be shown."""
    loaded, _ = query.deciding(host, asked.get("series", ""))
    forecaster = query.forecaster_of(loaded)
    known, now = query.calendar(host, forecaster), datetime.now(UTC)
    view = query.view(forecaster, asked, days=2, step="15min")
    running = _running(view, known, now)
    if running and not asked.get("from") and not asked.get("to"):
        start, end = running.span(view.zone)
        start, end = start - AROUND, end + AROUND
        if end - start > LONGEST:  # what is near, of an event that lasts
            start = max(start, now - LONGEST / 2)
            end = min(end, start + LONGEST)
        wide = {"from": view.text(start), "to": view.text(end)}
        view = query.view(forecaster, {**asked, **wide}, step="15min")
    if view.end - view.start > LONGEST:
        raise UsageError(f"The window is longer than {LONGEST.days} days: let it end earlier, or begin later.")
    times, values, others = _came(host, view)
    lines: list[dict[str, Any]] = []
    tracked: Tracked | None = None
    if len(times):
        tracked = track_event(forecaster, view.series, times, values, view.start, view.end, view.seconds, known)
        rest = ~np.isfinite(tracked.actual)
        rest[: np.flatnonzero(~rest)[-1]] = False
        lines = [
            {"name": "forecast", "values": tracked.forecast, "colour": "accent", "dash": "dot"},
            {"name": "expected now", "values": np.where(rest, tracked.expected, np.nan), "colour": "after"},
            {"name": "came", "values": tracked.actual, "colour": "text"},
        ]
        grid, band = tracked.times, [(tracked.low, tracked.high, 0.18, "80 %")]
    else:
        said = forecaster.forecast(
            view.series, view.start, view.end, step=view.seconds, levels=(0.1, 0.5, 0.9), calendar=known
        )
        lines = [{"name": "forecast", "values": said.quantiles[0.5], "colour": "accent"}]
        grid, band = said.times, [(said.quantiles[0.1], said.quantiles[0.9], 0.18, "80 %")]
    marks = [now.timestamp()] if view.start < now < view.end else []
    return {
        "view": view,
        "loaded": loaded,
        "names": query.names(forecaster),
        "steps": query.steps(view.one.step),
        "events": query.events(view, known),
        "running": running,
        "tracked": tracked,
        "rest": 0.0 if tracked is None else float(tracked.expected[rest].sum()),
        "last": None if not len(times) else view.text(int(times[-1])),
        "others": others,
        "figure": figure(view, grid, lines, band, (), marks),
        "over": now > view.end + LATE,
        "at": f"{now:%H:%M:%S} UTC",
        "every": EVERY,
    }


def _running(view: View, known: Sequence[Event], now: datetime) -> Event | None:
    """The event that is on, for the series of `view`."""
    for event in known:
        start, end = event.span(view.zone)
        if start <= now < end and event.applies(view.one.region, view.one.service):
            return event
    return None


def _came(host: Host, view: View) -> tuple[NDArray[np.int64], NDArray[np.float64], list[str]]:
    """What the log was told of the series: epoch seconds [m], ascending, and values [m], in steps of the view; and the
    other steps that it was told of."""
    wanted = (pl.col("series") == view.series) & (pl.col("time") >= view.start) & (pl.col("time") < view.end)
    # What has come cannot have been told before it began; what is told late is looked for up to now.
    parts = reading.listed(host.settings, DOMAIN, view.start)
    rows = pl.concat([pl.DataFrame(schema=_COLUMNS), *(_actuals(host.settings, one) for one in parts)]).filter(wanted)
    steps = rows["step"].unique().to_list()
    mine = rows.filter(pl.col("actual").is_not_null()).sort("decided_at").unique(("step", "time"), keep="last")
    others = [name for name, seconds in STEPS.items() if seconds in steps and seconds != view.seconds]
    mine = _in_steps(mine, view).sort("time")
    return mine["time"].dt.epoch("s").to_numpy(), mine["actual"].to_numpy(), others


def _in_steps(rows: pl.DataFrame, view: View) -> pl.DataFrame:
    """What was told in the view's steps; else finer steps added up, or averaged, where none of theirs is missing."""
    told = rows.filter(pl.col("step") == view.seconds)
    if len(told):
        return told.select("time", "actual")
    finer = rows.filter((pl.col("step") < view.seconds) & (view.seconds % pl.col("step") == 0))
    finer = finer.filter(pl.col("step") == pl.col("step").max())
    total = pl.col("actual").mean() if view.one.aggregation == "mean" else pl.col("actual").sum()
    begins = pl.from_epoch(pl.col("time").dt.epoch("s") // view.seconds * view.seconds).cast(rows.schema["time"])
    whole = pl.len() == view.seconds // pl.col("step").first()
    return finer.group_by(time=begins).agg(actual=total, whole=whole).filter("whole").select("time", "actual")


def _actuals(settings: Settings, part: str) -> pl.DataFrame:
    """What a part of the log was told; one that is folded never changes, and is read once."""
    return _folded(settings, part) if part_file(settings, DOMAIN, part).is_file() else _read(settings, part)


@lru_cache(maxsize=KEPT)
def _folded(settings: Settings, part: str) -> pl.DataFrame:
    return _read(settings, part)


def _read(settings: Settings, part: str) -> pl.DataFrame:
    return reading.read_part(settings, LOG, part, pl.col("kind") == "actual", _COLUMNS)
