"""The simulator of customers: load series with a hidden truth kept apart, for demos, tests and drills.

It knows nothing of any model. A day at a time it draws the sessions that customers begin, follows them through the
services, lets robots and faults spoil what is measured, and writes it down. Memory is that of one day.
"""

import csv
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from headgate.domains.capacity.data.raw import Series, write_day, write_series
from headgate.domains.capacity.data.schema import DAY, STEPS, WEEK
from headgate.domains.capacity.simulated import events
from headgate.domains.capacity.simulated.events import Happening
from headgate.domains.capacity.simulated.incidents import Incident, damage, disturb, place
from headgate.domains.capacity.simulated.scenarios import SCENARIOS
from headgate.domains.capacity.simulated.sizes import LoadSizes
from headgate.domains.capacity.simulated.weeks import WEEKS_AHEAD, first_week, weeks
from headgate.domains.capacity.simulated.world import DAY_MIN, F64, LEAD_MIN, Break, World, minute
from headgate.errors import UsageError
from headgate.files import atomic_folder, write_json

#: The hidden truth, one row a step and series, in files by UTC day as the points are. `expected` is the mean load
#: without noise, robots and faults; `event_factor` the part of it that events make, as a factor.
TRUTH: dict[str, pl.DataType] = {
    "series": pl.String(),
    "time": pl.Datetime("us", "UTC"),
    "expected": pl.Float64(),
    "event_factor": pl.Float64(),
}

_REVISION = ("known_since", "status", "author", "reason")
CALENDAR = ("event", "revision", "kind", "name", "region", "services", "start", "end", "intensity", *_REVISION)
MASKS = ("mask", "revision", "region", "services", "start", "end", "effect", *_REVISION)

DEFAULT_START = date(2026, 1, 5)
_LEAST_DAYS = 7  # of a scenario with a fault
_PLANNED_DAYS = 240  # how far ahead the calendar is written
_NEW_DAYS = 10  # how old the new service is at the end
_BREAK_SLOPE = -3.0  # a year, on the logarithm: load falls by a fifth in a month


@dataclass(frozen=True)
class _Story:
    """Everything that is settled before the first day is drawn."""

    world: World
    start: date
    days: int
    ahead: int
    step_min: int
    weekly_years: int
    calendar: Sequence[Happening]  # every revision
    happened: Sequence[Happening]
    incidents: Sequence[Incident]

    @property
    def end(self) -> date:
        """The day after the last that is measured."""
        return self.start + timedelta(self.days)

    @property
    def now(self) -> datetime:
        """The instant at which that day begins."""
        return datetime(self.end.year, self.end.month, self.end.day, tzinfo=UTC)


