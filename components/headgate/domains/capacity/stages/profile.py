"""The profile of a snapshot of load: small tables of its feed, its days, series, clocks and companions.

A table holds what was found, worst first, and one quiet row where nothing was. What people masked is known, and no
finding. A series too young to be judged against itself is left out of what needs its past.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from headgate.contract.expectations import Profile
from headgate.domains.capacity.companions.calendar import BREAK, Event, Mask, as_of, read_calendar, read_masks
from headgate.domains.capacity.companions.text import ALL
from headgate.domains.capacity.data import snapshots
from headgate.domains.capacity.data.raw import Series, day_of, load_matrix, read_series
from headgate.domains.capacity.data.schema import DAY
from headgate.domains.capacity.data.snapshots import Snapshot
from headgate.domains.capacity.stages.panel import RECENT_DAYS, REFERENCE_DAYS, Bools, Floats, Panel, panels
from headgate.domains.capacity.stages.profile_clocks import clocks, local_hours

#: How far back the newest week is looked for.
WEEKS = 12

#: A series is judged against itself from this many days of reference on.
LEAST_DAYS = 7

#: Zeros are expected at a local hour in which this share of the steps was zero before.
IDLE = 0.1

#: A run of fewer steps says nothing.
LEAST_RUN = 3

#: A run of one value is long from this many times the longest one of the reference on.
FLAT_TIMES = 3


def profile(folder: Path) -> Profile:
    """Small tables that sum the snapshot in `folder` up."""
    snapshot = snapshots.read_snapshot(folder)
    found = panels(snapshot)
    return {
        "feed": _feed(snapshot, found),
        "series": _table(_runs(found), "flat", "zeros", why=f"No series has {LEAST_DAYS} days of past to judge by."),
        "gaps": _table(_gaps(found), "share"),
        "days": _table(
            _days(found), "missing", "ratio", why="No whole day has a like one, without events, a week before."
        ),
        "clocks": _table(
            clocks(found), "lag", "lost", why="No region has two weeks of past, or none set its clocks of late."
        ),
        "companions": _table(
            _companions(snapshot), "unknown", "unseen", why="Nothing of that kind is planned or masked."
        ),
    }


def _table(rows: Sequence[dict[str, Any]], *judged: str, why: str = "") -> pl.DataFrame:
    """Rows as a table with a `key`, the columns `judged` (numbers, null where not) and `why`, for where none is."""
    found = rows or [{"key": "–"}]
    names = dict.fromkeys(["key", *judged, *(name for row in found for name in row)])
    full = [{name: row.get(name) for name in names} | {"why": why} for row in found]
    return pl.DataFrame(full, schema_overrides=dict.fromkeys(judged, pl.Float64), infer_schema_length=None)


# ---------------------------------------------------------------------------------------------------------- the feed


def _feed(snapshot: Snapshot, found: Sequence[Panel]) -> pl.DataFrame:
    """How late the newest point of each series is, by hours beyond what its step explains."""
    rows = [row for panel in found for row in _late(panel.series, panel.at(0), panel.values, snapshot.as_of)]
    weekly = tuple(one for one in read_series(snapshot.folder).values() if one.step > DAY)
    if weekly:
        since = snapshot.as_of - timedelta(weeks=WEEKS)
        times, values = load_matrix(snapshot.folder, [one.series for one in weekly], snapshot.as_of, since=since)
        first = datetime.fromtimestamp(int(times[0]), UTC) if len(times) else since
        rows += _late(weekly, first, values, snapshot.as_of)
    return pl.DataFrame(rows).sort("overdue", descending=True)


def _late(series: Sequence[Series], first: datetime, values: Floats, as_of: datetime) -> list[dict[str, Any]]:
    """For each series of `values` [n, S], whose first row begins at `first`, how late its newest point is."""
    step = series[0].step
    seen = ~np.isnan(values)
    ends = np.array([np.flatnonzero(column)[-1] + 1 if column.any() else 0 for column in seen.T])  # 0: none at all
    slack = step if step >= DAY else 0  # a day or a week is known when it is over
    late = (as_of - first).total_seconds() - ends * step - slack
    hours = np.maximum(late, 0) / 3600
    return [
        {"key": one.series, "overdue": float(own), "newest": float(hours.min()), "step": step}
        for one, own in zip(series, hours, strict=True)
    ]


# -------------------------------------------------------------------------------------------------------- the series


def _runs(found: Sequence[Panel]) -> list[dict[str, Any]]:
    """The longest runs of each series of late: of one value, against the past's; of zeros, where none are expected."""
    rows = []
    for panel in found:
        hours = {zone: local_hours(panel, zone) for zone in {one.zone for one in panel.series}}
        for n, one in enumerate(panel.series):
            x, sound = panel.values[:, n], ~np.isnan(panel.values[:, n]) & ~panel.noted[:, n]
            past, now = slice(0, panel.recent), slice(panel.recent, None)
            if sound[past].sum() * panel.step < LEAST_DAYS * DAY:
                continue
            same = np.concatenate([[False], (x[1:] == x[:-1]) & (x[1:] > 0)]) & sound
            usual, (flat, since) = _longest(same[past])[0] + 1, _longest(same[now])
            hour, zero = hours[one.zone], (x == 0) & sound
            zeros, of = (np.bincount(hour[past][part[past]], minlength=24) for part in (zero, sound))
            share = zeros / np.maximum(of, 1)
            dead, begin = _longest((zero & (share < IDLE)[hour])[now])
            rows.append(
                {
                    "key": one.series,
                    "flat": (flat + 1) / (FLAT_TIMES * max(usual, LEAST_RUN)),
                    "flat_words": _run_words(panel, since - 1, flat + 1),
                    "zeros": dead * panel.step / 3600 if dead >= LEAST_RUN else 0.0,
                    "zeros_words": _run_words(panel, begin, dead),
                }
            )
    return sorted(rows, key=lambda row: (-row["zeros"], -row["flat"], row["key"]))


