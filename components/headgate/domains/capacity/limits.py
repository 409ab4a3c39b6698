"""What the gate demands of a capacity forecast, in one place."""

from headgate.contract.limits import Comparison, Headline, Limits, Metric, Runtime, Watch
from headgate.contract.outcomes import Outcomes

#: What is decided of a time that was forecast, once something came. A forecast that was asked for decides nothing.
OUTCOMES = Outcomes(
    {"asked": "asked for", "inside": "inside its 90 % band", "outside": "outside its 90 % band"}, adverse=("outside",)
)

# WAPE: the sum of absolute errors over the sum of what came, at the series' own step and coarser. Peak: how far the
# largest quarter of an hour of each day was missed, over what it was; and by how many minutes its time. Coverage: the
# share of steps inside the band.
_UNIT = "series × origin"


METRICS = (
    Metric("wape", "WAPE at the series' own step", -1, _UNIT, 0.0),
    Metric("wape_15min", "WAPE of quarters of an hour", -1, _UNIT, 0.0),
    Metric("wape_1h", "WAPE of hours", -1, _UNIT, 0.0),
    Metric("wape_1d", "WAPE of days", -1, _UNIT, 0.0),
    Metric("peak", "Error of the day's peak", -1, _UNIT, 0.0),
    Metric("peak_minutes", "Minutes between the day's peak and its forecast", -1, _UNIT, 0.0),
    Metric("cover80", "Share of steps inside the 80 % band", +1, _UNIT, 0.0, share=True),
    Metric("cover90", "Share of steps inside the 90 % band", +1, _UNIT, 0.0, share=True),
)

#: Quarters of an hour outside their band: what the watch looks at.
MISSED = "missed"

#: A band may cover this much less or more than it says, beyond what chance explains.
COVERAGE_SLACK = 0.10

LIMITS = Limits(
    comparisons=(
        Comparison("wape", margin=0.02, slice_margin=0.05),
        Comparison("wape_1h", margin=0.02, slice_margin=0.05),
        Comparison("wape_1d", margin=0.03, slice_margin=0.05),
        Comparison("peak", margin=0.05, slice_margin=0.10),
    ),
    latency_ratio=2.0,
    runtime=Runtime(slow_seconds=1.0),  # a forecast of months, or a day of minutes that is followed
    headline=Headline("cover90", limit=0.9 - COVERAGE_SLACK),
    watch=Watch(
        metric=MISSED,
        units="series",
        wronged=0.20,
        newly=0.10,
        after=12,  # quarters of an hour: of a day's 96, a band of 90 % misses ten
        slices=2,
    ),
)

#: The forecast must not be worse than last weeks' profile by more than this share of its WAPE.
WORSE_THAN_PROFILE = 0.10

#: A forecast of a day that jumps by more than this (on the log) against the champion's must be explained.
JUMP = 0.15

#: So many days ahead are held against the champion's forecast of the same days.
STABLE_DAYS = 28

#: New data explains a jump where it departed from the champion's forecast by at least this share of the jump.
EXPLAINS = 0.5

#: Where more than this share of the series jumps unexplained, the version waits for a person.
JUMPING = 0.05
