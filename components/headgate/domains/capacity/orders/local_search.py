"""Exchange instances for better ones while that saves.

Each service and week in turn may, in one zone, give up to two instances and take up to two of other types, as long as
its floor stands whichever zone is lost. The true cost decides: reservations are paid anyway, so load moves to where
they idle, and limits that are broken cost more than anything. Between rounds the lots of reservations are chosen anew,
exactly, for the instances that run.
"""

from functools import cache
from itertools import combinations_with_replacement

import numpy as np
from numpy.typing import NDArray

from headgate.calibration.budget import cvxpy
from headgate.domains.capacity.orders import programme
from headgate.domains.capacity.orders.problem import Problem
from headgate.domains.capacity.orders.shortage import worst

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

#: How often instances and lots are chosen in turn, and how often each service and week may be asked in between.
ROUNDS, SWEEPS = 3, 10


def search(case: Problem, instances: Ints, lots: Ints, seed: int = 0) -> tuple[Ints, Ints]:
    """Exchange instances [C, T] and lots [P, T] for better ones; floors stand, limits are kept as well as can be."""
    for number in range(ROUNDS):
        instances = _Exchange(case, instances, reserved(case, lots), seed + number).settle()
        lots = begin(case, case.pooled @ instances)
    return instances, lots


def reserved(case: Problem, begun: Ints | Floats) -> Floats:
    """Reservations [P, T] that are there when lots [P, T] begin."""
    shape = (len(case.pools), len(case.weeks))
    return np.asarray(case.held + (case.lasting @ np.asarray(begun, float).ravel()).reshape(shape))


def begin(case: Problem, running: Ints | Floats) -> Ints:
    """The lots [P, T] that cost least for instances that run [P, T]."""
    cp = cvxpy()
    shared = programme.pools(case, running, whole=True)
    problem = cp.Problem(cp.Minimize(shared.cost), list(shared.rows.values()))
    programme.solve(problem, time_limit=3.0, mip_rel_gap=5e-4)
    return np.asarray(np.round(shared.begun.value), np.int64)


class _Exchange:
    """Instances [C, T] that are exchanged, where `there` [P, T] is reserved."""

    def __init__(self, case: Problem, instances: Ints, there: Floats, seed: int) -> None:
        self.case, self.there, self.random = case, there, np.random.default_rng(seed)
        self.instances = instances.copy()
        self.running = case.pooled @ self.instances
        drawn = worst(case)
        self.drawn = -drawn  # rising, as searchsorted wants it
        self.total = np.concatenate([np.zeros((1, *drawn.shape[1:])), np.cumsum(drawn, axis=0)])
        zones = range(len(case.fleet.zones))
        self.cells = [
            [found for z in zones if len(found := np.flatnonzero((case.service == s) & (case.cell_zone == z)))]
            for s in range(len(case.services))
        ]

    def settle(self) -> Ints:
        """Ask every service and week in turn until none changes, or often enough."""
        services, weeks = len(self.case.services), len(self.case.weeks)
        awake = np.ones(services * weeks, bool)
        for _ in range(SWEEPS):
            asked = self.random.permutation(np.flatnonzero(awake))
            awake[:] = False
            for block in asked:
                s, t = divmod(int(block), weeks)
                awake[block] = self._improve(s, t)
            if not awake.any():
                break
        return np.asarray(self.instances)

    def _improve(self, s: int, t: int) -> bool:
        """Make the exchanges of one service and week that save most, a zone after the other; whether any was made."""
        case, zones, changed = self.case, self.cells[s], False
        each = np.array([case.units[cells] @ self.instances[cells, t] for cells in zones])
        for z in self.random.permutation(len(zones)):
            cells = zones[z]
            pools, units = case.pool[cells], case.units[cells]
            moves = _moves(len(cells))
            own = self.instances[cells, t]
            moves = moves[((own + moves) >= 0).all(axis=1) & ~((moves > 0) & case.unborn[pools, t]).any(axis=1)]
            here = each[z] + moves @ units
            others = np.delete(each, z)
            left = others.sum() + (np.minimum(0.0, here - others.max()) if len(others) else here)
            keeps = left >= case.floor[s, t] * (1 - 1e-12)
            moves, here = moves[keeps], here[keeps]
            worth = self._missing(s, t, here + others.sum()) + self._pools(pools, moves, t)
            still = np.flatnonzero(~moves.any(axis=1))[0]
            best = int(worth.argmin())
            if worth[best] < worth[still] - 1e-6:
                self.instances[cells, t] += moves[best]
                self.running[pools, t] += moves[best]
                each[z], changed = here[best], True
        return changed

    def _missing(self, s: int, t: int, capacity: Floats) -> Floats:
        """What missing units of a service cost with capacities [n]."""
        more = np.searchsorted(self.drawn[:, s, t], -capacity)
        return np.asarray(self.case.missing[s] * (self.total[more, s, t] - more * capacity) / len(self.drawn))

    def _pools(self, pools: Ints, moves: Ints, t: int) -> Floats:
        """What a zone's pools cost in week t after moves [n, K]: on demand, and a penalty for what is broken."""
        case = self.case
        trial, there = self.running[pools, t] + moves, self.there[pools, t]
        answer = np.maximum(trial - there, 0.0) @ case.on_demand[pools]
        broken = np.zeros(len(moves))
        if case.limits:
            # lots are chosen anew within the quotas for what runs; only what is held already stays, come what may
            held = case.held[:, t]
            now = np.maximum(self.running[:, t], held)
            over = (
                case.used @ now - case.allowed + (np.maximum(trial, held[pools]) - now[pools]) @ case.used[:, pools].T
            )
            broken += np.maximum(over, 0.0).sum(axis=1)
        add, remove = (most[pools] for most in case.ramps)
        if t or case.running is not None:
            before = self.running[pools, t - 1] if t else case.running[pools]  # type: ignore[index]
            broken += (np.maximum(trial - before - add, 0.0) + np.maximum(before - trial - remove, 0.0)).sum(axis=1)
        if t + 1 < len(case.weeks):
            after = self.running[pools, t + 1]
            broken += (np.maximum(after - trial - add, 0.0) + np.maximum(trial - after - remove, 0.0)).sum(axis=1)
        return np.asarray(answer + programme.PENALTY * case.on_demand.max() * broken)


@cache
def _moves(types: int) -> Ints:
    """Every exchange [n, types] of up to two instances for up to two."""
    some = [np.zeros(types, np.int64)]
    for size in (1, 2):
        some += [np.bincount(one, minlength=types) for one in combinations_with_replacement(range(types), size)]
    return np.unique([take - give for take in some for give in some], axis=0)
