"""Each drill passes, and fails when the mechanism that it rehearses is taken out."""

import json
import sys
from pathlib import Path

import pytest

from headgate import cli
from headgate.drills.table import DRILLS, Drilled, rehearse

#: Quick ones, of each kind; the others wait for the night.
IN_CI = ("bad-model", "forged-tag", "stage-flip")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the first drill makes the world, and the others find it."""
    return tmp_path_factory.mktemp("world")


def _run(name: str, world: Path, *, taken_out: bool) -> Drilled:
    (ended,) = rehearse([DRILLS[name]], world, taken_out=taken_out)
    return ended


@pytest.mark.parametrize(
    "name", [name if name in IN_CI else pytest.param(name, marks=pytest.mark.nightly) for name in DRILLS]
)
def test_a_drill_goes_as_promised_only_with_its_mechanism(world: Path, name: str) -> None:
    sound, maimed = (_run(name, world, taken_out=taken_out) for taken_out in (False, True))
    assert sound.passed, sound.seen
    assert not maimed.passed, maimed.seen
    assert maimed.seen.startswith("Not as promised: "), "it fails by what it found, not by a fault"


def test_a_wrong_name_lists_the_drills(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["headgate", "drill", "adclicks", "fire"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    said = capsys.readouterr().err
    assert ended.value.code == 2
    assert all(name in said for name in DRILLS)


@pytest.mark.nightly
def test_the_command_answers_for_programs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["headgate", "drill", "adclicks", "forged-tag", "--without-mechanism", "--json"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    (told,) = json.loads(capsys.readouterr().out)
    assert (ended.value.code, told["name"], told["passed"]) == (1, "forged-tag", False)
