"""Solve the programme to a gap that is proven: relax, make patterns, choose among them, and bound.

A large programme is more than HiGHS settles in half a minute by itself. But given prices of pools it falls apart into
services and weeks, whose good mixes can be written down (`patterns`): one is chosen for each (`choose`), and single
instances are exchanged while that saves (`settle`). By the same prices the best of every service and week bound what
any fleet costs (`bound`): the gap is to that, never to the choice among patterns. What time is left goes to HiGHS, with
the programme as it stands: of a small one it finds the best.
"""

import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from headgate.domains.capacity.orders import programme
from headgate.domains.capacity.orders.bound import lower_bound
from headgate.domains.capacity.orders.choose import choose_patterns
from headgate.domains.capacity.orders.local_search import reserved, search
from headgate.domains.capacity.orders.patterns import patterns
from headgate.domains.capacity.orders.problem import Problem
from headgate.domains.capacity.orders.programme import Relaxed
from headgate.domains.capacity.orders.shortage import expected
from headgate.errors import DataRefused, HeadgateError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Solved:
    """A fleet in whole instances, what it costs, and how far from the best it can be."""

    instances: Ints  # [C, T]
    begun: Ints  # [P, T]
    cost: float
    bound: float
    relaxed: Relaxed
    seconds: float

    @property
    def gap(self) -> float:
        """How much of the cost a better plan could save at most."""
        return max(0.0, 1 - self.bound / self.cost) if self.cost > 0 else 0.0


def solve_problem(case: Problem, gap: float = 0.01, seconds: float = 30.0) -> Solved:
    """The cheapest fleet within `gap`, or the best that was found in about `seconds`.

    Raises DataRefused that names the limits in the way where there is no plan, HeadgateError where none was found.
    """
    began = time.monotonic()

    def left() -> float:
        return max(1.0, seconds - (time.monotonic() - began))

    relaxed = programme.relax(case)
    refuse_broken(case, relaxed.broken)
    least, found = relaxed.cost, None  # instances, lots, cost
    mixes = patterns(case, relaxed)
    x, begun = search(case, *choose_patterns(case, mixes))
    if whole(case, x, begun):
        found = (x, begun, cost(case, x, begun))
        if least < (1 - gap) * found[2]:
            least = max(least, lower_bound(case, mixes, relaxed.price))
    if found is None or least < (1 - gap) * found[2]:
        other_x, other_begun, proven = programme.exactly(case, gap, left())
        least = max(least, proven if np.isfinite(proven) else 0.0)
        if other_x is not None and other_begun is not None and whole(case, other_x, other_begun):
            other = (other_x, other_begun, cost(case, other_x, other_begun))
            found = other if found is None or other[2] < found[2] else found
    if found is None:
        raise HeadgateError(
            f"No plan was found in {seconds:.0f} s: give more with --seconds, or loosen ramps or quotas."
        )
    return Solved(*found, least, relaxed, time.monotonic() - began)


def refuse_broken(case: Problem, broken: dict[str, Floats]) -> None:
    """Raise DataRefused in words where limits had to be broken."""
    words = []
    for name, by in broken.items():
        for row in np.flatnonzero(by.max(axis=1, initial=0.0) > 1e-4):
            week = int(by[row].argmax())
            worst, skip = by[row, week], len(case.weeks) - by.shape[1]
            where = case.limits[row].name if name == "quota" else " in ".join(reversed(case.pools[row]))
            what = {"quota": "vCPUs to the quota of", "add": "instances a week to the ramp up of"}
            to = what.get(name, "instances a week to the ramp down of")
            words.append(f"{worst:,.0f} {to} {where} (week of {case.weeks[week + skip]})")
    if words:
        more = f", and {len(words) - 4} more" if len(words) > 4 else ""
        raise DataRefused(
            f"No fleet keeps every floor within these limits. It lacks {'; '.join(words[:4])}{more}. "
            "Ask for a higher quota, loosen the ramp, or lower a floor."
        )


def cost(case: Problem, instances: Ints | Floats, begun: Ints | Floats) -> float:
    """What a fleet costs, missing units included."""
    extra = np.maximum(0.0, case.pooled @ instances - reserved(case, begun))
    there = (case.beginning * begun).sum() + case.reserved @ case.held.sum(axis=1)
    return float(
        there + case.on_demand @ extra.sum(axis=1) + case.missing @ expected(case, case.carried @ instances).sum(1)
    )


def whole(case: Problem, instances: Ints | Floats, begun: Ints | Floats) -> bool:
    """Whether a fleet of whole instances keeps quotas, ramps and floors."""
    running, there = case.pooled @ instances, reserved(case, begun)
    used = np.maximum(running, there)
    if (case.used @ used > case.allowed[:, None] + 1e-6).any():
        return False
    steps = np.diff(running if case.running is None else np.column_stack([case.running, running]), axis=1)
    add, remove = case.ramps
    if (steps > add[:, None] + 1e-6).any() or (-steps > remove[:, None] + 1e-6).any():
        return False
    rows = case.floor[[s for s, _ in case.lost]] if case.lost else np.zeros((0, len(case.weeks)))
    return bool((case.left @ instances >= rows * (1 - 1e-9) - 1e-9).all())
