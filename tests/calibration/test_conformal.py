"""Conformal quantiles: they cover what they promise, and where the ground moves their adaptive form steers back."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import binom

from headgate.calibration.conformal import Adaptive, quantiles

LEVELS = (0.05, 0.1, 0.5, 0.9, 0.95)


@pytest.mark.parametrize("level", [0.5, 0.8, 0.9, 0.95])
@pytest.mark.parametrize("n", [19, 99])
def test_the_next_score_lies_below_as_often_as_promised(level: float, n: int) -> None:
    """Over exchangeable scores the share is between p and p + 1/(n + 1); held against an exact binomial interval."""
    trials = 20_000
    drawn = np.random.default_rng(n).standard_t(3, (trials, n + 1))
    inside = sum(float(row[-1]) <= quantiles(row[:-1], [level])[0] for row in drawn)
    assert binom.cdf(inside, trials, level) > 1e-4
    assert binom.sf(inside - 1, trials, level + 1 / (n + 1)) > 1e-4


def test_a_band_of_both_ends_covers_what_it_promises() -> None:
    trials, n = 20_000, 79
    drawn = np.random.default_rng(0).exponential(size=(trials, n + 1))
    ends = np.array([quantiles(row[:-1], (0.1, 0.9)) for row in drawn])
    inside = ((drawn[:, -1] >= ends[:, 0]) & (drawn[:, -1] <= ends[:, 1])).sum()
    assert binom.cdf(inside, trials, 0.8) > 1e-4
    assert binom.sf(inside - 1, trials, 0.8 + 2 / (n + 1)) > 1e-4


@given(arrays(np.float64, st.integers(1, 60), elements=st.floats(-1e6, 1e6)))
def test_quantiles_rise_with_the_level_and_are_scores_that_were_seen(scores: np.ndarray) -> None:
    found = quantiles(scores, np.linspace(0.01, 0.99, 33))
    assert (np.diff(found) >= 0).all()
    assert np.isin(found, scores).all()


@given(arrays(np.float64, st.integers(1, 60), elements=st.floats(-1e6, 1e6)), st.sampled_from([0.8, 0.9, 0.95]))
def test_the_lower_end_is_the_upper_end_of_the_mirrored_scores(scores: np.ndarray, level: float) -> None:
    assert quantiles(scores, [1 - level])[0] == -quantiles(-scores, [level])[0]


def test_scores_that_are_not_known_count_for_nothing() -> None:
    scores = np.arange(50.0)
    gaps = np.concatenate([scores, np.full(30, np.nan)])
    assert quantiles(gaps, LEVELS).tolist() == quantiles(scores, LEVELS).tolist()
    assert np.isnan(quantiles(np.full(3, np.nan), LEVELS)).all()


def misses(sizes: np.ndarray, band: Adaptive | None) -> float:
    """The share of `sizes` outside a band that is built from all earlier ones."""
    missed = 0
    now = band or Adaptive(0.1)
    for t in range(100, len(sizes)):
        reach = np.quantile(sizes[max(0, t - 500) : t], 1 - now.asked) if now.asked > 0 else np.inf
        outside = bool(sizes[t] > reach)
        missed += outside
        now = now if band is None else now.after(outside)
    return missed / (len(sizes) - 100)


def test_steering_keeps_the_miss_rate_while_the_errors_grow() -> None:
    """Errors that grow all the time: a fixed level misses too often, the steered one as often as it should."""
    growing = np.abs(np.random.default_rng(1).normal(size=3000)) * np.exp(np.arange(3000) / 600)
    assert misses(growing, None) > 0.13
    assert misses(growing, Adaptive(0.1)) == pytest.approx(0.1, abs=0.01)


@given(st.lists(st.booleans(), min_size=1, max_size=400))
def test_no_sequence_of_misses_drives_the_level_far(outcomes: list[bool]) -> None:
    """Gibbs and Candès, lemma 4.1: where a level at or below zero never misses, it stays within one step of [0, 1]."""
    band = Adaptive(0.1, rate=0.05)
    for outcome in outcomes:
        missed = (outcome and band.asked > 0) or band.asked >= 1
        band = band.after(missed)
        assert -0.05 <= band.level <= 1.05
        assert 0 <= band.asked <= 1


def test_a_miss_widens_and_a_hit_narrows() -> None:
    band = Adaptive(0.1)
    assert band.asked == 0.1
    assert band.after(True).asked < 0.1 < band.after(False).asked
