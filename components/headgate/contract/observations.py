"""What came of decisions, in one form: which metric, in which slice, of which unit, as numerator over denominator.

An evaluation and the decision log are observed by the same function of a domain, so the scorecard, the watch and what
is learned from live traffic cannot differ in what they count.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import polars as pl

#: The slice of everything in a scorecard.
ALL = "all"

#: The columns of observations: a line for each decision and metric that it tells something of.
OBSERVATION: dict[str, pl.DataType] = {
    "row": pl.UInt32(),  # which of the decisions, counted from 0
    "metric": pl.String(),
    "slice": pl.String(),
    "unit": pl.String(),  # what decisions are paired by
    "numerator": pl.Float64(),
    "denominator": pl.Float64(),  # 0: it does not count; null: whether it counts is not known
}


class Observe(Protocol):
    """What decisions tell of a domain's metrics, alone or with what came later."""

    def __call__(self, rows: pl.DataFrame, truth: Path | None = None) -> pl.DataFrame:
        """`OBSERVATION` of logged `rows`; with `truth`, raw files of what came later, of more metrics.

        The denominator does not depend on what was decided: rows that are decided again pair line by line.
        """
        ...


def observations(
    rows: pl.DataFrame, metric: str, *, unit: pl.Expr, numerator: pl.Expr, denominator: pl.Expr
) -> pl.DataFrame:
    """A line of `metric` for each of `rows`, which have a column `slice`."""
    lines = rows.with_row_index("row").select(
        "row", metric=pl.lit(metric), slice="slice", unit=unit, numerator=numerator, denominator=denominator
    )
    return lines.cast(dict(OBSERVATION))  # type: ignore[arg-type]


def units_of(lines: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """Sums of numerators and denominators by metric, slice and unit, the slice "all" with them: `gate.compare.UNITS`.

    Observations that do not count are left out, and so are units that have no other.
    """
    counted = pl.concat(lines).filter(pl.col("denominator") > 0)
    both = pl.concat([counted, counted.with_columns(slice=pl.lit(ALL))])
    sums = both.group_by("metric", "slice", "unit").agg(pl.col("numerator", "denominator").sum())
    return sums.sort("metric", "slice", "unit")
