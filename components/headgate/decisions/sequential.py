"""Sequential tests that may be looked at after every decision: betting against "the champion does no more harm than …".

A gambler starts with a capital of one and bets, before each observation, against the claim that is tested; at fair odds
under the claim the capital grows beyond ``1/α`` with a chance of at most α, however often and whenever one looks
(Ville, 1939). For observations x in [0, 1] and the claim "mean ≤ p₀" the fair bets are the factors ``1 + λ(x − p₀)``
with ``0 ≤ λ ≤ 1/p₀`` (Waudby-Smith and Ramdas, Estimating means of bounded random variables by betting, 2023,
section 4). With x in {0, 1} and ``λ = (p − p₀)/(p₀(1 − p₀))`` the factor is p/p₀ for a one and (1 − p)/(1 − p₀) for a
zero, so the capital of a fixed bet depends on two counts alone, in no order. Capital is spread over a few fixed bets;
the mean of fair games is fair.

**Units, not decisions.** Decisions on one user depend on each other, and a test that takes them for independent finds
harm where one user comes often. Here an observation is a *unit's whole day in a slice*: 1 if it is wronged at all.
The claim is: whatever befell the units that came before it, the chance that a unit is wronged during the day is at most
p₀. Nothing is assumed of what happens within a unit.

Nor need one wait for a unit's day to end. It counts as a zero when it is first seen, and as a one from the moment it is
wronged; it never goes back. So the capital that is seen at any instant lies at or below that of a gambler who learned
each unit's whole day as it came in, and whose capital Ville's inequality bounds.

A unit that differs between two versions counts, once and for all, for the side on which it differs *first*. That is
one observation as it happens, so the second test needs nothing of the kind.
"""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

#: The bets of `share` lie at these powers of the limit, from just above it to near one.
_POWERS = np.arange(1, 6) / 6

#: The bets of `sign`: how likely a difference is to be for the worse.
_WORSE = np.array([0.65, 0.8, 0.9, 0.99])


def share(units: ArrayLike, wronged: ArrayLike, limit: float) -> Floats:
    """Log capital [...] against "a unit is wronged with a chance of at most `limit`", after `wronged` of `units`.

    `limit` lies in (0, 1); the counts have any shape.
    """
    if not 0 < limit < 1:
        raise ValueError(f"a limit must lie between 0 and 1, and {limit} does not")
    ones, zeros = np.asarray(wronged, float)[..., None], np.asarray(units, float)[..., None]
    zeros = zeros - ones
    bet = limit ** (1 - _POWERS)
    return _spread(ones * np.log(bet / limit) + zeros * np.log((1 - bet) / (1 - limit)))


def sign(worse: ArrayLike, better: ArrayLike) -> Floats:
    """Log capital [...] against "a unit on which two versions differ is as likely to be better off as worse off"."""
    up, down = np.asarray(worse, float)[..., None], np.asarray(better, float)[..., None]
    return _spread(up * np.log(2 * _WORSE) + down * np.log(2 * (1 - _WORSE)))


def paired(units: ArrayLike, worse: ArrayLike, better: ArrayLike, margin: float) -> Floats:
    """Log capital [...] against "the change does no harm": of `units`, `worse` are newly wronged and `better` freed.

    It is the smaller of two: against "at most a share of `margin` is newly wronged", and against "as many are freed".
    Both claims must be refuted, so each is wrongly refuted with its own chance at most.
    """
    return np.minimum(share(units, worse, margin), sign(worse, better))


def bar(alpha: float, tests: int) -> float:
    """The log capital at which a claim is refuted, where `tests` of them share the level `alpha` (Bonferroni)."""
    return math.log(tests / alpha)


def _spread(bets: Floats) -> Floats:
    """The log of the mean over the last axis of what is given in logs."""
    most = bets.max(axis=-1)
    mean: Floats = most + np.log(np.exp(bets - most[..., None]).mean(axis=-1))
    return mean
