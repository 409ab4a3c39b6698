"""Game days: is the breaking rate that they find that of a slow sweep?

    python benchmarks/gameday.py [--quick] [--days 5] [--repeats 10] [--seconds 5] [--objective p99=50ms] [--out FILE]

A real `headgate serve adclicks` with a champion of the real net's shape and a real Redis. Each game day (its search,
with a seed of its own) stands between two halves of a slow sweep, since a machine changes its speed by the minute: a
grid of rates from 30 % below the first game day's to 30 % above it in steps of 5 %, each repeated, in random order. A
sweep's breaking rate is its own: where the share of steps that break, made monotonous in the rate by isotonic
regression, crosses one half. Run it on a machine that does nothing else.
"""

import argparse
import os
import platform
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from headgate.load.limit import Found, search
from headgate.load.objective import Judged, objective
from headgate.load.target import Target
from headgate.load.trial import Trial

#: The sweep goes so far to either side, in so many steps.
WIDE, GRID = 0.3, 13


@dataclass(frozen=True)
class Sizes:
    days: int = 5
    repeats: int = 10
    seconds: float = 5.0
    within: float = 900.0  # seconds that a game day may search


@dataclass(frozen=True)
class Swept:
    """A step of the sweep."""

    rate: float
    judged: Judged


@dataclass(frozen=True)
class Day:
    """A game day and the sweep around it."""

    found: Found
    seconds: float
    steps: list[Swept]


def day(target: Target, aim: str, sizes: Sizes, seed: int, most: float) -> tuple[Found, float]:
    """A game day's search, and how many seconds it took."""
    began = time.monotonic()
    on = trial(target, aim, sizes, seed)
    on.until = began + sizes.within
    found = search(on.attempt, first=50, most=most)
    return found, time.monotonic() - began


def trial(target: Target, aim: str, sizes: Sizes, seed: int) -> Trial:
    return Trial(target, objective(aim, 0.001, 0.05), sizes.seconds, "gameday:benchmark/", seed)


def sweep(target: Target, aim: str, sizes: Sizes, rates: Sequence[float], seed: int) -> list[Swept]:
    """Every rate once, in random order."""
    on = trial(target, aim, sizes, seed)
    order = np.random.default_rng(seed).permutation(rates)
    return [Swept(float(rate), on.attempt(float(rate))) for rate in order]


def breaking(steps: Sequence[Swept]) -> float:
    """Where the share of steps that break, never falling with the rate, crosses one half; straight between rates."""
    from sklearn.isotonic import IsotonicRegression

    rates = np.array([step.rate for step in steps])
    grid = np.unique(rates)
    share = IsotonicRegression(y_min=0, y_max=1).fit(rates, [bool(step.judged.why) for step in steps]).predict(grid)
    if share[0] >= 0.5 or share[-1] < 0.5:
        return float("nan")  # the grid does not hold it
    above = int(np.argmax(share >= 0.5))
    part = (0.5 - share[above - 1]) / (share[above] - share[above - 1])
    return float(grid[above - 1] + part * (grid[above] - grid[above - 1]))


def interval(steps: Sequence[Swept], repeats: int) -> tuple[float, float]:
    """90 % of the breaking rates of sweeps whose repetitions are drawn anew."""
    random = np.random.default_rng(0)
    passes = [steps[n * GRID : (n + 1) * GRID] for n in range(repeats)]
    drawn = [breaking([step for n in random.integers(repeats, size=repeats) for step in passes[n]]) for _ in range(500)]
    if np.isnan(drawn).all():
        return float("nan"), float("nan")
    low, high = np.nanquantile(drawn, (0.05, 0.95))
    return float(low), float(high)


