"""A champion that does worse on labels that came later is told of; chance is not."""

from pathlib import Path

import numpy as np
import polars as pl

from headgate.contract.limits import Comparison, Limits, Metric
from headgate.files import write_json
from headgate.gate.compare import UNITS
from headgate.gate.matured import worsened

WRONGED = Metric("fpr", "Share of good units that is wronged", direction=-1, unit="user", maturity_hours=48)
LIMITS = Limits((Comparison("fpr", margin=0.02, slice_margin=0.02),), latency_ratio=3.0)


def _found(tmp_path: Path, share: float, *, metric: Metric = WRONGED, seed: int = 0) -> dict[str, str]:
    """What is found where 1 % were wronged as the version was judged, and `share` are now, over 2,000 users."""
    bundle, evaluation = tmp_path / "bundle", tmp_path / "evaluation"
    line = {"model": "net", "metric": "fpr", "slice": "all", "value": 0.01, "low": 0.006, "high": 0.014, "units": 2000}
    write_json(bundle / "scorecard.json", [line, line | {"model": "rule", "value": 0.5, "low": 0.4, "high": 0.6}])
    wronged = np.random.default_rng(seed).random(2000) < share
    units = pl.DataFrame({"metric": "fpr", "slice": "all", "unit": range(2000), "numerator": wronged.astype(float)})
    evaluation.mkdir(exist_ok=True)
    units.with_columns(denominator=1.0).write_parquet(evaluation / UNITS)
    return worsened(bundle, evaluation, [metric], LIMITS)


def test_what_got_worse_is_told_with_both_figures(tmp_path: Path) -> None:
    (words,) = _found(tmp_path, 0.06).values()
    assert words.startswith("Share of good units that is wronged was 0.010 when it was judged and is 0.06")


def test_within_the_margin_nothing_is_told(tmp_path: Path) -> None:
    assert [seed for seed in range(50) if _found(tmp_path, 0.02, seed=seed)] == []


def test_what_got_better_is_not_told(tmp_path: Path) -> None:
    assert _found(tmp_path, 0.0) == {}
    assert _found(tmp_path, 0.06, metric=Metric("fpr", "", direction=1, unit="user", maturity_hours=48)) == {}


def test_a_metric_whose_truth_comes_at_once_is_the_watchs(tmp_path: Path) -> None:
    assert _found(tmp_path, 0.06, metric=Metric("fpr", "", direction=-1, unit="user", maturity_hours=0)) == {}
