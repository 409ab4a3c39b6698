"""One false-positive budget shared by slices: the path of nested thresholds that spends it best.

    maximise  Σ (N_s/N) g_s(f_s)   subject to   Σ (H_s/H) f_s ≤ α ,   f_s ≥ l_s

over slices s with N_s rows, of which H_s good; f_s is the share of its good rows that is invalidated, g_s(f_s) the
share of all its rows that goes with it, l_s the value of f_s at the slice's coverage floor. The budget is weighted with
good rows, the objective with all rows. On the concave hulls of the empirical curves this is a fractional knapsack:
force each slice's floor, then take the hulls' blocks of all slices in ascending cost h/n.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import ceil
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headgate.calibration.curves import Curve, Floats, Ints, Rows, curve, hull
from headgate.errors import DataRefused, HeadgateError


@dataclass(frozen=True, eq=False)
class Path:
    """A nested sequence of threshold vectors: each point invalidates all that the one before it does, and more.

    Point 0 has the thresholds `start`; step j (from point j to j+1) lowers the threshold of group `group[j]` to
    `threshold[j]`. `h` and `n` (one longer than the steps) count the good rows and all rows invalidated at each point,
    of `H` and `N`. A group is a slice, or all slices together where the path is `pooled`. `floor_cost`: good rows that
    the floors alone invalidate, by slice.
    """

    slices: tuple[str, ...]
    pooled: bool
    start: Floats
    group: Ints
    threshold: Floats
    h: Ints
    n: Ints
    H: int
    N: int
    floor_cost: dict[str, int]

    @cached_property
    def beta(self) -> NDArray[np.float64]:
        """The budget that each point spends: the share of the good rows that it invalidates."""
        return self.h / self.H

    def thresholds(self, point: int) -> Floats:
        """Thresholds at a point, one a slice; +inf never invalidates."""
        thresholds = self.start.copy()
        np.minimum.at(thresholds, self.group[:point], self.threshold[:point])
        return np.repeat(thresholds, len(self.slices)) if self.pooled else thresholds

    def entry(self, score: Floats, slice: Ints) -> Ints:
        """The first point that invalidates each row; `len(path.h)` where none does."""
        group = np.zeros_like(slice) if self.pooled else slice
        entry = np.full(score.shape, len(self.h), np.int64)
        for g, start in enumerate(self.start):
            steps = np.flatnonzero(self.group == g)
            falling = np.append(start, self.threshold[steps])
            points = np.concatenate(([0], steps + 1, [len(self.h)]))
            mine = group == g
            entry[mine] = points[np.searchsorted(-falling, -score[mine], side="left")]
        return entry


@dataclass(frozen=True)
class Infeasible:
    """The coverage floors alone cost more than the budget. Costs are shares of all good rows, by slice."""

    budget: float
    smallest: float
    costs: dict[str, float]

    def words(self) -> str:
        """One sentence: what the floors cost, and where."""
        dearest = sorted(self.costs.items(), key=lambda item: -item[1])
        parts = ", ".join(f"{name} {percent(cost)}" for name, cost in dearest if cost)
        smallest = ceil(1e6 * self.smallest) / 1e6  # rounded up, so that it is feasible as printed
        return (
            f"The coverage floors alone invalidate good rows beyond the budget of {percent(self.budget)}: "
            f"the smallest feasible budget is {100 * smallest:.4f} % ({parts})."
        )


def budget_path(
    rows: Rows,
    slices: Sequence[str],
    floors: Mapping[str, float] | None = None,
    *,
    pooled: bool = False,
    pieces: int = 1,
) -> Path:
    """The path from the coverage floors to everything, in the order in which a growing budget buys most rows.

    `floors`: the share of its caught rows that a slice must invalidate, by name (absent: 0; without caught rows a floor
    asks nothing). `pooled`: one threshold for all slices, low enough for every floor. With `pieces` = 1 the points are
    the vertices of the hulls. More pieces cut each block at up to that many of its own scores, blocks of equal cost
    side by side: still nested and still fixed by `rows` alone, so as fit to be certified, and finer where good rows are
    few and the first blocks huge. The path has at most pieces × vertices steps, however many rows there are.
    Raises DataRefused where no row is good, ValueError for a floor or a slice index that `slices` does not have.
    """
    check_slices(rows, slices)
    if not rows.good.any():
        raise DataRefused("No row to calibrate on is good, so a false-positive rate has no meaning; take more days.")
    curves = slice_curves(rows, len(slices))
    firsts = floor_points(curves, slices, floors)
    if pooled:
        lowest = min(c.threshold[first] for c, first in zip(curves, firsts, strict=True))
        floor_cost = [int(c.h[c.point(lowest)]) for c in curves]
        curves = [curve(rows.score, rows.good, rows.caught)]
        firsts = [curves[0].point(lowest)]
    else:
        floor_cost = [int(c.h[first]) for c, first in zip(curves, firsts, strict=True)]
    return _merge(curves, firsts, tuple(slices), pooled, dict(zip(slices, floor_cost, strict=True)), pieces)


def check_slices(rows: Rows, slices: Sequence[str]) -> None:
    """Raise ValueError where a row's slice is not an index of `slices`."""
    if rows.slice.size and not 0 <= rows.slice.min() <= rows.slice.max() < len(slices):
        raise ValueError(f"a row's slice must be one of 0 … {len(slices) - 1}")


