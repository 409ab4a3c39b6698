"""Intervals over units: they must hold when the rows of one unit belong together."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from headgate.gate.ratios import difference, holm, ratio


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
    paired = difference(numerator, denominator, other, denominator)
    alone = ratio(numerator, denominator, share=True)
    assert paired.error < (alone.high - alone.low) / 2 / 1.96
    assert 0 < paired.differing < 60


def test_equal_versions_do_not_differ() -> None:
    numerator, denominator = np.array([1.0, 0, 2]), np.array([2.0, 1, 2])
    same = difference(numerator, denominator, numerator, denominator)
    assert same.value == same.error == same.differing == 0
    assert same.below(-0.01) == 1.0


@given(st.lists(st.floats(0, 1), max_size=12), st.floats(0.001, 0.2))
def test_holm_rejects_no_more_than_testing_each_alone_and_no_less_than_bonferroni(p: list[float], alpha: float) -> None:
    rejected = holm(p, alpha)
    for value, refused in zip(p, rejected, strict=True):
        assert not refused or value <= alpha
        assert refused or not value <= alpha / max(len(p), 1) * (1 - 1e-12)
