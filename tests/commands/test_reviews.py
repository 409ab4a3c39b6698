"""`headgate reviews`: what waits, how readers agree, and whether anybody changed what was ruled."""

import json
import sqlite3

import pytest

from headgate.commands.reviews import reviews
from headgate.decisions.reviews.answers import Answer, rule
from headgate.decisions.reviews.cases import open_cases
from headgate.decisions.reviews.claims import Reader, claim
from headgate.errors import HeadgateError
from headgate.settings import Settings

from ..toy_reviews import RULED, room_case, ruled
from .said import Headgate


@pytest.fixture
def worked(settings: Settings) -> Settings:
    """Three cases, one of them ruled on by two, who agree."""
    twice = ruled(second_share=1.0, undo_seconds=0.0)
    open_cases(settings, twice, [room_case(f"d-{number}") for number in range(3)])
    for name in ("ann", "ben"):
        held = claim(settings, twice, Reader(name), "d-0")
        assert held is not None
        rule(settings, twice, Reader(name), "d-0", held.token, Answer("cold", name))
    claim(settings, twice, Reader("ann"), "d-1")
    return settings


def test_it_tells_what_waits_and_how_readers_agree(worked: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    reviews(RULED)
    told = capsys.readouterr().out
    assert "Warm rooms: 2 wait (2 first), 1 are read now." in told
    assert "outcome: 100% agree, 1 read twice" in told
    reviews(RULED, json=True)
    value = json.loads(capsys.readouterr().out)
    assert (value["waiting"], value["claimed"], value["opened"], value["ruled"]) == (2, 1, 3, 2)
    assert value["agreement"][0]["share"]["units"] == 1


def test_before_the_first_case_it_tells_that_nothing_waits(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    reviews(RULED)
    assert "0 wait" in capsys.readouterr().out
    assert not settings.home.exists()


def test_verify_says_what_was_changed(worked: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    reviews(RULED, verify=True)
    assert "hold 5 events" in capsys.readouterr().out
    with sqlite3.connect(worked.home / "reviews.db") as database:
        database.execute("update headgate_review_events set who = 'eve' where seq = 4")
    with pytest.raises(HeadgateError, match="event 4 was altered"):
        reviews(RULED, verify=True)


def test_a_domain_without_reviews_is_told_so(headgate: Headgate) -> None:
    said = headgate("reviews", "capacity")
    assert said.code == 2
    assert "declares no reviews" in said.sentence
