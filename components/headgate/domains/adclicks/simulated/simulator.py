"""The simulator of ad clicks: raw data with a hidden truth kept apart, for demos, tests and drills.

It knows nothing of any model. A day at a time it gathers the clicks of people and robots, sends them on their way, and
writes what arrives on each day; what arrives later is carried over. Memory is that of one day.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow.parquet as pq  # type: ignore[import-untyped]

from headgate.domains.adclicks.simulated import outcomes
from headgate.domains.adclicks.simulated.people import people
from headgate.domains.adclicks.simulated.robots import robots
from headgate.domains.adclicks.simulated.scenarios import SCENARIOS
from headgate.domains.adclicks.simulated.sizes import ClickSizes
from headgate.domains.adclicks.simulated.world import DAY, HOUR, MINUTE, POPULATION, SLOTS, World
from headgate.errors import UsageError
from headgate.files import atomic_folder

#: The hidden truth, one row a click, in files by day of arrival as the clicks are.
TRUTH: dict[str, pl.DataType] = {"click_id": pl.String(), "is_robot": pl.Boolean(), "kind": pl.String()}

DEFAULT_START = date(2026, 1, 5)
_AFTERMATH = 3  # days after the last one whose purchases and refunds are written: labels take up to 48 hours
_LEAST_CLICKS = 50  # with fewer, a day might have none, and a file of clicks must not be empty
_NEVER = 10**9
_ROWS = 250_000  # a slice, and a row group of a file


@dataclass(frozen=True)
class Faults:
    """On which day each fault happens, or from which day on."""

    attack: int = _NEVER
    outage: int = _NEVER
    paced_from: int = _NEVER
    duplicates: int = _NEVER
    late: int = _NEVER
    gateway_from: int = _NEVER


def simulate(
    out: Path,
    sizes: ClickSizes,
    *,
    scenario: str = "calm",
    seed: int = 0,
    start: date | None = None,
    on_day: Callable[[date], None] | None = None,
) -> None:
    """Write simulated clicks, purchases and refunds to `out`, and the truth to its sibling folder `truth_folder(out)`.

    Clicks are written for `sizes.days` days of arrival from `start` (unless told, a Monday in January 2026), outcomes
    for three days more. The same arguments give the same bytes, and a day
    does not depend on how many follow. `on_day` is called with each day once it is written; the folders appear whole at
    the end. Raises UsageError for arguments that make no sense and for folders that already hold something.
    """
    days, clicks_per_day = sizes.days, sizes.clicks_per_day
    faults = _place(scenario, days)
    if clicks_per_day < _LEAST_CLICKS:
        raise UsageError(f"clicks per day must be at least {_LEAST_CLICKS}, not {clicks_per_day}")
    if seed < 0:
        raise UsageError(f"the seed must not be negative, and {seed} is")
    out = out.resolve()
    for folder in (out, truth_folder(out)):
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise UsageError(
                f"{folder} already exists and is not an empty folder: name another one, or remove it first"
            )

    world = World(seed, clicks_per_day, start or DEFAULT_START)
    with atomic_folder(truth_folder(out)) as truth, atomic_folder(out) as feed:
        _run(world, days, faults, feed, truth, on_day)


def truth_folder(out: Path) -> Path:
    """Name the folder beside the simulated source `out` that holds its truth: `truth/DAY.parquet`, columns TRUTH."""
    return out.with_name(out.name + ".truth")


def _place(scenario: str, days: int) -> Faults:
    """Put a scenario's fault on its day."""
    if scenario not in SCENARIOS:
        raise UsageError(f"there is no scenario {scenario!r}: choose one of {', '.join(SCENARIOS)}")
    least = 1 if scenario == "calm" else 3
    if days < least:
        raise UsageError(f"the scenario {scenario!r} needs at least {least} day{'s'[: least - 1]}, not {days}")
    day = days - 2
    return {
        "calm": Faults(),
        "attack": Faults(attack=day),
        "label-outage": Faults(outage=day),
        "new-robots": Faults(paced_from=round(0.6 * days)),
        "duplicates": Faults(duplicates=day),
        "late-clicks": Faults(late=day),
        "gateway": Faults(gateway_from=max(1, days - 5)),
    }[scenario]


