"""Who is drawn, and what is estimated of those who were: an audit of cases, each with the chance that it had.

A draw is decided by the hash of what is drawn: it is the same wherever and however often it is asked.
"""

from dataclasses import dataclass
from hashlib import sha256
from math import sqrt

import numpy as np
from numpy.typing import ArrayLike

from headgate.gate.ratios import Estimate, ratio, student


def drawn(domain: str, what: str, key: str, share: float) -> bool:
    """Whether `key`, such as a decision's id, is among the `share` drawn for `what`, such as "audit"."""
    digest = sha256(f"{domain}/{what}/{key}".encode()).digest()
    return int.from_bytes(digest[:8], "big") < share * 2.0**64


@dataclass(frozen=True)
class Total:
    """How many there are, or how much, in all that was drawn from, with an interval."""

    value: float
    low: float
    high: float
    drawn: int


def total(values: ArrayLike, propensities: ArrayLike, confidence: float = 0.95) -> Total:
    """The sum over all that was drawn from, of the `values` [n] of those that were drawn, each by itself.

    Horvitz and Thompson's estimate with its variance under Poisson sampling (Särndal, Swensson and Wretman, Model
    Assisted Survey Sampling, 1992, section 3.2): ``Σ y / p`` and ``Σ (1 − p) (y / p)²``. Raises ValueError for a chance
    that is none.
    """
    y, p = _checked(values, propensities)
    value = float((y / p).sum())
    half = student(confidence, len(y)) * sqrt(float(((1 - p) * (y / p) ** 2).sum()))
    return Total(value, value - half, value + half, len(y))


def mean(values: ArrayLike, propensities: ArrayLike, *, share: bool, confidence: float = 0.95) -> Estimate:
    """The mean over all that was drawn from, or the `share` where values are 0 or 1, of the `values` [n] drawn.

    Hájek's ratio ``Σ (y / p) / Σ (1 / p)`` with the interval of any ratio over units (`gate.ratios`): Wilson's at the
    effective number of rows for a share, and the exact one where few tell anything: none seen is not none there.
    """
    y, p = _checked(values, propensities)
    return ratio(y / p, 1 / p, share=share, confidence=confidence)


def _checked(values: ArrayLike, propensities: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    y, p = np.asarray(values, dtype=np.float64), np.asarray(propensities, dtype=np.float64)
    if y.shape != p.shape or y.ndim != 1:
        raise ValueError(f"values and propensities have one row each: {y.shape} and {p.shape} were given")
    if not ((p > 0) & (p <= 1)).all():
        raise ValueError("what was drawn had a chance above 0, and of 1 at most")
    return y, p
