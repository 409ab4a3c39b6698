"""Tracking: the rest of a window follows what came, and the band learns from its misses."""

from datetime import datetime, timedelta

import numpy as np
import pytest
from numpy.typing import NDArray

from headgate.domains.capacity.model.forecaster import Forecaster
from headgate.domains.capacity.serving.track import Tracked, track_event
from headgate.errors import DataRefused

HOME = "eu-central/home/requests"


@pytest.fixture
def follow(forecaster: Forecaster, as_of: datetime):  # type: ignore[no-untyped-def]
    """Track days of which the first steps came as the forecast times some factors."""

    def tracked(factors: NDArray[np.float64], days: int = 2) -> Tracked:
        window = as_of, as_of + timedelta(days)
        said = forecaster.forecast(HOME, *window, levels=(0.5,))
        n = len(factors)
        return track_event(forecaster, HOME, said.times[:n], said.quantiles[0.5][:n] * factors, *window)

    return tracked


def test_what_comes_as_forecast_changes_nothing(follow) -> None:  # type: ignore[no-untyped-def]
    found = follow(np.ones(96))
    assert found.ratio == pytest.approx(1)
    assert (found.seen, found.outside) == (96, 0)
    assert found.expected == pytest.approx(found.forecast)
    assert np.isnan(found.actual[96:]).all()


def test_another_calendar_is_another_forecast_to_follow(forecaster: Forecaster, as_of: datetime) -> None:
    window = as_of + timedelta(days=5), as_of + timedelta(days=6)  # the flash sale
    said = forecaster.forecast(HOME, *window, levels=(0.5,))
    came = said.times[:8], said.quantiles[0.5][:8]
    assert track_event(forecaster, HOME, *came, *window).ratio == pytest.approx(1)
    empty = track_event(forecaster, HOME, *came, *window, calendar=())
    assert empty.forecast[60:80].sum() < 0.9 * said.quantiles[0.5][60:80].sum()


def test_the_rest_is_scaled_by_what_came(follow) -> None:  # type: ignore[no-untyped-def]
    found = follow(np.full(96, 1.5))
    assert found.ratio == pytest.approx(1.5, rel=0.02)
    assert found.expected[96:] == pytest.approx(1.5 * found.forecast[96:], rel=0.02)
    assert found.expected[0] == found.forecast[0]  # nothing was known yet


def test_a_few_steps_are_not_believed_wholly(follow) -> None:  # type: ignore[no-untyped-def]
    assert 1 < follow(np.full(1, 3.0)).ratio < 1.3
    assert follow(np.full(40, 3.0)).ratio > 2.5


def test_one_missing_value_is_no_zero(follow) -> None:  # type: ignore[no-untyped-def]
    gaps = np.ones(96)
    gaps[40:60] = np.nan
    found = follow(gaps)
    assert (found.seen, found.outside) == (76, 0)
    assert found.ratio == pytest.approx(1)


def test_zeros_are_numbers(follow) -> None:  # type: ignore[no-untyped-def]
    found = follow(np.zeros(20))
    assert np.isfinite(found.expected).all()
    assert found.outside == 20


def test_the_band_learns_how_wild_the_day_is(follow) -> None:  # type: ignore[no-untyped-def]
    """A day twice as noisy as any before: the band opens until it misses about as often as it should."""
    random = np.random.default_rng(0)
    calm, wild = (follow(np.exp(random.normal(0, wrong, 4 * 96)), days=5) for wrong in (0.05, 0.4))
    assert (wild.high / wild.low)[-1] > 2 * (calm.high / calm.low)[-1]
    late = slice(2 * 96, 4 * 96)
    missed = ~((wild.actual >= wild.low) & (wild.actual <= wild.high))
    assert missed[late].mean() == pytest.approx(0.1, abs=0.07)
    assert (wild.low <= wild.expected).all()
    assert (wild.expected <= wild.high).all()


def test_values_of_other_times_are_not_used(forecaster: Forecaster, as_of: datetime) -> None:
    window = as_of, as_of + timedelta(1)
    with pytest.raises(DataRefused, match=r"Nothing of .* has come yet"):
        track_event(forecaster, HOME, np.array([0, 900]), np.array([1.0, 2.0]), *window)


def test_a_step_without_anything_in_it_is_one_step(follow) -> None:  # type: ignore[no-untyped-def]
    """A zero is a value: it pulls the ratio down by what it is worth, and does not drown the day in it."""
    factors = np.ones(96)
    factors[60] = 0.0
    found = follow(factors)
    assert found.expected[61] > 0.7 * found.forecast[61]
    assert found.ratio > 0.95