def slice_curves(rows: Rows, slices: int) -> list[Curve]:
    """The empirical curve of each slice."""
    masks = (rows.slice == s for s in range(slices))
    return [curve(rows.score[mask], rows.good[mask], rows.caught[mask]) for mask in masks]


def floor_points(curves: Sequence[Curve], slices: Sequence[str], floors: Mapping[str, float] | None) -> list[int]:
    """The point of each slice's curve at its coverage floor. Raises ValueError for a floor that cannot be meant."""
    floors = floors or {}
    if wrong := {name: floor for name, floor in floors.items() if name not in slices or not 0 <= floor <= 1}:
        raise ValueError(f"floors must be shares from 0 to 1 of slices that exist, not {wrong}")
    return [c.floor(floors.get(name, 0.0)) for name, c in zip(slices, curves, strict=True)]


def _merge(
    curves: list[Curve],
    firsts: list[int],
    slices: tuple[str, ...],
    pooled: bool,
    floor_cost: dict[str, int],
    pieces: int,
) -> Path:
    """Order the pieces of all hulls by cost, and equal costs by how far into its block a piece lies."""
    columns = []
    for group, (c, first) in enumerate(zip(curves, firsts, strict=True)):
        ends, cost, depth = _cut(c, hull(c, first), pieces)
        before = np.concatenate(([first], ends))[:-1]
        h, n = c.h[ends] - c.h[before], c.n[ends] - c.n[before]
        columns.append((np.full(ends.size, group), c.threshold[ends], h, n, cost, depth))
    groups, threshold, h, n, cost, depth = (np.concatenate(column) for column in zip(*columns, strict=True))
    order = np.lexsort((depth, cost))
    at_floor = list(zip(curves, firsts, strict=True))
    return Path(
        slices=slices,
        pooled=pooled,
        start=np.array([c.threshold[first] for c, first in at_floor], np.float32),
        group=groups[order],
        threshold=threshold[order],
        h=np.cumsum(np.append(sum(c.h[first] for c, first in at_floor), h[order])),
        n=np.cumsum(np.append(sum(c.n[first] for c, first in at_floor), n[order])),
        H=int(sum(c.h[-1] for c in curves)),
        N=int(sum(c.n[-1] for c in curves)),
        floor_cost=floor_cost,
    )


