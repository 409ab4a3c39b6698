"""A third domain, made as docs/add-a-domain.md says: from raw files to a judged version, and through the commands."""

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from headgate import stages
from headgate.contract.checks import Check, Verdict
from headgate.contract.sizes import Sizes
from headgate.domain import Request
from headgate.errors import DataRefused, HeadgateError
from headgate.files import read_json, write_json
from headgate.gate.judge import judge_candidate
from headgate.registry import bundles
from headgate.registry.golden import agrees

from ..toy import ROOMS
from .conftest import AS_OF, TOY

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "add-a-domain.md"


@pytest.fixture(scope="module")
def days(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("days")
    ROOMS.simulate(out, Sizes(days=42), seed=1)
    return out


@pytest.fixture
def _known(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The gate's fresh process finds the toy."""
    monkeypatch.setenv("PYTHONPATH", str(checkout / "components"))


def _sealed(work: Path, source: Path, base: Path | None = None) -> Path:
    stages.snapshot(ROOMS, work, Request(str(source), AS_OF, base=str(base) if base else None))
    for stage in stages.STAGES.values():
        stage(ROOMS, work)
    stages.seal(work)
    return work / "bundle"


@pytest.fixture(scope="module")
def champion(tmp_path_factory: pytest.TempPathFactory, days: Path) -> Path:
    return _sealed(tmp_path_factory.mktemp("first"), days)


def _warmed(days: Path, to: Path, first: int, last: int) -> Path:
    """`days` with four degrees more in the days `first` to `last`."""
    for number, path in enumerate(sorted(days.glob("*.parquet"))):
        more = 4.0 if first <= number < last else 0.0
        pl.read_parquet(path).with_columns(pl.col("degrees") + more).write_parquet(to / path.name)
    return to


def _check(verdict: Verdict, name: str) -> Check:
    return next(check for check in verdict.checks if f"{check.family}: {check.name}" == name)


def test_the_page_shows_this_very_file_and_it_is_short() -> None:
    text = TOY.read_text()
    assert f"```python\n{text}```" in PAGE.read_text()
    nodes = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Import | ast.ImportFrom | ast.Expr)]
    told = [node for node in nodes if not isinstance(node, ast.Expr) or isinstance(node.value, ast.Constant)]
    aside = {line for node in told for line in range(node.lineno, (node.end_lineno or 0) + 1)}  # imports, docstrings
    lines = [line.strip() for number, line in enumerate(text.splitlines(), 1) if number not in aside]
    assert len([line for line in lines if line and not line.startswith("#")]) <= 135


@pytest.mark.usefixtures("_known")
def test_a_first_version_passes_with_nothing_to_compare(champion: Path) -> None:
    verdict = judge_candidate(ROOMS, champion.parent, None)
    assert verdict.ruling == "passed", verdict.reasons
    assert _check(verdict, "infrastructure: loads").outcome == "passed"
    assert _check(verdict, "budget: width").outcome == "passed"
    assert _check(verdict, "model: error").outcome == "not judged"


@pytest.mark.usefixtures("_known")
def test_a_version_as_good_as_the_champion_passes(champion: Path, days: Path, tmp_path: Path) -> None:
    _sealed(tmp_path, days)
    verdict = judge_candidate(ROOMS, tmp_path, champion)
    assert verdict.ruling == "passed", verdict.reasons
    assert _check(verdict, "model: error").outcome == "passed"
    assert _check(verdict, "infrastructure: latency").outcome == "passed"


@pytest.mark.usefixtures("_known")
def test_a_version_that_learned_from_a_broken_sensor_is_refused(champion: Path, days: Path, tmp_path: Path) -> None:
    source = tmp_path / "days"
    source.mkdir()
    _sealed(tmp_path / "work", _warmed(days, source, 0, 28))
    verdict = judge_candidate(ROOMS, tmp_path / "work", champion)
    assert verdict.ruling == "refused"
    assert "Error in °C is not shown to be as good as the champion's" in " ".join(verdict.reasons)
    assert _check(verdict, "budget: width").outcome == "failed"


def test_recalibrating_keeps_the_means_and_sets_the_interval_anew(champion: Path, days: Path, tmp_path: Path) -> None:
    source = tmp_path / "days"
    source.mkdir()
    again = _sealed(tmp_path / "work", _warmed(days, source, 0, 35), base=champion)
    before, after = bundles.card(champion), bundles.card(again)
    assert after["means"] == before["means"]
    assert after["width"] > before["width"] + 2


def test_the_same_request_makes_the_same_bundle(champion: Path, days: Path, tmp_path: Path) -> None:
    again = _sealed(tmp_path, days)
    assert bundles.bundle_id(again) == bundles.bundle_id(champion)
    assert bundles.bundle_id(_sealed(tmp_path, days)) == bundles.bundle_id(champion)


def test_a_bundle_that_answers_otherwise_than_its_maker_does_not_agree(champion: Path, tmp_path: Path) -> None:
    bundle = tmp_path / "bundle"
    shutil.copytree(champion, bundle)
    assert agrees(bundle, ROOMS.load(bundle)) == 7 * 8
    changed = bundles.card(bundle)
    write_json(bundle / bundles.CARD, changed | {"width": changed["width"] + 1})
    with pytest.raises(HeadgateError, match="outcome of row"):
        agrees(bundle, ROOMS.load(bundle))


def test_a_room_that_no_room_can_be_is_refused_in_words(days: Path, tmp_path: Path) -> None:
    source, work = tmp_path / "days", tmp_path / "work"
    source.mkdir()
    for path in days.glob("*.parquet"):
        hot = pl.when(pl.col("room") == "c").then(85.0).otherwise("degrees")
        pl.read_parquet(path).with_columns(degrees=hot).write_parquet(source / path.name)
    stages.snapshot(ROOMS, work, Request(str(source), AS_OF))
    with pytest.raises(DataRefused, match=r"Warmth: c: 85\.0 °C\. See to it\."):
        stages.validate(ROOMS, work)
    assert read_json(work / "validate" / "checks.json")["ruling"] == "refused"


@pytest.mark.nightly
def test_every_command_knows_the_domain(checkout: Path, days: Path, tmp_path: Path) -> None:
    paths = {"PYTHONPATH": str(checkout / "components"), "HEADGATE_HOME": str(tmp_path / "state")}

    def headgate(*asked: str) -> str:
        command = [sys.executable, "-m", "headgate.cli", *asked]
        done = subprocess.run(
            command, cwd=checkout, env=os.environ | paths, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert "rooms version 1 is promoted" in headgate("retrain", "rooms", "--source", str(days), "--as-of", "2026-02-16")
    assert "champion    version 1" in headgate("status").partition("rooms")[2]
    out = tmp_path / "decisions.parquet"
    said = headgate("decide", "rooms", "--on", str(days), "--out", str(out))
    assert "decided 336 rows" in said
    assert "too cold" in said
    assert pl.read_parquet(out).height == 336
    assert "on 56 rows" in headgate("evaluate", "rooms", "--on", str(days), "--from", "2026-02-09")
    shutil.copytree(days, checkout / "days")
    for stage in ("snapshot", *stages.STAGES):
        headgate("run", stage, "rooms")
    assert (checkout / "work" / "rooms" / "evaluate" / "scorecard.json").is_file()
