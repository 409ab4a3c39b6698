"""A domain at one glance: its headline against the limit, its pace in words, and what waits for a person."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from headgate.console import glance, state
from headgate.console.glance import Score, figure, rate, read_scores, waiting
from headgate.contract.limits import Headline
from headgate.decisions.pace import MINUTES, Pace
from headgate.registry import versions
from headgate.registry.aliases import Aliases
from headgate.registry.ledger import Entry, Ledger
from headgate.settings import Settings

from ..toy import ROOMS

NOW = datetime.now(UTC)
WITHIN = replace(ROOMS, limits=replace(ROOMS.limits, headline=Headline("disturbed", limit=0.05)))


def test_the_headline_is_of_the_version_that_decides_and_tells_which_left_the_limit() -> None:
    scores = [Score(1, 0.03), Score(2, 0.07), Score(3, 0.04)]
    shown = figure(WITHIN, scores, 2)
    assert (shown.title, shown.now, shown.demanded) == ("Comfortable guests that are disturbed", "7 %", "at most 5 %")
    assert shown.words == "version 2 of 3; outside: 2"
    assert [dot.fine for dot in shown.plot.dots] == [True, False, True]
    assert not shown.fine
    assert figure(WITHIN, scores, 3).fine
    assert figure(WITHIN, scores, None).now == "4 %", "of the newest where nobody decides"


def test_without_a_headline_it_is_what_is_compared_first() -> None:
    shown = figure(ROOMS, [Score(1, 1.234)], 1)
    assert (shown.title, shown.now, shown.demanded, shown.words) == ("Error in °C", "1.23", "", "version 1")
    assert figure(ROOMS, [], 1).words == "no version was measured yet"


def pace(decisions: list[int], adverse: list[int], **others: Any) -> Pace:
    pad = [0] * (MINUTES - len(decisions))
    told = {"until": NOW, "judges": True, "whole": True} | others
    return Pace(decisions=(*pad, *decisions), adverse=(*pad, *adverse), **told)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (pace([1000, 240, 3], [24, 0, 0]), "1,243 in 60 minutes, 1.9 % too cold or too hot"),
        (pace([1000, 240, 3], [0, 0, 0], judges=False), "1,243 in 60 minutes"),
        (pace([3], [3], whole=False), "3 in 60 minutes, 100 % too cold or too hot; not all is counted yet"),
        (pace([], []), "none in 60 minutes"),
    ],
)
def test_the_pace_is_told_in_words(given: Pace, words: str) -> None:
    assert rate(ROOMS, given).words == words


def test_the_last_whole_minute_counts() -> None:
    assert rate(ROOMS, pace([1000, 1240, 3], [0, 0, 0])).now == "1,240"


def told(settings: Settings) -> state.Told:
    return state.told(settings, ["rooms"])[0]


def test_nothing_waits_at_first(settings: Settings) -> None:
    assert waiting(told(settings), Aliases({}, 0.0)) == []


def test_what_waits_for_a_person_is_told_the_most_pressing_first(settings: Settings) -> None:
    ledger = Ledger(settings)
    ledger.append(Entry("rooms", "verdict", "the flow", "It jumps.", to_version=3, bundle="b" * 64, ruling="review"))
    ledger.append(Entry("rooms", "hold", "ana", "Sale week."))
    ledger.append(Entry("rooms", "alert", "the watch", "A day was missed."))
    found = waiting(told(settings), Aliases({"challenger": 3}, 0.0))
    assert [one.tone for one in found] == ["bad", "warn", "warn"]
    assert "A day was missed." in found[0].words
    assert (found[1].words, found[1].link) == ("Version 3 waits for a reviewer", "/console/rooms/verdicts/1")
    assert found[2].words == "Promotion is held until a person releases it, by ana: Sale week."


def test_an_alert_of_yesterday_wakes_nobody(settings: Settings) -> None:
    Ledger(settings).append(Entry("rooms", "alert", "the watch", "A day was missed."))
    assert waiting(told(settings), None, now=NOW + timedelta(hours=25)) == []


@pytest.mark.parametrize(
    ("cases", "words", "tone"),
    [
        ((1, 0), "1 case waits to be ruled on", "warn"),
        ((1200, 3), "1,200 cases wait to be ruled on, 3 of them past the deadline", "bad"),
    ],
)
def test_cases_that_wait_lead_to_their_queue(settings: Settings, cases: tuple[int, int], words: str, tone: str) -> None:
    (found,) = waiting(told(settings), Aliases({}, 0.0), cases)
    assert (found.words, found.tone, found.link) == (words, tone, "/console/rooms/queue")


def test_scores_are_the_metrics_of_each_versions_own_model(history: Settings) -> None:
    registry = versions.client(history)
    assert read_scores(history, ROOMS) == []
    for version in versions.all_versions(registry, "rooms"):
        registry.set_tag(version.run_id, versions.TAG_MODEL, "mean")
        registry.log_metric(version.run_id, "mean/error", float(version.number))
        registry.log_metric(version.run_id, "baseline/error", 9.0)
    assert read_scores(history, ROOMS) == [Score(1, 1.0), Score(2, 2.0), Score(3, 3.0)]


def test_the_registry_is_asked_now_and_then(history: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    scores = glance.Scores(history)
    assert scores.of(ROOMS) == []
    monkeypatch.setattr(glance, "read_scores", lambda settings, domain: [Score(1, 1.0)])
    assert scores.of(ROOMS) == []
    monkeypatch.setattr(glance, "FRESH", 0.0)
    assert scores.of(ROOMS) == [Score(1, 1.0)]
