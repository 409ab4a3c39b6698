"""How fast the features of a day of clicks are, on one core, and which engine carries its tables better.

    python benchmarks/features.py --clicks 1000000 --repeats 5 --out benchmarks/features.md

Each measurement is a process of its own, held to one core and one thread, and is given in CPU time: on a machine with
other work, what it would take alone. Importing libraries and reading the input is outside the clock (but for the
engines, whose work it is) and inside the peak of memory.
"""

import argparse
import asyncio
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl

from headgate.domains.adclicks.features.click import Click
from headgate.domains.adclicks.features.kernel import COLUMNS, features, in_order_of_arrival
from headgate.domains.adclicks.features.memory_counters import MemoryCounters
from headgate.domains.adclicks.features.windows import (
    DAY,
    HOUR,
    SECOND,
    WINDOWS,
    counts,
    distinct,
    following,
    timeline,
    window_start,
)

SEED = 20
ENTITIES_PER_SAMPLED = 50  # pandas counts distinct members for one entity in this many, whole, and is extrapolated
ONLINE = 200_000  # clicks that the online store is asked for
NAMES = {"polars": "Polars", "duckdb": "DuckDB"}
ONE_THREAD = ("POLARS_MAX_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")
DISTINCT = (("user", "ip", DAY), *(("ip", member, window) for member in ("session", "user") for window in (HOUR, DAY)))


class Cost(NamedTuple):
    """Seconds of CPU time, clicks they were spent on, and a number that says the work was done."""

    seconds: float
    clicks: int
    check: float


# The data


