"""The mixed-integer programme of the fleet.

    minimise    on-demand + reserved + missing units
    over        x [C, T] instances of a service in a pool, b [P, T] lots of reservations that begin
    subject to  Σ x of a pool        ≤ reserved + on-demand           reserved = held + lots begun and not yet over
                capacity left        ≥ floor                          of each service, whichever zone is lost
                vCPUs of a family    ≤ quota                          reserved ones that idle included
                |change of a pool|   ≤ ramp                           from week to week
                b = 0 before the lead time, x = 0 before a type is there

Quotas and ramps may be broken at a price that no plan pays while it can be helped: so a fleet without a plan is told
which limit is in the way, and by how much.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headgate.calibration.budget import cvxpy
from headgate.domains.capacity.orders.problem import Problem
from headgate.domains.capacity.orders.shortage import lines
from headgate.errors import DataRefused

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

#: What breaking a limit by one costs, in weeks of the dearest instance.
PENALTY = 100.0


@dataclass(frozen=True)
class Pools:
    """What is the same whether services are in the programme by cells or by patterns: everything about pools."""

    begun: Any  # [P, T]
    extra: Any  # [P, T] on demand
    slack: dict[str, Any]  # by how much quotas and ramps are broken
    cost: Any
    rows: dict[str, Any]  # constraints by name


@dataclass(frozen=True)
class Relaxed:
    """The relaxation's optimum, and what a unit more of each right-hand side saves (≥ 0)."""

    cost: float
    instances: Floats  # [C, T]
    begun: Floats  # [P, T]
    broken: dict[str, Floats]
    pool: Floats  # [P, T] an instance in a pool
    floor: Floats  # [L, T] a unit of what must be left
    quota: Floats  # [Q, T] a vCPU
    add: Floats  # [P, T] a step up of one more; from the week before the plan on
    remove: Floats  # [P, T]
    early: Floats  # [P, T] a lot that may begin before its lead time
    unborn: Floats  # [P, T] an instance of a type that is not there yet

    @property
    def price(self) -> Floats:
        """What one more running instance [P, T] costs, ramps included."""
        after = np.hstack([self.add[:, 1:] - self.remove[:, 1:], np.zeros((len(self.add), 1))])
        return np.asarray(self.pool + self.unborn + self.add - self.remove - after)


def pools(case: Problem, running: Any, whole: bool) -> Pools:
    """Constraints and costs of pools in which `running` [P, T] instances run; `whole` lots if so."""
    cp = cvxpy()
    shape = (len(case.pools), len(case.weeks))
    begun = cp.Variable(shape, integer=True) if whole else cp.Variable(shape)
    extra = cp.Variable(shape, nonneg=True)
    reserved = case.held + cp.reshape(case.lasting @ cp.vec(begun, order="C"), shape, order="C")
    rows: dict[str, Any] = {"pool": running <= reserved + extra, "begun": begun >= 0}
    slack: dict[str, Any] = {}
    if case.early.any():
        rows["early"] = cp.multiply(case.early.astype(float), begun) <= 0
    if case.unborn.any():
        rows["unborn"] = cp.multiply(case.unborn.astype(float), running) <= 0
    if case.limits:
        slack["quota"] = cp.Variable((len(case.limits), shape[1]), nonneg=True)
        rows["quota"] = case.used @ (reserved + extra) <= case.allowed[:, None] + slack["quota"]
    add, remove = case.ramps
    if np.isfinite(add).any() or np.isfinite(remove).any():
        # a ramp that nobody set is as long as the fleet: no row is left out, so that duals keep their place
        far = 1e3 * (1 + float(case.need.max()) / float(case.units.min()))
        before = case.running
        steps = running[:, 1:] - running[:, :-1]
        if before is not None:
            steps = cp.hstack([running[:, :1] - before[:, None], steps])
        for name, sign, most in (("add", 1.0, add), ("remove", -1.0, remove)):
            slack[name] = cp.Variable(steps.shape, nonneg=True)
            rows[name] = sign * steps <= np.where(np.isfinite(most), most, far)[:, None] + slack[name]
    dearest = PENALTY * float(case.on_demand.max())
    cost = (
        summed(begun, case.beginning)
        + summed(extra, np.repeat(case.on_demand[:, None], shape[1], axis=1))
        + float(case.reserved @ case.held.sum(axis=1))
        + dearest * sum((summed(one, np.ones(one.shape)) for one in slack.values() if one.size), start=0.0)
    )
    return Pools(begun, extra, slack, cost, rows)


