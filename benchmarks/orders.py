"""Plans of orders: how long the full size takes to 1 %, and a year of plans against "last peak plus 30 %".

    python benchmarks/orders.py [--seeds 3] [--years 1]

writes benchmarks/orders.md. With `--seeds 0` the table of times stays as it is, with `--years 0` the year does. Times want
a machine that does nothing else.
"""

import argparse
import os
import platform
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from headgate import stages
from headgate.domain import Request, get_domain
from headgate.domains.capacity.model.forecaster import Forecaster
from headgate.domains.capacity.orders.check import check_plan
from headgate.domains.capacity.orders.demand import drawn
from headgate.domains.capacity.orders.fleet import Fleet, InstanceType, Quota, Ramp, Service
from headgate.domains.capacity.orders.make import make_plan
from headgate.domains.capacity.orders.placed import read_placed
from headgate.domains.capacity.orders.plans import Forecast
from headgate.domains.capacity.orders.problem import build, mondays
from headgate.domains.capacity.orders.shortage import expected
from headgate.domains.capacity.orders.solve import solve_problem
from headgate.domains.capacity.simulated.simulator import simulate
from headgate.domains.capacity.simulated.sizes import LoadSizes

Floats = NDArray[np.float64]

HERE = Path(__file__).parent
FORECAST = Forecast(version=1, bundle="", ruling="passed", as_of="", calendar="", certified=True, scenarios=200)
SERVICES, WEEKS, SCENARIOS = 50, 13, 200

#: What a hundredth of an instance that is missing for an hour costs in the year: some 160 times what it costs to have.
MISSING = 1.0

#: The heading of the year's section.
YEAR = '## A year against "last peak plus 30 %"'

#: What a load is multiplied with: burst over utilisation, as a fleet file has them unless told.
FACTOR = 1.1 / 0.65


def types(first: date) -> dict[str, InstanceType]:
    """Six types of three families and two generations; the newest of them comes in the sixth week."""
    found = {}
    for family, price, speed in (("m", 0.4032, 1.0), ("c", 0.357, 0.9), ("r", 0.5292, 1.05)):
        for generation in (6, 7):
            dearer = price * (1 + 0.05 * (generation == 7))
            found[f"{family}{generation}i.2xlarge"] = InstanceType(
                family=family,
                generation=generation,
                vcpus=8,
                on_demand=dearer,
                reserved=0.63 * dearer,
                speed=speed * (1 + 0.15 * (generation == 7)),
                lot=4,
                lead_weeks=2,
                commitment_weeks=8,
                first_week=first + timedelta(weeks=5) if (family, generation) == ("r", 7) else None,
            )
    return found


def world(seed: int, median: float) -> tuple[Fleet, np.ndarray[Any, Any]]:
    """50 services, lognormal in size, each with its season; a sale in the eighth week; a tight quota and ramps."""
    random, first = np.random.default_rng(seed), date(2026, 3, 2)
    kinds = types(first)
    size = np.exp(random.normal(np.log(median), 0.8, SERVICES))
    services = {
        f"s{i:02d}": Service(
            series=f"eu/s{i}/requests",
            region="eu",
            units={name: 100 * one.speed * float(np.exp(random.normal(0, 0.08))) for name, one in kinds.items()},
            missing=0.02,
        )
        for i in range(SERVICES)
    }
    season = 1 + 0.25 * np.sin(np.arange(WEEKS) / WEEKS * 2 * np.pi + random.uniform(0, 6, (SERVICES, 1)))
    season[:, 7] *= 1.6
    noise = random.normal(0, 0.12, (SCENARIOS, SERVICES, WEEKS)) + random.normal(0, 0.06, (SCENARIOS, 1, 1))
    need = size[:, None] * 60 * season * np.exp(noise) * 1.1 / 0.65
    vcpus = int(need.mean(0).sum(0).max() * 1.3 / 100 * 8 / 3 * 1.02)
    fleet = Fleet(
        regions={"eu": ["eu-a", "eu-b", "eu-c"]},
        types=kinds,
        services=services,
        quotas=[Quota(family=family, region="eu", vcpus=vcpus) for family in "mcr"],
        ramps={name: Ramp(add=int(10 * median), remove=int(10 * median)) for name in kinds},
    )
    return fleet, need


