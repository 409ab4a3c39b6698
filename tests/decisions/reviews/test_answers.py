"""Rulings: one for a double click, taken back for a while, read twice blindly, decided by a third, and appealed."""

import pytest

from headgate.decisions.reviews import queue, trail
from headgate.decisions.reviews.answers import Answer, appeal, rule, undo
from headgate.decisions.reviews.cases import open_case
from headgate.decisions.reviews.claims import Conflict, NotAllowed, Reader, claim
from headgate.decisions.reviews.verify import verify
from headgate.decisions.rulings import held
from headgate.errors import UsageError
from headgate.settings import Settings

from ...toy_reviews import RULED, room_case, ruled
from .conftest import ANN, BEN, CAT, SAM, SUE, Clock, claimed, raised, rules

TWICE = ruled(second_share=1.0)


def holds(settings: Settings, key: str = "d-1") -> str | None:
    return held(settings, "rooms", [key]).get(key)


def whats(settings: Settings) -> list[str]:
    return [event.what for event in trail.events(settings, "rooms")]


def test_a_ruling_says_who_in_which_role_from_where_with_which_labels_and_why(here: Settings, clock: Clock) -> None:
    open_case(here, RULED, room_case("d-1"))
    clock.passes(30)
    one = claimed(here, ANN)
    clock.passes(7)
    made = rule(here, RULED, ANN, "d-1", one.token, Answer("cold", "x", {"cause": "window"}, " It stood\0 open. "))
    told = (made.who, made.role, made.source, made.reading, made.labels, made.seconds)
    assert told == ("ann", "rooms.caretaker", "queue", "first", {"cause": "window", "seen": False}, 7.0)
    assert made.why == "It stood� open."
    assert holds(here) == "cold"
    verify(here, "rooms")


def test_the_same_client_key_is_the_same_ruling(here: Settings) -> None:
    open_case(here, RULED, room_case("d-1"))
    open_case(here, RULED, room_case("d-2"))
    one = claimed(here, ANN, "d-1")
    made = rule(here, RULED, ANN, "d-1", one.token, Answer("cold", "click"))
    assert rule(here, RULED, ANN, "d-1", one.token, Answer("cold", "click")) == made
    assert rule(here, RULED, ANN, "d-1", one.token, Answer("hot", "click")) == made  # a slip of the hand rules nothing
    two = claimed(here, ANN, "d-2")
    words = raised(UsageError, lambda: rule(here, RULED, ANN, "d-2", two.token, Answer("hot", "click")))
    assert "used for another ruling" in words
    assert whats(here).count("ruled") == 1


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (Answer("warm", "x"), "Nobody can rule 'warm' in rooms; choose one of fine, cold, hot."),
        (Answer("cold", ""), "needs a client key"),
        (Answer("cold", "x", {"cause": "ghost"}), "A label is none that rooms has"),
        (Answer("cold", "x", {"colour": "red"}), "no label colour"),
        (Answer("cold", "x", why="x" * 2_001), "longer than 2,000"),
    ],
)
def test_what_cannot_be_ruled_is_refused_in_words(settings: Settings, answer: Answer, words: str) -> None:
    open_case(settings, RULED, room_case("d-1"))
    one = claimed(settings, ANN)
    assert words in raised(UsageError, lambda: rule(settings, RULED, ANN, "d-1", one.token, answer))
    assert whats(settings) == ["opened"]


def test_a_ruling_is_taken_back_within_its_time_and_the_case_is_ones_own_again(here: Settings, clock: Clock) -> None:
    open_case(here, RULED, room_case("d-1"))
    made = rules(here, ANN, "cold")
    clock.passes(60)
    back = undo(here, RULED, ANN, made.seq)
    assert (back.case.key, holds(here)) == ("d-1", None)
    assert claim(here, RULED, BEN) is None
    assert undo(here, RULED, ANN, made.seq).case.key == "d-1"  # asked again, it is done once
    assert whats(here) == ["opened", "ruled", "undone"]
    again = undo(here, RULED, ANN, made.seq)
    other = rule(here, RULED, ANN, "d-1", again.token, Answer("hot", "second thoughts"))
    clock.passes(61)
    assert "for 60 seconds" in raised(Conflict, lambda: undo(here, RULED, ANN, other.seq))
    assert holds(here) == "hot"
    verify(here, "rooms")


