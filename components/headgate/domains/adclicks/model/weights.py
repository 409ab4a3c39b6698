"""Sample weights: every cell of hour × weekday × login × label weighs the same, within limits.

A cell that is nearly empty would weigh each of its clicks absurdly: tiny cells are floored, large weights capped. What
that costs is reported as the effective sample size (Σw)² / Σw² (Kish, Survey Sampling, 1965).
"""

import numpy as np
from numpy.typing import NDArray

from headgate.domains.adclicks.features.kernel import FEATURES
from headgate.domains.adclicks.model.table import Rows

#: A cell counts as if it held at least this many clicks.
CELL_FLOOR = 20

#: No click weighs more than this many times the mean of its label.
CAP = 5.0

#: A human label farmed by one account: its purchases together weigh no more than this many clicks.
ACCOUNT_CAP = 5.0


def cell_weights(rows: Rows) -> NDArray[np.float32]:
    """Weights [n] with mean 1; both labels weigh the same in sum."""
    login = rows.x[:, FEATURES.index("logged_in")] > 0
    cell = (rows.cell * 2 + login) * 2 + rows.human
    size = np.maximum(np.bincount(cell, minlength=168 * 4), CELL_FLOOR)
    weight = 1.0 / size[cell]
    humans = np.flatnonzero(rows.human)
    _, account, clicks = np.unique(rows.user[humans], return_inverse=True, return_counts=True)
    weight[humans] *= np.minimum(1.0, ACCOUNT_CAP / clicks[account])
    for label in (False, True):
        mine = rows.human == label
        if mine.any():
            weight[mine] = _capped(weight[mine]) * len(weight) / 2 / mine.sum()
    return weight.astype(np.float32)


def _capped(weight: NDArray[np.float64]) -> NDArray[np.float64]:
    """`weight` [n] scaled to mean 1 with the largest cut at `CAP`: what is cut off scales up the rest."""
    falling = np.sort(weight)[::-1]
    scale = (len(weight) - CAP * np.arange(len(weight))) / np.cumsum(falling[::-1])[::-1]  # if the first k are cut
    return np.asarray(np.minimum(weight * scale[np.argmax(scale * falling <= CAP)], CAP))


def effective_sample_size(weight: NDArray[np.float32]) -> float:
    """Kish's effective sample size of `weight` [n]."""
    w = weight.astype(np.float64)
    return float(w.sum() ** 2 / (w**2).sum()) if len(w) else 0.0
