import json
from dataclasses import asdict

import numpy as np
import pytest

from headgate.calibration.calibrate import calibrate
from headgate.calibration.curves import invalid
from headgate.errors import HeadgateError

SLICES = ("a", "b", "c")
BUYERS = 10**6  # where the users of the held-out rows begin


@pytest.fixture
def halves(make):
    return make(12_000, 1), make(12_000, 2, first_user=BUYERS)


def test_the_better_of_two_certificates_at_half_the_risk_is_published(halves):
    result = calibrate(*halves, SLICES, alpha=0.02)
    slices, everyone = result.certificates["slices"], result.certificates["global"]
    assert slices.certified
    assert everyone.certified
    assert slices.delta == everyone.delta == 0.025
    assert slices.ivr > everyone.ivr
    assert (result.published, result.thresholds) == ("slices", slices.thresholds)
    assert len(set(everyone.thresholds.values())) == 1


def test_the_held_out_rows_do_not_choose_between_certified_thresholds(make, halves):
    a, b = halves
    published = calibrate(a, b, SLICES, alpha=0.02, compare=False)
    on_b = {
        method: invalid(b.score, b.slice, list(certificate.thresholds.values())).mean()
        for method, certificate in published.certificates.items()
    }
    assert published.certificates[published.published].ivr == max(c.ivr for c in published.certificates.values())
    on_a = invalid(a.score, a.slice, list(published.thresholds.values())).mean()
    assert published.certificates[published.published].ivr == pytest.approx(on_a)
    assert on_b[published.published] != pytest.approx(on_a, abs=1e-9)


def test_a_calibration_survives_json_and_decides_the_same(halves):
    result = calibrate(*halves, SLICES, alpha=0.02)
    again = json.loads(json.dumps(asdict(result), allow_nan=False))
    assert again["thresholds"] == result.thresholds
    score = np.unique(halves[0].score)
    for s, name in enumerate(SLICES):
        kept = np.float32(again["thresholds"][name])
        assert kept in halves[0].score[halves[0].slice == s]
        assert (invalid(score, np.full(score.size, s), [kept] * 3) == (score >= kept)).all()


def test_a_slice_that_is_never_invalidated_has_no_threshold_in_json(make):
    a, b = make(12_000, 1), make(12_000, 2, first_user=BUYERS)
    result = calibrate(a, b, (*SLICES, "unseen"), alpha=0.02)
    assert result.published == "slices"
    assert result.thresholds["unseen"] is None
    assert result.comparison["hull plug-in"].thresholds["unseen"] is None
    json.dumps(asdict(result), allow_nan=False)


def test_the_other_methods_stand_beside_it(halves):
    result = calibrate(*halves, SLICES, alpha=0.02)
    assert set(result.comparison) == {"hull plug-in", "global plug-in", "quadratic", "knee"}
    plug_in = result.comparison["hull plug-in"]
    assert plug_in.fpr <= 0.02
    assert result.comparison["global plug-in"].ivr < result.comparison["quadratic"].ivr <= result.optimum
    assert plug_in.ivr <= result.optimum
    assert result.comparison["knee"].fpr > 0.02  # it knows of no budget


def test_infeasible_floors_publish_nothing_and_say_why(halves):
    result = calibrate(*halves, SLICES, alpha=0.01, floors=dict.fromkeys(SLICES, 0.95))
    assert (result.certified, result.published, result.thresholds, result.optimum) == (False, None, None, None)
    for certificate in result.certificates.values():
        assert certificate.infeasible.smallest > 0.01
        assert certificate.thresholds is None
    assert result.words().count("smallest feasible budget") == 2


def test_floors_that_only_slices_can_pay_leave_the_global_threshold_uncertified(halves):
    floors = {"c": 0.9}
    result = calibrate(*halves, SLICES, alpha=0.03, floors=floors)
    a, _ = halves
    assert result.published == "slices"
    assert result.certificates["global"].infeasible
    mine = a.caught & (a.slice == 2)
    limits = [np.inf if t is None else t for t in result.thresholds.values()]
    assert invalid(a.score, a.slice, limits)[mine].mean() >= 0.9


def test_too_few_buyers_publish_nothing(make):
    result = calibrate(make(12_000, 1), make(400, 2, first_user=BUYERS), SLICES, alpha=0.01)
    assert (result.certified, result.thresholds) == (False, None)
    assert "It takes 368 buyers" in result.words("buyers")


def test_a_user_on_both_sides_is_refused(make):
    with pytest.raises(HeadgateError, match="split its rows by user"):
        calibrate(make(500, 1), make(500, 2), SLICES, alpha=0.05)


def test_the_order_of_rows_changes_nothing(halves):
    a, b = halves
    mixed = [
        type(rows)(*(column[np.random.default_rng(0).permutation(rows.score.size)] for column in vars(rows).values()))
        for rows in (a, b)
    ]
    assert calibrate(*mixed, SLICES, alpha=0.02, compare=False) == calibrate(a, b, SLICES, alpha=0.02, compare=False)
