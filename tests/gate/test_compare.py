"""A candidate against the champion: non-inferiority is shown overall, harm is shown in slices."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from headgate.contract.checks import Verdict
from headgate.contract.limits import Comparison, Limits, Metric
from headgate.contract.outcomes import Outcomes
from headgate.gate.change import ROWS, check_change
from headgate.gate.compare import UNITS, compare_to_champion

METRIC = Metric("hit", "Hit rate", +1, "user", 0.0, share=True)
LIMITS = Limits(comparisons=(Comparison("hit", margin=0.03, slice_margin=0.02),), latency_ratio=3.0)


def _evaluation(folder: Path, rates: dict[str, float], *, users: int, seed: int, luck: int = 0) -> Path:
    """Per-user values of a version that hits at `rates` by slice; versions of one `luck` share their users' draws."""
    folder.mkdir()
    shared, own = np.random.default_rng(luck), np.random.default_rng(seed)
    parts = []
    for name, rate in rates.items():
        draw = np.where(own.random((users, 8)) < 0.9, shared.random((users, 8)), own.random((users, 8)))
        hits = (draw < rate).sum(axis=1).astype(float)
        parts.append(
            pl.DataFrame({"metric": "hit", "slice": name, "unit": np.arange(users), "numerator": hits}).with_columns(
                denominator=pl.lit(8.0)
            )
        )
    everything = pl.concat(parts)
    total = everything.with_columns(slice=pl.lit("all")).group_by("metric", "slice", "unit").sum()
    pl.concat([everything, total.select(everything.columns)]).write_parquet(folder / UNITS)
    return folder


def _outcomes(candidate: Path, champion: Path | None) -> dict[str, str]:
    return {f"{c.family}: {c.name}": c.outcome for c in compare_to_champion(candidate, champion, [METRIC], LIMITS)}


def test_without_a_champion_nothing_is_judged(tmp_path: Path) -> None:
    candidate = _evaluation(tmp_path / "a", {"x": 0.5}, users=50, seed=1)
    assert set(_outcomes(candidate, None).values()) == {"not judged"}


def test_an_equal_version_passes(tmp_path: Path) -> None:
    one = _evaluation(tmp_path / "a", {"x": 0.5, "y": 0.6}, users=800, seed=1)
    two = _evaluation(tmp_path / "b", {"x": 0.5, "y": 0.6}, users=800, seed=2)
    assert set(_outcomes(one, two).values()) == {"passed"}


def test_a_worse_version_fails_overall(tmp_path: Path) -> None:
    worse = _evaluation(tmp_path / "a", {"x": 0.42, "y": 0.52}, users=800, seed=1)
    champion = _evaluation(tmp_path / "b", {"x": 0.5, "y": 0.6}, users=800, seed=2)
    assert _outcomes(worse, champion)["model: hit"] == "failed"


def test_too_few_units_show_nothing_and_so_fail(tmp_path: Path) -> None:
    one = _evaluation(tmp_path / "a", {"x": 0.5}, users=12, seed=1)
    two = _evaluation(tmp_path / "b", {"x": 0.5}, users=12, seed=2, luck=9)
    assert _outcomes(one, two)["model: hit"] == "failed"


def test_fewer_units_than_the_limit_are_left_to_a_person(tmp_path: Path) -> None:
    one = _evaluation(tmp_path / "a", {"x": 0.5}, users=7, seed=1)
    overall, slices = compare_to_champion(one, one, [METRIC], LIMITS)
    assert (overall.outcome, overall.consequence, overall.measured) == ("failed", "review", "7 units")
    assert overall.sentence == (
        "Hit rate can be compared with the champion's on 7 units only (user), and fewer than 8 show nothing: "
        "look at them one by one, or bring more test rows."
    )
    assert Verdict((overall, slices)).ruling == "review"


def test_no_harm_seen_in_eight_units_shows_nothing(tmp_path: Path) -> None:
    one = _evaluation(tmp_path / "a", {"x": 0.5}, users=8, seed=1)
    overall = compare_to_champion(one, one, [METRIC], LIMITS)[0]
    assert (overall.outcome, overall.consequence) == ("failed", "refuse")
    assert "is not shown to be as good" in overall.sentence


def test_harm_in_one_slice_is_refused_though_all_is_well(tmp_path: Path) -> None:
    rates = {f"s{i}": 0.5 for i in range(8)}
    harmed = _evaluation(tmp_path / "a", rates | {"s3": 0.35, "s4": 0.65}, users=600, seed=1)
    champion = _evaluation(tmp_path / "b", rates, users=600, seed=2)
    found = _outcomes(harmed, champion)
    assert found == {"model: hit": "passed", "slices: harm": "failed"}
    sentence = compare_to_champion(harmed, champion, [METRIC], LIMITS)[-1].sentence
    assert "s3" in sentence
    assert "s4" not in sentence


def test_equal_slices_are_rarely_called_harmed(tmp_path: Path) -> None:
    rates = {f"s{i}": 0.5 for i in range(12)}
    alarms = 0
    for run in range(40):
        one = _evaluation(tmp_path / f"a{run}", rates, users=120, seed=2 * run, luck=100 + run)
        two = _evaluation(tmp_path / f"b{run}", rates, users=120, seed=2 * run + 1, luck=100 + run)
        alarms += _outcomes(one, two)["slices: harm"] == "failed"
    assert alarms <= 3  # designed for 1 % of runs; P(more than 3 of 40) < 0.001


def test_a_sparse_slice_is_named_and_not_refused(tmp_path: Path) -> None:
    one = _evaluation(tmp_path / "a", {"x": 0.1}, users=9, seed=1)
    two = _evaluation(tmp_path / "b", {"x": 0.9}, users=9, seed=2)
    slices = compare_to_champion(one, two, [METRIC], LIMITS)[-1]
    assert slices.outcome == "passed"
    assert "sparse" in slices.sentence
    assert "x" in slices.sentence


OUTCOMES = Outcomes({"fine": "fine", "cold": "too cold", "hot": "too hot"}, adverse=("cold", "hot"))


@pytest.mark.parametrize(
    ("turned", "good", "all_traffic"),
    [
        pytest.param(range(0), "passed", "passed", id="nothing"),
        pytest.param(range(30), "failed", "passed", id="many-good-are-newly-adverse"),
        pytest.param(range(200, 400), "passed", "failed", id="much-of-the-rest"),
        pytest.param(range(700, 900), "passed", "failed", id="adverse-to-adverse-moves-traffic-and-wrongs-nobody-anew"),
    ],
)
def test_change_on_known_good_is_bounded(tmp_path: Path, turned: range, good: str, all_traffic: str) -> None:
    """Of 1,000 rows 200 and those from 700 on are known to be good, these already adverse; `turned` become hot."""
    keys = np.arange(1000)
    base = pl.DataFrame(
        {"key": keys, "good": (keys < 200) | (keys >= 700), "outcome": np.where(keys < 700, "fine", "cold")}
    )
    hot = pl.when(pl.col("key").is_in(turned)).then(pl.lit("hot")).otherwise("outcome")
    for name, frame in {"old": base, "new": base.with_columns(outcome=hot)}.items():
        (tmp_path / name).mkdir()
        frame.write_parquet(tmp_path / name / ROWS)
    checks = check_change(tmp_path / "new", tmp_path / "old", OUTCOMES, known_good=0.02, traffic=0.15)
    assert [c.outcome for c in checks] == [good, all_traffic]
