"""Whether the clocks of a feed are right: does the daily profile of a region lie at the local hours it did before?

A feed that stamps local times as UTC, or an export that lost the hour that comes twice, shows when clocks are set. The
load follows the local clock, so in local hours the profile stays where it is; where it moved by whole hours, the stamps
or the zone are wrong, or people live otherwise for a while (school holidays), which only a person can tell.
"""

import warnings
from collections.abc import Sequence
from datetime import timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
from numpy.typing import NDArray

from headgate.domains.capacity.data.schema import DAY
from headgate.domains.capacity.stages.panel import RECENT_DAYS, REFERENCE_DAYS, Panel

#: The profile of so many days is held against that of the reference, if that has so many.
LATE_DAYS, LEAST_DAYS = 3, 14

#: A profile has moved where it differs by more than this (root mean square of logarithms), and moving it back by whole
#: hours leaves less than this share of the squared difference.
DIFFERS, LEFT = 0.10, 0.3

#: Points are lost by the setting of clocks where this share at most is missing in the hours before and after.
ELSEWHERE = 0.1

_LAGS = (-3, -2, -1, 1, 2, 3)


def clocks(found: Sequence[Panel]) -> list[dict[str, Any]]:
    """Each region: by how many hours its profile lies later than before, and what is missing where clocks were set."""
    rows = []
    for panel in found:
        if panel.step > 3600:
            continue
        for region in sorted({one.region for one in panel.series}):
            columns = [n for n, one in enumerate(panel.series) if one.region == region]
            for zone in sorted({panel.series[n].zone for n in columns}):
                mine = [n for n in columns if panel.series[n].zone == zone]
                lag, lost = _lag(panel, mine, zone), _lost(panel, mine, zone)
                if lag is not None or lost is not None:
                    key = f"{region} by the clock of {zone}, series of {panel.step} s"
                    rows.append({"key": key, "lag": lag and abs(lag), "hours": lag, "lost": lost})
    return rows


def local_hours(panel: Panel, zone: str) -> NDArray[np.int64]:
    """The local hour of the day [n] of every row."""
    begin, end = panel.at(0), panel.at(len(panel.values))
    times = pl.datetime_range(begin, end, timedelta(seconds=panel.step), closed="left", eager=True)
    return np.asarray(times.dt.convert_time_zone(zone).dt.hour(), np.int64)


def _lag(panel: Panel, columns: list[int], zone: str) -> float | None:
    """By how many hours the profile moved; None where there is too little to tell."""
    x = np.where(panel.noted[:, columns] | panel.moved[:, columns], np.nan, panel.values[:, columns])
    hour = local_hours(panel, zone)
    whole = (REFERENCE_DAYS + RECENT_DAYS) * DAY // panel.step
    late = slice(whole - LATE_DAYS * DAY // panel.step, whole)
    before, now = (_shape(x[part], hour[part]) for part in (slice(0, panel.recent), late))
    if (
        before is None
        or now is None
        or (~np.isnan(x[: panel.recent])).any(axis=1).sum() * panel.step < LEAST_DAYS * DAY
    ):
        return None
    left = {lag: float(np.mean((np.roll(before, lag) - now) ** 2)) for lag in (0, *_LAGS)}
    best = min(left, key=lambda lag: (left[lag], abs(lag)))
    return float(best) if left[0] > DIFFERS**2 and left[best] < LEFT * left[0] else 0.0


def _shape(x: NDArray[np.floating], hour: NDArray[np.int64]) -> NDArray[np.float64] | None:
    """The logarithm of the mean load at each local hour (24,), over series of equal weight, of mean zero."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # the mean of nothing is NaN
        rows = np.nanmean(x / np.nanmean(x, axis=0), axis=1)
        means = np.array([np.nanmean(rows[hour == h]) for h in range(24)])
    if not np.isfinite(means).all():
        return None
    shape = np.log(means + 0.05)
    return np.asarray(shape - shape.mean())


def _lost(panel: Panel, columns: list[int], zone: str) -> float | None:
    """The share of points that are missing in one of both hours around the last setting of clocks; None if none was."""
    place = ZoneInfo(zone)
    first = (REFERENCE_DAYS + RECENT_DAYS) * 24
    hours = [panel.at(0) + timedelta(hours=n) for n in range(panel.recent * panel.step // 3600, first)]
    set_at = [b for a, b in pairwise(hours) if a.astimezone(place).utcoffset() != b.astimezone(place).utcoffset()]
    if not set_at:
        return None
    at = int((set_at[-1] - panel.at(0)).total_seconds()) // panel.step
    hour = 3600 // panel.step
    missing = (np.isnan(panel.values[:, columns]) & ~panel.noted[:, columns]).mean(axis=1)
    worst = max(missing[at - hour : at].mean(), missing[at : at + hour].mean())
    others = np.concatenate([missing[at - 12 * hour : at - hour], missing[at + hour : at + 12 * hour]])
    return float(worst) if others.mean() < ELSEWHERE else 0.0  # else the clock is not what is wrong
