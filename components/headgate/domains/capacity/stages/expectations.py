"""What the profile of a snapshot of load must look like before anything is trained on it.

Negative and repeated points never come so far: the snapshot refuses a file that holds one. Gaps harm little, since a
missing minute is not learned from; zeros that were no zeros, and clocks that are wrong, harm much.
"""

from headgate.contract.expectations import Expectation
from headgate.domains.capacity.stages.profile import profile

__all__ = ["EXPECTATIONS", "profile"]

EXPECTATIONS: tuple[Expectation, ...] = (
    Expectation(
        "freshness", "feed", "newest",
        lambda row: f"no series of {row['step']} s has a point of the last {row['newest']:.0f} hours before the as-of, "
        f"{row['key']} none of the last {row['overdue']:.0f}",
        "Bring the feed up to date, or give an earlier --as-of.",
        high=26.0,
    ),
    Expectation(
        "freshness of every series", "feed", "overdue",
        lambda row: f"{row['key']} has no point of the last {row['overdue']:.0f} hours",
        "Forecasts of it start from what is known: mend its feed, or take it out of series.csv if it is retired.",
        high=26.0, consequence="note",
    ),
    Expectation(
        "missing points", "days", "missing",
        lambda row: f"on {row['key']}, {row['missing']:.0%} of the points of {row['of']:,} series are missing "
        f"({row['steps']:,} steps)",
        "Part of the feed is missing: import those days again, or mask the outage if there was one.",
        high=0.5,
    ),
    Expectation(
        "gaps", "gaps", "share",
        lambda row: f"{row['key']} lacks {row['steps']:,} points, the longest gap {row['words']}",
        "They are not learned from. Where load was lost, mask the hours as an outage.",
        high=0.25, consequence="note",
    ),
    Expectation(
        "volume against the same weekday", "days", "ratio",
        lambda row: f"{row['key']} have {row['ratio']:.2f} of the load of a week before, {row['lowest']}",
        "Import those days again if they are not whole; mask what was an outage.",
        low=0.4,
    ),
    Expectation(
        "surge against the same weekday", "days", "ratio",
        lambda row: f"{row['key']} have {row['ratio']:.1f} times the load of a week before",
        "Put what caused it into the calendar, or mask it as robots or a load test.",
        high=4.0, consequence="review",
    ),
    Expectation(
        "zeros", "series", "zeros",
        lambda row: f"{row['key']} was 0 for {row['zeros']:.1f} hours in which it seldom is, {row['zeros_words']}",
        "Mask them as an outage if it was one: zeros are learned as no load, missing points are not.",
        high=0.5, consequence="review",
    ),
    Expectation(
        "flat lines", "series", "flat",
        lambda row: f"{row['key']} kept one value for {row['flat_words']}, far longer than ever before",
        "A stuck sensor repeats its last value: mend it, and mask those hours.",
        high=1.0, consequence="review",
    ),
    Expectation(
        "clocks", "clocks", "lag",
        lambda row: f"the daily profile of {row['key']} lies {abs(row['hours']):.0f} h "
        f"{'later' if row['hours'] > 0 else 'earlier'} than in the weeks before",
        "Check the stamps of the feed and the zone in series.csv, above all when clocks were set lately.",
        high=0.0, consequence="review",
    ),
    Expectation(
        "hours around the setting of clocks", "clocks", "lost",
        lambda row: f"{row['lost']:.0%} of the points of {row['key']} are missing in an hour around the last setting",
        "The export lost the hour that came twice: export instants with their offset.",
        high=0.5, consequence="note",
    ),
    Expectation(
        "names in calendar and masks", "companions", "unknown",
        lambda row: f"the {row['what']} {row['key']} names {row['names']}, which no series has",
        "It changes nothing as it stands: correct the name in a new revision, or cancel it.",
        high=0.0, consequence="review",
    ),
    Expectation(
        "kinds of planned events", "companions", "unseen",
        lambda row: f"{row['key']} is planned, and no {row['kind']} was seen before",
        "Its effect cannot be learned yet; the forecast takes it for an ordinary day.",
        high=0.0, consequence="note",
    ),
)  # fmt: skip
