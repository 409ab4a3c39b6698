"""Agreement of two readers: what the literature's formula says, and an interval that covers."""

from datetime import UTC, datetime

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from headgate.decisions.reviews.agreement import agreement, kappa
from headgate.decisions.reviews.cases import open_cases
from headgate.settings import Settings

from ...toy_reviews import room_case, ruled
from .conftest import ANN, BEN, Clock, rules


def test_kappa_is_that_of_the_book() -> None:
    """Fleiss, Levin and Paik, Statistical Methods for Rates and Proportions (2003), table 18.1: .676, s.e. .088."""
    table = [[75, 1, 4], [5, 4, 1], [0, 0, 10]]
    pairs = [(a, b) for a, row in enumerate(table) for b, many in enumerate(row) for _ in range(many)]
    first, second = zip(*pairs, strict=True)
    found = kappa(first, second)
    assert found.value == pytest.approx(0.676, abs=5e-4)
    assert (found.high - found.low) / 2 / 1.96 == pytest.approx(0.088, abs=1e-3)
    assert found.value == pytest.approx(cohen_kappa_score(first, second))


def test_its_interval_covers_the_truth_nineteen_times_of_twenty() -> None:
    random, cells = np.random.default_rng(0), [0.35, 0.1, 0.15, 0.4]
    truth = (0.75 - (0.45 * 0.5 + 0.55 * 0.5)) / (1 - (0.45 * 0.5 + 0.55 * 0.5))
    inside = 0
    for _ in range(400):
        drawn = random.choice(4, 150, p=cells)
        found = kappa((drawn // 2).tolist(), (drawn % 2).tolist())
        inside += found.low <= truth <= found.high
    assert 0.92 <= inside / 400 <= 0.98


def test_where_all_say_one_thing_there_is_nothing_beyond_chance() -> None:
    assert kappa(["fine"] * 5, ["fine"] * 5).value is None
    assert kappa([], []).value is None
    assert kappa(["fine", "cold"] * 20, ["fine", "cold"] * 20).value == 1


def test_of_cases_that_are_read_twice_every_category_is_told(settings: Settings, clock: Clock) -> None:
    twice = ruled(second_share=1.0)
    open_cases(settings, twice, [room_case(f"d-{number}", priority=-number) for number in range(10)])
    for number in range(10):
        cause = {"cause": "window" if number % 2 else "sun"}
        rules(settings, ANN, "cold" if number < 6 else "hot", f"d-{number}", twice, labels=cause)
    clock.passes(61)
    for number in range(9):
        rules(settings, BEN, "cold" if number < 5 else "hot", f"d-{number}", twice, labels={"cause": "sun"})
    found = {one.category: one for one in agreement(settings, twice, datetime.fromtimestamp(clock.at, UTC))}
    assert list(found) == ["outcome", "cause", "seen"]
    assert (found["outcome"].share.value, found["outcome"].share.units) == (pytest.approx(8 / 9), 9)
    assert found["cause"].share.value == pytest.approx(5 / 9)
    assert found["cause"].kappa.value == pytest.approx(0.0)
    assert found["seen"].kappa.value is None
    assert "outcome: 89% agree, kappa 0.77" in found["outcome"].words()