def _cut(curve: Curve, vertices: Ints, pieces: int) -> tuple[Ints, NDArray[np.float64], Ints]:
    """Cut the block between each two vertices at up to `pieces` points, even in rows, the last of them its end.

    Returns the points, the cost h/n of their block, and which piece of it (1 … pieces) each is.
    """
    n = curve.n[vertices]
    rows = np.diff(n)
    cost = np.diff(curve.h[vertices]) / rows
    piece = np.arange(1, pieces + 1)
    wanted = n[:-1, None] + -(-rows[:, None] * piece // pieces)
    ends, kept = np.unique(np.searchsorted(curve.n, wanted.ravel()), return_index=True)
    return ends, cost[kept // pieces], piece[kept % pieces]


def cvxpy() -> Any:
    """The module cvxpy: late, for it takes seconds to import, and untyped."""
    import cvxpy

    return cvxpy


def percent(share: float) -> str:
    """A share for people, three digits: 0.00937 is `0.937 %`."""
    return f"{100 * share:.3g} %"


def infeasible(path: Path, alpha: float) -> Infeasible | None:
    """What the floors cost where they alone break the budget `alpha`, exactly when Σ H_s·l_s > α·H; else None."""
    if path.h[0] <= _allowed(path, alpha):
        return None
    costs = {name: cost / path.H for name, cost in path.floor_cost.items()}
    return Infeasible(budget=alpha, smallest=float(path.beta[0]), costs=costs)


def plug_in(path: Path, alpha: float) -> int:
    """The last point of the path that keeps the budget `alpha` on the very rows it was made of.

    On fresh rows it breaks its budget about half of the time or more: it is no certificate. The block that the budget
    would pay in part is dropped. Raises HeadgateError where the floors break the budget.
    """
    if shortfall := infeasible(path, alpha):
        raise HeadgateError(shortfall.words())
    return int(np.searchsorted(path.h, _allowed(path, alpha), side="right")) - 1


def knapsack(path: Path, alpha: float) -> float:
    """Optimum of the linear programme in share of rows, the last block taken in part; `path` has one piece a block."""
    point = plug_in(path, alpha)
    n = float(path.n[point])
    if point + 1 < len(path.h):
        left = alpha * path.H - path.h[point]
        n += max(left, 0.0) * (path.n[point + 1] - path.n[point]) / (path.h[point + 1] - path.h[point])
    return n / path.N


def linear_programme(
    rows: Rows, slices: Sequence[str], alpha: float, floors: Mapping[str, float] | None = None
) -> float | None:
    """The same optimum by another way, to hold against `knapsack`; None where infeasible.

    A mixture of the points of each slice's own curve, neither hull nor order given, solved by HiGHS through cvxpy.
    """
    from scipy.sparse import csr_array

    cp = cvxpy()
    points: list[Ints] = []
    groups: list[Ints] = []
    curves = slice_curves(rows, len(slices))
    for c, first in zip(curves, floor_points(curves, slices, floors), strict=True):
        rest = np.arange(first, c.n.size)
        best = rest[np.append(np.diff(c.h[rest]) > 0, True)]  # of points with equal cost, the one that buys most
        points.append(np.stack((c.h[best], c.n[best])))
        groups.append(np.full(best.size, len(groups)))
    h, n = np.concatenate(points, axis=1)
    group = np.concatenate(groups)
    member = csr_array((np.ones(group.size), (group, np.arange(group.size))), shape=(len(slices), group.size))
    share = cp.Variable(group.size, nonneg=True)
    budget = h @ share <= alpha * rows.good.sum()
    problem = cp.Problem(cp.Maximize((n / rows.score.size) @ share), [member @ share == 1, budget])
    problem.solve(solver=cp.HIGHS)
    return None if problem.status in ("infeasible", "infeasible_inaccurate") else float(problem.value)


def _allowed(path: Path, alpha: float) -> int:
    """Good rows that the budget may cost; the tiny slack keeps 0.1 × 30 at 3."""
    return int(np.floor(alpha * path.H + 1e-9))
