"""Whole numbers of instances for one service and one week: the few mixes that are worth considering.

Given what an instance of each pool costs (the relaxation's duals), a zone's cheapest mix of types for at least c units
is read off a frontier: many of the type with the best price a unit, and every combination of up to `REACH` others.
Zones are then joined so that the loss of any one leaves enough: at most one zone lies below its even share, and the
others make up for it. With three zones that is every case; with more it is the common one.
"""

from dataclasses import dataclass
from functools import cache
from itertools import combinations_with_replacement

import numpy as np
from numpy.typing import NDArray

from headgate.domains.capacity.orders.problem import Problem
from headgate.domains.capacity.orders.programme import Relaxed

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

#: Combinations of types on top of the best at most, and how many instances they have at most.
COMBINATIONS, REACH = 1000, 6

#: Price lists that are a little off, so that mixes differ, and by how much.
LISTS, SPREAD = 2, 0.04


@dataclass(frozen=True)
class Patterns:
    """n mixes: of service `service[i]` in week `week[i]`, `counts[i]` instances in each pool [P]."""

    service: Ints
    week: Ints
    counts: Ints  # [n, P]


@dataclass(frozen=True)
class _Frontier:
    """Of a zone: the cheapest mix for at least `capacity[i]` units costs `cost[i]` and is `mixes[mix[i]]`."""

    capacity: Floats  # [m], sorted
    cost: Floats
    mix: Ints
    mixes: Ints  # [m, types]

    def at(self, least: Floats) -> Ints:
        """The place of the cheapest mix for so many units [n]; the largest that there is where none has as many."""
        return np.minimum(np.searchsorted(self.capacity, least - 1e-9), len(self.capacity) - 1)

    def price(self, least: Floats) -> Floats:
        """What so many units [n] cost; infinitely much where no mix has as many."""
        return np.where(least - 1e-9 <= self.capacity[-1], self.cost[self.at(least)], np.inf)


def patterns(case: Problem, relaxed: Relaxed, seed: int = 0) -> Patterns:
    """Mixes for every service and week, at the relaxation's prices and at lists near them."""
    random = np.random.default_rng(seed)
    own = np.maximum(relaxed.price, 1e-3 * case.on_demand[:, None])
    lists = [own * np.exp(random.normal(0, SPREAD, own.shape)) for _ in range(LISTS)]
    lists += [np.broadcast_to(one[:, None], own.shape) for one in (case.on_demand, case.vcpus)]  # what quotas count too
    total = case.carried @ relaxed.instances
    found: dict[tuple[int, int, bytes], Ints] = {}
    for s, name in enumerate(case.services):
        zones = len(case.fleet.regions[case.fleet.services[name].region])
        cells = [np.flatnonzero((case.service == s) & (case.cell_zone == z)) for z in range(len(case.fleet.zones))]
        cells = [one for one in cells if len(one)]
        for t in range(len(case.weeks)):
            floor = case.floor[s, t]
            even = total[s, t] * max(zones - 1, 1) / zones
            for number, prices in enumerate([own, *lists]):
                for target in {max(floor, even), floor}:
                    for mix in _mixes(case, cells, t, prices[:, t], target, 1 if number else 4):
                        if _left(case, cells, mix) >= floor * (1 - 1e-9):
                            found.setdefault((s, t, mix.tobytes()), mix)
    keys = list(found)
    return Patterns(np.array([k[0] for k in keys]), np.array([k[1] for k in keys]), np.array(list(found.values())))


def _mixes(case: Problem, cells: list[Ints], t: int, price: Floats, target: float, keep: int) -> list[Ints]:
    """The `keep` cheapest ways [P] to have `target` units left when any zone of `cells` is lost."""
    n = len(cells)
    even = target / max(n - 1, 1)
    zones = [_frontier(case, mine, t, price, even) for mine in cells]
    joined = [(sum(float(one.price(np.array([even]))[0]) for one in zones), [float(even)] * n)]
    for low, zone in enumerate(zones if n > 2 else []):
        below = zone.capacity[np.unique(zone.at(np.linspace(0.0, even, 1 + 8 * len(cells[low]))))]
        below = below[below < even]
        others = (target - below) / (n - 2)
        cost = zone.price(below)
        for other, one in enumerate(zones):
            if other != low:
                cost = cost + one.price(others)
        for i in np.argsort(cost)[:keep]:
            joined.append((float(cost[i]), [float(below[i]) if z == low else float(others[i]) for z in range(n)]))
    answer = []
    for _, least in sorted(joined)[:keep]:
        mix = np.zeros(len(case.pools), np.int64)
        for mine, one, units in zip(cells, zones, least, strict=True):
            mix[case.pool[mine]] = one.mixes[one.mix[one.at(np.array([units]))[0]]]
        answer.append(mix)
    return answer


def _frontier(case: Problem, cells: Ints, t: int, price: Floats, around: float) -> _Frontier:
    """The cheapest mixes of a service in a zone, for about so many units."""
    units = case.units[cells]
    there = ~case.unborn[case.pool[cells], t]
    cost = np.where(there, price[case.pool[cells]], np.inf)
    best = int(np.argmin(cost / units))
    mixes = _combinations(len(cells))
    mixes = mixes[~mixes[:, ~there].any(axis=1)].copy()
    mixes[:, best] += max(0, int(around / units[best]) - REACH + 2)
    capacity = mixes @ units
    order = np.argsort(capacity, kind="stable")
    dear = mixes[order] @ np.where(there, cost, 0.0)
    least = np.minimum.accumulate(dear[::-1])[::-1]
    place = np.where(dear <= least, np.arange(len(dear)), len(dear))
    return _Frontier(capacity[order], least, order[np.minimum.accumulate(place[::-1])[::-1]], mixes)


def _left(case: Problem, cells: list[Ints], mix: Ints) -> float:
    """What a mix carries when its largest zone is lost; all where there is one zone."""
    each = [float(case.units[mine] @ mix[case.pool[mine]]) for mine in cells]
    return sum(each) - (max(each) if len(each) > 1 else 0.0)


@cache
def _combinations(types: int) -> Ints:
    """Combinations [m, types] of a few instances: all of a size while they are few, then more of one type alone."""
    rows = [np.zeros(types, np.int64)]
    for size in range(1, REACH + 1):
        more = [np.bincount(one, minlength=types) for one in combinations_with_replacement(range(types), size)]
        rows += more if len(rows) + len(more) <= COMBINATIONS else list(size * np.eye(types, dtype=np.int64))
    return np.array(rows)
