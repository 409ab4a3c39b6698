"""Plans of orders: how long the full size takes to 1 %, and a year of plans against "last peak plus 30 %".

python benchmarks/orders.py [--seeds 3] [--year]     # writes benchmarks/orders.md
"""

import argparse
import platform
import sys
import time
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from headgate.domains.capacity.orders.case import build, mondays
from headgate.domains.capacity.orders.check import check
from headgate.domains.capacity.orders.fleet import Fleet, InstanceType, Quota, Ramp, Service
from headgate.domains.capacity.orders.make import make
from headgate.domains.capacity.orders.placed import placed
from headgate.domains.capacity.orders.plan import Forecast
from headgate.domains.capacity.orders.solve import Solved, solve

HERE = Path(__file__).parent
FORECAST = Forecast(version=1, bundle="", ruling="passed", as_of="", calendar="", certified=True, scenarios=200)
SERVICES, WEEKS, SCENARIOS = 50, 13, 200

#: What a unit that is missing for an hour costs in the year: about 160 times what a unit of capacity does.
MISSING = 1.0


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
            plan = make(fleet, mondays(date(2026, 3, 2), WEEKS), need, FORECAST, placed([]))
            took = time.perf_counter() - began
            mean = sum(sum(mix.counts) for mix in plan.mixes) / WEEKS
            rows.append(
                f"| {median:.0f} | {seed} | {mean:,.0f} | {took:.1f} | {100 * plan.gap:.2f} % | {len(check(plan, fleet))} |"
            )
            print(rows[-1], flush=True)
    return rows


# ------------------------------------------------------------------------------------------------------------ a year


