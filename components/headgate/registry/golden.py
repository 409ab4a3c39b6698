"""Golden answers: a bundle brings rows and what its maker decided on them; whoever loads it must decide the same."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from numpy.typing import NDArray

from headgate.errors import HeadgateError

if TYPE_CHECKING:
    from headgate.contract.predictor import Predictor

GOLDEN = "golden.parquet"

#: A column `expected_x` holds what the predictor must answer in its column `x`; every other column is input.
EXPECTED = "expected_"

#: Floats may differ by this, times the expected value where that is larger than one: processors round differently.
TOLERANCE = 1e-5


def agrees(bundle: Path, predictor: "Predictor") -> int:
    """Let `predictor` decide the golden rows of `bundle`; return how many rows it was held against.

    Raises `HeadgateError`, naming column and row, where an answer differs, and where there are no golden answers.
    """
    if not (bundle / GOLDEN).is_file():
        raise HeadgateError(f"The bundle in {bundle} has no golden answers ({GOLDEN}): it cannot be checked.")
    golden = pl.read_parquet(bundle / GOLDEN)
    answers = [name for name in golden.columns if name.startswith(EXPECTED)]
    if not answers or golden.is_empty():
        raise HeadgateError(f"{GOLDEN} in {bundle} expects nothing: it needs rows and columns named {EXPECTED}….")
    decided = predictor.decide(golden.drop(answers))
    if len(decided) != len(golden):
        raise HeadgateError(f"The golden answers are {len(golden)} rows, {len(decided)} were decided.")
    for name in answers:
        column, expected = name.removeprefix(EXPECTED), golden[name]
        if column not in decided.columns:
            raise HeadgateError(f"The golden answers expect a column {column!r}, which was not decided.")
        wrong = np.flatnonzero(~_equal(decided[column], expected))
        if len(wrong):
            row = int(wrong[0])
            raise HeadgateError(
                f"The golden answers do not agree: {column} of row {row} is {decided[column][row]!r}, "
                f"expected {expected[row]!r} ({len(wrong)} of {len(golden)} rows differ)."
            )
    return len(golden)


def _equal(actual: pl.Series, expected: pl.Series) -> NDArray[np.bool_]:
    """Which rows [n] agree; null agrees with null, NaN with NaN."""
    if not (expected.dtype.is_float() and actual.dtype.is_numeric()):
        try:
            return np.asarray(actual.eq_missing(expected))
        except pl.exceptions.PolarsError:  # types that cannot be compared
            return np.zeros(len(expected), dtype=bool)
    nulls = (actual.is_null() == expected.is_null()).to_numpy()
    a, b = (column.cast(pl.Float64).fill_null(0.0).to_numpy() for column in (actual, expected))
    scale = np.where(np.isfinite(b), np.maximum(1.0, np.abs(b)), 1.0)
    return np.asarray(nulls & np.isclose(a / scale, b / scale, rtol=0.0, atol=TOLERANCE, equal_nan=True))