def full_size(seeds: int) -> list[str]:
    """Rows of the table of times."""
    import cvxpy  # noqa: F401  imported before the clock starts, as a server has it

    rows = []
    for median in (40.0, 15.0):
        for seed in range(seeds):
            fleet, need = world(seed, median)
            began = time.perf_counter()
            plan = make_plan(fleet, mondays(date(2026, 3, 2), WEEKS), need, FORECAST, read_placed([]))
            took = time.perf_counter() - began
            mean = sum(sum(mix.counts) for mix in plan.mixes) / WEEKS
            rows.append(
                f"| {median:.0f} | {seed} | {mean:,.0f} | {took:.1f} | {100 * plan.gap:.2f} % | {len(check_plan(plan, fleet))} |"
            )
            print(rows[-1], flush=True)
    return rows


# ------------------------------------------------------------------------------------------------------------ a year

#: The simulated world of the year: a region's services by the hour, two years that are known before the first quarter.
SERVED, START, KNOWN, QUARTERS, QUARTER = 4, date(2024, 1, 1), 105, 4, 13


def simulated(seed: int, out: Path) -> Floats:
    """Write a world of load to `out`; what came of it: the highest step [S, weeks] of every week, as was measured."""
    weeks = KNOWN + QUARTERS * QUARTER
    simulate(out, LoadSizes(days=7 * weeks, regions=1, services=SERVED, step=3600), seed=seed, start=START)
    points = pl.concat([pl.read_parquet(path) for path in sorted((out / "points").glob("*.parquet"))])
    week = (pl.col("time").dt.date() - START).dt.total_days() // 7
    peaks = points.group_by("series", week.alias("week")).agg(pl.col("value").max()).sort("series", "week")
    return peaks["value"].to_numpy().reshape(SERVED, weeks)


def forecaster(source: Path, day: date, work: Path) -> Forecaster:
    """What Headgate trains and calibrates on all that is known when a day begins, planned events included."""
    capacity, as_of = get_domain("capacity"), datetime(day.year, day.month, day.day, tzinfo=UTC)
    stages.snapshot(capacity, work, Request(str(source), as_of))
    stages.train(capacity, work)
    stages.calibrate(capacity, work)
    return Forecaster(work / "calibrate" / "bundle")


def year(seed: int) -> tuple[list[tuple[str, float, float, float]], str]:
    """Cost, missing unit-hours and both over 52 weeks, of the plan and of the rule; and how good the forecasts were."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "raw"
        came = simulated(seed, source)
        names = sorted(pl.read_csv(source / "series.csv")["series"].to_list())
        # a service of any size runs on some forty instances, so that whole ones matter alike
        units = came[:, :KNOWN].max(axis=1) * FACTOR / 40
        kinds = {n: msgspec.structs.replace(one, first_week=None, lead_weeks=1) for n, one in types(START).items()}
        fleet = Fleet(
            regions={"eu": ["eu-a", "eu-b", "eu-c"]},
            types=kinds,
            services={
                name: Service(series=name, region="eu", units=float(u), missing=MISSING * 100 / float(u), floor=0.8)
                for name, u in zip(names, units, strict=True)
            },
        )
        loads = []
        for quarter in range(QUARTERS):
            days = mondays(START + timedelta(weeks=KNOWN + QUARTER * quarter), QUARTER)
            work = Path(folder) / f"q{quarter}"
            work.mkdir()
            began = time.perf_counter()
            loads.append(drawn(forecaster(source, days[0], work), fleet, days).load.values)
            print(f"seed {seed}, quarter {quarter}: {time.perf_counter() - began:.0f} s", flush=True)
    found = [("plan, by Headgate's forecasts", *bought(fleet, came, lambda quarter, _: loads[quarter] * FACTOR))]
    for memory in (4, 13, 52):
        for margin in (0.0, 0.15, 0.3, 0.45, 0.6, 0.8, 1.0):

            def rule(_: int, first: int, memory: int = memory, margin: float = margin) -> Floats:
                """The highest peak of the weeks before the quarter, plus a margin, in every week of it."""
                last = came[:, first - memory : first].max(axis=1) * (1 + margin)
                return np.broadcast_to((last * FACTOR)[None, :, None], (2, SERVED, QUARTER)).copy()

            found.append((f"last peak of {memory} weeks + {100 * margin:.0f} %", *bought(fleet, came, rule)))
    rows = [(name, spent, missing, spent + MISSING * missing) for name, spent, missing in found]
    said, truth = np.concatenate(loads, axis=2), came[:, KNOWN:]
    middle, high = np.median(said, axis=0), np.quantile(said, 0.95, axis=0)
    words = (
        f"the median of the scenarios was {100 * np.mean(np.abs(middle / truth - 1)):.1f} % off the week's highest step in "
        f"the mean ({100 * np.mean(middle / truth - 1):+.1f} % with its sign), and {100 * np.mean(truth <= high):.0f} % of "
        "weeks came below their 95 % quantile"
    )
    return rows, words


def bought(fleet: Fleet, came: Floats, need_of: Callable[[int, int], Floats]) -> tuple[float, float]:
    """What four plans of a quarter cost, with what each service needs by `need_of(quarter, first week)` [W, S, 13], and
    what was missing in the hours of weekly peaks that came, in hundredths of an instance."""
    spent, missing = 0.0, 0.0
    units = np.array([[one.units] for one in fleet.services.values()], float)
    for quarter in range(QUARTERS):
        first = KNOWN + QUARTER * quarter
        case = build(fleet, mondays(START + timedelta(weeks=first), QUARTER), need_of(quarter, first))
        solved = solve_problem(case, gap=0.01, seconds=3.0)
        capacity = case.carried @ solved.instances
        spent += solved.cost - float(case.missing @ expected(case, capacity).sum(axis=1))
        short = np.maximum(came[:, first : first + QUARTER] * FACTOR - capacity, 0.0) / units * 100
        missing += float(short.sum()) * fleet.shortage.hours / FACTOR
    return spent, missing


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--years", type=int, default=1)
    asked = parser.parse_args()
    import cvxpy
    import highspy

    tables = []
    for seed in range(asked.years):
        began = time.perf_counter()
        rows, words = year(seed)
        plan, usual = rows[0], next(row for row in rows if row[0] == "last peak of 13 weeks + 30 %")
        tuned = min(rows[1:], key=lambda row: row[3])
        lines = ["| | cost | missing unit-hours | cost with what is missing |", "|---|---|---|---|"]
        for row in (plan, usual, tuned, *[r for r in rows[1:] if r[0].endswith("+ 30 %") and r is not usual]):
            name = f"{row[0]} (the best of {len(rows) - 1}, in hindsight)" if row is tuned else row[0]
            lines.append(f"| {name} | {row[1]:,.0f} | {row[2]:,.0f} | {row[3]:,.0f} |")
        words += (
            f". The plan costs {100 * (plan[3] / usual[3] - 1):+.0f} % against {usual[0]}, what is missing included, and "
            f"{100 * (plan[3] / tuned[3] - 1):+.0f} % against the best rule in hindsight"
        )
        took = time.perf_counter() - began
        tables += [f"Seed {seed} ({took:.0f} s): {words}.", "", *lines, ""]
        print("\n".join([words, *lines]), flush=True)
    versions = f"cvxpy {cvxpy.__version__}, highspy {highspy.Highs().version()}, numpy {np.__version__}"
    head, _, rest = (HERE / "orders.md").read_text(encoding="utf-8").partition(f"{YEAR}\n")
    if asked.seeds:
        head = f"""# Orders

