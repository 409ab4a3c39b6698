"""What is logged of forecasts beside what every domain logs: who asked for which window, and how it went.

Two kinds of rows: "forecast", one a request, with what was asked (`start`, `end`, `step`); and "actual", one for each
time that `/track` was told, with the forecast and its 90 % band. The outcome says whether an actual lies outside
that band.
"""

from pathlib import Path

import polars as pl

from headgate.contract.live import DecisionLog
from headgate.contract.observations import observations
from headgate.contract.row import Row
from headgate.domains.capacity.data.schema import UTC
from headgate.domains.capacity.limits import MISSED
from headgate.domains.capacity.model.measures import absolute_error, inside

#: Slices of actuals: whether an event of the calendar was on.
EVENTS, NO_EVENT = "events", "no event"

_COLUMNS: dict[str, pl.DataType] = {
    "kind": pl.String(),  # forecast, actual
    "series": pl.String(),
    "step": pl.Int32(),  # seconds
    "start": UTC,  # forecast: the window that was asked for
    "end": UTC,
    "time": UTC,  # actual: the start of the step
    "actual": pl.Float64(),
    "forecast": pl.Float64(),  # the median
    "low": pl.Float64(),  # of the 90 % band
    "high": pl.Float64(),
}


class LoggedForecast(Row, frozen=True, array_like=True, gc=False):
    """A row of the log. Instants are microseconds since 1970."""

    kind: str
    series: str
    step: int
    start: int | None = None
    end: int | None = None
    time: int | None = None
    actual: float | None = None
    forecast: float | None = None
    low: float | None = None
    high: float | None = None


#: Minutes of a series follow each other closely: one in so many seconds tells as much as all, and series of all steps
#: up to this are counted alike.
EVERY = 900


LOG = DecisionLog("capacity", _COLUMNS)


def observe(rows: pl.DataFrame, truth: Path | None = None) -> pl.DataFrame:
    """What logged actuals tell: the WAPE and the coverage of the 90 % band, by series and day.

    And, of the quarters of an hour alone, whether they lie outside their band, by series. A forecast that was asked
    for, or a time of which nothing came yet, tells nothing. What came is in the log: there is no later truth.
    """
    told = ((pl.col("kind") == "actual") & pl.col("actual").is_not_null() & pl.col("low").is_not_null()).fill_null(
        False
    )
    whole = told & (pl.col("time").dt.epoch("s") % EVERY == 0).fill_null(False)
    a_day = pl.format("{} @ {}", "series", pl.col("time").dt.date())
    missed, came = absolute_error(pl.col("actual"), pl.col("forecast"))
    held = inside(pl.col("actual"), pl.col("low"), pl.col("high"))
    outside = pl.col("outcome") == "outside"
    return pl.concat(
        [
            observations(rows, MISSED, unit=pl.col("series"), numerator=outside, denominator=whole),
            observations(
                rows, "wape", unit=a_day, numerator=missed, denominator=pl.when(told).then(came).otherwise(0.0)
            ),
            observations(rows, "cover90", unit=a_day, numerator=held, denominator=told),
        ]
    )