def summed(what: Any, weights: Floats) -> Any:
    """The sum of an expression [a, b] with weights [a, b].

    Not by cp.sum: to learn a shape it adds up memory that nobody wrote to, and numpy warns of what is there by chance.
    """
    return weights.ravel() @ cvxpy().vec(what, order="C")


def by_cells(case: Problem, whole: bool) -> tuple[Any, Pools, dict[str, Any], Any]:
    """The programme over cells: its instances [C, T], pools, rows of services, and cost; `whole` numbers if so."""
    cp = cvxpy()
    shape = (len(case.pool), len(case.weeks))
    x = cp.Variable(shape, integer=True) if whole else cp.Variable(shape)
    shared = pools(case, case.pooled @ x, whole)
    rows: dict[str, Any] = {"instances": x >= 0}
    if case.lost:
        rows["floor"] = case.left @ x >= case.floor[[s for s, _ in case.lost]]
    cost = shared.cost
    told = lines(case)
    if len(told.slope):
        missing = cp.Variable((len(case.services), shape[1]), nonneg=True)
        there = (case.carried @ x)[told.service, told.week]
        rows["missing"] = missing[told.service, told.week] >= told.height - cp.multiply(told.slope, there)
        cost = cost + summed(missing, np.repeat(case.missing[:, None], shape[1], axis=1))
    return x, shared, rows, cost


def relax(case: Problem) -> Relaxed:
    """Solve the programme with parts of instances and lots allowed: a lower bound, and every constraint's price.

    Raises DataRefused where a service with a floor has nothing to run on.
    """
    cp = cvxpy()
    x, shared, rows, cost = by_cells(case, whole=False)
    problem = cp.Problem(cp.Minimize(cost), [*shared.rows.values(), *rows.values()])
    problem.solve(solver=cp.HIGHS)
    if x.value is None:  # quotas and ramps can be broken: all that is left is that nothing is there to run on
        raise DataRefused(
            "No fleet keeps every floor: in some week a service has no type that can be had. "
            "Give it another type in `units`, or look at `first_week`."
        )
    shape = shared.begun.shape

    def dual(name: str, like: tuple[int, ...]) -> Floats:
        row = shared.rows.get(name, rows.get(name))
        found = np.zeros(like) if row is None else np.abs(np.asarray(row.dual_value))
        # steps begin with the second week where nobody told what ran before the first
        return found if found.shape == like else np.hstack([np.zeros((like[0], 1)), found])

    return Relaxed(
        cost=float(problem.value),
        instances=np.maximum(np.asarray(x.value), 0.0),
        begun=np.maximum(np.asarray(shared.begun.value), 0.0),
        broken={name: np.asarray(one.value) for name, one in shared.slack.items()},
        pool=dual("pool", shape),
        floor=dual("floor", (len(case.lost), shape[1])),
        quota=dual("quota", (len(case.limits), shape[1])),
        add=dual("add", shape),
        remove=dual("remove", shape),
        early=dual("early", shape) * case.early,
        unborn=dual("unborn", shape) * case.unborn,
    )


def exactly(case: Problem, gap: float, seconds: float) -> tuple[Ints | None, Ints | None, float]:
    """Let HiGHS solve the whole programme: instances [C, T] and lots [P, T] if it found any, and its lower bound."""
    cp = cvxpy()
    x, shared, rows, cost = by_cells(case, whole=True)
    problem = cp.Problem(cp.Minimize(cost), [*shared.rows.values(), *rows.values()])
    solve(problem, time_limit=seconds, mip_rel_gap=gap)
    least = float(problem.solver_stats.extra_stats.mip_dual_bound) + float(case.reserved @ case.held.sum(axis=1))
    if x.value is None:
        return None, None, least
    return np.round(x.value).astype(np.int64), np.round(shared.begun.value).astype(np.int64), least


def solve(problem: Any, **options: Any) -> None:
    """Solve with HiGHS, which may run out of time: what it has then is as good as it says."""
    import warnings

    cp = cvxpy()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        try:
            problem.solve(solver=cp.HIGHS, **options)
        except cp.error.SolverError:  # out of time with nothing found
            return
