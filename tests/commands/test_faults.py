"""What nothing foresaw is a sentence, and its story a file."""

from pathlib import Path

import pytest

from headgate import domain

from .said import Headgate


def test_an_unforeseen_fault_is_a_sentence_and_its_story_a_file(
    headgate: Headgate, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(name: str) -> None:
        raise RuntimeError("first line\nsecond line")

    monkeypatch.setattr(domain, "get_domain", fail)
    said = headgate("hold", "adclicks", "--reason", "x")
    log = home / "logs" / "fault.log"
    assert (said.code, len(said.err.splitlines())) == (1, 1)
    assert said.sentence == (
        f"A fault that Headgate did not foresee (RuntimeError: first line second line). The whole story is in {log}."
    )
    story = log.read_text()
    assert "headgate hold adclicks --reason x" in story
    assert "Traceback" in story
    assert "second line" in story


def test_a_fault_that_cannot_be_written_down_is_told_all_the_same(
    headgate: Headgate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("HEADGATE_HOME", str(tmp_path / "file"))
    monkeypatch.setattr(domain, "get_domain", lambda name: 1 / 0)
    said = headgate("hold", "adclicks", "--reason", "x")
    assert said.code == 1
    assert said.sentence == "A fault that Headgate did not foresee (ZeroDivisionError: division by zero)."


def test_ctrl_c_is_no_fault(headgate: Headgate, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(name: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(domain, "get_domain", stop)
    said = headgate("hold", "adclicks", "--reason", "x")
    assert said.code == 130
    assert "Traceback" not in said.err