def _longest(true: Bools) -> tuple[int, int]:
    """The length and the first row of the longest run."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], true.astype(np.int8), [0]])))
    if not len(edges):
        return 0, 0
    lengths = edges[1::2] - edges[::2]
    longest = int(lengths.argmax())
    return int(lengths[longest]), int(edges[2 * longest])


def _run_words(panel: Panel, row: int, length: int) -> str:
    start, end = (panel.at(panel.recent + at) for at in (row, row + length))
    return f"{length:,} steps from {start:%Y-%m-%d %H:%M} to {end:%m-%d %H:%M} UTC"


def _gaps(found: Sequence[Panel]) -> list[dict[str, Any]]:
    """The share of missing steps of each series and recent whole day, where there are any, from its first point on."""
    rows = []
    for panel in found:
        seen, born = ~np.isnan(panel.values), panel.born
        for number in range(REFERENCE_DAYS, REFERENCE_DAYS + RECENT_DAYS):
            day = panel.day(number)
            lost = ~seen[day] & ~panel.noted[day] & (born <= day.start)
            for n in np.flatnonzero(lost.any(axis=0)):
                steps = int(lost[:, n].sum())
                run, row = _longest(lost[:, n])
                rows.append(
                    {
                        "key": f"{panel.series[n].series} on {panel.at(day.start):%Y-%m-%d}",
                        "share": steps / len(lost),
                        "steps": steps,
                        "words": _run_words(panel, day.start - panel.recent + row, run),
                    }
                )
    return sorted(rows, key=lambda row: (-row["share"], row["key"])) or [{"key": "every series", "share": 0.0}]


def _days(found: Sequence[Panel]) -> list[dict[str, Any]]:
    """Each recent whole day of the living series of a step: what is missing, and the load against a week before."""
    rows = []
    for panel in found:
        seen, born = ~np.isnan(panel.values), panel.born
        living = seen[panel.recent :].any(axis=0)
        for number in range(REFERENCE_DAYS, REFERENCE_DAYS + RECENT_DAYS):
            if not living.any():
                continue
            day, before = panel.day(number), panel.day(number - 7)
            grown = living & (born <= day.start)
            lost = (~seen[day] & ~panel.noted[day])[:, grown]
            with np.errstate(invalid="ignore", divide="ignore"):
                levels = [np.nansum(panel.values[part], axis=0) / seen[part].sum(axis=0) for part in (day, before)]
                ratio = levels[0] / levels[1]
            half = (seen[day].mean(axis=0) > 0.5) & (seen[before].mean(axis=0) > 0.5)
            usual = ~_any_of(panel.moved, day, before) & ~_any_of(panel.noted, day, before)
            fair = half & usual & np.isfinite(ratio)
            low = np.flatnonzero(fair)[np.argsort(ratio[fair])[:3]]
            rows.append(
                {
                    "key": f"{panel.at(day.start):%a %Y-%m-%d}, series of {panel.step} s",
                    "missing": float(lost.mean()) if lost.size else None,
                    "steps": int(lost.sum()),
                    "of": int(grown.sum()),
                    "ratio": float(np.median(ratio[fair])) if fair.any() else None,
                    "lowest": ", ".join(f"{panel.series[n].series} {ratio[n]:.2f}" for n in low),
                }
            )
    return rows


def _any_of(true: Bools, *parts: slice) -> Bools:
    """Whether a column is true anywhere in the rows of `parts`."""
    return np.asarray(np.any([true[part].any(axis=0) for part in parts], axis=0))


# ---------------------------------------------------------------------------------------------------- the companions


def _companions(snapshot: Snapshot) -> list[dict[str, Any]]:
    """Each event and mask that holds: whether it names what there is not, and whether its kind was seen before."""
    series = read_series(snapshot.folder).values()
    regions, services = {one.region for one in series} | {ALL}, {one.service for one in series} | {ALL}
    events = as_of(read_calendar(snapshot.folder), snapshot.as_of)
    day = min(day_of(path) for path in (snapshot.folder / "points").glob("[!.]*.parquet"))
    first = datetime(day.year, day.month, day.day, tzinfo=UTC)
    spans = {one.event: _span(one, series) for one in events}
    begun = {one.kind for one in events if (span := spans[one.event]) and span[0] < snapshot.as_of and span[1] > first}
    rows: list[dict[str, Any]] = []
    planned: tuple[Event | Mask, ...] = (*events, *as_of(read_masks(snapshot.folder), snapshot.as_of))
    for one in planned:
        strangers = [*{one.region} - regions, *sorted(set(one.services) - services)]
        row = {"key": one.id, "unknown": float(bool(strangers)), "names": ", ".join(strangers)}
        if isinstance(one, Event):
            span = spans[one.event]
            coming = one.kind != BREAK and span is not None and span[0] >= snapshot.as_of
            row |= {"what": "event", "kind": one.kind, "unseen": float(one.kind not in begun) if coming else None}
        else:
            row |= {"what": "mask"}
        rows.append(row)
    return rows


def _span(event: Event, series: Iterable[Series]) -> tuple[datetime, datetime] | None:
    """From the first start to the last end of an event in any series that it applies to, if there is one."""
    spans = [event.span(zone) for zone in {one.zone for one in series if event.applies(one.region, one.service)}]
    return (min(start for start, _ in spans), max(end for _, end in spans)) if spans else None
