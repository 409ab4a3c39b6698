import numpy as np

from headgate.calibration.budget import budget_path, knapsack
from headgate.calibration.curves import curve, invalid
from headgate.calibration.quadratic import quadratic

SLICES = ("a", "b", "c")


def test_the_quadratic_comes_near_the_hull_and_keeps_its_budget(make):
    rows = make(60_000)
    hit = invalid(rows.score, rows.slice, quadratic(rows, SLICES, 0.01))
    assert hit[rows.good].mean() <= 0.01 + 1e-9
    best = knapsack(budget_path(rows, SLICES), 0.01)
    assert 0.9 * best <= hit.mean() <= best


def test_the_quadratic_keeps_the_floors_or_says_that_none_can(make):
    rows = make(20_000)
    assert quadratic(rows, SLICES, 0.01, dict.fromkeys(SLICES, 0.95)) is None
    thresholds = quadratic(rows, SLICES, 0.05, {"a": 0.5})
    mine = rows.caught & (rows.slice == 0)
    assert invalid(rows.score, rows.slice, thresholds)[mine].mean() >= 0.5
    assert thresholds[0] <= curve(rows.score, rows.good).threshold[1]


def test_a_slice_without_good_rows_does_not_stop_it(make):
    rows = make(5000)
    rows.good[rows.slice == 2] = False
    assert np.isfinite(quadratic(rows, SLICES, 0.01)).any()
