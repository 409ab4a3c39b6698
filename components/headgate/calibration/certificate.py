"""A statement with its confidence: the false-positive rate of fresh traffic keeps the budget.

Fixed-sequence Learn-then-Test (Angelopoulos et al., arXiv 2110.01052). The path was fixed on other rows, so its points
can be tested in order on held-out ones, each at the full δ, until one fails: P(FPR > α) ≤ δ for the last that passed.
Rows of one user are correlated, so each user counts once, by one good row chosen by hash: the certified rate weighs
users equally, and Clopper–Pearson is exact. It speaks of the days it was made on, not of tomorrow.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from math import ceil, log, log1p

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import betaincinv

from headgate.calibration.budget import Infeasible, Path, check_slices, infeasible, percent
from headgate.calibration.curves import Bools, Floats, Ints, Rows

RESAMPLES = 1000
NAMES = {"slices": "Thresholds by slice", "global": "One global threshold"}


@dataclass(frozen=True)
class Certificate:
    """What is certified and on what evidence, or why nothing is. Survives JSON; a threshold None never invalidates.

    Where not `certified`, `thresholds` is None and the evidence is that of the path's first point, the least to ask.
    """

    method: str  # "slices" or "global"
    certified: bool
    alpha: float  # the budget: the greatest false-positive rate allowed
    delta: float  # the greatest probability that the statement is wrong
    users: int  # n: held-out users with a good row
    invalidated: int  # k: those of them whose chosen row is invalidated
    upper: float  # Clopper–Pearson upper bound at 1 − δ of the rate over users
    thresholds: dict[str, float | None] | None  # by slice
    beta: float  # the false-positive rate on the rows that made the path
    ivr: float  # the share of all those rows that is invalidated
    row_rate: float | None  # false-positive rate weighing rows equally, on the held-out rows: NOT certified
    row_interval: tuple[float, float] | None  # its 95 % interval, users resampled: NOT certified
    needed_at_zero: int  # users that certify the budget if none of them is invalidated
    needed_as_observed: int | None  # users that certify it at the rate k/n; None: no number does
    infeasible: Infeasible | None  # the floors alone break the budget

    def words(self, who: str = "users with a good row", what: str = "good rows") -> str:
        """The certificate in plain sentences; `who` and `what` are the domain's plurals."""
        name = NAMES.get(self.method, self.method)
        if self.infeasible:
            return f"{name}: not certified. {self.infeasible.words()}"
        seen = f"{self.invalidated:,} of {self.users:,} held-out {who}"
        if not self.certified or self.row_rate is None or self.row_interval is None:
            return f"{name}: not certified for a budget of {percent(self.alpha)}. {self._shortfall(seen, who)}"
        low, high = map(percent, self.row_interval)
        return (
            f"{name}: certified with {percent(1 - self.delta)} confidence that at most {percent(self.alpha)} of the "
            f"{who} are wronged ({seen} were, which bounds the rate at {percent(self.upper)}); "
            f"{percent(self.ivr)} of everything is invalidated. Not certified: weighing {what} equally, the rate is "
            f"{percent(self.row_rate)} (95 % interval {low} to {high})."
        )

    def _shortfall(self, seen: str, who: str) -> str:
        more = self.needed_at_zero - self.users
        least = f"It takes {self.needed_at_zero:,} {who} if none of them is invalidated"
        least += f", {more:,} more than there are" if more > 0 else ""
        if not self.users or (more > 0 and not self.invalidated):
            return f"{least}."
        if self.needed_as_observed is None:
            return f"{least}; at the rate seen ({seen}) no number does: the score must separate better."
        return f"{least}, {self.needed_as_observed:,} at the rate seen ({seen})."


