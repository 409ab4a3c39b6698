"""The story of one decision."""

import re
from dataclasses import replace
from datetime import timedelta

import msgspec
import pytest

from headgate.decisions.reading import find, read_part
from headgate.decisions.rulings import rule
from headgate.decisions.trace import trace_decision
from headgate.errors import UsageError
from headgate.registry.ledger import Entry, Ledger
from headgate.settings import Settings

from ..toy import ROOMS
from .made import LOG, START, make_log
from .test_reading import correct


@pytest.fixture
def decision(settings: Settings) -> str:
    """The id of a reading that version 1 found as warm as usual, and that a replay then found too cold."""
    (part,) = make_log(settings, 10, adverse=0.0)
    one = read_part(settings, LOG, part)["decision_id"][3]
    at = START + timedelta(days=1)
    correct(settings, "again", part, decision_id=[one], corrected_at=[at], version=[2], bundle=["c"], outcome=["cold"])
    ledger = Ledger(settings)
    told = {"to_version": 1, "bundle": "b" * 64, "run_id": "run-1", "data": "data-1"}
    ledger.append(Entry("rooms", "verdict", "the gate", "All is well.", ruling="passed", **told))
    ledger.append(Entry("rooms", "verdict", "the gate", "Of another version.", ruling="refused", to_version=7))
    ledger.append(Entry("houses", "changed", "me", "Of another domain.", to_version=1))
    return one


def test_a_decision_leads_to_its_version_run_data_ledger_and_corrections(settings: Settings, decision: str) -> None:
    found = trace_decision(settings, [ROOMS], decision)
    assert (found.domain, found.decision["version"], found.run_id, found.data) == ("rooms", 1, "run-1", "data-1")
    assert [entry["why"] for entry in found.ledger] == ["All is well."]
    assert [(one["by"], one["outcome"]) for one in found.corrections] == [("again", "cold")]
    assert found.holds == "cold"
    said = found.words()
    for part in (decision, "run-1", "data-1", "b" * 64, "All is well.", "as warm as usual, slice", "replay again"):
        assert part in said
    assert said.endswith("Now: too cold.")
    assert "another" not in said


def test_a_persons_ruling_is_told_last_and_holds(settings: Settings, decision: str) -> None:
    rule(settings, ROOMS, [decision], outcome="hot", who="Ann", why="She called us.")
    found = trace_decision(settings, [ROOMS], decision)
    assert (found.holds, found.corrections[-1]["who"]) == ("hot", "Ann")
    *_, ruled, now = found.words().splitlines()
    assert re.fullmatch(r"Corrected 20.* UTC \(ruled by Ann\): too hot\. She called us\.", ruled)
    assert now == "Now: too hot."


def test_what_the_domain_hides_is_in_no_trace(settings: Settings, decision: str) -> None:
    """Neither in words nor in what a program reads; what it does not hide is there."""
    found = find(settings, LOG, decision)
    assert found is not None
    guest = found[1]["guest"].item()
    told = trace_decision(settings, [ROOMS], decision)
    assert "guest" in LOG.hidden
    for text in (told.words(), msgspec.json.encode(told).decode()):
        assert "degrees" in text
        assert "guest" not in text
        assert guest not in text


def test_of_several_domains_the_one_whose_log_has_it_tells(settings: Settings, decision: str) -> None:
    houses = replace(ROOMS, name="houses", live=replace(ROOMS.logs, log=replace(LOG, name="houses")))
    silent = replace(ROOMS, name="silent", live=None)
    assert trace_decision(settings, [silent, houses, ROOMS], decision).domain == "rooms"
    with pytest.raises(UsageError, match="has the decision"):
        trace_decision(settings, [silent, houses], decision)


def test_without_a_ledger_the_log_still_tells_and_none_is_made(settings: Settings) -> None:
    (part,) = make_log(settings, 1)
    found = trace_decision(settings, [ROOMS], read_part(settings, LOG, part)["decision_id"][0])
    assert (found.run_id, found.ledger) == ("", [])
    assert not (settings.home / "ledger.db").exists()


@pytest.mark.parametrize("name", ["20260105-nobody-1", "20261399-x-1", "", "*"])
def test_an_id_that_is_nowhere_is_named(settings: Settings, name: str) -> None:
    make_log(settings, 1)
    with pytest.raises(UsageError, match="has the decision"):
        trace_decision(settings, [ROOMS], name)
