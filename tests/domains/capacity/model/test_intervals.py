"""Bands and peaks: they hold what they say, open with the level, stay above zero, and widen beyond what was tested."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save_file
from scipy.stats import binom

from headgate.domains.capacity.companions.calendar import Event
from headgate.domains.capacity.model.clock import DAY
from headgate.domains.capacity.model.event_features import active
from headgate.domains.capacity.model.intervals import Bands, Noise, certified, coarser, noise, steps
from headgate.domains.capacity.model.origins import Origin, OriginForecast
from headgate.domains.capacity.model.peaks import (
    PEAKS,
    TOGETHER,
    Days,
    Library,
    collect,
    days,
    peak,
    read_libraries,
    write_libraries,
)

from ..small import Floats, at, event, load, one, span

ORIGIN = at("2026-03-02")
TIMES = span("2026-03-02", "2026-03-16", 3600)
HOURS = len(TIMES)


def stretch(
    seed: int, *, series: int = 20, wrong: float = 0.1, events: tuple[Event, ...] = (), aggregation: str = "sum"
) -> OriginForecast:
    """A forecast of `series` and what came: wrong by independent factors of about `wrong`, and by chance."""
    random = np.random.default_rng(seed)
    forecast = load(TIMES, size=400.0)[:, None] * np.ones(series)
    truth = forecast * np.exp(random.normal(0, wrong, forecast.shape))
    actual = random.poisson(truth).astype(np.float32) if aggregation == "sum" else truth.astype(np.float32)
    rows = tuple(one(f"eu/s{i}/requests", step=3600, aggregation=aggregation) for i in range(series))
    return OriginForecast(Origin("certify", ORIGIN, 14), rows, TIMES, forecast, actual, events)


@pytest.fixture(scope="module")
def noises() -> dict[str, Noise]:
    return noise([stretch(0)], 3600)


@pytest.fixture(scope="module")
def bands(noises: dict[str, Noise]) -> Bands:
    found = certified([stretch(1), stretch(2)], 3600, noises)
    assert found is not None
    return found


def ends(bands: Bands, noises: dict[str, Noise], tried: OriginForecast, number: int, level: float) -> Floats:
    name = tried.series[number].series
    ahead = (tried.times + 3600 - ORIGIN) / DAY
    return noises[name].at(tried.forecast[:, number], bands.score(ahead, np.zeros(HOURS, bool), level))


@pytest.mark.parametrize("share", [0.8, 0.9])
def test_a_band_holds_what_it_says_on_series_it_has_not_seen(
    bands: Bands, noises: dict[str, Noise], share: float
) -> None:
    tried, inside = stretch(3), 0
    for number in range(len(tried.series)):
        low, high = (ends(bands, noises, tried, number, level) for level in ((1 - share) / 2, (1 + share) / 2))
        inside += int(((tried.actual[:, number] >= low) & (tried.actual[:, number] <= high)).sum())
    total = tried.actual.size
    low, high = binom.ppf([1e-4, 1 - 1e-4], total, share) / total
    assert low - 0.015 < inside / total < high + 0.015  # the bands themselves are drawn from as many scores


def test_a_band_holds_by_day_and_for_small_and_large_hours(bands: Bands, noises: dict[str, Noise]) -> None:
    tried = stretch(4)
    low, high = (np.stack([ends(bands, noises, tried, i, q) for i in range(20)], axis=1) for q in (0.1, 0.9))
    inside = (tried.actual >= low) & (tried.actual <= high)
    small = tried.forecast[:, 0] < np.quantile(tried.forecast[:, 0], 0.3)
    for where in (small, ~small, TIMES < ORIGIN + 2 * DAY, TIMES >= ORIGIN + 8 * DAY):
        assert inside[where].mean() == pytest.approx(0.8, abs=0.04)


@given(st.floats(0, 1e7), st.floats(0.01, 400), st.booleans(), st.booleans())
def test_bands_open_with_the_level_and_are_never_negative(
    bands: Bands, value: float, ahead: float, on: bool, chance: bool
) -> None:
    levels = (0.01, 0.05, 0.1, 0.3, 0.5, 0.7, 0.9, 0.95, 0.99)
    scores = [bands.score(np.array([ahead]), np.array([on]), level) for level in levels]
    found = np.concatenate([Noise(0.3, 0.5, chance).at(np.array([value]), score) for score in scores])
    assert (np.diff(found) >= 0).all()
    assert (found >= 0).all()
    assert found[4] == pytest.approx(value, abs=1e-6 * max(value, 1))


def test_bands_widen_beyond_the_horizon_that_was_tested(bands: Bands) -> None:
    calm = np.zeros(3, bool)
    reach = bands.score(np.array([14.0, 56.0, 126.0]), calm, 0.9)
    assert bands.tested == 14
    assert reach == pytest.approx(reach[0] * np.array([1, 2, 3]))


def test_hours_of_an_event_have_a_band_of_their_own() -> None:
    sale = event("2026-03-05", "2026-03-08")
    on = (at("2026-03-05") <= TIMES) & (at("2026-03-08") > TIMES)

    def wild(seed: int) -> OriginForecast:
        calm, rough = stretch(seed, events=(sale,)), stretch(seed, wrong=0.5, events=(sale,))
        return replace(calm, actual=np.where(on[:, None], rough.actual, calm.actual))

    noises = noise([wild(0)], 3600)
    found = certified([wild(1)], 3600, noises)
    assert found is not None
    wide, narrow = found.score(np.array([4.0, 4.0]), np.array([True, False]), 0.9)
    assert wide > 3 * narrow


def test_too_few_scores_certify_nothing(noises: dict[str, Noise]) -> None:
    short = stretch(1, series=1)
    cut = replace(short, times=TIMES[:10], forecast=short.forecast[:10], actual=short.actual[:10])
    assert certified([cut], 3600, noises) is None
    assert certified([], 3600, noises) is None


def test_bands_are_what_was_written(bands: Bands) -> None:
    again = Bands.from_dict(bands.to_dict())
    ahead, on = np.array([0.5, 3.0, 30.0]), np.array([True, False, True])
    assert again.score(ahead, on, 0.95).tolist() == bands.score(ahead, on, 0.95).tolist()


def test_hours_add_up_counts_and_average_gauges() -> None:
    assert steps(60) == [60, 900, 3600, DAY]
    assert steps(7 * DAY) == [7 * DAY]
    counts, gauges = (stretch(0, series=2, aggregation=how) for how in ("sum", "mean"))
    assert coarser(counts, DAY).forecast == pytest.approx(counts.forecast.reshape(14, 24, 2).sum(axis=1))
    assert coarser(gauges, DAY).actual == pytest.approx(gauges.actual.reshape(14, 24, 2).mean(axis=1), rel=1e-5)


def test_a_day_with_gaps_is_filled_as_forecast_and_one_with_many_is_not_judged() -> None:
    whole = stretch(0, series=1)
    actual = whole.forecast.astype(np.float32)
    actual[:2], actual[24:34] = np.nan, np.nan
    seen = coarser(replace(whole, actual=actual), DAY)
    assert seen.actual[0, 0] == pytest.approx(seen.forecast[0, 0], rel=1e-5)
    assert np.isnan(seen.actual[1, 0])


# -- peaks -------------------------------------------------------------------------------------------------------------


def said(values: Floats, on: bool = False) -> Days:
    return days(values, np.full(len(values), on), 3600)


def test_the_largest_step_lies_above_the_largest_median(noises: dict[str, Noise]) -> None:
    library = collect([stretch(1), stretch(2)], noises)
    assert library.blocks.shape == (2 * 20 * 2, TOGETHER)
    forecast = load(TIMES, size=400.0)
    drawn = peak(said(forecast), noises["eu/s0/requests"], library)
    assert np.quantile(drawn, 0.5) > forecast.max()
    assert np.quantile(drawn, 0.95) > np.quantile(drawn, 0.5)
    assert peak(said(forecast), noises["eu/s0/requests"], library, widen=2.0).mean() > drawn.mean()
    assert np.array_equal(peak(said(forecast), noises["eu/s0/requests"], library), drawn)


@pytest.mark.parametrize("hours", [HOURS, 7 * 24, 24, 36])
def test_the_quantiles_of_the_largest_step_are_what_peaks_turn_out_to_be(hours: int) -> None:
    known = Noise(0.1, 0.5, True)
    library = collect([stretch(seed) for seed in (1, 2)], {f"eu/s{i}/requests": known for i in range(20)})
    came = np.concatenate([stretch(seed).actual[:hours].max(axis=0) for seed in range(10, 20)])
    drawn = peak(said(load(TIMES, size=400.0)[:hours]), known, library)
    for level in (0.5, 0.9):
        assert (came <= np.quantile(drawn, level)).mean() == pytest.approx(level, abs=0.1)


def test_days_of_events_are_moved_like_days_of_events() -> None:
    """Where promotions brought half as much again as was forecast, the next one's peak is expected there too."""
    known = Noise(0.1, 0.5, True)
    sale = event("2026-03-05", "2026-03-08")
    tried = stretch(1, events=(sale,))
    on = active((sale,), TIMES, tried.series[0].zone)
    tried.actual[on] *= 1.5
    library = collect([tried], {f"eu/s{i}/requests": known for i in range(20)})
    forecast = load(TIMES, size=400.0)
    calm, busy = (np.median(peak(said(forecast, on), known, library)) for on in (False, True))
    truth = np.median(stretch(2).actual.max(axis=0))
    assert busy == pytest.approx(1.5 * truth, rel=0.1)
    assert calm < 1.3 * truth


