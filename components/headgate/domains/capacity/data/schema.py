"""The raw schema: what a source of load series holds.

A source is a folder (or an S3 prefix)::

    series.csv                    one row a series: where it comes from, its clock, its step
    points/2026-11-01.parquet     one row a step of a series that begins on that UTC day
    calendar.csv, masks.csv       what people planned and ruled; see `companions`. Both may be absent

A step without a row is *missing*, a step with the value 0 is *zero*: no load at all was measured. Rows are added as
they become known, and none is ever changed.
"""

import polars as pl

from headgate.data.tables import Table

UTC = pl.Datetime("us", "UTC")

POINTS: dict[str, pl.DataType] = {
    "series": pl.String(),  # an id of series.csv
    "time": UTC,  # the start of the step
    "value": pl.Float64(),  # the load, 0 or more; finite
    "known_at": UTC,  # when we learned of it: not before the step was over
}

POINTS_TABLE = Table(
    name="points", columns=POINTS, day="time", day_is="UTC day of `time`", order=("series", "time"), may_be_empty=False
)

#: The columns of series.csv. `series` is "region/service/metric"; `zone` an IANA name, the clock that people there live
#: by; `step` in seconds; `analogue` the id of a series that a young one is likely to resemble, or empty.
SERIES = ("series", "region", "service", "metric", "unit", "zone", "step", "aggregation", "analogue")

#: A count within the step, or the level during it (a gauge or a rate).
AGGREGATIONS = ("sum", "mean")

DAY = 86_400
WEEK = 7 * DAY

#: Steps in seconds that a series may have.
STEPS = (60, 300, 600, 900, 1800, 3600, DAY, WEEK)

#: Every step begins a whole number of steps from this instant, in seconds since 1970: Monday 1970-01-05 00:00 UTC.
ANCHOR = 4 * DAY
