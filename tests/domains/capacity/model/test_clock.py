"""The local clock: days of 23 and 25 hours, leap days, and years of 53 weeks, without a minute lost or made up."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.domains.capacity.model.clock import DAY, local, local_days, year_position
from headgate.domains.capacity.model.fit import fit_batch
from headgate.domains.capacity.model.series_model import Model, grid, mixed

from ..small import QUICK, at, batch, load, span

ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Asia/Kathmandu", "Australia/Lord_Howe"]


def days_since_1970(text: str) -> int:
    return (date.fromisoformat(text) - date(1970, 1, 1)).days


def model_of(zone: str, start: str, end: str, periods: int, step: int = 900) -> Model:
    times = span(start, end, step)
    fitted = fit_batch(batch(times, load(times, zone=zone), zone=zone), periods=periods, wanted=QUICK)
    return mixed(fitted, np.full((len(QUICK), 1), 1 / len(QUICK)))


@given(st.sampled_from(ZONES), st.integers(0, 2_500_000_000))
def test_the_clock_shows_what_the_zones_own_tables_say(zone: str, second: int) -> None:
    shown = datetime.fromtimestamp(second, UTC).astimezone(ZoneInfo(zone))
    clock = local(np.array([second]), zone)
    assert date(1970, 1, 1) + timedelta(int(clock.day[0])) == shown.date()
    assert clock.weekday[0] == shown.weekday()
    assert clock.clock[0] * DAY == pytest.approx(shown.hour * 3600 + shown.minute * 60 + shown.second, abs=1e-3)


@pytest.mark.parametrize(("day", "minutes"), [("2026-03-29", 1380), ("2026-10-25", 1500), ("2026-03-28", 1440)])
def test_a_day_has_as_many_minutes_as_its_clock_shows(day: str, minutes: int) -> None:
    times = grid(at(day) - DAY, at(day) + 2 * DAY, 60)
    assert (local_days(times, "Europe/Berlin") == days_since_1970(day)).sum() == minutes


@pytest.mark.parametrize(
    ("start", "end", "change"), [("2026-02-02", "2026-03-16", "2026-03-29"), ("2026-09-07", "2026-10-19", "2026-10-25")]
)
def test_a_peak_at_18_oclock_stays_there_when_the_clocks_change(start: str, end: str, change: str) -> None:
    zone = "Europe/Berlin"
    model = model_of(zone, start, end, 28)
    ahead = grid(at(change) - 2 * DAY, at(change) + 3 * DAY, 900)
    assert np.diff(ahead).tolist() == [900] * (len(ahead) - 1)
    said = np.exp(model.log_forecast(ahead, ())[:, 0])
    clock = local(ahead, zone)
    for day in np.unique(clock.day)[1:-1]:  # the first and the last are not whole
        here = clock.day == day
        assert clock.clock[here][said[here].argmax()] * 24 == pytest.approx(18, abs=0.51)
    assert np.abs(np.log(said / load(ahead, zone=zone))).max() < 0.12


def test_the_hour_that_comes_twice_is_two_hours_of_load() -> None:
    model = model_of("Europe/Berlin", "2026-09-07", "2026-10-19", 28)
    day = span("2026-10-24T22:00", "2026-10-25T23:00")  # 25 hours
    level = load(day, zone="Europe/Berlin")
    said = np.exp(model.log_forecast(day, ())[:, 0])
    assert said.sum() == pytest.approx(level.sum(), rel=0.03)
    assert len(said) == 100


def test_29_february_is_forecast_as_an_ordinary_day_of_its_week() -> None:
    model = model_of("UTC", "2028-01-10", "2028-02-21", 28)
    times = span("2028-02-28", "2028-03-02")
    said = np.exp(model.log_forecast(times, ())[:, 0]).reshape(3, -1)
    assert said.sum(axis=1) == pytest.approx(load(times).reshape(3, -1).sum(axis=1), rel=0.05)
    dates = np.array([days_since_1970(text) for text in ("2028-02-28", "2028-02-29", "2028-03-01", "2028-12-31")])
    assert (year_position(dates) * 365).round().tolist() == [58, 59, 59, 364]


def test_a_year_never_reaches_its_end_twice() -> None:
    days = np.arange(days_since_1970("2026-01-01"), days_since_1970("2033-01-01"))
    position = year_position(days)
    assert ((position >= 0) & (position < 1)).all()
    firsts = [days_since_1970(f"{year}-01-01") for year in range(2026, 2033)]
    assert (position[np.array(firsts) - firsts[0]] == 0).all()


def test_weeks_run_through_a_year_of_53() -> None:
    """2026 is an ISO year of 53 weeks: the weeks of a forecast go on across it, each of seven days."""
    times = span("2022-01-03", "2026-06-01", 7 * DAY)
    season = np.exp(0.3 * np.cos(2 * np.pi * year_position(times // DAY)))
    fitted = fit_batch(batch(times, 1000 * season), periods=60, wanted=QUICK)
    model = mixed(fitted, np.full((len(QUICK), 1), 1 / len(QUICK)))
    ahead = grid(at("2026-12-07"), at("2027-02-01"), 7 * DAY)
    weeks = [datetime.fromtimestamp(int(time), UTC).isocalendar() for time in ahead]
    assert [week.week for week in weeks] == [50, 51, 52, 53, 1, 2, 3, 4]
    said = np.exp(model.log_forecast(ahead, ())[:, 0])
    truth = 1000 * np.exp(0.3 * np.cos(2 * np.pi * year_position(ahead // DAY)))
    assert said == pytest.approx(truth, rel=0.05)
