"""The trail: whoever changes a row of it, of a case or of a ruling, or cuts it, is found."""

import sqlite3

import pytest

from headgate.decisions.reviews import trail
from headgate.decisions.reviews.answers import undo
from headgate.decisions.reviews.cases import open_case
from headgate.decisions.reviews.verify import verify
from headgate.errors import HeadgateError
from headgate.settings import Settings

from ...toy_reviews import RULED, room_case
from .conftest import ANN, BEN, rules


@pytest.fixture
def worked(settings: Settings) -> Settings:
    for number in range(4):
        open_case(settings, RULED, room_case(f"d-{number}"))
    made = rules(settings, ANN, "cold", "d-0")
    undo(settings, RULED, ANN, made.seq)
    rules(settings, ANN, "hot", "d-0")
    rules(settings, BEN, "fine", "d-1")
    return settings


def test_a_trail_that_nobody_touched_is_whole(worked: Settings) -> None:
    events = trail.events(worked, "rooms")
    assert verify(worked, "rooms", [event.anchor for event in events]) == len(events) == 8


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("update headgate_review_events set who = 'eve' where seq = 5", "event 5 was altered"),
        ("update headgate_review_events set details = replace(details, 'hot', 'fine') where seq = 7", "event 7"),
        ("update headgate_review_events set at = at + 1 where seq = 2", "event 2"),
        ("delete from headgate_review_events where seq = 3", "event 3"),
        ("delete from headgate_review_events where seq = 8", "case d-1 is not what"),
        ("delete from headgate_review_rulings where seq = 8", "ruling 8 is not what"),
        ("update headgate_review_rulings set outcome = 'cold' where seq = 8", "ruling 8 is not what"),
        ("update headgate_review_rulings set undone = null", "ruling 5 is not what"),
        ("update headgate_review_cases set awaits = 'first' where key = 'd-1'", "case d-1 is not what"),
    ],
)
def test_whatever_is_changed_is_found(worked: Settings, change: str, words: str) -> None:
    with sqlite3.connect(worked.home / "reviews.db") as database:
        database.execute(change)
    with pytest.raises(HeadgateError, match=words):
        verify(worked, "rooms")


def test_a_trail_that_was_cut_with_all_its_traces_is_found_by_an_anchor_kept_elsewhere(worked: Settings) -> None:
    anchor = trail.events(worked, "rooms")[-1].anchor
    with sqlite3.connect(worked.home / "reviews.db") as database:
        database.execute("delete from headgate_review_events where seq = 8")
        database.execute("delete from headgate_review_rulings where seq = 8")
        was = "update headgate_review_cases set awaits = 'first', changed = 2, available = opened_at where key = 'd-1'"
        database.execute(was)
    assert verify(worked, "rooms") == 7
    with pytest.raises(HeadgateError, match="event 8 was seen elsewhere"):
        verify(worked, "rooms", [anchor])


def test_the_reviews_of_one_domain_are_not_those_of_another(worked: Settings) -> None:
    assert verify(worked, "halls") == 0
