"""People change the champion in MLflow while requests come in."""

from pathlib import Path

import pytest

from .swaps import measure, words


@pytest.mark.parametrize("rounds", [4, pytest.param(16, marks=pytest.mark.nightly)])
def test_every_change_is_followed_and_no_request_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rounds: int
) -> None:
    """By alias and by stage, with MLflow's default flag and with archiving. How quick it was is told, not asserted."""
    report = measure(tmp_path / "state", rounds, monkeypatch.setenv)
    print(words(report))
    assert [swap.how for swap in report.swaps if swap.seconds is None] == []
    assert report.failed == 0
    assert len(report.answers) > 10 * rounds
