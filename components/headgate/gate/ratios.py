"""Ratios of sums over units, with intervals that know that the rows of one unit belong together.

Every metric of a scorecard is ``Σ numerator / Σ denominator`` over units (users, items, series × origin). Standard
errors are those of the linearised ratio over whole units (Cochran, Sampling Techniques, 1977, section 2.11), which is
the cluster-robust error; for shares the interval is Wilson's at the effective number of rows that this error implies.
"""

from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """A value with its interval, and how many units it rests on. NaN-free: `value` is None without a denominator."""

    value: float | None
    low: float | None
    high: float | None
    units: int


def ratio(numerator: Floats, denominator: Floats, *, share: bool, confidence: float = 0.95) -> Estimate:
    """The ratio over units, numerators and denominators [n]; `share` where it lies in [0, 1]."""
    total = denominator.sum()
    units = int((denominator > 0).sum())
    if not total > 0:
        return Estimate(None, None, None, 0)
    value = float(numerator.sum() / total)
    error = sqrt(float(((numerator - value * denominator) ** 2).sum())) / float(total)
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    if not share:
        return Estimate(value, value - z * error, value + z * error, units)
    rows = value * (1 - value) / error**2 if error > 0 else float(units)
    rows = min(rows, float(total))
    centre = (value + z**2 / (2 * rows)) / (1 + z**2 / rows)
    half = z / (1 + z**2 / rows) * sqrt(value * (1 - value) / rows + z**2 / (4 * rows**2))
    return Estimate(value, max(0.0, min(centre - half, value)), min(1.0, max(centre + half, value)), units)


@dataclass(frozen=True)
class Difference:
    """A candidate's ratio minus the champion's on the same units."""

    value: float
    error: float
    differing: int  # units on which the two differ

    def interval(self, confidence: float) -> tuple[float, float]:
        """The normal interval of the difference."""
        z = NormalDist().inv_cdf(0.5 + confidence / 2)
        return self.value - z * self.error, self.value + z * self.error

    def below(self, limit: float) -> float:
        """One-sided p-value of the claim that the difference lies below `limit`, against that it does not."""
        if self.error == 0:
            return 0.0 if self.value < limit else 1.0
        return NormalDist().cdf((self.value - limit) / self.error)


def difference(
    numerator: Floats, denominator: Floats, other_numerator: Floats, other_denominator: Floats
) -> Difference:
    """The paired difference of two ratios over the same units [n]; both denominators must have a positive sum."""
    total, other = float(denominator.sum()), float(other_denominator.sum())
    mine, theirs = float(numerator.sum()) / total, float(other_numerator.sum()) / other
    influence = (numerator - mine * denominator) / total - (other_numerator - theirs * other_denominator) / other
    differing = int(((numerator != other_numerator) | (denominator != other_denominator)).sum())
    return Difference(mine - theirs, sqrt(float((influence**2).sum())), differing)


def holm(p: list[float], alpha: float) -> list[bool]:
    """Which of the hypotheses with p-values `p` are rejected at family-wise level `alpha` (Holm, 1979)."""
    rejected = [False] * len(p)
    for rank, index in enumerate(sorted(range(len(p)), key=lambda i: p[i])):
        if p[index] > alpha / (len(p) - rank):
            break
        rejected[index] = True
    return rejected
