"""The profile of a snapshot of clicks, and what it must look like before anything is trained on it.

Labels are expected hour by hour. An hour's count is held against the same hour of the other days, scaled by what the
hours of its own day that are not near it say of that day, so sales, weekends and holidays are no alarm; a whole day is
held against the other days. Both by a negative binomial with the data's own dispersion, so an empty night is no alarm
either. A count is low only where the share of clicks is low too: an attack lowers the share alone, a quiet hour the
count alone, a feed that lost its labels both.
"""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from headgate.contract.expectations import Expectation, Profile
from headgate.domains.adclicks.data import snapshots
from headgate.domains.adclicks.data.schema import DEVICES
from headgate.domains.adclicks.data.snapshots import HIGH_RFM, Snapshot

Floats = NDArray[np.float64]

#: The rhythm of a week is judged from this many whole days on.
RHYTHM_DAYS = 7

#: Hours this near say nothing of a day's level: they may have lost their labels too.
NEAR_HOURS = 6

#: An hour is low below this probability: some 700 are tested a day, and a false alarm should be rare in a year.
LOW_HOUR = 1e-6


def profile(folder: Path) -> Profile:
    """Small tables that sum the snapshot up: its feed, columns, days and hours."""
    snapshot = snapshots.read_snapshot(folder)
    bought = snapshots.purchasing(folder / "raw", snapshot.as_of)
    days, hours = [], []
    for day in snapshot.days:
        clicks = snapshots.scan_clicks(folder / "raw", (day,), snapshot.as_of)
        days.append(clicks.select(pl.lit(day).alias("day"), *_sums()).collect(engine="streaming"))
        hours.append(_hours_of(clicks, bought))
    daily = pl.concat(days)
    return {
        "feed": _feed(daily, bought, snapshot, pl.concat(hours)),
        "columns": _columns(daily),
        "days": _days(daily, snapshot),
        "hours": _hours(pl.concat(hours), snapshot),
    }


def _sums() -> list[pl.Expr]:
    skew = pl.col("event_time") - pl.col("received_at")
    offset = pl.col("utc_offset_min")
    return [
        pl.len().alias("clicks"),
        pl.col("click_id").n_unique().alias("ids"),
        pl.col("received_at").max().alias("newest"),
        (skew > timedelta(minutes=5)).sum().alias("future"),
        (skew < -timedelta(hours=1)).sum().alias("late"),
        (~offset.is_between(-720, 840)).sum().alias("utc_offset_min"),
        (~pl.col("rfm").is_between(3, 15)).sum().alias("rfm"),
        (~pl.col("device").is_in(DEVICES)).sum().alias("device"),
        *(
            (pl.col(name).str.len_bytes() == 0).sum().alias(name)
            for name in ("click_id", "user_id", "session_id", "ip")
        ),
    ]


def _hours_of(clicks: pl.LazyFrame, bought: pl.DataFrame) -> pl.DataFrame:
    """Clicks and labels of each hour of event time, for the clicks of one day of arrival."""
    return (
        clicks.select("click_id", "event_time", "rfm")
        .unique("click_id")
        .join(bought.lazy().select("click_id", purchase=True), on="click_id", how="left")
        .group_by(hour=pl.col("event_time").dt.truncate("1h"))
        .agg(
            clicks=pl.len(),
            purchases=pl.col("purchase").sum().cast(pl.Int64),
            accounts=(pl.col("rfm") >= HIGH_RFM).sum().cast(pl.Int64),
        )
        .collect()
    )


def _feed(daily: pl.DataFrame, bought: pl.DataFrame, snapshot: Snapshot, hours: pl.DataFrame) -> pl.DataFrame:
    total = int(daily["clicks"].sum())
    mature = hours.filter(pl.col("hour").is_between(snapshot.start, snapshot.mature_until, closed="left"))
    newest: datetime = daily["newest"].max()  # type: ignore[assignment]
    day, repeats, clicks = _worst_day(daily)
    return pl.DataFrame(
        {
            "key": ["feed"],
            "age_hours": [(snapshot.as_of - newest).total_seconds() / 3600],
            "duplicates": [repeats / clicks],
            "future": [int(daily["future"].sum()) / total],
            "late": [int(daily["late"].sum()) / total],
            "clicks": [int(mature["clicks"].sum())],
            "humans": [int(mature["purchases"].sum())],
            "slow_labels": [float((bought["hours"] > snapshots.MATURITY.total_seconds() / 3600).mean() or 0.0)],  # type: ignore[arg-type]
            "worst_day": [f"{repeats:,} of {clicks:,} clicks that arrived on {day}"],
        }
    )


def _worst_day(daily: pl.DataFrame) -> tuple[date, int, int]:
    """The day with the largest share of repeated ids, how many those are, and its clicks."""
    counted = daily.filter(pl.col("clicks") > 0).select("day", repeats=pl.col("clicks") - pl.col("ids"), of="clicks")
    return counted.sort(pl.col("repeats") / pl.col("of"), "day").row(-1)


