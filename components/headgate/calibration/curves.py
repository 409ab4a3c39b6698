"""Rows to calibrate on, and the empirical curve of a score: what each threshold costs in good rows and buys in all."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import isotonic_regression

from headgate.errors import HeadgateError

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Rows:
    """Units with a score (clicks, items, messages), as columns of one length. Build it with `Rows.of`."""

    score: Floats  # higher: rather invalid
    slice: Ints  # index of the slice
    good: Bools  # invalidating such a row is a false positive
    user: NDArray  # whose row it is: strings or integers
    unit: NDArray  # the row's own id: strings or integers
    caught: Bools  # rows that the coverage floors count

    @classmethod
    def of(
        cls,
        score: ArrayLike,
        slice: ArrayLike,
        good: ArrayLike,
        user: ArrayLike,
        unit: ArrayLike,
        caught: ArrayLike | None = None,
    ) -> Self:
        """Rows from anything NumPy can read; `caught` None means no row.

        Scores are cast to float32, the type in which serving compares them. Raises HeadgateError where a score is not
        finite and ValueError where the columns differ in length.
        """
        scores = np.asarray(score, np.float32)
        rows = cls(
            scores,
            np.asarray(slice, np.int64),
            np.asarray(good, np.bool_),
            np.asarray(user),
            np.asarray(unit),
            np.zeros(scores.shape, np.bool_) if caught is None else np.asarray(caught, np.bool_),
        )
        if any(column.shape != (scores.size,) for column in vars(rows).values()):
            raise ValueError(f"columns differ in length: { {name: c.shape for name, c in vars(rows).items()} }")
        if broken := int((~np.isfinite(scores)).sum()):
            raise HeadgateError(f"{broken} of {scores.size} scores are not finite; look at the model that made them.")
        return rows


@dataclass(frozen=True, eq=False)
class Curve:
    """Counts at or above each distinct score, from the highest down; point 0 is the threshold +inf with nothing.

    Arrays of one length: `threshold` (float32, strictly falling) and the rows with score >= threshold: `h` good ones,
    `n` of all (strictly rising), `c` caught ones.
    """

    threshold: Floats
    h: Ints
    n: Ints
    c: Ints

    def point(self, threshold: float | np.float32) -> int:
        """Index of the last point whose threshold is not below `threshold`: what that threshold invalidates."""
        return int(np.searchsorted(-self.threshold, -np.float32(threshold), side="right")) - 1

    def floor(self, coverage: float) -> int:
        """Index of the first point that reaches the share `coverage` of the caught rows; 0 where there are none."""
        return int(np.searchsorted(self.c, np.ceil(coverage * self.c[-1] - 1e-9)))


def curve(score: Floats, good: Bools, caught: Bools | None = None) -> Curve:
    """The empirical curve of float32 scores, evaluated at distinct values only, so that ties fall together."""
    order = np.argsort(-score, kind="stable")
    descending = score[order]
    last = np.append(np.flatnonzero(np.diff(descending)), score.size - 1)[: score.size]

    def count(mask: Bools) -> Ints:
        return np.concatenate(([0], np.cumsum(mask[order], dtype=np.int64)[last]))

    return Curve(
        threshold=np.concatenate((np.array([np.inf], np.float32), descending[last])),
        h=count(good),
        n=np.concatenate(([0], last + 1)),
        c=count(np.zeros(score.size, np.bool_) if caught is None else caught),
    )


def hull(curve: Curve, first: int = 0) -> Ints:
    """Points of `curve` that are vertices of its concave hull from point `first` on: rising indices, `first` included.

    Isotonic regression by pool-adjacent-violators of the cost h/n of each distinct score gives the hull's blocks
    (Fawcett & Niculescu-Mizil, Machine Learning 68, 2007). Costs rise strictly from block to block.
    """
    rows = np.diff(curve.n[first:])
    if not rows.size:
        return np.array([first])
    blocks = isotonic_regression(np.diff(curve.h[first:]) / rows, weights=rows).blocks
    vertices = first + np.asarray(blocks, np.int64)
    while True:  # the pools' means carry rounding: settle equal costs on the exact counts
        cost = np.diff(curve.h[vertices]) / np.diff(curve.n[vertices])
        flat = np.flatnonzero(cost[1:] <= cost[:-1]) + 1
        if not flat.size:
            return vertices
        vertices = np.delete(vertices, flat)


def knee(curve: Curve) -> int:
    """Point farthest above the chord of the curve of n over h, both scaled to [0, 1]; it knows of no budget.

    The offline Kneedle of Satopää et al. (ICDCS workshops, 2011) without its smoothing.
    """
    return int(np.argmax(curve.n / max(curve.n[-1], 1) - curve.h / max(curve.h[-1], 1)))


def invalid(score: ArrayLike, slice: ArrayLike, thresholds: ArrayLike) -> Bools:
    """Rows to invalidate: score >= the threshold of their slice, in float32. A threshold of +inf never invalidates."""
    limit = np.asarray(thresholds, np.float32)[np.asarray(slice, np.int64)]
    return np.asarray(score, np.float32) >= limit
