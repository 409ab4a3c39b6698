"""What changes is held against last week's version too, so that slow drift does not pass."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest

from headgate.contract.checks import Check, Verdict
from headgate.contract.outcomes import Outcomes
from headgate.files import write_json
from headgate.gate import judge
from headgate.gate.change import ROWS, check_change

PEOPLE = 1000

OUTCOMES = Outcomes({"fine": "fine", "cold": "too cold"}, adverse=("cold",))


def _decided(folder: Path, wronged: int) -> None:
    """An evaluation in which the first `wronged` of the people known to be good are decided against."""
    folder.mkdir(parents=True, exist_ok=True)
    keys = list(range(PEOPLE))
    outcomes = ["cold" if key < wronged else "fine" for key in keys]
    rows = pl.DataFrame({"key": keys, "unit": keys, "good": True, "outcome": outcomes})
    rows.write_parquet(folder / ROWS)


def _evaluate(bundle: Path, work: Path, out: Path) -> None:
    _decided(out, int(bundle.name))


def _judge(work: Path, champion: Path | None) -> list[Check]:
    passed = Check("budget", "certificate", "passed", "refuse", "", "", "It holds.")
    return [passed, *check_change(work / "evaluate", champion, OUTCOMES, known_good=0.02, traffic=0.15)]


@pytest.fixture
def domain(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A domain whose bundles are called by how many people they wrong; what is not about change is left out."""
    monkeypatch.setattr(judge, "compare_to_champion", lambda *asked: [])
    monkeypatch.setattr(judge, "check_infrastructure", lambda *asked: [])
    return SimpleNamespace(evaluate=_evaluate, judge=_judge, metrics=(), limits=None)


def _verdict(domain: Any, work: Path, mine: int, champion: int, last_week: int | None) -> Verdict:
    _decided(work / "evaluate", mine)
    write_json(work / "validate" / "checks.json", {"checks": []})
    bundles = [Path(str(n)) if n is not None else None for n in (champion, last_week)]
    return judge.judge_candidate(domain, work, *bundles)


def test_many_small_steps_are_one_large_one(domain: Any, tmp_path: Path) -> None:
    assert _verdict(domain, tmp_path, mine=30, champion=15, last_week=None).ruling == "passed"
    verdict = _verdict(domain, tmp_path, mine=30, champion=15, last_week=0)
    assert verdict.ruling == "refused"
    assert [check.name for check in verdict.checks if check.outcome == "failed"] == ["known good since last week"]
    assert verdict.reasons[0].startswith("Since last week: 30 of 1,000 rows known to be good")


def test_what_is_small_since_last_week_too_passes(domain: Any, tmp_path: Path) -> None:
    assert _verdict(domain, tmp_path, mine=15, champion=10, last_week=0).ruling == "passed"


def test_only_what_changes_is_told_twice(domain: Any, tmp_path: Path) -> None:
    names = [check.name for check in _verdict(domain, tmp_path, mine=1, champion=1, last_week=1).checks]
    assert names.count("certificate") == 1
    assert names == sorted(set(names), key=names.index)
