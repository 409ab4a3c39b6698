"""Events in a fitted model: they move, stretch, overlap, are cancelled, grow and are lent, without a new fit."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from headgate.domains.capacity.companions.calendar import Event
from headgate.domains.capacity.model.clock import DAY
from headgate.domains.capacity.model.event_features import BEYOND, FAST, fast_features
from headgate.domains.capacity.model.event_transfer import share_kinds
from headgate.domains.capacity.model.fit import fit_batch
from headgate.domains.capacity.model.series_model import Model, mixed

from ..small import QUICK, Floats, at, batch, during, event, load, span

PAST = [event(f"2026-0{month}-{day:02d}T10:00Z", f"2026-0{month}-{day:02d}T16:00Z") for month, day in ((1, 14), (2, 4))]
NEXT = event("2026-03-04T10:00Z", "2026-03-04T16:00Z")
TIMES = span("2026-01-05", "2026-02-16")
AHEAD = span("2026-02-23", "2026-03-16")


def learned(events: Sequence[Event] = PAST, factor: float = 3.0, name: str = "eu/s0/requests") -> Model:
    values = load(TIMES)
    for one in events:
        values = values * during(TIMES, one.start[:16], one.end[:16], factor)
    fitted = fit_batch(batch(TIMES, values, events=events, names=[name]), periods=40, wanted=QUICK)
    return mixed(fitted, np.full((len(QUICK), 1), 1 / len(QUICK)))


@pytest.fixture(scope="module")
def model() -> Model:
    return learned()


def uplift(model: Model, *events: Event) -> Floats:
    """The forecast with `events` over the one without any."""
    said, plain = (model.log_forecast(AHEAD, chosen)[:, 0] for chosen in (events, ()))
    return np.exp(said - plain)


def test_a_sale_does_again_what_it_did(model: Model) -> None:
    found = uplift(model, NEXT)
    inside = (at("2026-03-04T10:30") <= AHEAD) & (at("2026-03-04T15:30") > AHEAD)
    far = np.abs(AHEAD - at("2026-03-04T13:00")) > 3 * DAY
    assert found[inside] == pytest.approx(3, rel=0.12)  # two sales of six hours: the ridge believes nine tenths of it
    assert (found[far] == 1).all()


def test_moving_an_event_moves_its_shape(model: Model) -> None:
    moved = replace(NEXT, start="2026-03-07T12:00Z", end="2026-03-07T18:00Z")
    before, after = uplift(model, NEXT), uplift(model, moved)
    rows = (3 * DAY + 2 * 3600) // 900
    sale = (at("2026-03-04T07:00") <= AHEAD) & (at("2026-03-04T21:00") > AHEAD)  # the same local day, before and after
    assert after[rows:][sale[:-rows]] == pytest.approx(before[sale], rel=1e-9)
    assert after[(at("2026-03-04") <= AHEAD) & (at("2026-03-05") > AHEAD)] == pytest.approx(1)


def test_stretching_an_event_stretches_its_plateau_and_leaves_its_ends(model: Model) -> None:
    stretched = replace(NEXT, end="2026-03-05T22:00Z")
    before, after = uplift(model, NEXT), uplift(model, stretched)
    middle = (at("2026-03-04T18:00") <= AHEAD) & (at("2026-03-05T17:00") > AHEAD)
    assert after[middle] == pytest.approx(3, rel=0.18)
    assert np.ptp(after[middle]) < 0.1
    assert before[middle].max() < 1.15
    times = span("2026-03-03", "2026-03-08", 60)
    names = dict(zip(FAST, fast_features([stretched], times, "UTC", 1.0), strict=True))
    ends = dict(zip(FAST, fast_features([NEXT], times, "UTC", 1.0), strict=True))
    assert names["plateau"].sum() == 36 * 60
    for name in FAST[1:]:
        assert names[name].sum() == ends[name].sum(), name


def test_overlapping_events_of_one_kind_are_a_union(model: Model) -> None:
    twin = replace(NEXT, event="twin")
    half = replace(NEXT, event="half", start="2026-03-04T11:00Z", end="2026-03-04T15:00Z")
    times = span("2026-03-03", "2026-03-06")
    for other in (twin, half):
        both = dict(zip(FAST, fast_features([NEXT, other], times, "UTC", 1.0), strict=True))
        alone = dict(zip(FAST, fast_features([NEXT], times, "UTC", 1.0), strict=True))
        assert np.array_equal(both["plateau"], alone["plateau"])
    inside = (at("2026-03-04T12:00") <= AHEAD) & (at("2026-03-04T14:00") > AHEAD)
    assert uplift(model, NEXT, twin)[inside].max() < 1.2 * uplift(model, NEXT)[inside].max()


def test_a_cancelled_event_leaves_nothing(model: Model) -> None:
    assert (uplift(model) == 1).all()


def test_an_intensity_beyond_what_was_seen_is_capped(model: Model) -> None:
    capped, absurd = (uplift(model, replace(NEXT, intensity=value)) for value in (BEYOND, 50.0))
    assert np.array_equal(capped, absurd)
    usual = uplift(model, NEXT)
    assert 1.1 * usual.max() < capped.max() < 1.6 * usual.max()
    weaker = uplift(model, replace(NEXT, intensity=0.5))
    assert 1 < weaker.max() < usual.max()


def test_a_kind_that_was_never_seen_does_nothing_alone(model: Model) -> None:
    assert (uplift(model, replace(NEXT, kind="launch")) == 1).all()


def test_a_kind_that_another_region_has_seen_is_lent_by_it(model: Model) -> None:
    launches = [replace(one, kind="launch") for one in PAST]
    lender = learned(launches, factor=2.0, name="us/s0/requests")
    other = learned(launches, factor=8.0, name="us/other/requests")
    mine, theirs, _ = share_kinds([model, lender, other])
    inside = (at("2026-03-04T11:00") <= AHEAD) & (at("2026-03-04T15:00") > AHEAD)
    launch = replace(NEXT, kind="launch")
    assert uplift(mine, launch)[inside] == pytest.approx(2, rel=0.1)  # as its own service there, not as the other
    assert uplift(mine, NEXT) == pytest.approx(uplift(model, NEXT), rel=1e-9)
    assert uplift(theirs, NEXT)[inside] == pytest.approx(3, rel=0.15)
    assert uplift(theirs, launch) == pytest.approx(uplift(lender, launch), rel=1e-9)


def test_a_local_date_is_each_regions_own_day() -> None:
    times = span("2026-03-01", "2026-03-06", 3600)
    day = event("2026-03-03", "2026-03-04")
    for zone, first in (("UTC", "2026-03-03T00:00"), ("Asia/Tokyo", "2026-03-02T15:00")):
        plateau = fast_features([day], times, zone, 1.0)[0]
        assert times[plateau > 0][0] == at(first)
        assert plateau.sum() == 24


def test_a_holiday_that_a_person_moves_is_where_the_person_says() -> None:
    """Tables of Diwali disagree by days: the calendar's row counts, and moving it moves its effect."""
    diwali = [event("2026-01-14", "2026-01-15", "diwali"), event("2026-02-04", "2026-02-05", "diwali")]
    values = (
        load(TIMES) * during(TIMES, "2026-01-14", "2026-01-15", 1.8) * during(TIMES, "2026-02-04", "2026-02-05", 1.8)
    )
    fitted = fit_batch(batch(TIMES, values, events=diwali), periods=40, wanted=QUICK)
    model = mixed(fitted, np.full((len(QUICK), 1), 1 / len(QUICK)))
    for day, other in (("2026-03-04", "2026-03-09"), ("2026-03-09", "2026-03-04")):
        found = uplift(model, event(day, f"{day}T23:59", "diwali"))
        noon = (at(f"{day}T12:00") - AHEAD[0]) // 900
        assert found[noon] == pytest.approx(1.8, rel=0.1)
        assert found[(at(f"{other}T12:00") - AHEAD[0]) // 900] == pytest.approx(1, abs=0.01)
