"""`headgate demo`: a version of today is made once, of the domains that are asked for; then all servers start."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest

from headgate.commands import demo
from headgate.contract.demonstration import Demonstration, Play
from headgate.domain import Domain
from headgate.errors import HeadgateError
from headgate.orchestration.outcome import Outcome
from headgate.registry.ledger import Entry, Ledger
from headgate.servers import Server
from headgate.settings import Settings

from ..toy import ROOMS


class Runs:
    """What was started and trained."""

    def __init__(self) -> None:
        self.trained: list[tuple[str, datetime]] = []
        self.started: list[list[str]] = []
        self.result = "promoted"


@pytest.fixture
def runs(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Runs:
    """Training and servers that take no time."""
    runs = Runs()

    def run_retrain(settings: Settings, domain: Domain, source: str, as_of: datetime) -> Outcome:
        assert list(Path(source).glob("*.parquet"))
        runs.trained.append((domain.name, as_of))
        number, bundle = len(runs.trained), f"{len(runs.trained)}" * 64
        told = {"to_version": number, "bundle": bundle}
        ledger = Ledger(settings)
        ledger.append(Entry(domain.name, "verdict", "the flow", ruling="passed", **told))  # type: ignore[arg-type]
        if runs.result == "promoted":
            ledger.append(Entry(domain.name, "changed", "the flow", **told))  # type: ignore[arg-type]
        words = f"{domain.name} version {number}."
        return Outcome(domain.name, as_of.isoformat(), runs.result, (), number, "r", bundle, False, words)  # type: ignore[arg-type]

    @contextmanager
    def servers(settings: Settings, names: Sequence[str], domains: Sequence[Domain]) -> Iterator[list[Server]]:
        runs.started.append(list(names))
        yield []

    monkeypatch.setattr(demo, "run_retrain", run_retrain)
    monkeypatch.setattr(demo, "_servers", servers)
    monkeypatch.setattr(demo, "_show", lambda settings, plays, started: runs.started.append(["shown"]))
    return runs


def test_a_version_of_today_is_made_once(settings: Settings, runs: Runs, capsys: pytest.CaptureFixture[str]) -> None:
    assert demo.run_demo(settings, [ROOMS], serve=False) == 0
    assert demo.run_demo(settings, [ROOMS], serve=True) == 0
    assert [name for name, _ in runs.trained] == ["rooms"]
    assert runs.started == [["mlflow", "prefect"], ["mlflow", "prefect", "headgate"], ["shown"]]
    shown = capsys.readouterr().out
    assert "rooms: version 1" in shown
    assert "it is not trained again" in shown


def test_the_first_time_it_trains_before_it_serves(settings: Settings, runs: Runs) -> None:
    demo.run_demo(settings, [ROOMS], serve=True)
    assert runs.started == [["mlflow", "prefect"], ["headgate"], ["shown"]]


def test_a_refusal_is_its_exit_code_and_so_is_that_of_before(settings: Settings, runs: Runs) -> None:
    runs.result = "refused"
    assert demo.run_demo(settings, [ROOMS], serve=False) == 3
    assert demo.run_demo(settings, [ROOMS], serve=False) == 3
    assert len(runs.trained) == 1


def test_only_the_domains_that_are_asked_for_are_played(settings: Settings, runs: Runs) -> None:
    other = replace(ROOMS, name="halls", depends_on=("rooms",))
    demo.run_demo(settings, [other], serve=False)
    assert [name for name, _ in runs.trained] == ["halls"]
    assert not (settings.home / "demo" / "rooms").exists()
    demo.run_demo(settings, [other, ROOMS], serve=False)
    assert [name for name, _ in runs.trained] == ["halls", "rooms"]


def test_what_a_domain_makes_ready_is_told_and_no_fault_of_it_ends_the_demonstration(
    settings: Settings, runs: Runs, capsys: pytest.CaptureFixture[str]
) -> None:
    def furnish(settings: Settings, play: Play) -> str:
        if len(runs.trained) > 1:
            raise HeadgateError("No plan was found.")
        return f"A plan is made as of {play.as_of:%Y-%m-%d}."

    shown = replace(ROOMS, demonstration=Demonstration(furnish=furnish))
    assert demo.run_demo(settings, [shown], serve=False) == 0
    assert "A plan is made as of" in capsys.readouterr().out
    assert demo.run_demo(settings, [shown, replace(shown, name="halls")], serve=False) == 0
    assert "halls: No plan was found." in capsys.readouterr().err


def test_nothing_is_made_ready_where_nobody_decides(settings: Settings, runs: Runs) -> None:
    runs.result = "refused"
    asked: list[Play] = []
    shown = replace(ROOMS, demonstration=Demonstration(furnish=lambda settings, play: asked.append(play) or ""))  # type: ignore[func-returns-value]
    demo.run_demo(settings, [shown], serve=False)
    assert asked == []
