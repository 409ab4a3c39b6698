"""Sample weights: what each cell, label and account may weigh, whatever the clicks."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from headgate.domains.adclicks.features.kernel import FEATURES
from headgate.domains.adclicks.model.table import Rows
from headgate.domains.adclicks.model.weights import ACCOUNT_CAP, CAP, CELL_FLOOR, cell_weights, effective_sample_size


def rows(human: list[bool], cell: list[int], *, login: list[bool] | None = None, user: list[int] | None = None) -> Rows:
    """Clicks of which all that the weights look at is given; each of a user of its own unless told."""
    n = len(human)
    x = np.zeros((n, len(FEATURES)), np.float32)
    x[:, FEATURES.index("logged_in")] = login if login is not None else False
    nothing = np.zeros(n, dtype=bool)
    return Rows(
        click_id=pl.Series([str(i) for i in range(n)]),
        x=x,
        device=np.zeros(n, np.int64),
        leaf=np.zeros(n, np.int64),
        bought=np.array(human, dtype=bool),
        human=np.array(human, dtype=bool),
        heavy=nothing,
        cell=np.array(cell, dtype=np.int64),
        user=np.array(user if user is not None else range(n), dtype=np.uint64),
        received_at=pl.Series([0] * n),
    )


@st.composite
def any_rows(draw: st.DrawFn) -> Rows:
    """Clicks of both labels, in cells and of accounts of any size."""
    sizes = draw(st.lists(st.tuples(st.booleans(), st.integers(0, 167), st.integers(1, 200)), min_size=1, max_size=12))
    sizes += [(True, 0, 1), (False, 0, 1)]
    human, cell = ([part[i] for part in sizes for _ in range(part[2])] for i in (0, 1))
    n = len(human)
    login = draw(hnp.arrays(bool, n))
    user = draw(hnp.arrays(np.int64, n, elements=st.integers(0, draw(st.sampled_from([3, 50, 10_000])))))
    return rows(human, cell, login=login.tolist(), user=user.tolist())


@given(any_rows())
def test_both_labels_weigh_the_same_and_clicks_one_on_average(clicks: Rows) -> None:
    weight = cell_weights(clicks).astype(float)
    assert weight.min() > 0
    assert weight[clicks.human].sum() == pytest.approx(len(clicks) / 2, rel=1e-4)
    assert weight[~clicks.human].sum() == pytest.approx(len(clicks) / 2, rel=1e-4)


@given(any_rows())
def test_no_click_weighs_more_than_the_cap(clicks: Rows) -> None:
    weight = cell_weights(clicks).astype(float)
    for label in (False, True):
        mine = weight[clicks.human == label]
        assert mine.max() <= CAP * mine.mean() * (1 + 1e-5)


@given(any_rows())
def test_clicks_that_are_alike_weigh_alike_in_any_order(clicks: Rows) -> None:
    order = np.random.default_rng(0).permutation(len(clicks))
    login = clicks.x[:, FEATURES.index("logged_in")] > 0
    shuffled = rows(
        clicks.human[order].tolist(),
        clicks.cell[order].tolist(),
        login=login[order].tolist(),
        user=clicks.user[order].tolist(),
    )
    assert np.allclose(cell_weights(shuffled), cell_weights(clicks)[order], rtol=1e-5)


def sums(clicks: Rows, weight: np.ndarray) -> dict[tuple[int, bool, bool], float]:
    """What each cell of hour, login and label weighs."""
    login = clicks.x[:, FEATURES.index("logged_in")] > 0
    held: dict[tuple[int, bool, bool], float] = {}
    for key, value in zip(zip(clicks.cell, login, clicks.human, strict=True), weight, strict=True):
        held[key] = held.get(key, 0.0) + float(value)
    return held


def test_every_cell_of_hour_login_and_label_weighs_the_same() -> None:
    """Where no cell is below the floor and none so small that the cap cuts it."""
    sizes = {(3, False): (100, 30), (3, True): (40, 70), (100, False): (60, 50), (100, True): (50, 100)}
    each = [(key, bool(label)) for key, both in sizes.items() for label in (0, 1) for _ in range(both[label])]
    clicks = rows([label for _, label in each], [key[0] for key, _ in each], login=[key[1] for key, _ in each])
    held = sums(clicks, cell_weights(clicks))
    assert len(held) == 8
    assert list(held.values()) == pytest.approx([len(each) / 8] * 8, rel=1e-5)


def test_a_cell_below_the_floor_weighs_as_if_it_were_that_large() -> None:
    few = CELL_FLOOR // 4
    clicks = rows([False] * (few + 100) + [True] * 100, [7] * few + [8] * 100 + [9] * 100)
    weight = cell_weights(clicks)
    assert weight[0] / weight[few] == pytest.approx(100 / CELL_FLOOR, rel=1e-5)


def test_the_cap_holds_where_a_tiny_cell_would_outweigh_it() -> None:
    clicks = rows([False] * 10_000 + [False] * 40 + [True] * 100, [0] * 10_000 + list(range(1, 41)) + [0] * 100)
    others = cell_weights(clicks)[:10_040]
    assert others.max() == pytest.approx(CAP * others.mean(), rel=1e-4)
    assert others[:10_000].max() < others.max()


@given(st.integers(1, 100))
def test_an_account_weighs_at_most_a_few_clicks(bought: int) -> None:
    """One account among a hundred that bought once each, in the same cell."""
    farm = 10_000
    clicks = rows([True] * (bought + 100) + [False] * 200, [5] * (bought + 300), user=[farm] * bought + [*range(300)])
    weight = cell_weights(clicks).astype(float)
    assert weight[:bought].sum() / weight[bought] == pytest.approx(min(bought, ACCOUNT_CAP), rel=1e-4)


def test_only_human_clicks_of_an_account_are_held_down() -> None:
    clicks = rows([False] * 50 + [True], [5] * 51, user=[1] * 40 + [*range(10, 21)])
    weight = cell_weights(clicks)
    assert np.allclose(weight[:50], weight[0])


@given(hnp.arrays(np.float32, st.integers(1, 50), elements=st.floats(0.125, 8, width=32)))
def test_the_effective_sample_size_is_kishs(weight: np.ndarray) -> None:
    exact = [float(w) for w in weight]
    assert effective_sample_size(weight) == pytest.approx(sum(exact) ** 2 / sum(w * w for w in exact))
    assert 1 - 1e-9 <= effective_sample_size(weight) <= len(weight) + 1e-9


def test_equal_weights_lose_nothing_and_no_weights_are_worth_nothing() -> None:
    assert effective_sample_size(np.full(7, 3, np.float32)) == pytest.approx(7)
    assert effective_sample_size(np.empty(0, np.float32)) == 0.0


def test_weights_do_not_touch_the_rows() -> None:
    clicks = rows([True, False], [0, 1])
    before = replace(clicks, x=clicks.x.copy())
    cell_weights(clicks)
    assert np.array_equal(clicks.x, before.x)
