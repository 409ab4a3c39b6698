"""What the gate demands of a capacity forecast, in one place."""

from headgate.domain import Comparison, Limits, Watch

LIMITS = Limits(
    comparisons=(
        Comparison("wape", margin=0.02, slice_margin=0.05),
        Comparison("wape_1h", margin=0.02, slice_margin=0.05),
        Comparison("wape_1d", margin=0.03, slice_margin=0.05),
        Comparison("peak", margin=0.05, slice_margin=0.10),
    ),
    latency_ratio=2.0,
    watch=Watch(
        units="series",
        wronged=0.20,
        newly=0.10,
        after=12,  # quarters of an hour: of a day's 96, a band of 90 % misses ten
        slices=2,
    ),
)

#: A band may cover this much less or more than it says, beyond what chance explains.
COVERAGE_SLACK = 0.10

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
