"""Conformal quantiles of scores, and their adaptive form for what comes in one by one.

A score is how far the truth lay from a forecast, in units that make scores alike (Vovk et al., Algorithmic Learning in
a Random World, 2005). Over exchangeable scores, the quantile taken here is exceeded by the next score at most as often
as asked. While a series runs, exchangeability is lost, and the level is steered by its own misses (Gibbs and Candès,
Adaptive Conformal Inference Under Distribution Shift, 2021, arXiv 2106.00170).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

#: 20 × 0.1 is rank 2, though in floating point 1 − 0.9 is a little less than 0.1.
_ROUNDING = 1e-9


def quantiles(scores: Floats, levels: Sequence[float]) -> Floats:
    """The conformal quantiles [q] of `scores` [n] at `levels` [q]: the ⌈(n+1)·p⌉-th smallest above, mirrored below.

    Where n is too small for a level, the extreme score stands in for infinity: too narrow, and all that was seen.
    NaN scores are left out; without any the answer is NaN.
    """
    ranked = np.sort(scores[np.isfinite(scores)])
    n = len(ranked)
    if not n:
        return np.full(len(levels), np.nan)
    upper = [min(int(np.ceil((n + 1) * p - _ROUNDING)), n) - 1 for p in levels]
    lower = [max(int(np.floor((n + 1) * p + _ROUNDING)), 1) - 1 for p in levels]
    return np.array([ranked[u if p >= 0.5 else low] for p, u, low in zip(levels, upper, lower, strict=True)])


@dataclass(frozen=True)
class Adaptive:
    """An interval's miss rate, steered so that in the long run it misses as often as it should."""

    target: float  # the miss rate that is wanted
    rate: float = 0.02  # how quickly it is steered
    level: float = -1.0  # the miss rate that is asked of the scores now; the target at first

    @property
    def asked(self) -> float:
        """The miss rate that the next interval is built for, in [0, 1]."""
        return float(np.clip(self.target if self.level == -1.0 else self.level, 0.0, 1.0))

    def after(self, missed: bool) -> "Adaptive":
        """One step: wider after a miss, a little narrower after a hit."""
        now = self.target if self.level == -1.0 else self.level
        return replace(self, level=now + self.rate * (self.target - float(missed)))
