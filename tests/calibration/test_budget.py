from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headgate.calibration.budget import budget_path, infeasible, knapsack, linear_programme, plug_in
from headgate.calibration.curves import Rows, curve, invalid
from headgate.errors import DataRefused, HeadgateError

SLICES = ("a", "b", "c")


@st.composite
def populations(draw, most=60):
    count = draw(st.integers(1, most))
    column = st.lists(st.integers(0, 7), min_size=count, max_size=count)
    tenths, slice, kind = (np.array(draw(column)) for _ in range(3))
    good = kind % 3 == 0
    good[0] = True
    return Rows.of(tenths / 10, slice % 3, good, np.arange(count), np.arange(count), caught=kind == 1)


floors = st.fixed_dictionaries({}, optional={name: st.floats(0, 1) for name in SLICES})


@settings(deadline=None, max_examples=60)
@given(populations(), st.floats(0.01, 0.6), floors)
def test_the_knapsack_is_the_optimum_of_the_linear_programme(rows, alpha, floors):
    programme = linear_programme(rows, SLICES, alpha, floors)
    path = budget_path(rows, SLICES, floors)
    if infeasible(path, alpha):
        assert programme is None
    else:
        assert knapsack(path, alpha) == pytest.approx(programme, abs=1e-6)


@settings(deadline=None)
@given(populations(), floors, st.booleans(), st.sampled_from((1, 2, 7)))
def test_a_path_is_nested_counts_what_it_invalidates_and_keeps_every_floor(rows, floors, pooled, pieces):
    path = budget_path(rows, SLICES, floors, pooled=pooled, pieces=pieces)
    entry = path.entry(rows.score, rows.slice)
    before = np.full(3, np.inf)
    for point in range(path.h.size):
        thresholds = path.thresholds(point)
        hit = invalid(rows.score, rows.slice, thresholds)
        assert (thresholds <= before).all()
        assert (path.h[point], path.n[point]) == ((hit & rows.good).sum(), hit.sum())
        assert (hit == (entry <= point)).all()
        before = thresholds
        for s, name in enumerate(SLICES):
            mine = rows.caught & (rows.slice == s)
            assert hit[mine].sum() >= floors.get(name, 0) * mine.sum() - 1e-6
    assert path.n[-1] == rows.score.size
    assert (np.diff(path.n) > 0).all()


@settings(deadline=None, max_examples=40)
@given(populations(most=25))
def test_no_thresholds_invalidate_more_at_the_cost_of_any_point(rows):
    path = budget_path(rows, SLICES)
    curves = [curve(rows.score[rows.slice == s], rows.good[rows.slice == s]) for s in range(3)]
    every = [
        (
            sum(c.h[i] for c, i in zip(curves, choice, strict=True)),
            sum(c.n[i] for c, i in zip(curves, choice, strict=True)),
        )
        for choice in product(*(range(c.n.size) for c in curves))
    ]
    for h, n in zip(path.h, path.n, strict=True):
        last = path.n[path.h == h].max()  # steps that cost nothing come one by one
        assert last == max(m for g, m in every if g <= h)
        assert n <= last


def test_the_budget_counts_good_rows_and_the_objective_all_rows():
    # a: 400 good of 1,000 rows, b: 600 of 1,000; above the rest, a has 60 rows with 10 good ones, b 50 with 9
    def block(slice, good, rows, total_good, total):
        score = np.where(np.arange(total) < rows, 0.9, 0.1)
        is_good = np.zeros(total, bool)
        is_good[:good] = True
        is_good[rows : rows + total_good - good] = True
        return score, np.full(total, slice), is_good

    score, slice, good = map(np.concatenate, zip(block(0, 10, 60, 400, 1000), block(1, 9, 50, 600, 1000), strict=True))
    rows = Rows.of(score, slice, good, np.arange(2000), np.arange(2000))
    path = budget_path(rows, ("a", "b"))
    chosen = path.thresholds(plug_in(path, 0.01))  # ten of a thousand good rows: a, which costs 2.5 % of its own
    assert chosen.tolist() == [np.float32(0.9), np.inf]
    assert knapsack(path, 0.01) == 60 / 2000


def test_plug_in_spends_the_budget_to_the_last_row():
    rows = Rows.of(np.linspace(1, 0, 30), np.zeros(30, int), np.ones(30, bool), np.arange(30), np.arange(30))
    assert plug_in(budget_path(rows, ["all"], pieces=30), 0.1) == 3


def test_infeasible_floors_name_the_smallest_budget_and_each_slices_cost(make):
    rows, wanted = make(), dict.fromkeys(SLICES, 0.95)
    path = budget_path(rows, SLICES, wanted)
    shortfall = infeasible(path, 0.01)
    assert sum(shortfall.costs.values()) == pytest.approx(shortfall.smallest)
    assert set(shortfall.costs) == set(SLICES)
    assert infeasible(path, shortfall.smallest) is None
    assert infeasible(path, shortfall.smallest - 1 / rows.good.sum()) is not None
    with pytest.raises(HeadgateError, match="smallest feasible budget"):
        plug_in(path, 0.01)


def test_finer_pieces_keep_the_path_short(make):
    rows = make()
    whole, cut = (budget_path(rows, SLICES, pieces=pieces) for pieces in (1, 8))
    assert whole.h.size < cut.h.size <= 8 * whole.h.size


@pytest.mark.parametrize("floors", [{"d": 0.1}, {"a": 1.5}, {"a": float("nan")}])
def test_floors_that_cannot_be_meant_are_refused(make, floors):
    with pytest.raises(ValueError, match="floors must be"):
        budget_path(make(100), SLICES, floors)


def test_rows_outside_the_slices_or_without_a_good_one_are_refused(make):
    with pytest.raises(ValueError, match="slice must be one of"):
        budget_path(make(100), ("a", "b"))
    with pytest.raises(DataRefused, match="No row to calibrate on is good"):
        budget_path(Rows.of([0.5], [0], [False], [1], [1]), ("a",))
