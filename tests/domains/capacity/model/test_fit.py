"""The fit of a batch: masks, blocks that no season explains, zeros and gaps, young series, Prophet's parts, weights."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from headgate.domains.capacity.model import prophet_level
from headgate.domains.capacity.model.cold_start import lend
from headgate.domains.capacity.model.ensemble import ensemble_weights
from headgate.domains.capacity.model.fit import Batch, fit_batch
from headgate.domains.capacity.model.series_model import Model, mixed, read, save

from ..small import QUICK, Floats, at, batch, during, event, history, load, mask, noisy, span

TIMES = span("2026-01-05", "2026-02-16")
AHEAD = span("2026-02-16", "2026-03-02")
END = at("2026-02-16")


def learned(known: Batch, periods: int = 20) -> Model:
    fitted = fit_batch(known, periods=periods, wanted=QUICK)
    even = np.full((len(QUICK), len(known.series)), 1 / len(QUICK))
    return lend(mixed(fitted, even), fitted)


def forecast(known: Batch) -> Floats:
    return np.exp(learned(known).log_forecast(AHEAD, known.events))


# -- masks and blocks --------------------------------------------------------------------------------------------------

ROBOTS = ("2026-02-10T03:00", "2026-02-10T07:00")


def test_a_masked_block_of_robots_changes_nothing() -> None:
    values = noisy(load(TIMES))
    flooded = values * during(TIMES, *ROBOTS, 20.0)
    noted = mask(*(f"{time}Z" for time in ROBOTS))
    hidden, calm = (history(TIMES, part, masks=[noted]).known(END) for part in (flooded, values))
    assert np.isnan(hidden.values).sum() == 16
    assert np.array_equal(forecast(hidden), forecast(calm))


def test_an_unmasked_block_is_found_and_left_out() -> None:
    values = noisy(load(TIMES))
    flooded = values * during(TIMES, *ROBOTS, 20.0)
    fitted = fit_batch(batch(TIMES, flooded), periods=20, wanted=QUICK)
    (block,) = fitted.blocks
    assert (fitted.times[block.low], fitted.times[block.high]) == tuple(map(at, ROBOTS))
    assert block.times == pytest.approx(20, rel=0.2)
    assert forecast(batch(TIMES, flooded)) == pytest.approx(forecast(batch(TIMES, values)), rel=0.01)


def test_an_unmasked_outage_is_found_too() -> None:
    values = noisy(load(TIMES)) * during(TIMES, *ROBOTS, 0.0)
    (block,) = fit_batch(batch(TIMES, values), periods=20, wanted=QUICK).blocks
    assert block.times < 0.1


def test_a_person_overrules_the_search() -> None:
    flooded = noisy(load(TIMES)) * during(TIMES, *ROBOTS, 20.0)
    keep = mask(*(f"{time}Z" for time in ROBOTS), "keep")
    assert fit_batch(history(TIMES, flooded, masks=[keep]).known(END), periods=20, wanted=QUICK).blocks == ()


def test_a_sale_in_the_calendar_is_no_outlier() -> None:
    sold = noisy(load(TIMES) * during(TIMES, *ROBOTS, 5.0))
    sale = event(*(f"{time}Z" for time in ROBOTS))
    assert len(fit_batch(batch(TIMES, sold), periods=20, wanted=QUICK).blocks) == 1
    assert fit_batch(batch(TIMES, sold, events=[sale]), periods=20, wanted=QUICK).blocks == ()


def test_calm_series_have_no_blocks() -> None:
    values = np.stack([noisy(load(TIMES, size=size), seed) for seed, size in enumerate((2.0, 50.0, 5000.0))], axis=1)
    assert fit_batch(batch(TIMES, values), periods=20, wanted=QUICK).blocks == ()


def test_throttled_minutes_do_not_lower_the_forecast() -> None:
    truth = noisy(load(TIMES))
    cut = np.minimum(truth, np.where((TIMES % 86_400 >= 16 * 3600) & (TIMES % 86_400 < 20 * 3600), 250, np.inf))
    masks = [mask(f"2026-02-{day:02d}T16:00Z", f"2026-02-{day:02d}T20:00Z", "throttled") for day in range(2, 16)] + [
        mask(f"2026-01-{day:02d}T16:00Z", f"2026-01-{day:02d}T20:00Z", "throttled") for day in range(5, 32)
    ]
    evening = (AHEAD % 86_400 >= 17 * 3600) & (AHEAD % 86_400 < 19 * 3600)
    honest = forecast(batch(TIMES, truth))[evening].mean()
    told = forecast(history(TIMES, cut, masks=masks).known(END))[evening].mean()
    naive = forecast(batch(TIMES, cut))[evening].mean()
    assert naive < told
    assert told > 250 > 0.9 * naive
    assert told < 1.2 * honest


# -- zeros, gaps, young series -----------------------------------------------------------------------------------------


def test_a_series_of_zeros_is_forecast_as_zero_beside_one_that_is_alive() -> None:
    both = np.stack([np.zeros(len(TIMES)), load(TIMES)], axis=1)
    said = forecast(batch(TIMES, both))
    assert said[:, 0].max() < 1e-6
    assert said[:, 1] == pytest.approx(load(AHEAD), rel=0.05)


def test_a_missing_week_is_no_week_of_zeros() -> None:
    gap = np.where((at("2026-01-26") <= TIMES) & (at("2026-02-02") > TIMES), np.nan, load(TIMES))
    assert forecast(batch(TIMES, gap))[:, 0] == pytest.approx(load(AHEAD), rel=0.05)


def test_a_young_series_borrows_the_course_of_its_region_at_its_own_size() -> None:
    young = np.where(at("2026-02-11") <= TIMES, load(TIMES, size=40.0), np.nan)
    values = np.stack([load(TIMES), young, load(TIMES, peak=6.0)], axis=1)
    said = forecast(batch(TIMES, values, names=["eu/home/requests", "eu/new/requests", "us/home/requests"]))[:, 1]
    assert said == pytest.approx(load(AHEAD, size=40.0), rel=0.08)  # weekends included, which it has never seen


def test_a_young_series_borrows_from_the_analogue_that_a_person_named() -> None:
    young = np.where(at("2026-02-11") <= TIMES, load(TIMES, size=40.0, peak=6.0), np.nan)
    known = batch(TIMES, np.stack([load(TIMES), load(TIMES, peak=6.0), young], axis=1))
    like = replace(known.series[2], analogue=known.series[1].series)
    said = forecast(replace(known, series=(*known.series[:2], like)))[:, 2]
    assert said == pytest.approx(load(AHEAD, size=40.0, peak=6.0), rel=0.08)


def test_a_young_series_keeps_its_own_total_whatever_course_it_borrows() -> None:
    peaked = load(TIMES) ** 3
    young = np.where(at("2026-02-09") <= TIMES, 40.0, np.nan)  # a week, flat as far as one knows
    said = forecast(batch(TIMES, np.stack([peaked, young], axis=1)))[:, 1]
    monday = said[:96]
    assert monday.max() > 3 * monday.min()
    assert said[: 7 * 96].sum() == pytest.approx(7 * 96 * 40, rel=0.25)


def test_a_series_without_a_point_is_forecast_as_its_region_and_not_as_nothing() -> None:
    known = batch(TIMES, np.stack([load(TIMES), np.full(len(TIMES), np.nan)], axis=1))
    said = forecast(known)
    assert said[:, 1] == pytest.approx(said[:, 0])


def test_series_of_a_batch_are_forecast_as_each_alone() -> None:
    sizes = (0.5, 30.0, 4000.0)
    values = np.stack([noisy(load(TIMES, size=size, peak=6 + i), i) for i, size in enumerate(sizes)], axis=1)
    values[500:600, 1] = np.nan
    together = forecast(batch(TIMES, values))
    for number in range(len(sizes)):
        assert together[:, [number]] == pytest.approx(forecast(batch(TIMES, values[:, number])), rel=1e-6)


def test_minutes_that_are_fitted_in_larger_steps_are_forecast_as_minutes() -> None:
    times = span("2026-01-05", "2026-04-06", 60)  # more rows than are fitted at once
    ahead = span("2026-04-06", "2026-04-08", 60)
    model = learned(batch(times, load(times)))
    assert np.exp(model.log_forecast(ahead, ())[:, 0]) == pytest.approx(load(ahead), rel=0.03)


def test_a_model_is_what_was_saved(tmp_path) -> None:  # type: ignore[no-untyped-def]
    model = learned(batch(TIMES, noisy(load(TIMES)), events=[event("2026-02-01", "2026-02-02")]))
    save([model], tmp_path)
    (again,) = read(tmp_path)
    assert again.design == model.design
    events = [event("2026-02-20", "2026-02-21")]
    assert again.log_forecast(AHEAD, events) == pytest.approx(model.log_forecast(AHEAD, events), abs=1e-4)


# -- the level ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("growth", ["flat", "linear"])
@pytest.mark.parametrize(("every", "yearly"), [(1, False), (7, True)])
def test_prophets_parts_are_what_prophet_predicts(growth: prophet_level.Growth, every: int, yearly: bool) -> None:
    import pandas as pd
    from prophet import Prophet

    n = 160
    dates = 20_000 + every * np.arange(n)
    random = np.random.default_rng(0)
    x = (random.random((n, 2)) < 0.2).astype(float)
    level = 5 + 0.002 * np.arange(n) + 0.3 * (dates % 7 == 2) + x @ [0.5, -0.2] + random.normal(0, 0.05, n)
    level[10:14] = np.nan
    until = int(dates[119]) + 1
    caught = []

    class Kept(Prophet):  # type: ignore[misc]
        def fit(self, *args: object, **options: object) -> object:
            caught.append(self)
            return super().fit(*args, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("prophet.Prophet", Kept)
        parts = prophet_level.fit(
            level,
            dates=dates,
            regressors=x,
            until=until,
            growth=growth,
            weekly=every == 1,
            yearly=yearly,
            breaks=(int(dates[60]),),
        )
    assert parts is not None
    frame = pd.DataFrame({"ds": pd.to_datetime(dates, unit="D"), "x0": x[:, 0], "x1": x[:, 1]})
    said = caught[0].predict(frame)
    assert parts.trend == pytest.approx(said["trend"].to_numpy(), abs=1e-6)
    assert parts.trend + parts.season + x @ parts.effects == pytest.approx(said["yhat"].to_numpy(), abs=1e-6)


def test_a_level_goes_on_where_it_is_after_a_break() -> None:
    """Load halves in the last two weeks and stays there: the forecast follows the newest level, not the mean."""
    values = load(TIMES) * np.where(at("2026-02-02") <= TIMES, 0.5, 1.0)
    assert forecast(batch(TIMES, values)).mean() == pytest.approx(0.5 * load(AHEAD).mean(), rel=0.1)


def test_a_declared_break_bends_the_trend_on_its_day() -> None:
    broken = event("2026-02-08", "2026-02-08", "break")
    fitted = fit_batch(batch(TIMES, load(TIMES), events=[broken]), periods=20, wanted=QUICK)
    assert at("2026-02-08") // 86_400 in fitted.design.hinges
    assert fitted.design.kinds == ()


@settings(max_examples=6)
@given(arrays(np.float64, (12, 4, 3), elements=st.floats(-5, 5)), st.integers(0, 2**12 - 1))
def test_weights_are_a_mixture(errors: Floats, gaps: int) -> None:
    volume = np.ones((12, 3))
    errors[[bool(gaps >> t & 1) for t in range(12)]] = np.nan
    found = ensemble_weights(errors, volume)
    assert found.shape == (4, 3)
    assert (found >= 0).all()
    assert found.sum(axis=0) == pytest.approx(1)


def test_weights_are_even_without_evidence() -> None:
    found = ensemble_weights(np.full((5, 4, 2), np.nan), np.zeros((5, 2)))
    assert found == pytest.approx(0.25)


def test_weights_pick_the_better_level_model() -> None:
    random = np.random.default_rng(0)
    errors = np.stack([random.normal(0.5, 0.1, (60, 2)), random.normal(0, 0.02, (60, 2))], axis=1)
    found = ensemble_weights(errors, np.ones((60, 2)))
    assert (found[1] > 0.8).all()


def test_a_series_without_evidence_believes_the_others() -> None:
    random = np.random.default_rng(0)
    errors = np.stack([random.normal(0.5, 0.1, (60, 6)), random.normal(0, 0.02, (60, 6))], axis=1)
    errors[:, :, 5] = np.nan
    assert ensemble_weights(errors, np.ones((60, 6)))[1, 5] > 0.8


def test_a_series_that_differs_from_the_others_has_weights_of_its_own() -> None:
    random = np.random.default_rng(0)
    good, bad = random.normal(0, 0.02, (60, 6)), random.normal(0.5, 0.1, (60, 6))
    errors = np.stack([bad, good], axis=1)
    errors[:, :, 5] = errors[:, ::-1, 5]
    found = ensemble_weights(errors, np.ones((60, 6)))
    assert (found[1, :5] > 0.6).all()
    assert found[1, 5] < 0.5
