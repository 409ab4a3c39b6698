"""What is logged of forecasts beside what every domain logs: who asked for which window, and how it went.

Two kinds of rows: "forecast", one a request, with what was asked (`start`, `end`, `step`); and "actual", one for each
time that `/track` was told, with the forecast and its 90 % band. `against` says that an actual lies outside that band.
"""

from pathlib import Path
from typing import NoReturn

import polars as pl

from headgate.decisions.segments import Row
from headgate.domains.capacity.schema import UTC
from headgate.errors import UsageError
from headgate.settings import Settings

#: Slices of actuals: whether an event of the calendar was on.
EVENTS, NO_EVENT = "events", "no event"

LOGGED: dict[str, pl.DataType] = {
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


def export(settings: Settings, out: Path, outcomes: str | None) -> NoReturn:
    """Refuse: what came is known to the metrics system, whoever asked for a forecast; the log holds only what was told.

    Raises UsageError.
    """
    raise UsageError(
        "capacity does not learn from its decision log: the load is known to your metrics system, whole and for every "
        "series. Give its export as --source (`headgate import capacity` makes one)."
    )
