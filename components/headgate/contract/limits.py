"""What a version is measured by, and what the gate and the watch demand: plain values, each domain's in one place."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Metric:
    """A ratio of sums over units: ``Σ numerator / Σ denominator``.

    `direction` is +1 where more is better and -1 where less is. `unit` is what observations are paired by. Its truth
    comes late by `maturity_hours`. A `share` lies between 0 and 1, and so does its interval.
    """

    name: str
    title: str
    direction: Literal[1, -1]
    unit: str
    maturity_hours: float
    share: bool = False


@dataclass(frozen=True)
class Comparison:
    """Limits on a metric against the champion on the same units."""

    metric: str
    margin: float  # non-inferiority overall: the lower end of the paired interval must lie above -margin
    slice_margin: float  # harm in one slice smaller than this is not refused even where it is shown
    least_units: int = 8  # fewer show nothing, whatever their interval says: a person decides


@dataclass(frozen=True)
class Headline:
    """The one figure by which people know a version at a glance, and its limit, as the gate demands it."""

    metric: str
    limit: float  # at most, where less of the metric is better; else at least


@dataclass(frozen=True)
class Watch:
    """What the watch rolls back for: shares of the units that a metric of `Live.observe` counts, a slice, a UTC day."""

    metric: str  # whose observations are watched: the denominator says which count, the numerator which are wronged
    units: str  # what they are, in words: users known to be good
    wronged: float  # at most this share may be wronged by the champion …
    newly: float  # … and this share wronged where the version before it would not have
    after: int = 1  # decisions against it that wrong a unit
    slices: int = 16  # slices that are tested on their own, the first ones of a day; the others count in all traffic
    alpha: float = 1 / 1000  # false rollbacks a day, over all slices and tests
    drifting: tuple[str, ...] = ()  # logged numbers whose distribution is followed; drift only alerts


#: Bounds of the histogram of request times, in seconds, for decisions of milliseconds.
QUICK = (
    *(0.0001, 0.0002, 0.0003, 0.0004, 0.0005, 0.00075, 0.001, 0.0015, 0.002, 0.0025, 0.003, 0.004, 0.005),
    *(0.0075, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0),
)


@dataclass(frozen=True)
class Runtime:
    """What a version of this kind may take as it is tried and as it serves."""

    golden_repeats: int = 60  # times that a fresh process decides the golden rows, by turns with the champion
    golden_seconds: float = 180.0  # until then it must have answered
    slow_seconds: float = 0.025  # a request that takes longer is slow; one of `histogram`
    histogram: Sequence[float] = QUICK  # bounds of the histogram of request times, in seconds
    warm: int = 4  # versions that stay loaded: champion, previous, challenger, and the one that was champion last
    memory_bytes: int | None = None  # that each of these may take; None: it is held against the champion's alone

    def __post_init__(self) -> None:
        """Raise ValueError where slow requests could not be counted, or no rollback would be warm."""
        if self.slow_seconds not in self.histogram:
            raise ValueError(f"slow_seconds = {self.slow_seconds:g} is none of the histogram's bounds")
        if self.warm < 2:
            raise ValueError("warm must be 2 at least: the champion, and the version to go back to")


@dataclass(frozen=True)
class Limits:
    """What the gate demands of a candidate, in one place for each domain."""

    comparisons: tuple[Comparison, ...]
    latency_ratio: float  # against the champion in the same process
    confidence: float = 0.95
    slice_alpha: float = 0.01  # family-wise level of all slice tests, by Holm
    shadow_decisions: int = 0  # live decisions that a candidate must have been held against in the shadow first
    watch: Watch | None = None  # None: nothing rolls back by itself
    runtime: Runtime = Runtime()
    headline: Headline | None = None  # None: the first comparison's metric, which has no limit of its own
