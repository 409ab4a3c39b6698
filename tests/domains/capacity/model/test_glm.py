"""The gamma regression: known factors are found again, zeros are no gaps, censored values pull only upwards."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headgate.domains.capacity.model.glm import CHUNK, Gram

from ..small import Floats


def design(n: int, seed: int, columns: int = 3) -> Floats:
    """A constant, and columns that are on for a third of the rows."""
    drawn = np.random.default_rng(seed).random((n, columns)) < 1 / 3
    return np.concatenate([np.ones((n, 1)), drawn], axis=1).astype(np.float64)


def fitted(X: Floats, Y: Floats, at_least: np.ndarray | None = None, ridge: float = 1e-9) -> Floats:
    return Gram.of(X, np.full(X.shape[1], ridge)).fit(Y.astype(np.float32), at_least)


@settings(max_examples=25)
@given(
    st.integers(0, 10**6),
    st.floats(1.0, 10_000.0),
    st.lists(st.floats(-1.2, 1.2), min_size=3, max_size=3),
)
def test_known_factors_are_found_again(seed: int, size: float, effects: list[float]) -> None:
    X = design(4000, seed)
    mean = size * np.exp(X[:, 1:] @ effects)
    values = mean * np.random.default_rng(seed).gamma(20, 1 / 20, len(mean))
    beta = fitted(X, values[:, None])[:, 0]
    assert np.exp(beta[0]) == pytest.approx(size, rel=0.05)
    assert beta[1:] == pytest.approx(effects, abs=0.05)


def test_zeros_lower_the_mean_and_missing_values_do_not() -> None:
    X = np.ones((1000, 1))
    values = np.full((1000, 2), 10.0)
    values[::2] = (0.0, np.nan)
    assert np.exp(fitted(X, values)[0]) == pytest.approx([5, 10], rel=0.01)


def test_what_is_missing_changes_no_factor() -> None:
    X = design(4000, 1)
    mean = 50 * np.exp(X[:, 1:] @ [0.5, -0.5, 1.0])
    gaps = np.where(np.random.default_rng(2).random(4000) < 0.3, np.nan, mean)
    gaps[1000:2000] = np.nan
    assert fitted(X, gaps[:, None])[:, 0] == pytest.approx([np.log(50), 0.5, -0.5, 1.0], abs=0.02)


def test_a_series_of_zeros_forecasts_zero_and_one_without_a_value_is_no_number_trouble() -> None:
    X = design(500, 0)
    values = np.stack([np.zeros(500), np.full(500, np.nan), np.full(500, 7.0)], axis=1)
    beta = fitted(X, values)
    assert np.isfinite(beta).all()
    assert np.exp(X @ beta[:, 0]).max() < 1e-6
    assert np.exp(X @ beta[:, 2]) == pytest.approx(7, rel=0.01)


def test_a_censored_value_pulls_only_upwards() -> None:
    """Throttled at 60 where the truth is 100: what was seen there must not lower the mean, and may raise it."""
    X = np.ones((1000, 1))
    truth = 100 * np.random.default_rng(0).gamma(50, 1 / 50, 1000)
    seen = truth.copy()
    seen[:400] = 60
    throttled = np.zeros((1000, 1), dtype=bool)
    throttled[:400] = True
    naive, told = np.exp(fitted(X, seen[:, None])[0, 0]), np.exp(fitted(X, seen[:, None], throttled)[0, 0])
    assert naive == pytest.approx(84, rel=0.02)
    assert told == pytest.approx(100, rel=0.02)
    seen[:400] = 150  # at least 150: that says the mean is higher
    assert np.exp(fitted(X, seen[:, None], throttled)[0, 0]) > 110


def test_one_wild_value_does_not_carry_the_fit_away() -> None:
    values = np.full((1000, 1), 10.0)
    values[500] = 1e6
    assert np.exp(fitted(np.ones((1000, 1)), values)[0, 0]) == pytest.approx(10, rel=0.03)


def test_a_series_has_the_same_coefficients_in_a_batch_and_alone() -> None:
    random = np.random.default_rng(3)
    X = design(800, 3)
    sizes = 10.0 ** random.uniform(-1, 5, CHUNK + 5)
    values = sizes * random.gamma(2, 1 / 2, (800, CHUNK + 5)) * np.exp(X[:, 1:] @ random.normal(size=(3, CHUNK + 5)))
    values[random.random(values.shape) < 0.1] = np.nan
    values[:, 4] = 0.0
    throttled = random.random(values.shape) < 0.05
    together = fitted(X, values, throttled)
    for number in (0, 4, 7, CHUNK, CHUNK + 4):
        alone = fitted(X, values[:, [number]], throttled[:, [number]])
        assert together[:, number] == pytest.approx(alone[:, 0], abs=1e-9)


@given(st.floats(1e-3, 1e6))
@settings(max_examples=10)
def test_the_unit_of_a_series_does_not_matter(unit: float) -> None:
    X = design(300, 5)
    values = np.random.default_rng(5).gamma(3, 10, (300, 1))
    here, there = fitted(X, values), fitted(X, unit * values)
    assert there[0] - here[0] == pytest.approx(np.log(unit), abs=1e-3)
    assert there[1:] == pytest.approx(here[1:], abs=1e-3)