def test_nobody_takes_back_what_another_ruled_or_what_has_gone_on(here: Settings, clock: Clock) -> None:
    open_case(here, RULED, room_case("d-1"))
    made = rules(here, ANN, "cold")
    assert "no such ruling of yours" in raised(UsageError, lambda: undo(here, RULED, BEN, made.seq))
    assert "no such ruling of yours" in raised(UsageError, lambda: undo(here, RULED, ANN, 99))
    appeal(here, RULED, "guest", "d-1", "It was warm.", "a")
    assert "has gone on" in raised(Conflict, lambda: undo(here, RULED, ANN, made.seq))


def test_two_who_agree_end_a_case_that_is_read_twice(here: Settings, clock: Clock) -> None:
    open_case(here, TWICE, room_case("d-1"))
    rules(here, ANN, "cold", domain=TWICE)
    assert claim(here, TWICE, BEN) is None  # as long as the first may be taken back
    clock.passes(61)
    second = rules(here, BEN, "cold", domain=TWICE)
    assert (second.source, second.counts) == ("second", False)
    assert queue.count(here, "rooms").waiting == 0
    assert holds(here) == "cold"


def test_where_two_disagree_a_third_decides_who_sees_both(here: Settings, clock: Clock) -> None:
    open_case(here, TWICE, room_case("d-1"))
    rules(here, ANN, "cold", domain=TWICE)
    clock.passes(61)
    rules(here, BEN, "hot", domain=TWICE, why="the radiator glows")
    assert holds(here) == "cold"  # until a third has decided
    clock.passes(61)
    assert claim(here, TWICE, CAT) is None
    found = claimed(here, SUE, domain=TWICE)
    assert [(one.outcome, one.why) for one in found.earlier] == [("cold", ""), ("hot", "the radiator glows")]
    rule(here, TWICE, SUE, "d-1", found.token, Answer("hot", "x"))
    assert holds(here) == "hot"
    verify(here, "rooms")


def test_readers_can_be_asked_to_agree_on_a_label_too(here: Settings, clock: Clock) -> None:
    strict = ruled(second_share=1.0, agree_on=("outcome", "cause"))
    open_case(here, strict, room_case("d-1"))
    rules(here, ANN, "cold", domain=strict, labels={"cause": "window"})
    clock.passes(61)
    rules(here, BEN, "cold", domain=strict, labels={"cause": "heating"})
    assert queue.count(here, "rooms").by_reading == {"third": 1}


def test_an_appeal_is_decided_by_another_than_the_first(here: Settings, clock: Clock) -> None:
    open_case(here, RULED, room_case("d-1"))
    rules(here, SUE, "cold")
    assert appeal(here, RULED, "guest", "d-1", "It was warm.", "a-1")
    assert not appeal(here, RULED, "guest", "d-1", "It was warm.", "a-1")
    assert "appealed before" in raised(Conflict, lambda: appeal(here, RULED, "guest", "d-1", "", "a-2"))
    assert claim(here, RULED, SUE) is None
    assert claim(here, RULED, ANN) is None
    found = claimed(here, SAM)
    assert (found.reading, found.appeal, found.earlier[0].outcome) == ("appeal", "It was warm.", "cold")
    made = rule(here, RULED, SAM, "d-1", found.token, Answer("fine", "x"))
    assert (made.source, holds(here)) == ("appeal", "fine")
    verify(here, "rooms")


def test_there_is_nothing_to_appeal_before_somebody_has_ruled(here: Settings) -> None:
    open_case(here, RULED, room_case("d-1"))
    assert "nothing to appeal" in raised(UsageError, lambda: appeal(here, RULED, "guest", "d-1", "", "a"))
    assert "no such case" in raised(UsageError, lambda: appeal(here, RULED, "guest", "d-2", "", "a"))


def test_an_appeal_ends_a_second_reading_and_never_makes_one_of_it(here: Settings, clock: Clock) -> None:
    open_case(here, TWICE, room_case("d-1"))
    rules(here, ANN, "cold", domain=TWICE)
    clock.passes(61)
    senior = Reader("sam")
    found = claimed(here, senior, domain=TWICE)
    appeal(here, TWICE, "guest", "d-1", "", "a")
    words = raised(Conflict, lambda: rule(here, TWICE, senior, "d-1", found.token, Answer("hot", "x")))
    assert "ruled on this case meanwhile" in words


def test_who_has_lost_the_role_rules_no_more(here: Settings) -> None:
    open_case(here, RULED, room_case("d-1"))
    one = claimed(here, ANN)
    demoted = Reader("ann", {"read"})
    words = raised(NotAllowed, lambda: rule(here, RULED, demoted, "d-1", one.token, Answer("cold", "x")))
    assert "scopes of ann" in words