def simulate(
    out: Path,
    sizes: LoadSizes,
    *,
    scenario: str = "calm",
    seed: int = 0,
    start: date | None = None,
    on_day: Callable[[date], None] | None = None,
) -> None:
    """Write simulated load to `out`, and the truth to its sibling folder `truth_folder(out)`.

    Every region has all services, each a series of requests with a point every `sizes.step` seconds, for UTC days from
    `start` (unless told, a Monday in January 2026). With `sizes.weekly_years` each also has a weekly series of orders,
    whose so many years of history end with those days. The truth reaches `sizes.ahead` days further, so that forecasts
    can be scored. The same arguments give the same bytes, and a day does not depend on how many follow.
    `on_day` is called with each day once it is written; the folders appear whole at the end. Raises UsageError for
    arguments that make no sense and for folders that already hold something.
    """
    days, regions, services, step = sizes.days, sizes.regions, sizes.services, sizes.step
    weekly_years, ahead = sizes.weekly_years, sizes.ahead
    _check(scenario, days, seed=seed, regions=regions, services=services, weekly_years=weekly_years, ahead=ahead)
    if step not in STEPS or step > DAY:
        raise UsageError(f"the step must be one of {', '.join(str(s) for s in STEPS if s <= DAY)} seconds, not {step}")
    out = out.resolve()
    for folder in (out, truth_folder(out)):
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise UsageError(
                f"{folder} already exists and is not an empty folder: name another one, or remove it first"
            )
    start = start or DEFAULT_START
    world = _world(scenario, seed, start, days, regions, services)
    story = _tell(scenario, start, days, ahead, step // 60, weekly_years, world)
    with atomic_folder(truth_folder(out)) as truth, atomic_folder(out) as feed:
        write_series(_series(story), feed)
        _write_rows(feed / "calendar.csv", CALENDAR, (one.words() for one in story.calendar if one.known <= story.now))
        noted = (one.mask(number) for number, one in enumerate(story.incidents, start=1) if one.noted)
        _write_rows(feed / "masks.csv", MASKS, noted)
        write_json(truth / "truth.json", _told(story, scenario))
        _run(story, feed, truth / "truth", on_day)


def minutes_of(day: date, happened: Sequence[Happening], *, seed: int, regions: int, services: int) -> dict[str, F64]:
    """What comes of every series of requests in each minute of a UTC day [1440], when `happened` are its events.

    Of the calm scenario, in which no minute is lost: a day that `simulate` wrote, or one after it.
    """
    world = World(seed, regions, services)
    story = _Story(world, day, 1, 0, 1, 0, (), happened, ())
    found: dict[str, F64] = {}
    for region, where in enumerate(world.regions):
        counts = _region(story, region, day)[0]
        found |= {f"{where}/{name}/requests": counts[service] for service, name in enumerate(world.services)}
    return found


def truth_folder(out: Path) -> Path:
    """Name the folder beside the simulated source `out` that holds its truth: `truth/DAY.parquet`, columns TRUTH."""
    return out.with_name(out.name + ".truth")


def _check(scenario: str, days: int, **counts: int) -> None:
    if scenario not in SCENARIOS:
        raise UsageError(f"there is no scenario {scenario!r}: choose one of {', '.join(SCENARIOS)}")
    least = 1 if scenario in ("calm", "sale-moved", "on-sale") else _LEAST_DAYS
    if days < least:
        raise UsageError(f"the scenario {scenario!r} needs at least {least} day{'s'[: least - 1]}, not {days}")
    for name, value in counts.items():
        if value < (low := int(name in ("regions", "services"))):
            raise UsageError(f"{name.replace('_', ' ')} must be at least {low}, not {value}")


def _tell(scenario: str, start: date, days: int, ahead: int, step_min: int, weekly_years: int, world: World) -> _Story:
    end = start + timedelta(days)
    now = datetime(end.year, end.month, end.day, tzinfo=UTC)
    first = first_week(end, weekly_years) if weekly_years else start
    reach = max(ahead, _PLANNED_DAYS, WEEKS_AHEAD * 7 if weekly_years else 0)
    calendar = events.plan(world, first - timedelta(5), end + timedelta(reach))
    if scenario == "sale-moved":
        calendar = events.moved(calendar, end, now - timedelta(hours=36))
    if scenario == "on-sale":
        calendar += events.on_sale(calendar, end)
    if scenario == "launch":
        at = now.replace(hour=17)
        calendar += [
            events.launch(world, number, at + timedelta(day))
            for number, day in enumerate((int(0.4 * days) - days, int(0.7 * days) - days, 3), start=1)
        ]
    return _Story(
        world=world,
        start=start,
        days=days,
        ahead=ahead,
        step_min=step_min,
        weekly_years=weekly_years,
        calendar=calendar,
        happened=events.last_revisions(calendar),
        incidents=place(scenario, world, start, days),
    )


def _world(scenario: str, seed: int, start: date, days: int, regions: int, services: int) -> World:
    bends = (Break(start + timedelta(int(0.6 * days)), _BREAK_SLOPE),) if scenario == "slope-break" else ()
    newcomer = scenario == "new-service"
    return World(seed, regions, services + newcomer, breaks=bends, newcomer=newcomer)


def _series(story: _Story) -> list[Series]:
    found = []
    for region, where in enumerate(story.world.regions):
        for service, name in enumerate(story.world.services):
            new = story.world.newcomer and service == story.world.n_services - 1
            zone, step = story.world.zone(region), story.step_min * 60
            like = f"{where}/{story.world.services[story.world.analogue]}/requests" if new else ""
            found.append(
                Series(f"{where}/{name}/requests", where, name, "requests", "requests", zone, step, "sum", like)
            )
            if story.weekly_years and not new:
                found.append(Series(f"{where}/{name}/orders", where, name, "orders", "orders", zone, WEEK, "sum"))
    return found


def _told(story: _Story, scenario: str) -> dict[str, Any]:
    """The hidden truth that is no number a minute."""
    world = story.world
    shown = [
        one for one in story.happened if one.start.date() <= story.end + timedelta(max(story.ahead, _PLANNED_DAYS))
    ]
    return {
        "scenario": scenario,
        "seed": world.seed,
        "start": story.start.isoformat(),
        "end": story.end.isoformat(),
        "breaks": [{"day": one.day.isoformat(), "slope_per_year": one.slope} for one in world.breaks],
        "incidents": [one.told() for one in story.incidents],
        "events": [dict(zip(CALENDAR, one.words(), strict=True)) for one in shown],
        "newcomers": [f"{region}/{world.services[-1]}/requests" for region in world.regions] if world.newcomer else [],
    }


def _write_rows(path: Path, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


# ------------------------------------------------------------------------------------------------------ day by day


def _run(story: _Story, feed: Path, truth: Path, on_day: Callable[[date], None] | None) -> None:
    truth.mkdir()
    weekly, weekly_truth = weeks(story.world, story.happened, story.end, story.weekly_years)
    days = {story.start + timedelta(n) for n in range(story.days + story.ahead)}
    for day in sorted(days | set(weekly) | set(weekly_truth)):
        points, expected = _day(story, day) if day in days else ([], [])
        if found := [*(points if day < story.end else []), *weekly.get(day, [])]:
            write_day(pl.concat(found), feed / "points" / f"{day}.parquet")
        rows = pl.concat([*expected, *weekly_truth.get(day, [])]).sort("series", "time")
        rows.write_parquet(truth / f"{day}.parquet", compression="zstd")
        if on_day is not None and story.start <= day < story.end:
            on_day(day)


def _day(story: _Story, day: date) -> tuple[list[pl.DataFrame], list[pl.DataFrame]]:
    """Points and truth of a UTC day, a frame a region."""
    points, truth = [], []
    for region in range(story.world.n_regions):
        counts, late, expected, plain = _region(story, region, day)
        rows = story.world.n_services
        if story.world.newcomer and day < story.end - timedelta(_NEW_DAYS):
            rows -= 1
        shape = (rows, -1, story.step_min)
        counts, late, expected, plain = (part[:rows].reshape(shape) for part in (counts, late, expected, plain))
        ids = [f"{story.world.regions[region]}/{name}/requests" for name in story.world.services[:rows]]
        steps = DAY_MIN // story.step_min
        step = timedelta(minutes=story.step_min)
        keys = pl.DataFrame(
            {
                "series": pl.Series(ids).gather(np.repeat(np.arange(rows), steps)),
                "time": pl.Series(np.tile(minute(day) + story.step_min * np.arange(steps), rows) * 60_000_000),
            }
        ).with_columns(pl.col("time").cast(TRUTH["time"]))
        measured = ~np.isnan(counts).all(axis=2).ravel()
        points.append(
            keys.with_columns(
                value=pl.Series(np.nansum(counts, axis=2).ravel()), late=pl.Series(late.max(axis=2).ravel())
            )
            .with_columns(known_at=pl.col("time") + step + pl.duration(minutes=pl.col("late")))
            .drop("late")
            .filter(pl.Series(measured))
        )
        total = expected.sum(axis=2)
        truth.append(
            keys.with_columns(
                expected=pl.Series(total.ravel()), event_factor=pl.Series((total / plain.sum(axis=2)).ravel())
            )
        )
    return points, truth


def _region(story: _Story, region: int, day: date) -> tuple[F64, F64, F64, F64]:
    """Of each service and minute (services, 1440): what was seen, how late, what was expected, and without events."""
    world = story.world
    minutes = minute(day) + np.arange(-DAY_MIN, DAY_MIN)  # sessions begun the day before are still under way
    today = minutes[DAY_MIN:]
    usual = world.sessions(region, minutes)
    lift = events.visits(world, story.happened, region, minutes)
    begun = np.concatenate(
        [
            world.rng("sessions", at.toordinal(), region).poisson(mean * world.whims(region, at))
            for at, mean in zip((day - timedelta(1), day), np.split(usual * lift, 2), strict=True)
        ]
    )
    plain, expected, drawn = (
        world.staged(part[DAY_MIN - LEAD_MIN :])[world.stage] for part in (usual, usual * lift, begun)
    )
    habits = world.habits(region, today)
    bought = habits * events.conversion(world, lift[DAY_MIN:])
    crowd = events.crowds(world, story.happened, region, today)
    plain, expected, mean = habits * plain, bought * expected + crowd, bought * drawn + crowd
    mean = disturb(story.incidents, world, region, today, mean * world.service_whims(region, day))
    counts = world.rng("requests", day.toordinal(), region).poisson(mean).astype(np.float64)
    return *damage(story.incidents, world, region, today, counts, expected), expected, plain