def table(steps: Sequence[Swept]) -> list[str]:
    lines = ["| rate | broke | median of the quantile, ms | given by default |", "|---|---|---|---|"]
    for rate in np.unique([step.rate for step in steps]):
        mine = [step.judged for step in steps if step.rate == rate]
        middle = np.median([1000 * one.latency for one in mine])
        by_default = np.mean([one.by_default for one in mine])
        broke = sum(bool(one.why) for one in mine)
        lines.append(f"| {rate:,.0f}/s | {broke} of {len(mine)} | {middle:,.0f} | {by_default:.1%} |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a few minutes: to see that everything runs")
    parser.add_argument("--days", type=int, help="game days")
    parser.add_argument("--repeats", type=int, help="of each rate of the sweep")
    parser.add_argument("--seconds", type=float, help="of a step")
    parser.add_argument("--objective", default="p99=50ms")
    parser.add_argument("--deadline-ms", default="100", help="Redis's; the machine's own noise is no limit of adclicks")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".md"))
    asked = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    from peers.serving import rig
    from peers.serving.state import state

    sizes = Sizes(days=2, repeats=3, seconds=1.0, within=120.0) if asked.quick else Sizes()
    given = {name: value for name in ("days", "repeats", "seconds") if (value := getattr(asked, name))}
    sizes = replace(sizes, **given)
    days: list[Day] = []
    with state() as at, rig.redis() as (_, url):
        more = {"HEADGATE_REDIS": url, "HEADGATE_REDIS_DEADLINE_MS": asked.deadline_ms}
        with rig.headgate(at.folder, more) as server:
            target = Target(server.address)
            rate = day(target, asked.objective, sizes, 1, 20_000)[0].rate  # tells where to sweep, and counts no more
            rates = rate * np.linspace(1 - WIDE, 1 + WIDE, GRID)
            say(f"about {rate:,.0f}/s")
            for n in range(sizes.days):
                steps = sweep(target, asked.objective, sizes, rates, 1000 * n + 100)
                found, seconds = day(target, asked.objective, sizes, 1000 * n + 11, 20_000)
                for m in range(1, sizes.repeats):
                    steps += sweep(target, asked.objective, sizes, rates, 1000 * n + 100 + m)
                days.append(Day(found, seconds, steps))
                say(f"game day {n + 1}: {found.rate:,.0f}/s in {seconds:.0f} s, the sweep {breaking(steps):,.0f}/s")
    asked.out.write_text("\n".join(report(days, sizes, asked.objective, asked.quick)) + "\n")


def report(days: Sequence[Day], sizes: Sizes, aim: str, quick: bool) -> list[str]:
    ratios = np.array([one.found.rate / breaking(one.steps) for one in days])
    within = int((np.abs(ratios - 1) <= 0.1).sum())
    lines = [
        "# Game days against a slow sweep",
        "",
        f"    python benchmarks/gameday.py {' '.join(sys.argv[1:])}".rstrip(),
        "",
        f"{platform.machine()}, {os.cpu_count()} cores; Python {platform.python_version()}. One worker of `headgate serve "
        f"adclicks`, Redis on a socket, the generator on the same cores. Objective {aim}; steps of {sizes.seconds:g} s. A "
        f"sweep: {GRID} rates, each {sizes.repeats} times in random order, before and after its game day; its breaking rate "
        "is where half of the steps break, by isotonic regression, with the 90 % interval of its repetitions drawn anew.",
        "",
        f"**{within} of {len(days)}** game days lie within 10 % of their sweep; the ratios are {np.nanmin(ratios):.3f} to "
        f"{np.nanmax(ratios):.3f}. (nan: the breaking rate of a sweep lay outside its grid.)",
        "",
        *(["A quick run, on a machine that others used: it tells only that everything runs.", ""] if quick else []),
        "| game day | breaking rate | its sweep's | ratio | kept up to | broken from | steps | seconds | ended by |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for number, (one, ratio) in enumerate(zip(days, ratios, strict=True), 1):
        low, high = interval(one.steps, sizes.repeats)
        lines.append(
            f"| {number} | {one.found.rate:,.0f}/s | {breaking(one.steps):,.0f}/s ({low:,.0f} – {high:,.0f}) | {ratio:.3f} | "
            f"{one.found.high:,.0f} | {one.found.low:,.0f} | {len(one.found.steps)} | {one.seconds:.0f} | "
            f"{one.found.limited} |"
        )
    return [*lines, "", "All sweeps together:", "", *table([step for one in days for step in one.steps])]


def say(words: str) -> None:
    print(words, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