def truth(seed: int, services: int = 8, weeks: int = 117) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Weekly peaks [S, weeks] that come, and those that people expect who know season, growth and calendar.

    Two years and a quarter: growth, a season of the year, two sales a year that everybody plans, noise that nobody knows.
    """
    random = np.random.default_rng(seed)
    week = np.arange(weeks)
    size = 2000 * np.exp(random.normal(0, 0.7, (services, 1)))
    growth = np.exp(random.uniform(0.05, 0.3, (services, 1)) * week / 52)
    season = 1 + random.uniform(0.05, 0.2, (services, 1)) * np.sin(
        2 * np.pi * week / 52 + random.uniform(0, 6, (services, 1))
    )
    sale = np.where(np.isin(week % 52, (27, 47, 48)), random.uniform(1.4, 2.2, (services, 1)), 1.0)
    known = size * growth * season * sale
    return known * np.exp(random.normal(0, 0.1, known.shape)), known


def year(seed: int) -> list[tuple[str, float, float, float]]:
    """Cost, missing unit-hours and their cost over 52 weeks: the plan, and the rule with every margin and memory."""
    came, known = truth(seed)
    services, first = len(came), 65
    kinds = types(date(2020, 1, 1))
    fleet = Fleet(
        regions={"eu": ["eu-a", "eu-b", "eu-c"]},
        types={name: msgspec.structs.replace(one, first_week=None, lead_weeks=1) for name, one in kinds.items()},
        services={
            f"s{i}": Service(series=f"eu/s{i}/r", region="eu", units=100.0, missing=MISSING) for i in range(services)
        },
    )
    random = np.random.default_rng(seed + 1000)
    factor = 1.1 / 0.65
    found = []

    def run(need_of: Any, floor: float) -> tuple[float, float]:
        """Four plans of a quarter, with what each service needs by `need_of(quarter)` [W, S, 13]."""
        spent, missing = 0.0, 0.0
        mine = msgspec.structs.replace(
            fleet, services={name: msgspec.structs.replace(one, floor=floor) for name, one in fleet.services.items()}
        )
        for quarter in range(4):
            weeks = slice(first + 13 * quarter, first + 13 * quarter + 13)
            case = build(mine, mondays(date(2026, 3, 2), 13), need_of(weeks))
            solved = solve(case, gap=0.01, seconds=8.0)
            spent += solved.cost - float(case.missing @ _planned_missing(case, solved))
            short = np.maximum(came[:, weeks] * factor - case.carried @ solved.instances, 0.0)
            missing += float(short.sum()) * 6 / factor
        return spent, missing

    def scenarios(weeks: slice) -> Any:
        """Expected peaks, with errors as large as those of the truth."""
        return known[:, weeks] * factor * np.exp(random.normal(0, 0.1, (SCENARIOS, services, 13)))

    found.append(("plan, by scenarios", *run(scenarios, 0.8)))
    for memory in (4, 13, 52):
        for margin in (0.0, 0.15, 0.3, 0.45, 0.6, 0.8, 1.0):

            def rule(weeks: slice, memory: int = memory, margin: float = margin) -> Any:
                """The highest peak of the weeks before the quarter, plus a margin, in every week of it."""
                last = came[:, weeks.start - memory : weeks.start].max(axis=1) * (1 + margin)
                return np.broadcast_to((last * factor)[None, :, None], (2, services, 13)).copy()

            # two of three zones carry the floor of 0.8 as with the plan; all three carry the sized peak
            spent, missing = run(rule, 0.8)
            found.append((f"last peak of {memory} weeks + {100 * margin:.0f} %", spent, missing))
    return [(name, spent, missing, spent + MISSING * missing) for name, spent, missing in found]


def _planned_missing(case: Any, solved: Solved) -> Any:
    from headgate.domains.capacity.orders.shortage import expected

    return expected(case, case.carried @ solved.instances).sum(axis=1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--years", type=int, default=1)
    asked = parser.parse_args()
    import cvxpy
    import highspy

    times = full_size(asked.seeds)
    tables = []
    for seed in range(asked.years):
        rows = year(seed)
        plan, usual = rows[0], next(row for row in rows if row[0] == "last peak of 13 weeks + 30 %")
        tuned = min(rows[1:], key=lambda row: row[3])
        lines = ["| | cost | missing unit-hours | cost with what is missing |", "|---|---|---|---|"]
        for row in (plan, usual, tuned, *[r for r in rows[1:] if r[0].endswith("+ 30 %") and r is not usual]):
            name = f"{row[0]} (the best of {len(rows) - 1}, in hindsight)" if row is tuned else row[0]
            lines.append(f"| {name} | {row[1]:,.0f} | {row[2]:,.0f} | {row[3]:,.0f} |")
        tables += [f"Seed {seed}:", "", *lines, ""]
        print("\n".join(lines), flush=True)
    versions = f"cvxpy {cvxpy.__version__}, highspy {highspy.Highs().version()}, numpy {np.__version__}"
    text = f"""# Orders

`python benchmarks/orders.py {" ".join(sys.argv[1:])}` · Python {platform.python_version()}, {versions}, {platform.machine()},
two cores of which another job held one.

## Time to 1 %

{SERVICES} services × 3 zones × 6 types × {WEEKS} weeks, {SCENARIOS} scenarios, a sale in the eighth week under a quota, ramps, lots, lead
times and a type that comes in the sixth week. The first column is the median size of a service in instances. The time holds
everything after reading: relaxation with duals, whole instances, lower bound, and the count of every loss (the last column:
what it found wrong).

| median size | seed | instances | seconds | gap to the bound | faults |
|---|---|---|---|---|---|
{chr(10).join(times)}

## A year against "last peak plus 30 %"

Eight services, 52 weeks, a plan a quarter, simulated truth: growth, season, two sales a year that are in the calendar, and
noise of 10 % a week that nobody knows. Forecasts know all but the noise, which is kind to them: the year says what planning
by scenarios is worth, not how good a forecaster is. The rule sizes every week of a quarter for the highest peak of the weeks
before it plus a margin, and the same programme then buys the fleet for it, with the same loss of a zone.

{chr(10).join(tables)}"""
    (HERE / "orders.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
