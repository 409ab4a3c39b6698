"""How often two readers agree who do not see each other: the share, and Cohen's kappa, with intervals.

Only the first and the second reading are held against each other. Cases are drawn for a second reading by chance alone,
so the pairs speak for all cases of the queue.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from math import sqrt
from typing import Any

import numpy as np
import polars as pl
from scipy.special import ndtri

from headgate.decisions.reviews.labels import labels, own_columns
from headgate.domain import Domain
from headgate.gate.ratios import Estimate, ratio
from headgate.settings import Settings


@dataclass(frozen=True)
class Agreement:
    """Of what is ruled in one category."""

    category: str  # "outcome", or one of the domain's labels
    share: Estimate  # of the pairs that agree
    kappa: (
        Estimate  # agreement beyond chance: 1 where it is whole, 0 where it is chance's; None where it is not defined
    )

    def words(self) -> str:
        """In a line."""
        pairs = f"{self.share.units:,} read twice"
        if self.share.value is None:
            return f"{self.category}: none read twice yet"
        told = f"{self.category}: {self.share.value:.0%} agree"
        if self.kappa.value is not None and self.kappa.low is not None:
            told += f", kappa {self.kappa.value:.2f} ({self.kappa.low:.2f} to {self.kappa.high:.2f})"
        return f"{told}, {pairs}"


def agreement(settings: Settings, domain: Domain, as_of: datetime) -> list[Agreement]:
    """For the outcome and each of the domain's labels."""
    made = labels(settings, domain, as_of).filter(pl.col("source") != "policy")
    names = ["outcome", *(f"label_{name}" for name in own_columns(domain))]
    first, second = (
        made.filter(pl.col("reading") == one).unique("case", keep="last").select("case", *names)
        for one in ("first", "second")
    )
    pairs = first.join(second, on="case", suffix="_second")
    found = []
    for name in names:
        one, other = (pairs[column].cast(pl.String).fill_null("").to_list() for column in (name, f"{name}_second"))
        same = np.array([a == b for a, b in zip(one, other, strict=True)], dtype=np.float64)
        share = ratio(same, np.ones(len(same)), share=True)
        found.append(Agreement(name.removeprefix("label_"), share, kappa(one, other)))
    return found


def kappa(first: Sequence[Any], second: Sequence[Any], confidence: float = 0.95) -> Estimate:
    """Cohen's kappa of two readers' values [n] for the same cases, with its large-sample interval.

    The standard error is that of Fleiss, Cohen and Everitt (Psychological Bulletin 72, 1969, equation 13). None where
    all pairs are of one value: nothing can be agreed on beyond chance.
    """
    n = len(first)
    names = sorted({*map(str, first), *map(str, second)})
    place = {name: number for number, name in enumerate(names)}
    p = np.zeros((len(names), len(names)))
    for a, b in zip(first, second, strict=True):
        p[place[str(a)], place[str(b)]] += 1 / n
    rows, columns, seen = p.sum(axis=1), p.sum(axis=0), float(np.trace(p))
    by_chance = float(rows @ columns)
    if n < 2 or by_chance >= 1:
        return Estimate(None, None, None, n)
    value = min(1.0, (seen - by_chance) / (1 - by_chance))
    # rows[j] + columns[i]: of a pair (i, j), how often each reader says what the other said here
    cross = rows[None, :] + columns[:, None]
    on = float((np.diag(p) * ((1 - by_chance) - (rows + columns) * (1 - seen)) ** 2).sum())
    off = float(((p - np.diag(np.diag(p))) * cross**2).sum()) * (1 - seen) ** 2
    spread = on + off - (seen * by_chance - 2 * by_chance + seen) ** 2
    half = float(ndtri(0.5 + confidence / 2)) * sqrt(max(0.0, spread) / n) / (1 - by_chance) ** 2
    return Estimate(value, max(-1.0, value - half), min(1.0, value + half), n)
