"""Rolling origins: a back-test knows what was known then, and nothing that came or was decided later."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headgate.domains.capacity.data.raw import write_series
from headgate.domains.capacity.model.backtest import LEAST, MOST, origins, roles, try_all, try_out
from headgate.domains.capacity.model.clock import DAY
from headgate.domains.capacity.model.histories import History, load
from headgate.domains.capacity.model.levels import LEVEL_MODELS

from .. import small
from ..small import QUICK, at, event, history, mask, noisy, one, span

TIMES = span("2026-01-05", "2026-02-09", 3600)
VALUES = np.stack([noisy(small.load(TIMES), 1), noisy(small.load(TIMES, size=50.0), 2)], axis=1)
SALES = (event("2026-01-14", "2026-01-15"), event("2026-02-04", "2026-02-05"))

#: Weights of level models that need no Prophet.
WEIGHTS = np.repeat(np.array([[1.0 if name in QUICK else 0.0] for name in LEVEL_MODELS]) / len(QUICK), 2, axis=1)


def past(**changed: object) -> History:
    return replace(history(TIMES, VALUES, calendar=SALES), **changed)  # type: ignore[arg-type]


def test_stretches_follow_each_other_and_end_with_the_history() -> None:
    found = origins(past())
    assert [origin.role for origin in found] == ["tune", "certify", "test"]
    ahead = found[0].ahead
    assert np.diff([origin.instant for origin in found]).tolist() == [ahead * DAY] * 2
    assert found[-1].instant + ahead * DAY == at("2026-02-09")


@given(st.integers(1, 400))
@settings(max_examples=40)
def test_every_origin_has_enough_history_and_a_bounded_reach(days: int) -> None:
    times = span("2026-01-05", "2026-01-06", 3600)
    times = np.arange(times[0], times[0] + days * DAY, 3600)
    for origin in origins(history(times, np.ones(len(times)))):
        assert origin.instant >= times[0] + LEAST[1] * DAY
        assert 1 <= origin.ahead <= MOST[1]
        assert origin.instant + origin.ahead * DAY <= times[-1] + 3600


def test_a_short_history_has_no_origin() -> None:
    times = span("2026-01-05", "2026-01-19", 3600)
    assert origins(history(times, np.ones(len(times)))) == []


@settings(max_examples=12)
@given(st.integers(0, 10**6))
def test_a_backtest_never_sees_what_came_or_was_decided_later(seed: int) -> None:
    """Other values after the origin, later revisions of calendar and masks: the forecast is the same to the bit."""
    random = np.random.default_rng(seed)
    origin = origins(past())[-1]
    then = datetime.fromtimestamp(origin.instant, UTC)
    other = VALUES.copy()
    other[origin.instant <= TIMES] = random.gamma(2, 1000, (int((origin.instant <= TIMES).sum()), 2))
    later = then + timedelta(seconds=int(random.integers(1, 10**6)))
    start, kind = f"2026-01-{random.integers(10, 30)}", str(random.choice(["sale", "launch"]))
    calendar = [
        *SALES,
        replace(SALES[0], revision=2, start="2026-01-20", end="2026-01-22", known_since=later),
        replace(SALES[1], revision=2, status="cancelled", known_since=later),
        event(start, "2026-02-08", kind, event="new", known_since=later),
    ]
    masks = [mask(start, "2026-01-31", str(random.choice(["robots", "throttled"])), known_since=later)]
    before, after = past(), past(values=other, calendar=tuple(calendar), masks=tuple(masks))
    tried = [try_out(one, origin, WEIGHTS)[2] for one in (before, after)]
    assert np.array_equal(tried[0].forecast, tried[1].forecast)
    assert tried[0].events == tried[1].events


def test_what_was_known_at_the_origin_does_count() -> None:
    origin = origins(past())[-1]
    plain = try_out(past(), origin, WEIGHTS)[2].forecast
    other = VALUES.copy()
    other[origin.instant > TIMES] *= 2
    moved = replace(SALES[1], revision=2, start="2026-02-06", end="2026-02-07")
    for changed in (
        past(values=other),
        past(calendar=(*SALES, moved)),
        past(masks=(mask("2026-01-20", "2026-01-24"),)),
    ):
        assert not np.array_equal(try_out(changed, origin, WEIGHTS)[2].forecast, plain)


def test_a_step_that_is_not_over_is_not_known() -> None:
    known = past().known(at("2026-01-20T10:30"))
    assert known.times[-1] == at("2026-01-20T09:00")


def test_what_is_masked_now_is_no_truth_to_be_held_against() -> None:
    noted = (mask("2026-02-05", "2026-02-06"), mask("2026-02-06", "2026-02-07", "throttled"))
    origin = origins(past())[-1]
    actual = try_out(past(masks=noted), origin, WEIGHTS)[2].actual
    hidden = (TIMES[origin.instant <= TIMES] >= at("2026-02-05")) & (TIMES[origin.instant <= TIMES] < at("2026-02-07"))
    assert np.isnan(actual[hidden]).all()
    assert np.isfinite(actual[~hidden]).all()


def test_regions_lend_each_other_only_what_one_had_seen_by_then() -> None:
    origin = origins(past())[-1]
    seen = event("2026-01-14T10:00Z", "2026-01-14T16:00Z", "launch", region="us")
    tomorrow = event("2026-02-04T10:00Z", "2026-02-04T16:00Z", "launch", region="eu")
    noon = [int(np.flatnonzero(TIMES[origin.instant <= TIMES] == at("2026-02-04T13:00"))[0])]
    rows = (at("2026-01-14T10:00") <= TIMES) & (at("2026-01-14T16:00") > TIMES)
    risen = np.where(rows[:, None], 4 * VALUES, VALUES)
    eu = past(calendar=(tomorrow,))
    us = past(values=risen, calendar=(seen,), series=tuple(one(f"us/s{i}/requests", step=3600) for i in range(2)))
    alone = try_out(eu, origin, WEIGHTS)[2].forecast[noon]
    (_, _, lent), _ = try_all([eu, us], "test", [WEIGHTS, WEIGHTS])
    assert (lent.forecast[noon] > 2 * alone).all()


def test_a_series_that_did_not_exist_at_the_origin_is_forecast_as_its_region() -> None:
    values = VALUES.copy()
    values[at("2026-02-05") > TIMES, 1] = np.nan
    origin = origins(past())[-1]
    tried = try_out(past(values=values), origin, WEIGHTS)[2]
    assert np.isfinite(tried.forecast).all()
    assert tried.forecast[:, 1].sum() == pytest.approx(tried.forecast[:, 0].sum(), rel=0.01)


def test_series_are_grouped_by_step_zone_and_calendar(tmp_path) -> None:  # type: ignore[no-untyped-def]
    import polars as pl

    from headgate.domains.capacity.data.raw import write_days
    from headgate.domains.capacity.data.schema import POINTS

    series = [one("eu/a/requests", step=3600), one("eu/b/requests", step=3600), one("in/a/requests", step=3600)]
    series.append(one("us/a/requests", zone="America/New_York", step=3600))
    start = datetime(2026, 1, 5, tzinfo=UTC)
    rows = [
        {
            "series": s.series,
            "time": start + timedelta(hours=h),
            "value": 1.0,
            "known_at": start + timedelta(hours=h + 1),
        }
        for s in series
        for h in range(3)
    ]
    write_days(pl.DataFrame(rows, schema=POINTS), tmp_path, series)
    found = load(tmp_path)
    assert sorted(tuple(s.series for s in h.series) for h in found) == [
        ("eu/a/requests", "eu/b/requests", "in/a/requests"),
        ("us/a/requests",),
    ]
    write_series(series, tmp_path)
    assert roles(origins(found[0]), "test") == []
