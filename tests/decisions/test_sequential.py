"""The tests of the watch: fair under what they test, whatever the order and whenever one looks; quick where harm is."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import beta

from headgate.decisions.sequential import bar, paired, share, sign

COUNTS = st.tuples(st.integers(0, 400), st.integers(0, 400))
LIMITS = st.floats(0.001, 0.5)


@given(COUNTS, LIMITS, st.floats(0, 1))
def test_no_bet_on_wronged_units_gains_while_the_claim_is_true(counts, limit, part):
    wronged, spared = counts
    units, chance = wronged + spared, part * limit
    now = share(units, wronged, limit)
    worse, better = (np.exp(share(units + 1, wronged + more, limit) - now) for more in (1, 0))
    assert chance * worse + (1 - chance) * better <= 1 + 1e-9


@given(COUNTS, st.floats(0, 0.5))
def test_no_bet_on_differences_gains_while_better_is_as_likely_as_worse(counts, chance):
    worse, better = counts
    now = sign(worse, better)
    up, down = np.exp(sign(worse + 1, better) - now), np.exp(sign(worse, better + 1) - now)
    assert chance * up + (1 - chance) * down <= 1 + 1e-9


@given(COUNTS, LIMITS)
def test_whoever_starts_has_nothing_and_each_harm_is_evidence(counts, limit):
    wronged, spared = counts
    units = wronged + spared
    assert share(0, 0, limit) == pytest.approx(0)
    assert sign(0, 0) == pytest.approx(0)
    if spared:  # a unit that was counted as spared turns out to be wronged: evidence only grows
        assert share(units, wronged + 1, limit) > share(units, wronged, limit)
    assert paired(units, wronged, 0, limit) <= share(units, wronged, limit)


def test_false_alarms_are_as_rare_as_designed_where_the_claim_is_only_just_true():
    """4,000 days of 5 slices, looked at after every event; units are wronged long after they are first seen."""
    random, days, alpha, limit, units = np.random.default_rng(20), 4_000, 0.05, 0.02, 300
    false = 0
    for _ in range(days):
        crossed = False
        for _ in range(5):
            seen = np.sort(random.random(units))
            later = seen + random.exponential(0.2, units)
            looks = np.sort(later[random.random(units) < limit])
            n, k = np.searchsorted(seen, looks, side="right"), np.arange(1, len(looks) + 1)
            crossed |= bool((share(n, k, limit) >= bar(alpha, 5)).any())
        false += crossed
    assert beta.ppf(0.005, false, days - false + 1) if false else alpha > 0.0  # Clopper–Pearson, 99.5 %
    assert false > 0, "the days are too short to show anything"


def test_all_tests_of_a_day_share_its_level():
    assert np.exp(bar(1 / 1000, 34)) == pytest.approx(34_000)


def test_a_fifth_of_200_units_wronged_is_harm_beyond_doubt():
    level = bar(1 / 1000, 34)
    assert share(200, 40, 0.02) > level
    assert paired(200, 40, 0, 0.01) > level
    assert paired(200, 40, 40, 0.01) < 0, "as many are freed"
    assert paired(10_000, 40, 0, 0.01) < level, "a sure difference, but a small one"


@pytest.mark.parametrize("limit", [0.0, 1.0, -0.1])
def test_a_limit_that_is_no_share_is_refused(limit):
    with pytest.raises(ValueError, match="between 0 and 1"):
        share(10, 1, limit)
