"""A lower bound of what any fleet costs, from prices: what each service and week costs at least by itself.

Where every instance that runs has a price, whatever the fleet does with it, two problems remain that no row ties any
more: what instances cost the fleet beyond their prices, a small linear programme; and, for every service and week, the
cheapest mix in whole instances. For any prices their sum is at most the cost of the best fleet (Geoffrion, "Lagrangean
relaxation for integer programming", 1974). So what whole instances cost more than parts of them is in it.

The cheapest mixes are exact. A unit of capacity in a zone costs at least ρ, with its best type; a mix that costs k and
carries c has an excess of k - ρ·c over that. Only those mixes matter whose excess, on top of what parts of instances
would cost, still leaves them cheaper than a mix that is known: of each zone some ten.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from headgate.calibration.budget import cvxpy
from headgate.domains.capacity.orders import programme
from headgate.domains.capacity.orders.choose import missing_cost
from headgate.domains.capacity.orders.patterns import Patterns
from headgate.domains.capacity.orders.problem import Problem
from headgate.domains.capacity.orders.shortage import worst

Floats = NDArray[np.float64]

#: Mixes that are looked at together at most. A service and week with more counts with what parts of instances cost.
MOST = 300_000


def lower_bound(case: Problem, found: Patterns, price: Floats) -> float:
    """The lower bound at prices [P, T] of an instance that runs; the patterns that were found are known mixes."""
    price = np.maximum(price, 0.0)
    known = np.full((len(case.services), len(case.weeks)), np.inf)
    paid = (found.counts * price[:, found.week].T).sum(axis=1) + missing_cost(case, found)
    np.minimum.at(known, (found.service, found.week), paid)
    drawn = worst(case)
    total = _beyond(case, price)
    for s in range(len(case.services)):
        cells = [np.flatnonzero((case.service == s) & (case.cell_zone == z)) for z in range(len(case.fleet.zones))]
        for t in range(len(case.weeks)):
            there = [mine[~case.unborn[case.pool[mine], t]] for mine in cells]
            zones = tuple(_Zone(case.units[mine], price[case.pool[mine], t]) for mine in there if len(mine))
            block = _Block(zones, float(case.floor[s, t]), float(case.missing[s]), -drawn[:, s, t])
            total += block.cheapest(float(known[s, t]))
    return total


def _beyond(case: Problem, price: Floats) -> float:
    """What instances cost the fleet beyond their prices, at least."""
    cp = cvxpy()
    running = cp.Variable(price.shape, nonneg=True)
    shared = programme.pools(case, running, whole=False)
    most = 1e3 * (1 + float(case.need.max()) / float(case.units.min()))  # of a pool, more than any fleet has
    problem = cp.Problem(
        cp.Minimize(shared.cost - programme.summed(running, price)), [*shared.rows.values(), running <= most]
    )
    programme.solve(problem)
    return float(problem.value)


@dataclass(frozen=True)
class _Zone:
    """The types that a service may run on in a zone: what each carries, and its price."""

    units: Floats
    price: Floats

    @cached_property
    def best(self) -> float:
        """ρ, what a unit costs at least."""
        return float((self.price / self.units).min())


@dataclass(frozen=True)
class _Mixes:
    """Mixes [n] in some zones: their units, those of the zone that carries most, and their cost."""

    units: Floats
    largest: Floats
    cost: Floats

    def where(self, kept: NDArray[np.bool_]) -> "_Mixes":
        return _Mixes(self.units[kept], self.largest[kept], self.cost[kept])

    def beside(self, other: "_Mixes") -> "_Mixes":
        """Each of these with each of another zone."""
        return _Mixes(
            np.add.outer(self.units, other.units).ravel(),
            np.maximum.outer(self.largest, other.largest).ravel(),
            np.add.outer(self.cost, other.cost).ravel(),
        )


@dataclass(frozen=True)
class _Block:
    """A service in a week: capacity that is left, whichever zone is lost, keeps its floor; what is missing is paid."""

    zones: tuple[_Zone, ...]
    floor: float
    missing: float  # price of a unit
    drawn: Floats  # the scenarios of the need, rising and negative, as searchsorted wants them

    def cheapest(self, known: float) -> float:
        """The cost of the cheapest mix, `known` or less; less than that where there are too many to look at."""
        if not self.zones:
            return float(self._short(np.zeros(1))[0])
        least = self._least()
        if not np.isfinite(known):
            return least
        most = known + 1e-9 * abs(known)
        joined = _Mixes(*np.zeros((3, 1)))
        for number in range(len(self.zones)):
            mixes = self._of_zone(number, most, most - least)
            if mixes is None or len(mixes.units) * len(joined.units) > MOST:
                return least
            joined = joined.beside(mixes)
            if others := self.zones[number + 1 :]:
                rate = min(zone.best for zone in others)
                total = np.maximum(joined.units, self.floor + joined.largest) * (1 - 1e-9)
                joined = joined.where(joined.cost - rate * joined.units + self._at_least(rate, total) <= most)
        fine = joined.where(joined.units - joined.largest >= self.floor * (1 - 1e-9))
        return float((fine.cost + self._short(fine.units)).min(initial=known))

    def _least(self) -> float:
        """What the service costs at least, in parts of instances."""
        n, rate = len(self.zones), min(zone.best for zone in self.zones)
        return float(self._at_least(rate, np.array([self.floor * n / max(n - 1, 1)]))[0])

    def _of_zone(self, number: int, most: float, allowed: float) -> _Mixes | None:
        """What a zone can have in a mix that costs `most`, less what costs no less than what carries more; None where
        that is too many."""
        zone = self.zones[number]
        enough = max(self.floor, float(-self.drawn[0]))  # more units in a zone are of no use to anybody
        units, cost = np.zeros((2, 1))
        for each, price in zip(zone.units, zone.price, strict=True):
            count = np.arange(1 + int(np.ceil(enough / each)))
            count = count[count * (price - zone.best * each) <= allowed]
            if len(count) * len(units) > MOST:
                return None
            units = np.add.outer(units, count * each).ravel()
            cost = np.add.outer(cost, count * price).ravel()
            kept = np.flatnonzero((cost - zone.best * units <= allowed) & (units < enough + zone.units.max()))
            order = kept[np.lexsort((cost[kept], -units[kept]))]
            cheaper = cost[order] < np.minimum.accumulate(np.concatenate([[np.inf], cost[order]]))[:-1]
            units, cost = units[order[cheaper]], cost[order[cheaper]]
        return _Mixes(units, units, cost).where(cost - zone.best * units + self._with(number, units) <= most)

    def _with(self, number: int, units: Floats) -> Floats:
        """What the service costs at least [n], in parts of instances, where a zone carries `units` [n]."""
        n, best = len(self.zones), self.zones[number].best
        if n == 1:  # and so no floor
            return np.asarray(best * units + self._short(units))
        # all but this zone keep the floor; and each other zone carries at most all less the floor
        total = np.maximum(units + self.floor, self.floor * n / (n - 1))
        if n > 2:
            total = np.maximum(total, ((n - 1) * self.floor - units) / (n - 2))
        other = min(zone.best for i, zone in enumerate(self.zones) if i != number)
        return np.asarray((best - other) * units + self._at_least(other, total * (1 - 1e-9)))

    def _at_least(self, rate: float, total: Floats) -> Floats:
        """The least cost of `total` units [n] or more, at `rate` a unit, and of what is missing."""
        # one more unit pays while so many scenarios, of all, need it that what they miss costs more
        dear = len(self.drawn) if not self.missing else int(min(rate * len(self.drawn) / self.missing, len(self.drawn)))
        enough = -self.drawn[dear] if dear < len(self.drawn) else 0.0
        total = np.maximum(total, enough)
        return np.asarray(rate * total + self._short(total))

    def _short(self, capacity: Floats) -> Floats:
        """What missing units cost at capacities [n]."""
        more = np.searchsorted(self.drawn, -capacity)
        return np.asarray(self.missing * (self._total[more] + more * -capacity) / len(self.drawn))

    @cached_property
    def _total(self) -> Floats:
        """The sum of the n largest needs."""
        return np.concatenate([[0.0], np.cumsum(-self.drawn)])
