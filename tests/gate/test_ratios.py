"""Intervals over units: they must hold when the rows of one unit belong together."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import beta, norm

from headgate.gate.ratios import difference, holm, ratio, student


def _clustered(random: np.random.Generator, users: int, rate: float) -> tuple[np.ndarray, np.ndarray]:
    """Users with many rows each whose own rates differ: rows of one user are far from independent."""
    rows = random.integers(1, 40, users)
    own = random.beta(rate * 2, (1 - rate) * 2, users)
    return random.binomial(rows, own).astype(float), rows.astype(float)


def test_the_interval_covers_the_true_ratio_of_clustered_rows() -> None:
    random = np.random.default_rng(11)
    hits, runs = 0, 600
    for _ in range(runs):
        estimate = ratio(*_clustered(random, 300, 0.2), share=True)
        hits += estimate.low <= 0.2 <= estimate.high
    # 95 % nominal; the bounds are those of 600 binomial draws at 93 and 98 %.
    assert 0.91 * runs <= hits <= 0.99 * runs


def test_an_interval_that_ignored_the_clusters_would_not_cover() -> None:
    random = np.random.default_rng(12)
    hits, runs = 0, 300
    for _ in range(runs):
        numerator, denominator = _clustered(random, 300, 0.2)
        value, n = numerator.sum() / denominator.sum(), denominator.sum()
        hits += abs(value - 0.2) <= 1.96 * np.sqrt(value * (1 - value) / n)
    assert hits < 0.7 * runs


def test_no_denominator_is_no_value() -> None:
    assert ratio(np.zeros(3), np.zeros(3), share=True).value is None


def test_a_share_of_none_still_has_an_upper_end() -> None:
    estimate = ratio(np.zeros(50), np.ones(50), share=True)
    assert estimate.low == 0.0
    assert 0.02 < estimate.high < 0.12


def test_a_paired_difference_is_sharper_than_an_unpaired_one() -> None:
    random = np.random.default_rng(13)
    numerator, denominator = _clustered(random, 400, 0.3)
    other = np.maximum(numerator - (random.random(400) < 0.05), 0)
    paired = difference(numerator, denominator, other, denominator, share=True)
    alone = ratio(numerator, denominator, share=True)
    assert paired.error < (alone.high - alone.low) / 2 / 1.96
    assert 0 < paired.differing < 60


def test_equal_versions_do_not_differ() -> None:
    numerator, denominator = np.array([1.0, 0, 2]), np.array([2.0, 1, 2])
    same = difference(numerator, denominator, numerator, denominator, share=False)
    assert same.value == same.error == same.differing == 0
    assert same.below(-0.01) == 1.0


@pytest.mark.parametrize(("units", "reach"), [(8, 0.3), (40, 0.06), (300, 0.01), (5000, 0.001)])
def test_no_difference_seen_is_none_only_as_far_as_the_units_go(units: int, reach: float) -> None:
    """Of a share, seen in `units` of which none differs; the exact bound on units that do is 1 − 0.025^(1/units)."""
    some = np.arange(units) % 3 == 0
    low, high = difference(some * 1.0, np.ones(units), some * 1.0, np.ones(units), share=True).interval(0.95)
    assert high == -low
    assert 0.6 * (1 - 0.025 ** (1 / units)) < high
    assert high == pytest.approx(reach, rel=0.5)


def test_eight_units_without_harm_show_no_non_inferiority() -> None:
    good, all_of_them = np.ones(8), np.ones(8)
    assert difference(good, all_of_them, good, all_of_them, share=True).interval(0.95)[0] < -0.02
    many = np.ones(2000)
    assert difference(many, many, many, many, share=True).interval(0.95)[0] > -0.02


def test_a_single_unit_says_nothing_of_the_others() -> None:
    alone = ratio(np.array([3.0]), np.array([4.0]), share=False)
    assert (alone.value, alone.low, alone.high, alone.units) == (0.75, None, None, 1)
    low, high = difference(np.array([3.0]), np.array([4.0]), np.array([1.0]), np.array([4.0]), share=False).interval(
        0.9
    )
    assert (low, high) == (-np.inf, np.inf)


def test_a_share_of_a_single_unit_may_be_anything() -> None:
    partly = ratio(np.array([0.43]), np.array([2.0]), share=True)
    assert (partly.value, partly.units) == (0.215, 1)
    assert partly.low is not None
    assert partly.high is not None
    assert partly.low < 0.05
    assert partly.high > 0.95


def test_units_without_a_denominator_are_none() -> None:
    numerator, denominator = np.array([1.0, 0, 2]), np.array([2.0, 1, 2])
    padded = [np.append(values, np.zeros(500)) for values in (numerator, denominator)]
    assert ratio(*padded, share=False) == ratio(numerator, denominator, share=False)
    assert difference(*padded, padded[0] / 2, padded[1], share=False).units == 3


def test_with_thousands_of_units_the_interval_is_the_normal_one() -> None:
    """To the four decimals that the gate shows; Cochran's linearised error, as it is in the textbook."""
    random = np.random.default_rng(14)
    numerator, denominator = _clustered(random, 5000, 0.3)
    other = np.maximum(numerator - (random.random(5000) < 0.05), 0)
    value, total = numerator.sum() / denominator.sum(), denominator.sum()
    error = np.sqrt(((numerator - value * denominator) ** 2).sum()) / total
    estimate = ratio(numerator, denominator, share=False)
    assert (estimate.low, estimate.high) == pytest.approx((value - 1.96 * error, value + 1.96 * error), abs=5e-5)
    gap = (numerator - other) / total - (numerator - other).sum() / total * denominator / total
    reach = 1.96 * np.sqrt((gap**2).sum())
    found = difference(numerator, denominator, other, denominator, share=True)
    assert found.interval(0.95) == pytest.approx((found.value - reach, found.value + reach), abs=5e-5)
    assert found.below(0.0) == pytest.approx(norm.cdf(found.value / (reach / 1.96)), rel=0.1)


