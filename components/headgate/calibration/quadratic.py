"""The quadratic approximation of SLIDR's article, for comparison with the exact hull.

The programme is that of `headgate.calibration.budget`, with each slice's curve g_s replaced by a concave quadratic.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from headgate.calibration.budget import cvxpy, floor_points, slice_curves
from headgate.calibration.curves import Curve, Floats, Rows

GRID = 64  # points of each curve that its quadratic is fitted to


def quadratic(
    rows: Rows, slices: Sequence[str], alpha: float, floors: Mapping[str, float] | None = None
) -> Floats | None:
    """Thresholds, one a slice, from g_s(f) ≈ a + b·f + c·f² fitted on [0, 3α]; None where the floors are infeasible.

    Two convex programmes, solved by Clarabel through cvxpy: least squares with c ≤ 0 and a slope that is nowhere
    negative on the range, then the optimum of the quadratics under the budget. Nothing beyond the range is used, except
    that it is stretched to a floor that costs more.
    """
    cp = cvxpy()
    curves = slice_curves(rows, len(slices))
    firsts = floor_points(curves, slices, floors)
    H = np.array([c.h[-1] for c in curves])
    N = np.array([c.n[-1] for c in curves])
    lowest = np.array([c.h[first] / max(c.h[-1], 1) for c, first in zip(curves, firsts, strict=True)])
    highest = np.clip(np.maximum(3 * alpha, lowest), 0, 1)

    unit = np.linspace(0, 1, GRID)[None]  # f as a part of its slice's range keeps the programme well scaled
    share = np.stack([_share(c, top * unit[0]) for c, top in zip(curves, highest, strict=True)])
    intercept, slope, bend = (cp.Variable((len(slices), 1)) for _ in range(3))
    residual = intercept @ np.ones_like(unit) + slope @ unit + bend @ unit**2 - share
    cp.Problem(cp.Minimize(cp.sum_squares(residual)), [bend <= 0, slope + 2 * bend >= 0]).solve(solver=cp.CLARABEL)

    part = cp.Variable(len(slices))  # f_s / highest_s
    weight = N / N.sum()
    linear, square = weight * slope.value[:, 0], weight * np.minimum(bend.value[:, 0], 0)
    problem = cp.Problem(
        cp.Maximize(linear @ part + square @ cp.square(part)),
        [(H / H.sum() * highest) @ part <= alpha, part >= lowest / highest, part <= 1],
    )
    problem.solve(solver=cp.CLARABEL)
    if part.value is None:
        return None
    spend = part.value * highest * H + 1e-6  # the solver's tolerance must not cost a whole row
    points = [max(np.searchsorted(c.h, h, side="right") - 1, i) for c, h, i in zip(curves, spend, firsts, strict=True)]
    return np.array([c.threshold[point] for c, point in zip(curves, points, strict=True)], np.float32)


def _share(curve: Curve, f: NDArray[np.float64]) -> NDArray[np.float64]:
    """The curve's share of rows at shares `f` of its good rows, linear between the best points of each count."""
    best = np.append(np.flatnonzero(np.diff(curve.h)), curve.h.size - 1)
    share: NDArray[np.float64] = np.interp(f * curve.h[-1], curve.h[best], curve.n[best] / max(curve.n[-1], 1))
    return share