def write_day(folder: Path, n: int) -> None:
    """Write about `n` clicks of one day, in no order and one in 200 twice, and the purchases of one in 50."""
    draw = np.random.default_rng(SEED)
    users = max(n // 10, 1)
    user = (20 * (users / 20 + 1) ** draw.random(n) - 20).astype(np.int64)  # user k in proportion to 1 / (k + 20)
    gateway = draw.random(n) < 0.1  # fifty IPs carry a tenth of the clicks
    received = 1_767_225_600 * SECOND + draw.integers(0, DAY.seconds * SECOND, n)
    clicks = pl.DataFrame(
        {
            "click_id": np.arange(n),
            "event_time": received - (draw.exponential(3, n) * SECOND).astype(np.int64),
            "utc_offset_min": np.full(n, 60, dtype=np.int16),
            "received_at": received,
            "user_id": user,
            "session_id": user * 8 + draw.integers(0, 8, n),
            "ip": np.where(gateway, draw.integers(0, 50, n), 50 + user // 2),
            "device": draw.choice(["mobile", "desktop", "tablet"], n),
            "logged_in": draw.random(n) < 0.3,
            "campaign": draw.integers(0, 500, n),
            "rfm": draw.integers(3, 16, n).astype(np.int8),
        }
    ).with_columns(
        pl.format("c{}", pl.col("click_id").cast(pl.String).str.zfill(15)).alias("click_id"),
        pl.format("user-{}", pl.col("user_id").cast(pl.String).str.zfill(8)).alias("user_id"),
        pl.format("session-{}", pl.col("session_id").cast(pl.String).str.zfill(8)).alias("session_id"),
        pl.format("10.{}.{}.{}", pl.col("ip") // 65536, pl.col("ip") // 256 % 256, pl.col("ip") % 256).alias("ip"),
        pl.format("campaign-{}", "campaign").alias("campaign"),
        pl.col("event_time", "received_at").cast(pl.Datetime("us", "UTC")),
    )
    again = clicks[::200].with_columns(pl.col("received_at") + pl.duration(minutes=1))
    pl.concat([clicks, again]).sample(fraction=1, shuffle=True, seed=SEED).write_parquet(folder / "clicks.parquet")
    bought = clicks.sample(fraction=0.02, seed=SEED).with_row_index("purchase")
    bought.select(
        pl.format("p{}", "purchase").alias("purchase_id"),
        "click_id",
        (pl.col("event_time") + pl.duration(minutes=20)).alias("purchased_at"),
        (pl.col("event_time") + pl.duration(hours=1)).alias("known_at"),
        pl.lit(9.5).alias("amount"),
    ).write_parquet(folder / "purchases.parquet")


def read_clicks(folder: Path) -> pl.DataFrame:
    return in_order_of_arrival(pl.read_parquet(folder / "clicks.parquet", columns=list(COLUMNS)))


def read_codes(folder: Path) -> dict[str, np.ndarray]:
    """Users, IPs and sessions as codes from 0, and the time of arrival in microseconds, in order of arrival."""
    clicks = read_clicks(folder)
    names = {"user": "user_id", "ip": "ip", "session": "session_id"}
    codes = {k: (clicks[name].rank("dense").cast(pl.Int64) - 1).to_numpy() for k, name in names.items()}
    return codes | {"time": clicks["received_at"].dt.epoch("us").to_numpy()}


# The features


def counts_kernel(folder: Path) -> Cost:
    """The eight trailing counts, from codes and times."""
    arrays = read_codes(folder)
    begin, total = time.process_time(), 0
    for entity in ("user", "ip"):
        line = timeline(arrays[entity], arrays["time"], arrays["time"])
        for window in WINDOWS:
            total += int(line.restore(counts(window_start(line, window))).sum())
    return Cost(time.process_time() - begin, len(arrays["time"]), total)


def counts_pandas(folder: Path) -> Cost:
    """The eight trailing counts by rolling over time within groups, left in the order of the groups."""
    import pandas as pd

    arrays = read_codes(folder)
    frame = pd.DataFrame(arrays | {"one": 1.0}).assign(time=pd.to_datetime(arrays["time"], unit="us"))
    begin, total = time.process_time(), 0.0
    for entity in ("user", "ip"):
        groups = frame.groupby(entity, sort=False)
        for window in WINDOWS:
            rolling = groups.rolling(f"{window.seconds}s", on="time", closed="left")
            total += float(rolling["one"].count().sum())
    return Cost(time.process_time() - begin, len(frame), total)


def distinct_kernel(folder: Path) -> Cost:
    """The five distinct counts, from codes and times."""
    arrays = read_codes(folder)
    begin, total = time.process_time(), 0
    lines = {entity: timeline(arrays[entity], arrays["time"], arrays["time"]) for entity in ("user", "ip")}
    after = {
        (entity, member): following(lines[entity], arrays[member][lines[entity].order])
        for entity, member, _ in dict.fromkeys((e, m, None) for e, m, _ in DISTINCT)
    }
    for entity, member, window in DISTINCT:
        line = lines[entity]
        total += int(line.restore(distinct(window_start(line, window), after[entity, member])).sum())
    return Cost(time.process_time() - begin, len(arrays["time"]), total)


def distinct_pandas(folder: Path) -> Cost:
    """The five distinct counts by `np.unique` over each rolling window, for a sample of entities with all their clicks."""
    import pandas as pd

    arrays = read_codes(folder)
    frame = pd.DataFrame(arrays).assign(time=pd.to_datetime(arrays["time"], unit="us"))
    chosen = {
        entity: np.random.default_rng(SEED).random(int(arrays[entity].max()) + 1) < 1 / ENTITIES_PER_SAMPLED
        for entity in ("user", "ip")
    }
    samples = {entity: frame[picked[arrays[entity]]] for entity, picked in chosen.items()}
    begin, total, clicks = time.process_time(), 0.0, 0
    for entity, member, window in DISTINCT:
        rolling = samples[entity].groupby(entity, sort=False).rolling(f"{window.seconds}s", on="time", closed="left")
        found = rolling[member].apply(lambda members: np.unique(members).size, raw=True)
        total += float(found.sum())
        clicks += len(samples[entity])
    return Cost(time.process_time() - begin, clicks // len(DISTINCT), total)


def vectors_kernel(folder: Path) -> Cost:
    """All 23 features, from the columns of the raw schema."""
    clicks = read_clicks(folder)
    begin = time.process_time()
    found = features(clicks)
    return Cost(time.process_time() - begin, len(clicks), float(found[:, 0].sum()))


def vectors_online(folder: Path) -> Cost:
    """All 23 features by `MemoryCounters`, click by click, after a tenth as many clicks to warm it."""
    rows = read_clicks(folder)[: ONLINE + ONLINE // 10].iter_rows()
    clicks = [Click(**dict(zip(COLUMNS, row, strict=True)), device="mobile") for row in rows]
    counters, warming = MemoryCounters(), len(clicks) // 11
    asyncio.run(counters.observe(clicks[:warming]))
    begin = time.process_time()

    async def each() -> float:
        return sum([float((await counters.observe([click])).vectors[0, 0]) for click in clicks[warming:]])

    total = asyncio.run(each())
    return Cost(time.process_time() - begin, len(clicks) - warming, total)


# The tables


def tables_polars(folder: Path) -> Cost:
    """Read, sort, make unique, encode, join and write a day, in Polars."""
    begin = time.process_time()
    clicks = in_order_of_arrival(pl.read_parquet(folder / "clicks.parquet"))
    for name in ("user_id", "session_id", "ip"):
        values = clicks[name]
        code = values.cast(pl.Enum(values.unique())).to_physical().cast(pl.UInt32)
        clicks = clicks.with_columns(code.alias(f"{name}_code"))
    known = pl.read_parquet(folder / "purchases.parquet", columns=["click_id", "known_at"])
    first = known.group_by("click_id").agg(pl.col("known_at").min())
    clicks.join(first, on="click_id", how="left", maintain_order="left").write_parquet(folder / "polars.parquet")
    return Cost(time.process_time() - begin, len(clicks), checksum(folder / "polars.parquet"))


def tables_duckdb(folder: Path) -> Cost:
    """The same in DuckDB, one statement."""
    import duckdb

    begin = time.process_time()
    with duckdb.connect() as connection:
        connection.execute("set threads = 1; set timezone = 'UTC'")
        connection.execute(
            f"""
            create temp table clicks as
                select * from '{folder}/clicks.parquet'
                qualify row_number() over (partition by click_id order by received_at) = 1;
            create temp table users as select user_id, row_number() over () - 1 as code from
                (select distinct user_id from clicks);
            create temp table sessions as select session_id, row_number() over () - 1 as code from
                (select distinct session_id from clicks);
            create temp table ips as select ip, row_number() over () - 1 as code from (select distinct ip from clicks);
            copy (
                select clicks.*, users.code::uinteger as user_id_code, sessions.code::uinteger as session_id_code,
                       ips.code::uinteger as ip_code, first.known_at
                from clicks join users using (user_id) join sessions using (session_id) join ips using (ip)
                left join (select click_id, min(known_at) as known_at from '{folder}/purchases.parquet'
                           group by click_id) as first using (click_id)
                order by received_at, click_id
            ) to '{folder}/duckdb.parquet' (format parquet, compression zstd)
            """
        )
        (rows,) = connection.execute(f"select count(*) from '{folder}/duckdb.parquet'").fetchone() or (0,)
    return Cost(time.process_time() - begin, rows, checksum(folder / "duckdb.parquet"))


def checksum(path: Path) -> float:
    """A number that two tables share only if they hold the same clicks in the same order with the same purchases."""
    table = pl.scan_parquet(path).with_row_index("row")
    terms = pl.col("row").cast(pl.Float64) * (
        pl.col("received_at").dt.epoch("s") % 9973 + pl.col("known_at").dt.epoch("s").fill_null(0) % 9967
    )
    codes = [
        pl.col(f"{name}_code").n_unique() + pl.col(f"{name}_code").max() for name in ("user_id", "session_id", "ip")
    ]
    return float(table.select(terms.sum() + pl.sum_horizontal(codes)).collect().item())


# The report

TASKS: dict[str, Callable[[Path], Cost]] = {
    task.__name__: task
    for task in (
        counts_kernel,
        counts_pandas,
        distinct_kernel,
        distinct_pandas,
        vectors_kernel,
        vectors_online,
        tables_polars,
        tables_duckdb,
    )
}


class Run(NamedTuple):
    """What one process cost: CPU seconds and peak memory in MiB."""

    cost: Cost
    peak: float


def in_own_process(task: str, folder: Path) -> Run:
    """Run a task alone, with one thread on one core."""
    command = [sys.executable, __file__, "--task", task, "--folder", str(folder)]
    environment = os.environ | dict.fromkeys(ONE_THREAD, "1")
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    cost, peak = json.loads(done.stdout)
    return Run(Cost(*cost), peak)


def spread(values: list[float], unit: str, digits: int = 2) -> str:
    """Median and range."""
    return f"{statistics.median(values):,.{digits}f} {unit} ({min(values):,.{digits}f} – {max(values):,.{digits}f})"


def report(runs: dict[str, list[Run]], command: str, n: int) -> str:
    """The measurements as Markdown."""
    seconds = {task: [run.cost.seconds for run in of_task] for task, of_task in runs.items()}
    per_click = {task: [run.cost.seconds / run.cost.clicks for run in of_task] for task, of_task in runs.items()}
    middle = {task: statistics.median(times) for task, times in per_click.items()}
    peak = {task: statistics.median([run.peak for run in of_task]) for task, of_task in runs.items()}
    cost = {task: of_task[0].cost for task, of_task in runs.items()}
    extrapolated = [n * one for one in per_click["distinct_pandas"]]
    engine, other = sorted(("polars", "duckdb"), key=lambda name: middle[f"tables_{name}"])
    repeats, sampled = len(runs["counts_kernel"]), cost["distinct_pandas"].clicks
    held = cost["counts_kernel"].check / cost["counts_pandas"].check
    return f"""# Features of {n:,} clicks

    {command}

{machine()}
{repeats} repeats, each a process of its own on one core with one thread; CPU seconds, median (range).
Data: {n:,} synthetic clicks of one day, seed {SEED}; {n // 10:,} users, of whom user k clicks in proportion to
1 / (k + 20); fifty gateways with a tenth of the clicks.

## Trailing counts and distinct members

| | kernel | pandas | kernel is faster by |
|---|---|---|---|
| eight trailing counts (user and IP; 1 min, 10 min, 1 h, 1 d) | {spread(seconds["counts_kernel"], "s")} | \
{spread(seconds["counts_pandas"], "s")} | **{middle["counts_pandas"] / middle["counts_kernel"]:.0f} ×** |
| five distinct counts (IPs of a user; sessions, users of an IP) | {spread(seconds["distinct_kernel"], "s")} | \
{spread(extrapolated, "s", 0)}, extrapolated | {middle["distinct_pandas"] / middle["distinct_kernel"]:.0f} × |

Both begin with integer codes and times in order of arrival. pandas counts with
`groupby(entity, sort=False).rolling(window, on="time", closed="left").count()` and leaves its answer in the order of
the groups, the kernel brings it back to the order of the clicks. pandas' windows reach back exactly their length, the
kernel's up to one bucket less, so the kernel holds {100 * held:.1f} % of what pandas holds.

pandas has no rolling distinct count: it applies `np.unique` to each window, here for one user and one IP in
{ENTITIES_PER_SAMPLED} with all their clicks ({sampled:,} on the average of the five), extrapolated to {n:,} in proportion.

## All 23 features

| | per click | in all |
|---|---|---|
| batch (`features`, from the raw columns) | {spread([1e6 * t for t in per_click["vectors_kernel"]], "µs")} | \
{spread(seconds["vectors_kernel"], "s")} for {cost["vectors_kernel"].clicks:,} |
| online (`MemoryCounters.observe`, one by one) | {spread([1e6 * t for t in per_click["vectors_online"]], "µs", 1)} | \
{spread(seconds["vectors_online"], "s")} for {cost["vectors_online"].clicks:,} |

## The engine for tables

The table work of a day: read Parquet, keep each click id once, sort by arrival, encode users, sessions and IPs as dense
integers, join the first purchase, write Parquet (zstd). Both write the same rows in the same order.

| | CPU | peak memory |
|---|---|---|
| Polars {version("polars")} | {spread(seconds["tables_polars"], "s")} | {peak["tables_polars"]:,.0f} MiB |
| DuckDB {version("duckdb")} | {spread(seconds["tables_duckdb"], "s")} | {peak["tables_duckdb"]:,.0f} MiB |

{NAMES[engine]} takes {middle[f"tables_{engine}"] / middle[f"tables_{other}"]:.2f} of the time of {NAMES[other]} and \
{peak[f"tables_{engine}"] / peak[f"tables_{other}"]:.2f} of its memory.
"""


def machine() -> str:
    """The processor, how busy it is, and the versions that matter."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    model = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.processor())
    packages = ", ".join(f"{name} {version(name)}" for name in ("numpy", "polars", "duckdb", "pandas"))
    return (
        f"{model}, {os.cpu_count()} cores, load average {os.getloadavg()[1]:.1f} with this; "
        f"{platform.system()}, Python {platform.python_version()}, {packages}."
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clicks", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".md"))
    parser.add_argument("--task", choices=TASKS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.task:
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
        cost = TASKS[options.task](options.folder)
        print(json.dumps([cost, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024]))
        return
    runs: dict[str, list[Run]] = {task: [] for task in TASKS}
    with tempfile.TemporaryDirectory() as scratch:
        write_day(Path(scratch), options.clicks)
        for repeat in range(options.repeats):  # round by round, so that a busy minute touches every task
            for task, found in runs.items():
                found.append(in_own_process(task, Path(scratch)))
                print(f"{repeat + 1}/{options.repeats} {task} {found[-1].cost.seconds:.2f} s", file=sys.stderr)
    assert len({run.cost.check for engine in NAMES for run in runs[f"tables_{engine}"]}) == 1, "the engines disagree"
    command = f"python benchmarks/features.py --clicks {options.clicks} --repeats {options.repeats}"
    options.out.write_text(report(runs, command, options.clicks))


if __name__ == "__main__":
    main()