def certify(path: Path, rows: Rows, *, alpha: float, delta: float, method: str) -> Certificate:
    """Certify the largest budget on `path` that the held-out `rows` allow.

    The last point is taken for which the bound Beta⁻¹(1−δ; k+1, n−k) ≤ α holds, as for every point before it, with n
    users and k of them invalidated. `rows` must share no user with those that fixed the path. A point that invalidates
    nothing is not tested: never invalidating needs no certificate.
    """
    if not (0 < alpha < 1 and 0 < delta < 1):
        raise ValueError(f"alpha and delta must lie between 0 and 1, not {alpha} and {delta}")
    check_slices(rows, path.slices)
    good = np.flatnonzero(rows.good)
    _, user = np.unique(rows.user[good], return_inverse=True)
    chosen = good[one_a_user(user, rows.user[good], rows.unit[good])]
    n = chosen.size
    k = np.cumsum(np.bincount(path.entry(rows.score[chosen], rows.slice[chosen]), minlength=path.h.size))[: path.h.size]
    least = min(int(np.searchsorted(path.n, 0, side="right")), path.h.size - 1)
    passes = upper_bound(k[least:], n, delta) <= alpha
    shortfall = infeasible(path, alpha)
    accepted = 0 if shortfall else int(np.argmin(np.append(passes, False)))
    point = least + max(accepted - 1, 0)
    wrong = path.entry(rows.score[good], rows.slice[good]) <= point
    return Certificate(
        method=method,
        certified=accepted > 0,
        alpha=alpha,
        delta=delta,
        users=n,
        invalidated=int(k[point]),
        upper=float(upper_bound(k[point], n, delta)),
        thresholds=by_name(path.slices, path.thresholds(point)) if accepted else None,
        beta=float(path.beta[point]),
        ivr=float(path.n[point] / path.N),
        row_rate=float(wrong.mean()) if n else None,
        row_interval=cluster_bootstrap(user, wrong) if n else None,
        needed_at_zero=needed(0.0, alpha, delta) or 0,
        needed_as_observed=needed(float(k[point] / n), alpha, delta) if n else None,
        infeasible=shortfall,
    )


def by_name(slices: Sequence[str], thresholds: Floats) -> dict[str, float | None]:
    """Thresholds by slice, None for never: JSON keeps float32 values exactly, but knows no infinity."""
    return {s: float(t) if np.isfinite(t) else None for s, t in zip(slices, thresholds, strict=True)}


def one_a_user(user: Ints, name: NDArray, unit: NDArray) -> Ints:
    """Index of one row for each user: that with the least hash of (user's name, row's id), in any order of rows."""
    keys = zip(name.tolist(), unit.tolist(), strict=True)
    digest = b"".join(blake2b(f"{u}\0{i}".encode(), digest_size=8).digest() for u, i in keys)
    order = np.lexsort((np.frombuffer(digest, ">u8"), user))
    first: Ints = order[np.append(True, np.diff(user[order]) > 0)[: user.size]]
    return first


def upper_bound(k: ArrayLike, n: int, delta: float) -> NDArray[np.float64]:
    """Clopper–Pearson upper bound at confidence 1−δ of a rate, k of n seen: Beta⁻¹(1−δ; k+1, n−k), or 1 where k = n."""
    k = np.asarray(k, np.float64)
    return np.where(k < n, betaincinv(k + 1, np.maximum(n - k, 1e-9), 1 - delta), 1.0)


def needed(rate: float, alpha: float, delta: float) -> int | None:
    """The least n for which k = rate·n (not rounded) is bounded by α: ln δ / ln(1−α) at rate 0; None where rate ≥ α."""
    if rate == 0:
        return ceil(log(delta) / log1p(-alpha))
    if rate >= alpha:
        return None
    low, high = 0, 1
    while upper_bound(rate * high, high, delta) > alpha:
        low, high = high, 2 * high
        if high > 2**40:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if upper_bound(rate * middle, middle, delta) > alpha else (low, middle)
    return high


def cluster_bootstrap(user: Ints, wrong: Bools) -> tuple[float, float]:
    """95 % percentile interval of `wrong`'s mean over rows, whole users resampled; the same answer every time.

    Users with equal counts are interchangeable: a multinomial over the distinct (rows, wrong rows) draws the same.
    """
    rows = np.bincount(user)
    pairs, times = np.unique(np.stack((rows, np.bincount(user, weights=wrong))), axis=1, return_counts=True)
    draws = np.random.default_rng(0).multinomial(times.sum(), times / times.sum(), RESAMPLES)
    low, high = np.quantile((draws @ pairs[1]) / (draws @ pairs[0]), (0.025, 0.975))
    return float(low), float(high)
