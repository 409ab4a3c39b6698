"""Hold what came of a series against another version's band than the one it was held against."""

from collections.abc import Iterator
from datetime import UTC, datetime

import numpy as np
import polars as pl

from headgate.domain import Part, Read
from headgate.domains.capacity.forecaster import Forecaster
from headgate.errors import DataRefused, UsageError

#: The ends of the band that actuals are held against: 90 %.
_LEVELS = (0.05, 0.95)


def redecide(forecaster: Forecaster, rows: pl.DataFrame) -> pl.DataFrame:
    """Whether each actual lies outside the version's 90 % band: slice, score, threshold, against; in the same order.

    `against` is null where the version has no band for the series and time. Rows that say only what was asked stay as
    they are; there is no score and no threshold.
    """
    against = rows.select(pl.when(pl.col("kind") != "actual").then("against")).to_series().to_list()
    actuals = rows.with_row_index("row").filter(pl.col("kind") == "actual", pl.col("actual").is_not_null())
    for (series, step), told in actuals.group_by("series", "step"):
        assert isinstance(series, str)
        assert isinstance(step, int)
        times = told["time"].dt.epoch("s").to_numpy()
        first, last = (datetime.fromtimestamp(int(at), UTC) for at in (times.min(), times.max() + step))
        try:
            said = forecaster.forecast(series, first, last, step=step, levels=_LEVELS)
        except (UsageError, DataRefused):  # a series or a time that this version knows nothing of
            continue
        place = np.searchsorted(said.times, times)
        low, high = (said.quantiles[level][place] for level in _LEVELS)
        values = told["actual"].to_numpy()
        for row, outside in zip(told["row"], ((values < low) | (values > high)).tolist(), strict=True):
            against[row] = outside
    return pl.DataFrame(
        {
            "slice": rows["slice"],
            "score": pl.Series([None] * len(rows), dtype=pl.Float32),
            "threshold": pl.Series([None] * len(rows), dtype=pl.Float32),
            "against": pl.Series(against, dtype=pl.Boolean),
        }
    )


def recompute(read: Read, since: datetime, until: datetime) -> Iterator[Part]:
    """Refused: a forecast has no inputs that were counted while events came."""
    raise UsageError("capacity counts nothing that could be rebuilt: decide its actuals again with --mode logged.")
