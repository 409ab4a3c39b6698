"""Blocks of minutes that no season explains: robots, an outage nobody wrote down, a load test.

A robust loss does not replace finding the block (research note: an injected block costs .291 by least squares, .298 by
Huber's loss and .207 when it is masked). What is found is left out of the fit with a reason, and a person overrules it
with a mask whose effect is `keep`.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

#: Seconds of one bin, and bins that make a block.
BIN, LEAST = 900, 2

#: A bin stands out where it is this many robust standard deviations, and this factor, from what was expected.
DEVIATIONS, FACTOR = 5.0, 1.6

#: More than this share of a series is no outlier but a series that the model does not understand.
MOST = 0.05


@dataclass(frozen=True)
class Outlier:
    """Rows [low, high) of a series that were left out."""

    series: int
    low: int
    high: int
    times: float  # what was seen, as a multiple of what was expected


def find(
    values: NDArray[np.float32],
    expected: Floats,
    step: int,
    excused: NDArray[np.bool_],
    counts: NDArray[np.bool_] | None = None,
) -> list[Outlier]:
    """The blocks of `values` [n, S] that stand out from `expected` [n, S]; rows that are `excused` [n, S] never do.

    The median of each day's departure is taken off first: a day that is large as a whole is for the level to explain.
    Where a series is a count (`counts` [S]; none is if None), chance alone moves small numbers: a bin within as many
    standard deviations of a Poisson count (by its root, Anscombe 1948) does not stand out.
    """
    wide = max(BIN // step, 1)
    bins = len(values) // wide
    if bins < 8 * LEAST:
        return []
    usable = ~np.isnan(values) & ~excused
    seen, usual = (_sums(np.where(usable, part, 0.0), wide, bins) for part in (values, expected))
    known = _sums(usable.astype(np.float64), wide, bins) > wide / 2
    least = np.maximum(usual.sum(axis=0) / np.maximum(known.sum(axis=0), 1) * 0.02, 1e-9)  # nights weigh little
    apart = np.where(known, np.log((seen + least) / (usual + least)), np.nan)
    by_chance = (2 * np.abs(np.sqrt(seen) - np.sqrt(usual)) < DEVIATIONS) & (False if counts is None else counts)
    a_day = max(86_400 // (wide * step), 1)
    found = []
    for number in range(values.shape[1]):
        found += _of_series(apart[:, number], by_chance[:, number], a_day, wide, number)
    return found


def _of_series(apart: Floats, by_chance: NDArray[np.bool_], a_day: int, wide: int, number: int) -> list[Outlier]:
    days = -(-len(apart) // a_day)
    padded = np.full(days * a_day, np.nan)
    padded[: len(apart)] = apart
    by_day = padded.reshape(days, a_day)
    known = np.isfinite(by_day).any(axis=1)
    middle = np.zeros(days)
    middle[known] = np.nanmedian(by_day[known], axis=1)
    rest = (by_day - middle[:, None]).ravel()[: len(apart)]
    if not np.isfinite(rest).any():
        return []
    spread = 1.4826 * float(np.nanmedian(np.abs(rest)))
    out = (np.abs(np.nan_to_num(rest)) > max(DEVIATIONS * spread, np.log(FACTOR))) & ~by_chance
    if out.mean() > MOST:
        return []
    edges = np.flatnonzero(np.diff(np.concatenate([[False], out, [False]]).astype(int)))
    return [
        Outlier(number, int(low) * wide, int(high) * wide, float(np.exp(np.mean(apart[low:high]))))
        for low, high in zip(edges[::2], edges[1::2], strict=True)
        if high - low >= LEAST
    ]


def _sums(rows: Floats, wide: int, bins: int) -> Floats:
    return np.asarray(rows[: bins * wide].reshape(bins, wide, -1).sum(axis=1))
