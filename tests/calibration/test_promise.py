"""The certificate's promise on fresh populations: a small run of benchmarks/certificate.py."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binom

#: So many find out, with 79 %, thresholds that break the budget in a fifth of the runs; those of the night in a tenth.
RUNS = 60


@pytest.fixture(scope="module")
def bench():
    source = Path(__file__).parents[2] / "benchmarks" / "certificate.py"
    spec = importlib.util.spec_from_file_location("certificate_benchmark", source)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


def test_the_closed_form_truth_is_that_of_a_large_sample(bench):
    rows = bench.NOTE.draw(np.random.default_rng(5), 100_000)
    thresholds = np.array([0.3, 0.5, np.inf, 0.4, 0.6], np.float32)
    hit = rows.score >= thresholds[rows.slice]
    user, wrong = rows.user[rows.good], hit[rows.good]
    by_user = np.bincount(user, wrong) / np.bincount(user)
    over_users, over_clicks, ivr = bench.NOTE.truth(thresholds)
    assert by_user.mean() == pytest.approx(over_users, rel=0.03)
    assert wrong.mean() == pytest.approx(over_clicks, rel=0.03)
    assert hit.mean() == pytest.approx(ivr, rel=0.01)


def test_certified_thresholds_keep_the_budget_where_plug_in_thresholds_break_it(bench):
    runs = bench.repeat(bench.NOTE, 4000, RUNS, seed=7)
    allowed = binom.ppf(0.999, RUNS, bench.DELTA)
    assert (runs.certified[:, 0] > bench.ALPHA).sum() <= allowed
    assert (runs.plug_in[:, 0] > bench.ALPHA).sum() > allowed
    assert np.median(runs.certified[:, 2]) >= 0.7 * bench.NOTE.oracle(bench.ALPHA)


@pytest.mark.nightly
def test_of_a_thousand_fresh_populations_at_most_73_break_the_budget(bench):
    runs = bench.repeat(bench.NOTE, 4000, 1_000, seed=101)
    assert (runs.certified[:, 0] > bench.ALPHA).sum() <= 73
    assert (runs.plug_in[:, 0] > bench.ALPHA).sum() > 73