def _ones(random: np.random.Generator, units: int) -> np.ndarray:
    return np.ones(units)


def _some(random: np.random.Generator, units: int) -> np.ndarray:
    return random.integers(1, 40, units).astype(float)


def _highest(hits: int) -> float:
    """The upper end of the exact 99 % interval of a coverage that was simulated in `RUNS`."""
    return float(beta.ppf(0.995, hits + 1, RUNS - hits)) if hits < RUNS else 1.0


RUNS = 500

#: What is stated, and how far a coverage may lie below it: these are intervals of few units, not exact ones.
STATED, SHORT = 0.95, 0.02


@pytest.mark.parametrize("units", [5, 8, 15, 40])
@pytest.mark.parametrize("size", [_ones, _some])
@pytest.mark.parametrize("rate", [0.01, 0.05, 0.3, 0.97])
def test_a_share_of_few_units_is_covered(units: int, size: Callable, rate: float) -> None:
    """Rows of a unit that are alike, of shares near 0 and 1 too."""
    random, hits = np.random.default_rng(units), 0
    for _ in range(RUNS):
        rows = size(random, units)
        own = random.beta(2 * rate, 2 * (1 - rate), units)
        found = ratio(random.binomial(rows.astype(int), own).astype(float), rows, share=True)
        hits += found.low <= rate <= found.high
    assert _highest(hits) > STATED - SHORT


@pytest.mark.parametrize("units", [5, 8, 15, 40])
@pytest.mark.parametrize("size", [_ones, _some])
def test_a_difference_of_what_is_no_share_is_covered(units: int, size: Callable) -> None:
    random, hits = np.random.default_rng(units), 0
    for _ in range(RUNS):
        weight, champion = size(random, units), random.gamma(4, 0.05, units)
        candidate = champion + random.normal(0.01, 0.03, units)
        low, high = difference(weight * candidate, weight, weight * champion, weight, share=False).interval(0.95)
        hits += low <= 0.01 <= high
    assert _highest(hits) > STATED - SHORT


def test_the_normal_interval_would_not_cover_with_five_units() -> None:
    random, hits = np.random.default_rng(5), 0
    for _ in range(RUNS):
        found = difference(random.normal(1.01, 0.03, 5), np.ones(5), np.ones(5), np.ones(5), share=False)
        low, high = found.interval(0.95)
        narrow = 1.96 / student(0.95, 5)
        hits += abs(found.value - 0.01) <= narrow * (high - low) / 2
    assert _highest(hits) < 0.93


@pytest.mark.parametrize("units", [5, 8, 15, 40])
@pytest.mark.parametrize("size", [_ones, _some])
@pytest.mark.parametrize(("worse", "better"), [(0.01, 0.0), (0.05, 0.01), (0.03, 0.03), (0.3, 0.2)])
def test_a_difference_of_shares_that_few_units_show_is_covered(
    units: int, size: Callable, worse: float, better: float
) -> None:
    """Units that differ wholly or not at all: the rarer they are, the less is seen of them."""
    random, hits = np.random.default_rng(units), 0
    for _ in range(RUNS):
        rows, draw = size(random, units), random.random(units)
        candidate, champion = np.where(draw > 1 - better, rows, 0.0), np.where(draw < worse, rows, 0.0)
        low, high = difference(candidate, rows, champion, rows, share=True).interval(0.95)
        hits += low <= better - worse <= high
    assert _highest(hits) > STATED - SHORT


@given(st.lists(st.floats(0, 1), max_size=12), st.floats(0.001, 0.2))
def test_holm_rejects_no_more_than_testing_each_alone_and_no_less_than_bonferroni(p: list[float], alpha: float) -> None:
    rejected = holm(p, alpha)
    for value, refused in zip(p, rejected, strict=True):
        assert not refused or value <= alpha
        assert refused or not value <= alpha / max(len(p), 1) * (1 - 1e-12)
