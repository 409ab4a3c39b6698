import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.calibration.curves import Rows, curve, hull, invalid, knee
from headgate.errors import HeadgateError

scored = st.lists(st.tuples(st.integers(0, 9), st.booleans(), st.booleans()), min_size=1, max_size=40)


def columns(rows):
    tenths, good, caught = map(np.array, zip(*rows, strict=True))
    return (tenths / 10).astype(np.float32), good, caught


@given(scored)
def test_each_point_of_a_curve_is_what_its_threshold_invalidates(rows):
    score, good, caught = columns(rows)
    c = curve(score, good, caught)
    assert c.threshold.tolist() == [np.inf, *sorted(set(score.tolist()), reverse=True)]
    for point, threshold in enumerate(c.threshold):
        hit = invalid(score, np.zeros(score.size, int), [threshold])
        assert (c.h[point], c.n[point], c.c[point]) == ((hit & good).sum(), hit.sum(), (hit & caught).sum())
        assert c.point(threshold) == point


@given(scored, st.integers(0, 5))
def test_the_hull_has_exactly_the_vertices_of_the_convex_hull(rows, first):
    c = curve(*columns(rows)[:2])
    first = min(first, c.n.size - 1)
    points = [(int(h), int(n)) for h, n in zip(c.h, c.n, strict=True)]

    def is_vertex(i):  # strictly above every chord that spans it
        (h, n) = points[i]
        return all(
            (n - points[a][1]) * (points[b][0] - points[a][0]) > (points[b][1] - points[a][1]) * (h - points[a][0])
            for a in range(first, i)
            for b in range(i + 1, len(points))
        )

    assert hull(c, first).tolist() == [i for i in range(first, len(points)) if is_vertex(i)]


def test_blocks_of_equal_cost_are_one_block_whatever_the_rounding():
    rows, good = np.array([3, 45, 32]), np.array([2, 13, 10])  # 15/48 = 10/32, but not as a mean of rounded means
    score = np.repeat(np.array([0.9, 0.5, 0.1], np.float32), rows)
    is_good = np.concatenate([np.arange(n) < g for n, g in zip(rows, good, strict=True)])
    assert hull(curve(score, is_good)).tolist() == [0, 3]


@given(scored, st.floats(0, 1))
def test_the_floor_is_the_highest_threshold_that_covers_enough(rows, share):
    score, good, caught = columns(rows)
    c = curve(score, good, caught)
    first = c.floor(share)
    assert c.c[first] >= share * c.c[-1] - 1e-6
    assert first == 0 or c.c[first - 1] < share * c.c[-1]


def test_scores_are_compared_as_float32():
    threshold = np.float32(0.1)
    assert float(threshold) > 0.1
    assert invalid([0.1], [0], [threshold]).tolist() == [True]
    assert invalid([1.0], [0], [np.inf]).tolist() == [False]


def test_the_knee_is_where_the_curve_bends():
    score = np.linspace(1, 0, 1000, dtype=np.float32)
    good = np.arange(1000) >= 300
    assert curve(score, good).threshold[knee(curve(score, good))] == score[299]


def test_broken_scores_and_ragged_columns_are_refused():
    with pytest.raises(HeadgateError, match="1 of 2 scores are not finite"):
        Rows.of([0.5, np.nan], [0, 0], [True, False], [1, 2], [1, 2])
    with pytest.raises(ValueError, match="differ in length"):
        Rows.of([0.5, 0.2], [0], [True, False], [1, 2], [1, 2])