`python benchmarks/orders.py --seeds {asked.seeds}` · Python {platform.python_version()}, {versions}, {platform.machine()},
{os.cpu_count()} cores.

## Time to 1 %

{SERVICES} services × 3 zones × 6 types × {WEEKS} weeks, {SCENARIOS} scenarios, a sale in the eighth week under a quota, ramps, lots, lead
times and a type that comes in the sixth week. The first column is the median size of a service in instances. The time holds
everything after reading: relaxation with duals, whole instances, lower bound, and the count of every loss (the last column:
what it found wrong).

| median size | seed | instances | seconds | gap to the bound | faults |
|---|---|---|---|---|---|
{chr(10).join(full_size(asked.seeds))}

"""
    if asked.years:
        rest = f"""
`python benchmarks/orders.py --seeds 0 --years {asked.years}` · a world of `headgate simulate capacity` a seed: {SERVED} services of a region
by the hour from {START} on, with growth, seasons, holidays, two flash sales a month, two large sales a year, and whims of
days and hours that nobody knows. {KNOWN} weeks are known before the first quarter. On the first day of each of {QUARTERS} quarters
Headgate's forecaster is trained and calibrated, with its usual settings, on what is known then, planned events included
(the simulator's sales are known 150 days before); {QUARTER} weeks are planned by its scenarios. Beside it the rule sizes every
week of a quarter for the highest step of the weeks before it plus a margin, knows no calendar, and the same programme then
buys the fleet for it, with the same loss of a zone. What is missing is what the highest hour of each week, as measured,
needs beyond the capacity: for six hours, a hundredth of an instance at 1 an hour. Each plan is looked for three seconds,
which left gaps of two to three per cent to the bound in a trial, for plan and rule alike.

{chr(10).join(tables)}"""
    (HERE / "orders.md").write_text(f"{head}{YEAR}\n{rest}", encoding="utf-8")


if __name__ == "__main__":
    main()
