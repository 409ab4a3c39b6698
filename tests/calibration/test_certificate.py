from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binomtest

from headgate.calibration.budget import budget_path
from headgate.calibration.certificate import certify, cluster_bootstrap, needed, one_a_user, upper_bound
from headgate.calibration.curves import Rows, invalid

SLICES = ("a", "b", "c")


@pytest.mark.parametrize(
    ("delta", "users"), [(0.05, (59, 299, 598, 2995)), (0.025, (72, 368, 736, 3688))], ids=["δ", "δ/2"]
)
def test_the_users_that_a_budget_takes(delta, users):
    assert tuple(needed(0.0, alpha, delta) for alpha in (0.05, 0.01, 0.005, 0.001)) == users


def test_the_bound_is_clopper_pearson():
    for k, n in ((0, 299), (3, 800), (799, 800), (800, 800)):
        exact = binomtest(k, n, alternative="less").proportion_ci(0.95, "exact").high
        assert upper_bound(k, n, 0.05) == pytest.approx(exact, abs=1e-12)


def test_needed_at_a_rate_is_the_least_that_the_bound_allows():
    users = needed(0.005, 0.01, 0.05)
    assert upper_bound(0.005 * users, users, 0.05) <= 0.01 < upper_bound(0.005 * (users - 1), users - 1, 0.05)
    assert needed(0.01, 0.01, 0.05) is None


def test_one_row_a_user_whatever_the_order_and_each_row_as_likely():
    user = np.repeat(np.arange(6000), 3)
    unit = np.arange(user.size)
    chosen = one_a_user(user, user, unit)
    assert (user[chosen] == np.arange(6000)).all()
    mixed = np.random.default_rng(0).permutation(user.size)
    assert set(unit[mixed][one_a_user(user[mixed], user[mixed], unit[mixed])]) == set(unit[chosen])
    assert np.bincount(chosen % 3) == pytest.approx([2000] * 3, abs=150)


@pytest.mark.parametrize("pooled", [False, True])
@pytest.mark.parametrize("alpha", [0.01, 0.05, 0.3])
def test_the_last_point_that_passes_with_all_before_it_is_accepted(make, pooled, alpha):
    path = budget_path(make(6000, 1), SLICES, pooled=pooled, pieces=4)
    held_out = make(6000, 2)
    certificate = certify(path, held_out, alpha=alpha, delta=0.05, method="any")

    good = np.flatnonzero(held_out.good)
    user = np.unique(held_out.user[good], return_inverse=True)[1]
    rows = good[one_a_user(user, held_out.user[good], held_out.unit[good])]
    accepted = None
    for point in range(1, path.h.size):
        k = int(invalid(held_out.score[rows], held_out.slice[rows], path.thresholds(point)).sum())
        if binomtest(k, rows.size, alternative="less").proportion_ci(0.95, "exact").high > alpha:
            break
        accepted = (point, k)
    assert certificate.certified
    point, k = accepted
    assert (certificate.users, certificate.invalidated) == (rows.size, k)
    assert certificate.beta == path.h[point] / path.H
    assert certificate.ivr == path.n[point] / path.N
    assert certificate.upper <= alpha
    published = [np.inf if t is None else t for t in certificate.thresholds.values()]
    assert (path.thresholds(point) == np.float32(published)).all()


def test_a_user_with_many_clicks_counts_once_in_the_certificate_and_fully_beside_it(make):
    path = budget_path(make(6000, 1), SLICES)
    calm = make(6000, 2)
    crowd = Rows.of(
        np.append(calm.score, np.ones(500)),
        np.append(calm.slice, np.zeros(500)),
        np.append(calm.good, np.ones(500, bool)),
        np.append(calm.user, np.full(500, 10**6)),
        np.arange(calm.score.size + 500),
    )
    before, after = (certify(path, rows, alpha=0.05, delta=0.05, method="slices") for rows in (calm, crowd))
    assert after.certified
    assert after.users == before.users + 1
    assert abs(after.invalidated - before.invalidated) <= 3
    assert after.row_rate > 5 * before.row_rate
    low, high = after.row_interval
    assert low < 0.1 < after.row_rate < high


def test_the_interval_resamples_users():
    rng = np.random.default_rng(0)
    user = np.repeat(np.arange(400), rng.integers(1, 6, 400))
    wrong = (rng.random(400) < 0.2)[user]
    low, high = cluster_bootstrap(user, wrong)
    means = []
    for _ in range(1000):
        times = np.bincount(rng.integers(0, 400, 400), minlength=400)
        means.append(np.average(wrong, weights=times[user]))
    assert (low, high) == pytest.approx(np.quantile(means, (0.025, 0.975)), abs=0.01)
    assert cluster_bootstrap(user, wrong) == (low, high)


def test_too_few_users_say_how_many_more_it_takes(make):
    path, held_out = budget_path(make(6000, 1), SLICES, pieces=16), make(600, 2)
    certificate = certify(path, held_out, alpha=0.01, delta=0.025, method="slices")
    assert not certificate.certified
    assert certificate.thresholds is None
    assert certificate.needed_at_zero == 368
    words = certificate.words("buyers")
    assert "not certified for a budget of 1 %" in words
    assert f"It takes 368 buyers if none of them is invalidated, {368 - certificate.users} more than there are" in words


def test_a_score_that_separates_nothing_is_told_apart_from_too_few_users(make):
    path, held_out = budget_path(make(6000, 1), SLICES), make(6000, 2)
    useless = replace(held_out, score=np.ones_like(held_out.score))
    certificate = certify(path, useless, alpha=0.01, delta=0.05, method="global")
    assert certificate.needed_as_observed is None
    assert "the score must separate better" in certificate.words()


def test_held_out_luck_does_not_certify_floors_that_cost_too_much(make):
    path = budget_path(make(6000, 1), SLICES, dict.fromkeys(SLICES, 0.9))
    held_out = make(6000, 2)
    lucky = replace(held_out, score=np.zeros_like(held_out.score))
    certificate = certify(path, lucky, alpha=0.01, delta=0.05, method="slices")
    assert certificate.invalidated == 0
    assert not certificate.certified
    assert certificate.infeasible.smallest > 0.01


def test_no_good_row_held_out_certifies_nothing(make):
    held_out = make(100, 2)
    held_out.good[:] = False
    certificate = certify(budget_path(make(), SLICES), held_out, alpha=0.05, delta=0.05, method="slices")
    assert (certificate.certified, certificate.users, certificate.upper) == (False, 0, 1.0)
    assert certificate.row_rate is None
    assert "It takes 59" in certificate.words()


@pytest.mark.parametrize(("alpha", "delta"), [(0.0, 0.05), (0.05, 1.0)])
def test_levels_outside_zero_to_one_are_refused(make, alpha, delta):
    with pytest.raises(ValueError, match="between 0 and 1"):
        certify(budget_path(make(), SLICES), make(seed=2), alpha=alpha, delta=delta, method="slices")