def _columns(daily: pl.DataFrame) -> pl.DataFrame:
    total = int(daily["clicks"].sum())
    names = ("click_id", "user_id", "session_id", "ip", "utc_offset_min", "rfm", "device")
    wrong = [int(daily[name].sum() or 0) for name in names]
    share = [count / total for count in wrong]
    return pl.DataFrame(
        {
            "key": names,
            "wrong": wrong,
            "share": [s if name != "device" else None for name, s in zip(names, share, strict=True)],
            "unknown": [s if name == "device" else None for name, s in zip(names, share, strict=True)],
        }
    )


def _days(daily: pl.DataFrame, snapshot: Snapshot) -> pl.DataFrame:
    """Clicks of the last whole days against the same weekday a week before."""
    clicks = dict(zip(daily["day"], daily["clicks"], strict=True))
    whole = snapshot.as_of.date() - timedelta(days=1)
    first = max(snapshot.days[0], snapshot.start.date())
    keys: list[date] = [whole - timedelta(days=back) for back in range(7)]
    before = [clicks.get(day - timedelta(days=7)) if day - timedelta(days=7) >= first else None for day in keys]
    ratio = [clicks.get(day, 0) / week if week else None for day, week in zip(keys, before, strict=True)]
    span = (snapshot.mature_until - snapshot.start).days
    lacking = f"No day has the same weekday before it in the {span} days up to {snapshot.mature_until:%Y-%m-%d}."
    return pl.DataFrame(
        {
            "key": [f"{day:%a %Y-%m-%d}" for day in keys],
            "clicks": [clicks.get(day, 0) for day in keys],
            "before": before,
            "ratio": ratio,
            "why": [lacking] * len(keys),
        },
        schema_overrides={"before": pl.Int64, "ratio": pl.Float64},
    )


