"""Ratios of sums over units, with intervals that know that the rows of one unit belong together.

Every metric of a scorecard is ``Σ numerator / Σ denominator`` over units (users, items, series × origin). Standard
errors are the jackknife's, which leaves out a whole unit at a time: the cluster-robust error of the linearised ratio
(Cochran, Sampling Techniques, 1977, section 2.11), and honest where units are few or one of them is large (Bell and
McCaffrey, Survey Methodology 28, 2002). Quantiles are Student's, with the degrees of freedom of the units.

A share's interval is Wilson's at the effective number of rows that its error implies. An error that is estimated from
units of which few tell anything is too small, so a share that few units hold anything of has the exact interval, with
units for rows (after Korn and Graubard, Survey Methodology 24, 1998), and a difference of shares that few units show
has the interval of Bonett and Price (J. Educational and Behavioral Statistics 37, 2012): as if two more units had been
seen, one that is wholly better and one that is wholly worse.
"""

from dataclasses import dataclass, replace
from math import inf, sqrt

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv, stdtr, stdtrit

Floats = NDArray[np.float64]

#: Units that hold what is counted, or on which two versions differ, are few below this, and below half of all.
FEW = 20


@dataclass(frozen=True)
class Estimate:
    """A value with its interval, and how many units it rests on. NaN-free.

    `value` is None without a denominator, `low` and `high` also where a single unit says nothing of the others.
    """

    value: float | None
    low: float | None
    high: float | None
    units: int


def student(confidence: float, units: int) -> float:
    """Student's quantile of a two-sided interval over `units`, two at least."""
    return float(stdtrit(max(units - 1, 1), 0.5 + confidence / 2))


def ratio(numerator: Floats, denominator: Floats, *, share: bool, confidence: float = 0.95) -> Estimate:
    """The ratio over units, numerators and denominators [n]; `share` where it lies in [0, 1]."""
    counted = denominator > 0
    numerator, denominator = numerator[counted], denominator[counted]
    total, units = float(denominator.sum()), len(denominator)
    if not units:
        return Estimate(None, None, None, 0)
    value = float(numerator.sum()) / total
    t, error = student(confidence, units), _error(_influence(numerator, denominator))
    if not share and units == 1:
        return Estimate(value, None, None, 1)
    if not share:
        return Estimate(value, value - t * error, value + t * error, units)
    known = 0 < error < inf  # a single unit's is not: it counts as the one row that it may be
    rows = value * (1 - value) / error**2 if known else float(units)
    holding = min(int((numerator > 0).sum()), int((numerator < denominator).sum()))
    if _few(holding, units):
        low, high = _exact(value, min(rows, float(units)), confidence)
    else:
        low, high = _wilson(value, min(rows, total), t)
    return Estimate(value, max(0.0, min(low, value)), min(1.0, max(high, value)), units)


@dataclass(frozen=True)
class Difference:
    """A candidate's ratio minus the champion's on the same units.

    `centre` is the interval's: `value`, or nearer to none where few units show it.
    """

    value: float
    centre: float
    error: float
    freedom: int  # degrees of freedom that the error was estimated with
    units: int
    differing: int  # units on which the two differ

    def turned(self, direction: int) -> "Difference":
        """The same where more is better, of a metric whose `direction` is +1 or −1."""
        return replace(self, value=self.value * direction, centre=self.centre * direction)

    def interval(self, confidence: float) -> tuple[float, float]:
        """The interval of the difference, by Student's t."""
        reach = float(stdtrit(self.freedom, 0.5 + confidence / 2)) * self.error
        return self.centre - reach, self.centre + reach

    def below(self, limit: float) -> float:
        """One-sided p-value of the claim that the difference lies below `limit`, against that it does not."""
        if self.error == 0:
            return 0.0 if self.centre < limit else 1.0
        return float(stdtr(self.freedom, (self.centre - limit) / self.error))


def difference(
    numerator: Floats,
    denominator: Floats,
    other_numerator: Floats,
    other_denominator: Floats,
    *,
    share: bool,
) -> Difference:
    """The paired difference of two ratios over the same units [n]; both denominators must have a positive sum.

    A metric that is no `share` has no bounds, so what units that do not differ hide cannot be bounded either: its
    degrees of freedom are those of the units that differ, and versions that agree to the last bit in all of them are
    held to be equal.
    """
    counted = (denominator > 0) | (other_denominator > 0)
    mine = np.stack([numerator, denominator])[:, counted]
    theirs = np.stack([other_numerator, other_denominator])[:, counted]
    value = float(mine[0].sum() / mine[1].sum() - theirs[0].sum() / theirs[1].sum())
    units, differing = mine.shape[1], int((mine != theirs).any(axis=0).sum())
    freedom = max((units if share else differing) - 1, 1)
    if share and _few(differing, units):
        one, other = mine[1].mean(), theirs[1].mean()
        mine = np.column_stack([mine, [[one, 0.0], [one, one]]])
        theirs = np.column_stack([theirs, [[0.0, other], [other, other]]])
    centre = float(mine[0].sum() / mine[1].sum() - theirs[0].sum() / theirs[1].sum())
    with np.errstate(invalid="ignore"):  # a single unit has no error that could be known
        error = _error(_influence(*mine) - _influence(*theirs)) if differing or share else 0.0
    return Difference(value, centre, error, freedom, units, differing)


def holm(p: list[float], alpha: float) -> list[bool]:
    """Which of the hypotheses with p-values `p` are rejected at family-wise level `alpha` (Holm, 1979)."""
    rejected = [False] * len(p)
    for rank, index in enumerate(sorted(range(len(p)), key=lambda i: p[i])):
        if p[index] > alpha / (len(p) - rank):
            break
        rejected[index] = True
    return rejected


def _few(telling: int, units: int) -> bool:
    """Whether so few of the units tell anything that the error which they give is too small."""
    return telling < min(FEW, units / 2)


def _wilson(value: float, rows: float, t: float) -> tuple[float, float]:
    """The score interval (Wilson, 1927) of a share of `rows`, at the quantile `t`."""
    centre = (value + t**2 / (2 * rows)) / (1 + t**2 / rows)
    half = t / (1 + t**2 / rows) * sqrt(value * (1 - value) / rows + t**2 / (4 * rows**2))
    return centre - half, centre + half


def _exact(value: float, rows: float, confidence: float) -> tuple[float, float]:
    """The exact binomial interval (Clopper and Pearson, 1934) of a share of `rows`, which need not be whole."""
    seen, tail = value * rows, (1 - confidence) / 2
    low = float(betaincinv(seen, rows - seen + 1, tail)) if seen > 0 else 0.0
    return low, float(betaincinv(seen + 1, rows - seen, 1 - tail)) if seen < rows else 1.0


def _influence(numerator: Floats, denominator: Floats) -> Floats:
    """By how much the ratio falls as each of the units [n] is left out; without bound where nothing is left."""
    total = denominator.sum()
    residual = numerator - numerator.sum() / total * denominator
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(denominator < total, residual / (total - denominator), np.inf))


def _error(influence: Floats) -> float:
    """The jackknife's standard error: units [n] → a number, infinite for one unit."""
    n = len(influence)
    return sqrt((n - 1) / n * float((influence**2).sum())) if n > 1 else inf
