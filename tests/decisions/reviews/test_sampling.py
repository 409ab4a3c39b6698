"""An audit's weights: estimates are right on average, and their intervals cover."""

import numpy as np
import pytest

from headgate.decisions.reviews.sampling import drawn, mean, total

RUNS = 300


def population(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """4,000 decisions, of which the suspicious ones are drawn more often and are wrong more often."""
    random = np.random.default_rng(seed)
    suspicion = random.random(4_000)
    wrong = (random.random(4_000) < 0.02 + 0.3 * suspicion**2).astype(float)
    return wrong, 0.02 + 0.28 * suspicion


def test_a_draw_is_the_same_each_time_and_of_its_share() -> None:
    keys = [f"20260105-w-{number:x}" for number in range(4_000)]
    taken = [drawn("rooms", "audit", key, 0.1) for key in keys]
    assert taken == [drawn("rooms", "audit", key, 0.1) for key in keys]
    assert sum(taken) / 4_000 == pytest.approx(0.1, abs=0.02)
    other = [drawn("rooms", "second", key, 0.1) for key in keys]
    assert sum(a and b for a, b in zip(taken, other, strict=True)) < 80  # one draw says nothing of another
    assert all(drawn("rooms", "audit", key, 1.0) for key in keys)
    assert not any(drawn("rooms", "audit", key, 0.0) for key in keys)


def test_weighted_estimates_cover_the_truth_and_unweighted_ones_do_not() -> None:
    covered = {"total": 0, "share": 0, "unweighted": 0}
    values = []
    for seed in range(RUNS):
        wrong, chance = population(seed)
        taken = np.random.default_rng((1, seed)).random(4_000) < chance
        y, p = wrong[taken], chance[taken]
        sums, share, plain = total(y, p), mean(y, p, share=True), mean(y, np.ones(len(y)), share=True)
        values.append(sums.value / wrong.sum())
        covered["total"] += sums.low <= wrong.sum() <= sums.high
        covered["share"] += share.low <= wrong.mean() <= share.high
        covered["unweighted"] += plain.low <= wrong.mean() <= plain.high
    assert np.mean(values) == pytest.approx(1, abs=0.02)
    assert 0.91 <= covered["total"] / RUNS <= 0.99
    assert 0.91 <= covered["share"] / RUNS <= 0.99
    assert covered["unweighted"] / RUNS < 0.5


def test_where_none_was_seen_the_interval_says_how_many_there_may_be() -> None:
    found = mean(np.zeros(100), np.full(100, 0.05), share=True)
    assert (found.value, found.low) == (0.0, 0.0)
    assert 0.02 < found.high < 0.06


@pytest.mark.parametrize("chance", [0.0, -0.1, 1.1, np.nan])
def test_a_chance_that_is_none_is_refused(chance: float) -> None:
    with pytest.raises(ValueError, match="had a chance"):
        total([1.0], [chance])
    with pytest.raises(ValueError, match="one row each"):
        mean([1.0, 0.0], [0.5], share=True)