def _run(
    world: World, days: int, faults: Faults, feed: Path, truth: Path, on_day: Callable[[date], None] | None
) -> None:
    under_way, bought = pl.DataFrame(), pl.DataFrame()  # what has happened and is not known yet
    for day in range(days + _AFTERMATH):
        name, midnight = f"{world.start + timedelta(day)}.parquet", world.midnight(day + 1)
        if day < days:
            clicks = _happen(world, day, faults)
            # An outcome is written only with its click: what arrives after the last day leaves no purchase behind.
            sold = _buy(world, day, faults, clicks).filter(pl.col("received") < world.midnight(days))
            bought, under_way = pl.concat([bought, sold]), pl.concat([under_way, clicks])
            arrived = under_way.filter(pl.col("received") < midnight).sort("received", "number")
            under_way = under_way.filter(pl.col("received") >= midnight)
            _write(truth / "truth" / name, map(outcomes.truth_rows, _slices(arrived)))
            _write(feed / "clicks" / name, map(outcomes.click_rows, _slices(_deliver(world, day, faults, arrived))))
        # A purchase is announced, and may be announced again as returned, each on its own day.
        announced = bought.filter(pl.col("known").is_between(midnight - DAY, midnight, closed="left"))
        returned = bought.filter(pl.col("refunded").is_between(midnight - DAY, midnight, closed="left"))
        _write(feed / "purchases" / name, [outcomes.purchase_rows(announced.sort("known", "number"))])
        _write(feed / "refunds" / name, [outcomes.refund_rows(returned.sort("refunded", "number"))])
        bought = bought.filter(pl.max_horizontal("known", "refunded") >= midnight)
        if on_day is not None and day < days:
            on_day(world.start + timedelta(day))


def _happen(world: World, day: int, faults: Faults) -> pl.DataFrame:
    """Gather the clicks that people and robots begin on a day, numbered in order, with the time they reach us."""
    crowd = people(world, day, moved=day >= faults.gateway_from)
    factor = 4.0 if day == faults.attack else 1.0
    clicks = pl.concat([*crowd, *robots(world, day, factor=factor, paced=day >= faults.paced_from)])
    clicks = clicks.sort("at", maintain_order=True)
    delay = outcomes.journey(world.rng("journey", day), len(clicks))
    if day == faults.late:
        rng = world.rng("late", day)
        collector = world.hash(clicks["session"].to_numpy(), "collector") % np.uint64(4)
        late = (collector == 0) & (rng.random(len(clicks)) < 1 / 3)
        delay = delay + np.where(late, rng.integers(20 * MINUTE, 50 * MINUTE, len(clicks)), 0)
    # The day's remainder keeps numbers apart where clicks of neighbouring days arrive in the same millisecond.
    number = pl.int_range(pl.len(), dtype=pl.Int64) * 4 + day % 4
    return clicks.with_columns(received=pl.col("at") + pl.Series(delay), number=number)


def _buy(world: World, day: int, faults: Faults, clicks: pl.DataFrame) -> pl.DataFrame:
    bought = outcomes.purchases(world.rng("purchases", day), clicks)
    if day != faults.outage:
        return bought
    since = world.midnight(day) + peak_hour(world, day) * HOUR
    return bought.filter(~pl.col("at").is_between(since, since + 6 * HOUR, closed="left"))


def peak_hour(world: World, day: int) -> int:
    """Find the hour of the UTC day at which the six hours with the most people begin."""
    load = sum(share * world.rhythm(day, zone) for zone, share in enumerate(POPULATION))
    hourly = np.reshape(load, (24, SLOTS // 24)).sum(axis=1)
    return int(np.argmax(np.convolve(hourly, np.ones(6), mode="valid")))


def _deliver(world: World, day: int, faults: Faults, arrived: pl.DataFrame) -> pl.DataFrame:
    if day != faults.duplicates:
        return arrived
    twice = world.rng("duplicates", day).random(len(arrived)) < 0.05
    return arrived.select(pl.all().repeat_by(pl.Series(1 + twice).cast(pl.UInt32)).explode())


def _slices(frame: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """Cut a frame so that only a part of it is text at a time; an empty frame is one empty slice."""
    return (frame.slice(row, _ROWS) for row in range(0, max(1, len(frame)), _ROWS))


def _write(path: Path, slices: Iterable[pl.DataFrame]) -> None:
    """Write slices of one schema as the row groups of a Parquet file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    writer: pq.ParquetWriter | None = None
    for part in slices:
        table = part.to_arrow()
        writer = writer or pq.ParquetWriter(path, table.schema, compression="zstd")
        writer.write_table(table, row_group_size=_ROWS)
    assert writer is not None
    writer.close()
