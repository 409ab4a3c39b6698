"""Weekly orders of the simulated customers: years of history, and the truth of the years to come."""

from collections.abc import Sequence
from datetime import date, timedelta

import numpy as np
import polars as pl

from headgate.domains.capacity.simulated import events
from headgate.domains.capacity.simulated.events import Happening
from headgate.domains.capacity.simulated.world import YEAR_DAYS, World, minute

WEEKS_AHEAD = 105  # two years of truth after the last week measured

_ORDERS = 0.02  # a request
_NOISE = 0.04  # standard deviation of a week's logarithm

Frames = dict[date, list[pl.DataFrame]]


def first_week(end: date, years: int) -> date:
    """The Monday that so many years of weeks before a date begin with."""
    day = end - timedelta(round(years * YEAR_DAYS))
    return day + timedelta(-day.weekday() % 7)


def weeks(world: World, happened: Sequence[Happening], end: date, years: int) -> tuple[Frames, Frames]:
    """Points and truth by the Monday of each week, of `years` before `end` and (truth alone) WEEKS_AHEAD after it."""
    points: Frames = {}
    truth: Frames = {}
    monday = first_week(end, years)
    last = end + timedelta(7 * WEEKS_AHEAD)
    while years and monday + timedelta(7) <= last:
        for region in range(world.n_regions):
            measured, expected = _week(world, happened, region, monday)
            truth.setdefault(monday, []).append(expected)
            if monday + timedelta(7) <= end:
                points.setdefault(monday, []).append(measured)
        monday += timedelta(7)
    return points, truth


def _week(world: World, happened: Sequence[Happening], region: int, monday: date) -> tuple[pl.DataFrame, pl.DataFrame]:
    hours = minute(monday) + 60 * np.arange(7 * 24) + 30
    usual = 60 * world.sessions(region, hours) * world.habits(region, hours) * _ORDERS
    lift = events.visits(world, happened, region, hours)
    plain = usual.sum(axis=1)
    expected = (usual * lift * events.conversion(world, lift)).sum(axis=1)
    rng = world.rng("orders", monday.toordinal(), region)
    orders = rng.poisson(expected * np.exp(_NOISE * rng.standard_normal(len(expected)) - _NOISE**2 / 2))
    old = len(world.services) - world.newcomer
    time = pl.lit(monday).cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    keys = pl.DataFrame({"series": [f"{world.regions[region]}/{name}/orders" for name in world.services[:old]]})
    keys = keys.with_columns(time=time)
    return (
        keys.with_columns(value=pl.Series(orders[:old].astype(float)), known_at=pl.col("time") + timedelta(7)),
        keys.with_columns(expected=pl.Series(expected[:old]), event_factor=pl.Series((expected / plain)[:old])),
    )
