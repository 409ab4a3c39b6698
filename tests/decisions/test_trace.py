"""The story of one decision."""

import json
from datetime import timedelta

import pytest
from typer.testing import CliRunner

from headgate.commands.trace import trace as command
from headgate.decisions.reading import read_part
from headgate.decisions.rulings import rule
from headgate.decisions.trace import trace_decision
from headgate.errors import UsageError
from headgate.registry.ledger import Entry, Ledger
from headgate.settings import Settings

from .made import START, make_log
from .test_reading import correct


@pytest.fixture
def decision(settings: Settings) -> str:
    """The id of a click that version 1 found valid, that a replay then found invalid."""
    (part,) = make_log(settings, 10, against=0.0)
    one = read_part(settings, "adclicks", part)["decision_id"][3]
    at = START + timedelta(days=1)
    correct(settings, "again", part, decision_id=[one], corrected_at=[at], version=[2], bundle=["c"], against=[True])
    ledger = Ledger(settings)
    told = {"to_version": 1, "bundle": "b" * 64, "run_id": "run-1", "data": "data-1"}
    ledger.append(Entry("adclicks", "verdict", "the gate", "All is well.", ruling="passed", **told))
    ledger.append(Entry("adclicks", "verdict", "the gate", "Of another version.", ruling="refused", to_version=7))
    ledger.append(Entry("capacity", "changed", "me", "Of another domain.", to_version=1))
    return one


def test_a_decision_leads_to_its_version_run_data_ledger_and_corrections(settings: Settings, decision: str) -> None:
    found = trace_decision(settings, decision)
    assert (found.domain, found.decision["version"], found.run_id, found.data) == ("adclicks", 1, "run-1", "data-1")
    assert [entry["why"] for entry in found.ledger] == ["All is well."]
    assert [(one["by"], one["against"]) for one in found.corrections] == [("again", True)]
    assert found.holds is True
    said = found.words()
    for part in (decision, "run-1", "data-1", "b" * 64, "All is well.", "c3", "replay again", "Now: invalid."):
        assert part in said
    assert "another" not in said


def test_a_persons_ruling_is_told_last_and_holds(settings: Settings, decision: str) -> None:
    rule(settings, "adclicks", [decision], against=False, who="Ann", why="She called us.")
    found = trace_decision(settings, decision)
    assert (found.holds, found.corrections[-1]["who"]) == (False, "Ann")
    assert found.words().endswith("Corrected (ruled by Ann): not invalid. She called us.\nNow: not invalid.")


def test_a_program_reads_it_as_json(settings: Settings, decision: str) -> None:
    import typer

    app = typer.Typer()
    app.command()(command)
    told = json.loads(CliRunner().invoke(app, [decision, "--json"]).stdout)
    assert told["decision"]["decision_id"] == decision
    assert len(told["decision"]["features"]) == 23


def test_without_a_ledger_the_log_still_tells_and_none_is_made(settings: Settings) -> None:
    (part,) = make_log(settings, 1)
    found = trace_decision(settings, read_part(settings, "adclicks", part)["decision_id"][0])
    assert (found.run_id, found.ledger) == ("", [])
    assert not (settings.home / "ledger.db").exists()


@pytest.mark.parametrize("name", ["20260105-nobody-1", "20261399-x-1", "", "*"])
def test_an_id_that_is_nowhere_is_named(settings: Settings, name: str) -> None:
    make_log(settings, 1)
    with pytest.raises(UsageError, match="has the decision"):
        trace_decision(settings, name)
