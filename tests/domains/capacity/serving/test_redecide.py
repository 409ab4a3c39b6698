"""What is logged of a series held against bands: whether it counts, and how another version would have decided."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import polars as pl
import pytest

from headgate.contract.observations import OBSERVATION
from headgate.domains.capacity.companions.followed import CALENDAR
from headgate.domains.capacity.limits import MISSED
from headgate.domains.capacity.serving.log_rows import LOG, observe
from headgate.domains.capacity.serving.redecide import redecide
from headgate.errors import UsageError

HOUR = datetime(2026, 1, 5, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


class Band:
    """A version whose band is 90 … 110 for `a`, from one hour on; of `b` it knows nothing."""

    def __init__(self) -> None:
        self.calendars: list[Any] = []

    def forecast(
        self, series: str, start: datetime, end: datetime, *, step: int, levels: Any, calendar: Any = None
    ) -> Any:
        if series != "a":
            raise UsageError(f"no series {series}")
        assert start >= HOUR
        self.calendars.append(calendar)
        times = np.arange(int(start.timestamp()), int(end.timestamp()), step)
        low, high = (np.full(len(times), value) for value in (90.0, 110.0))
        return SimpleNamespace(times=times, quantiles={0.05: low, 0.95: high})


def told() -> pl.DataFrame:
    """Rows of the log, and the outcome that is to be expected of each."""
    rows = [
        ("actual", "a", HOUR, 100.0, "outside", "inside"),
        ("forecast", "a", None, None, "asked", "asked"),
        ("actual", "b", HOUR, 100.0, "outside", None),
        ("actual", "a", HOUR + 2 * MINUTE, 111.0, "inside", "outside"),
        ("actual", "a", HOUR + MINUTE, 89.0, "outside", "outside"),
        ("actual", "a", HOUR, None, "asked", None),
    ]
    types: dict[str, Any] = {**LOG.own, "outcome": pl.String(), "expected": pl.String()}
    columns = ("kind", "series", "time", "actual", "outcome", "expected")
    made = pl.DataFrame(rows, schema={name: types[name] for name in columns}, orient="row")
    return made.with_columns(step=pl.lit(60, pl.Int32), slice=pl.lit("no event"))


def test_an_actual_is_held_against_the_other_versions_band() -> None:
    rows = told()
    decided = redecide(cast(Any, Band()), rows)
    assert decided["outcome"].to_list() == rows["expected"].to_list()
    assert decided["slice"].to_list() == ["no event"] * 6


@pytest.mark.parametrize("calendar", [None, ("a sale",)])
def test_the_calendar_is_the_one_that_the_rows_name_and_else_the_versions_own(calendar: Any) -> None:
    band = Band()
    redecide(cast(Any, band), told(), {} if calendar is None else {CALENDAR: calendar})
    assert set(band.calendars) == {calendar}


def test_of_a_series_one_actual_a_quarter_of_an_hour_with_a_band_counts() -> None:
    rows = pl.DataFrame(
        {
            "kind": ["actual", "actual", "actual", "actual", "forecast"],
            "series": ["eu/home/requests"] * 5,
            "slice": ["no event"] * 5,
            "time": [HOUR, HOUR + MINUTE, HOUR + 15 * MINUTE, HOUR, None],
            "actual": [1.0, 1.0, 1.0, None, None],
            "forecast": [0.7] * 5,
            "low": [0.5, 0.5, None, 0.5, None],
            "high": [0.9, 0.9, None, 0.9, None],
            "outcome": ["outside", "outside", "outside", "asked", "asked"],
        },
        schema_overrides={"time": LOG.own["time"]},
    )
    found = observe(rows)
    assert found.schema == pl.Schema(OBSERVATION)
    missed = found.filter(metric=MISSED).sort("row")
    assert missed["denominator"].to_list() == [1.0, 0.0, 0.0, 0.0, 0.0]
    assert missed["numerator"].to_list()[0] == 1.0
    assert missed["unit"].unique().to_list() == ["eu/home/requests"]
    covered = found.filter(metric="cover90").sort("row")
    assert covered["denominator"].to_list() == [1.0, 1.0, 0.0, 0.0, 0.0], "every minute with a band, here"
    assert covered["numerator"].to_list()[:2] == [0.0, 0.0]
