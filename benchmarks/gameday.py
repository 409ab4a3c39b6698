"""Game days: is the breaking rate that they find that of a slow sweep?

    python benchmarks/gameday.py [--quick] [--days 3] [--between 3] [--seconds 4] [--objective p95=100ms] [--out FILE]

A real `headgate serve adclicks` with a champion of the real net's shape, counters in memory. It has a core of its own,
and the generator another: where they share cores, or the server shares them with a Redis, the limit is that of all
together. A machine in a cloud changes its speed by the minute, by a factor of two at times. So a game day (its search,
with a seed of its own) and the slow sweep take turns: between two steps of the search lie some of the sweep, and both
meet the same machine. The sweep tries a grid of rates from half of what a first game day found to 1.7 times it, 8 %
apart, in random order over and over; its breaking rate is where the share of steps that break, made monotonous in the
rate by isotonic regression, crosses one half. Run it on a machine that does nothing else.
"""

import argparse
import os
import platform
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from headgate.contract.requests import Target
from headgate.domain import get_domain
from headgate.errors import HeadgateError
from headgate.load.limit import Found, search
from headgate.load.objective import Judged, read_objective
from headgate.load.trial import Trial

#: The sweep goes from and to these multiples of what a first game day found, in so many steps.
LOW, HIGH, GRID = 0.5, 1.7, 16


@dataclass(frozen=True)
class Sizes:
    days: int = 3
    between: int = 3  # steps of the sweep between two of the game day
    seconds: float = 4.0


@dataclass(frozen=True)
class Swept:
    """A step of the sweep."""

    rate: float
    judged: Judged


@dataclass(frozen=True)
class Day:
    """A game day and the sweep that took turns with it."""

    found: Found
    seconds: float
    steps: list[Swept]

    @property
    def ratio(self) -> float:
        """The rate that was found, over the sweep's; NaN where the target's limit was not found."""
        return self.found.rate / breaking(self.steps) if self.found.limited == "target" else float("nan")


REQUESTS = get_domain("adclicks").requests
assert REQUESTS is not None


@contextmanager
def on_core(core: int) -> Iterator[None]:
    """What is started meanwhile runs on one of the cores that we may use, and so do we."""
    before = os.sched_getaffinity(0)
    if len(before) < 2:
        raise HeadgateError("This needs two cores, one for the server and one for the generator.")
    os.sched_setaffinity(0, {sorted(before)[core]})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def day(target: Target, aim: str, sizes: Sizes, rates: NDArray[np.float64], seed: int, most: float) -> Day:
    """A game day's search; between its steps those of a sweep over `rates`, if there are any."""
    began, random, steps = time.monotonic(), np.random.default_rng(seed), list[Swept]()
    on = Trial(REQUESTS, target, read_objective(aim, 0.001, 0.05), sizes.seconds, "gameday:benchmark/", seed)
    order = (float(rate) for _ in count() for rate in random.permutation(rates))

    def attempt(rate: float) -> Judged:
        for _ in range(sizes.between if len(rates) else 0):
            other = next(order)
            steps.append(Swept(other, on.attempt(other)))
        return on.attempt(rate)

    return Day(search(attempt, first=200, most=most), time.monotonic() - began, steps)


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


def interval(steps: Sequence[Swept]) -> tuple[float, float]:
    """90 % of the breaking rates of sweeps whose passes over the grid are drawn anew."""
    random = np.random.default_rng(0)
    passes = [steps[n : n + GRID] for n in range(0, len(steps), GRID)]
    drawn = [
        breaking([step for n in random.integers(len(passes), size=len(passes)) for step in passes[n]])
        for _ in range(500)
    ]
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
    parser.add_argument("--between", type=int, help="steps of the sweep between two of a game day")
    parser.add_argument("--seconds", type=float, help="of a step")
    parser.add_argument("--objective", default="p95=100ms")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".md"))
    asked = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    from peers.serving import rig
    from peers.serving.state import state

    sizes = Sizes(days=1, between=2, seconds=1.0) if asked.quick else Sizes()
    given = {name: value for name in ("days", "between", "seconds") if (value := getattr(asked, name))}
    sizes = replace(sizes, **given)
    days: list[Day] = []
    with state() as at, ExitStack() as stack:
        with on_core(0):
            server = stack.enter_context(rig.headgate(at.folder, {}))
        stack.enter_context(on_core(1))
        target = Target(server.address, "/v1/adclicks/decisions")
        first = day(target, asked.objective, sizes, np.empty(0), 1, 20_000)  # tells where to sweep, and counts no more
        say(f"about {first.found.rate:,.0f}/s in {first.seconds:.0f} s")
        rates = first.found.rate * np.geomspace(LOW, HIGH, GRID)
        for n in range(sizes.days):
            days.append(day(target, asked.objective, sizes, rates, 1000 * n + 11, 20_000))
            say(f"game day {n + 1}: {days[-1].found.rate:,.0f}/s, the sweep {breaking(days[-1].steps):,.0f}/s")
    asked.out.write_text("\n".join(report(days, sizes, asked.objective, asked.quick)) + "\n")


def report(days: Sequence[Day], sizes: Sizes, aim: str, quick: bool) -> list[str]:
    ratios = np.array([one.ratio for one in days])
    within = int((np.abs(ratios - 1) <= 0.1).sum())
    told = f"{np.nanmin(ratios):.3f} to {np.nanmax(ratios):.3f}" if np.isfinite(ratios).any() else "unknown"
    lines = [
        "# Game days against a slow sweep",
        "",
        f"    python benchmarks/gameday.py {' '.join(sys.argv[1:])}".rstrip(),
        "",
        f"{platform.machine()}, {os.cpu_count()} cores; Python {platform.python_version()}. One worker of `headgate serve "
        f"adclicks` on a core of its own with counters in memory, the generator on another. Objective {aim}; steps of "
        f"{sizes.seconds:g} s. Between two steps of a game day lie {sizes.between} of a sweep over {GRID} rates in random "
        "order; its breaking rate is where half of the steps break, by isotonic regression, with the 90 % interval of its "
        "passes over the rates drawn anew.",
        "",
        f"**{within} of {len(days)}** game days lie within 10 % of their sweep; the ratios are {told}. (nan: the breaking "
        "rate of a sweep lay outside its grid, or the game day did not find the target's limit.)",
        "",
        *(["A quick run, on a machine that others used: it tells only that everything runs.", ""] if quick else []),
        "| game day | breaking rate | its sweep's | ratio | kept up to | broken from | steps | of the sweep | ended by |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for number, one in enumerate(days, 1):
        low, high = interval(one.steps)
        lines.append(
            f"| {number} | {one.found.rate:,.0f}/s | {breaking(one.steps):,.0f}/s ({low:,.0f} – {high:,.0f}) | {one.ratio:.3f} | "
            f"{one.found.high:,.0f} | {one.found.low:,.0f} | {len(one.found.steps)} | {len(one.steps)} | "
            f"{one.found.limited} |"
        )
    return [*lines, "", "All sweeps together:", "", *table([step for one in days for step in one.steps])]


def say(words: str) -> None:
    print(words, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
