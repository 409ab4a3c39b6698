"""Hold what came of a series against another version's band than the one it was held against."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import numpy as np
import polars as pl

from headgate.contract.companions import NONE
from headgate.domains.capacity.companions.followed import CALENDAR
from headgate.domains.capacity.model.forecaster import Forecaster
from headgate.domains.capacity.model.measures import inside
from headgate.errors import DataRefused, UsageError

#: The ends of the band that actuals are held against: 90 %.
_LEVELS = (0.05, 0.95)


def redecide(predictor: Forecaster, rows: pl.DataFrame, companions: Mapping[str, Any] = NONE) -> pl.DataFrame:
    """Whether each actual lies outside the version's 90 % band: slice and outcome, in the same order.

    The calendar is that of `companions`, the version's own where there is none.

    The outcome is null where the version has no band for the series and time. Rows that say only what was asked stay
    as they are.
    """
    calendar = companions.get(CALENDAR)
    outcomes = rows.select(pl.when(pl.col("kind") != "actual").then("outcome")).to_series().to_list()
    actuals = rows.with_row_index("row").filter(pl.col("kind") == "actual", pl.col("actual").is_not_null())
    for (series, step), told in actuals.group_by("series", "step"):
        assert isinstance(series, str)
        assert isinstance(step, int)
        times = told["time"].dt.epoch("s").to_numpy()
        first, last = (datetime.fromtimestamp(int(at), UTC) for at in (times.min(), times.max() + step))
        try:
            said = predictor.forecast(series, first, last, step=step, levels=_LEVELS, calendar=calendar)
        except (UsageError, DataRefused):  # a series or a time that this version knows nothing of
            continue
        place = np.searchsorted(said.times, times)
        low, high = (said.quantiles[level][place] for level in _LEVELS)
        held = inside(told["actual"].to_numpy(), low, high)
        for row, within in zip(told["row"], held.tolist(), strict=True):
            outcomes[row] = "inside" if within else "outside"
    return pl.DataFrame({"slice": rows["slice"], "outcome": pl.Series(outcomes, dtype=pl.String)})