def _hours(parts: pl.DataFrame, snapshot: Snapshot) -> pl.DataFrame:
    """Human labels of each mature hour, by where they come from, against the same hour of the other days."""
    first = snapshot.start.replace(minute=0, second=0, microsecond=0)
    begun: datetime = parts["hour"].min()  # type: ignore[assignment]
    first = max(first, begun, datetime.combine(snapshot.days[0], datetime.min.time(), UTC))
    last = snapshot.mature_until.replace(minute=0, second=0, microsecond=0)
    days = (last - first).days
    if days < RHYTHM_DAYS:
        hours = max((snapshot.mature_until - first).total_seconds() / 3600, 0)
        span = f"{hours / 24:.1f} days" if hours > 24 else f"{hours:.1f} hours"
        why = f"A week's rhythm cannot be judged: mature clicks span {span}, {RHYTHM_DAYS} days are needed."
        return pl.DataFrame({"key": ["–"], "labels": [0], "expected": [0.0], "p": [None], "why": [why]})
    start = last - timedelta(days=days)
    frame = pl.DataFrame({"hour": pl.datetime_range(start, last, "1h", closed="left", eager=True)})
    frame = frame.join(parts.group_by("hour").sum(), on="hour", how="left").fill_null(0).sort("hour")
    clicks = frame["clicks"].to_numpy().astype(float).reshape(days, 24)
    tables = []
    for source, words in (("purchases", "purchases"), ("accounts", "clicks of high RFM")):
        labels = frame[source].to_numpy().astype(float).reshape(days, 24)
        whole = labels.sum(axis=1, keepdims=True), clicks.sum(axis=1, keepdims=True)
        for name, counted, seen, level in (
            ("%a %Y-%m-%d %H:%M UTC", labels, clicks, True),
            ("%a %Y-%m-%d, the whole day", *whole, False),
        ):
            expected, p = _low(counted, seen, level=level)
            tables.append(
                pl.DataFrame(
                    {
                        "key": frame["hour"].gather_every(24 // counted.shape[1]).dt.strftime(name),
                        "source": [words] * counted.size,
                        "labels": counted.ravel().astype(int),
                        "expected": expected.ravel(),
                        "p": p.ravel(),
                        "why": pl.Series([None] * counted.size, dtype=pl.String),
                    }
                )
            )
    return pl.concat(tables)


def _low(labels: Floats, clicks: Floats, *, level: bool) -> tuple[Floats, Floats]:
    """Expected labels [days, hours], and the probability of so few by count and by share of clicks, the larger."""
    usual = _others(labels)
    share = clicks * usual / np.maximum(_others(clicks), 1)
    far = np.ones((labels.shape[1],) * 2)
    if level:
        hour = np.arange(labels.shape[1])
        far = (np.abs(hour[:, None] - hour) > NEAR_HOURS).astype(float)
        usual, share = (mean * _ratio(labels @ far, mean @ far) for mean in (usual, share))
    known = labels @ far if level else np.full_like(labels, np.inf)
    return usual, np.maximum(*(_lower_tail(labels, mean, known) for mean in (usual, share)))


def _others(values: Floats) -> Floats:
    """For each day and hour, the mean of that hour over the other days."""
    return np.asarray((values.sum(axis=0) - values) / (len(values) - 1))


def _ratio(seen: Floats, expected: Floats) -> Floats:
    return np.asarray(seen / np.maximum(expected, 1e-9))


def _lower_tail(labels: Floats, expected: Floats, known: Floats) -> Floats:
    """P(count ≤ labels) under negative binomials with means `expected`, whose level rests on `known` labels.

    Var = μ + φ μ²; φ is the median over hours of its moment estimate from the days of that hour, at least 0.01, so that
    a few days with a fault do not widen it, and what the mean itself is uncertain by.
    """
    from scipy.stats import nbinom

    mu = np.maximum(expected, 1e-9)
    excess = ((labels - mu) ** 2 - mu).mean(axis=0) / (mu**2).mean(axis=0)
    busy = labels.mean(axis=0) > 1
    phi = max(float(np.median(excess[busy])) if busy.any() else 0.0, 0.01)
    phi_all = phi * (1 + 1 / (len(labels) - 1)) + 1 / np.maximum(known, 1)
    return np.asarray(nbinom.cdf(labels, 1 / phi_all, 1 / (1 + phi_all * mu)))


def _share(row: dict[str, Any], column: str) -> str:
    return f"{row[column]:.2%} of the clicks"


EXPECTATIONS: tuple[Expectation, ...] = (
    Expectation(
        "freshness", "feed", "age_hours",
        lambda row: f"the newest click arrived {row['age_hours']:.1f} hours before the as-of",
        "Clicks whose labels are mature by now are missing: bring the feed up to date, or give an earlier --as-of.",
        high=26.0,
    ),
    Expectation(
        "freshness of today", "feed", "age_hours",
        lambda row: f"the newest click arrived {row['age_hours']:.1f} hours before the as-of",
        "The model does not need it yet; the counters of tomorrow will.",
        high=6.0, consequence="note",
    ),
    Expectation(
        "volume", "feed", "clicks",
        lambda row: f"only {row['clicks']:,} mature clicks",
        "Give more days, or a later --as-of.",
        low=1_000,
    ),
    Expectation(
        "human labels", "feed", "humans",
        lambda row: f"only {row['humans']:,} purchases are known for the mature clicks",
        "Without people nothing can be learned: check the feed of purchases.",
        low=30,
    ),
    Expectation(
        "duplicates", "feed", "duplicates",
        lambda row: f"{row['duplicates']:.2%} of a day repeat a click_id, {row['worst_day']}",
        "A feed delivered twice: remove the copies at the source.",
        high=0.01,
    ),
    Expectation(
        "clicks from the future", "feed", "future",
        lambda row: f"{_share(row, 'future')} happened more than 5 minutes after they were received",
        "A sender's clock is wrong: mend event_time at the source.",
        high=0.001,
    ),
    Expectation(
        "late clicks", "feed", "late",
        lambda row: f"{_share(row, 'late')} arrived more than an hour late",
        "Counters saw them too late: check the collectors.",
        high=0.05,
    ),
    Expectation(
        "label maturity", "feed", "slow_labels",
        lambda row: f"{row['slow_labels']:.1%} of the purchases became known later than a day",
        "Labels are not mature when they are used: people would be learned as robots. Check the feed of purchases.",
        high=0.10,
    ),
    Expectation(
        "ranges", "columns", "share",
        lambda row: f"column {row['key']} is out of range or empty in {row['wrong']:,} clicks ({row['share']:.2%})",
        "Mend the column at the source.",
        high=0.001,
    ),
    Expectation(
        "known devices", "columns", "unknown",
        lambda row: f"column device is none of {', '.join(DEVICES)} in {row['wrong']:,} clicks ({row['unknown']:.2%})",
        "They count as other.",
        high=0.01, consequence="note",
    ),
    Expectation(
        "volume against the same weekday", "days", "ratio",
        lambda row: f"{row['key']} has {row['clicks']:,} clicks, {row['before']:,} a week before",
        "Part of the feed is missing: import those days again.",
        low=0.4,
    ),
    Expectation(
        "surge against the same weekday", "days", "ratio",
        lambda row: f"{row['key']} has {row['clicks']:,} clicks, {row['before']:,} a week before",
        "Look at what came: a feed delivered twice, or a large attack.",
        high=4.0, consequence="review",
    ),
    Expectation(
        "human density by hour", "hours", "p",
        lambda row: f"{row['key']} has {row['labels']} {row['source']}, {row['expected']:.0f} expected",
        "Labels of these hours are missing, and people would be learned as robots: have them delivered again, "
        "or retrain when the hours have left the window.",
        low=LOW_HOUR,
    ),
)  # fmt: skip
