"""Drift: whether scores and inputs are distributed as on the version's first whole day. It only ever alerts.

PSI, the population stability index, of two samples over the deciles of the first: ``Σ (q − p) ln(q/p)``. By the rule of
thumb of credit scoring, where it comes from, below 0.1 nothing moved, and above 0.25 much did (Siddiqi, Credit Risk
Scorecards, 2006). Chance alone gives about 9 (1/n + 1/m), so small slices are left out.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

import numpy as np
import polars as pl
from numpy.typing import NDArray

from headgate.contract.live import DecisionLog
from headgate.decisions.reading import parts
from headgate.settings import Settings

#: From here on much has moved.
MUCH = 0.25

#: Rows of a slice that are needed on both days, and rows of a day that are looked at.
LEAST, MOST = 500, 200_000

_BINS = 10


@dataclass(frozen=True)
class Drifted:
    """A logged number that moved in a slice."""

    slice: str
    column: str
    psi: float


def drifted(
    settings: Settings, log: DecisionLog, version: int, since: datetime, columns: Sequence[str], day: date
) -> list[Drifted]:
    """What moved beyond `MUCH` on the UTC day `day` against the first whole day of the version, the most moved first.

    The version decides `since` then. A column is a logged number, or as "features[3]" the fourth of a logged vector.
    """
    first = since.astimezone(UTC).date() + timedelta(days=1)
    if first >= day or not columns:
        return []
    then, now = (_sample(settings, log, version, columns, one) for one in (first, day))
    found = []
    for (name,), rows in now.group_by("slice"):
        before = then.filter(pl.col("slice") == name)
        if min(len(rows), len(before)) >= LEAST:
            pairs = ((column, psi(before[column].to_numpy(), rows[column].to_numpy())) for column in columns)
            found += [Drifted(str(name), column, value) for column, value in pairs if value > MUCH]
    return sorted(found, key=lambda one: (-one.psi, one.slice, one.column))


def psi(reference: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """The index of two samples [n] and [m]; an empty bin counts as half a row."""
    edges = np.unique(np.quantile(reference, np.linspace(0, 1, _BINS + 1)[1:-1]))
    p, q = (
        np.maximum(np.bincount(np.searchsorted(edges, sample), minlength=len(edges) + 1), 0.5) / len(sample)
        for sample in (reference, other)
    )
    return float(((q - p) * np.log(q / p)).sum())


def _sample(settings: Settings, log: DecisionLog, version: int, columns: Sequence[str], day: date) -> pl.DataFrame:
    """Slice and columns of at most about `MOST` rows of the version on `day`, evenly over the day."""
    start = datetime.combine(day, time(), UTC)
    wanted = {name: _column(name) for name in columns}
    kept = pl.DataFrame()
    every = 1
    for _, rows in parts(settings, log, start, start + timedelta(days=1)):
        mine = rows.filter(pl.col("version") == version).select("slice", **wanted).drop_nulls().gather_every(every)
        kept = pl.concat([kept, mine]) if len(kept) else mine
        if len(kept) > MOST:
            kept, every = kept.gather_every(2), every * 2
    return kept if len(kept) else pl.DataFrame(schema={"slice": pl.String, **dict.fromkeys(columns, pl.Float32)})


def _column(name: str) -> pl.Expr:
    vector = re.fullmatch(r"(\w+)\[(\d+)]", name)
    return pl.col(vector[1]).arr.get(int(vector[2])) if vector else pl.col(name)