def test_one_broken_minute_does_not_order_a_fleet(noises: dict[str, Noise]) -> None:
    broken = stretch(1)
    broken.actual[5, 0] = 1e9
    forecast = load(TIMES, size=400.0)
    drawn = peak(said(forecast), noises["eu/s0/requests"], collect([broken, stretch(2)], noises))
    assert drawn.max() < 3 * forecast.max()


def test_days_that_were_not_seen_neither_raise_nor_lower_peaks(noises: dict[str, Noise]) -> None:
    whole, gaps = stretch(1), stretch(1)
    gaps.actual[: 3 * 24] = np.nan
    forecast = said(load(TIMES, size=400.0))
    drawn = [peak(forecast, noises["eu/s0/requests"], collect([one], noises)) for one in (whole, gaps)]
    assert np.median(drawn[1]) == pytest.approx(np.median(drawn[0]), rel=0.05)


def test_a_peak_without_scores_is_refused(noises: dict[str, Noise]) -> None:
    nothing = Library(np.zeros((0, 0), np.float32), np.zeros(0, np.float32))
    with pytest.raises(ValueError, match="no origin"):
        peak(said(load(TIMES)), noises["eu/s0/requests"], nothing)


def test_libraries_come_back_as_they_were_written(noises: dict[str, Noise], tmp_path: Path) -> None:
    library = collect([stretch(1)], noises)
    write_libraries(tmp_path, {3600: library})
    assert np.array_equal(read_libraries(tmp_path)[3600].blocks, library.blocks)


def test_a_bundle_of_before_peaks_were_of_days_has_none(tmp_path: Path) -> None:
    """It must still be read: a retraining is judged against it."""
    save_file({"3600": np.zeros((2, 168), np.float32)}, tmp_path / PEAKS)
    assert read_libraries(tmp_path) == {}
