"""Cases: opened once, in the order that the domain gives, and ended once where nobody rules in time."""

from datetime import UTC, datetime, timedelta

import pytest

from headgate.contract.reviews import ESCALATE, LEAVE
from headgate.decisions.reviews import queue, trail
from headgate.decisions.reviews.answers import Answer, rule
from headgate.decisions.reviews.cases import audit, expire, open_case, open_cases
from headgate.decisions.reviews.claims import claim
from headgate.decisions.reviews.labels import labels
from headgate.decisions.reviews.sampling import drawn
from headgate.decisions.reviews.verify import verify
from headgate.decisions.rulings import held
from headgate.decisions.watch import Watcher
from headgate.errors import UsageError
from headgate.settings import Settings

from ...toy import ROOMS
from ...toy_reviews import RULED, room_case, ruled
from .conftest import ANN, SUE, Clock, claimed, raised, rules


def whats(settings: Settings) -> list[str]:
    return [event.what for event in trail.events(settings, "rooms")]


def test_a_case_is_opened_once_however_often_it_is_told(here: Settings) -> None:
    assert open_case(here, RULED, room_case("d-1"))
    assert not open_case(here, RULED, room_case("d-1", degrees=30.0))
    assert open_cases(here, RULED, [room_case("d-1"), room_case("d-2"), room_case("d-2")]) == ["d-2"]
    assert whats(here) == ["opened", "opened"]
    assert claimed(here, ANN, "d-1").case.about["degrees"] == 15.0


def test_cases_come_by_priority_then_by_deadline_then_by_age(here: Settings, clock: Clock) -> None:
    for key, priority, deadline in (("old", 1.0, 500), ("soon", 1.0, 100), ("high", 2.0, 900), ("young", 1.0, 500)):
        at = datetime.fromtimestamp(clock.at + deadline, UTC)
        open_case(here, RULED, room_case(key, priority=priority, deadline=at))
    assert [rules(here, ANN, "fine").key for _ in range(4)] == ["high", "soon", "old", "young"]
    assert claim(here, RULED, ANN) is None


def test_what_nobody_rules_on_in_time_gets_the_outcome_that_was_named_for_it(here: Settings, clock: Clock) -> None:
    open_case(here, RULED, room_case("d-1", at_expiry="hot"))
    clock.passes(599)
    assert expire(here, RULED) == 0
    clock.passes(1)
    assert expire(here, RULED) == 1
    assert expire(here, RULED) == 0
    last = trail.events(here, "rooms")[-1]
    assert (last.what, last.who, last.details["outcome"], last.details["source"]) == (
        "ruled",
        "policy",
        "hot",
        "policy",
    )
    assert held(here, "rooms", ["d-1"]) == {"d-1": "hot"}
    assert labels(here, RULED, datetime.fromtimestamp(clock.at, UTC))["source"].to_list() == ["policy"]
    assert "nobody ruled in time" in raised(Exception, lambda: claim(here, RULED, ANN, "d-1"))


def test_what_is_to_be_left_is_no_ruling(here: Settings, clock: Clock) -> None:
    open_case(here, RULED, room_case("d-1", at_expiry=LEAVE))
    clock.passes(601)
    assert claim(here, RULED, ANN) is None  # who looks next ends it
    assert whats(here) == ["opened", "left"]
    assert held(here, "rooms", ["d-1"]) == {}
    assert not len(labels(here, RULED, datetime.fromtimestamp(clock.at, UTC)))


def test_what_is_escalated_waits_for_those_who_read_what_is(here: Settings, clock: Clock) -> None:
    open_case(here, RULED, room_case("d-1", at_expiry=ESCALATE))
    clock.passes(601)
    assert claim(here, RULED, ANN) is None
    assert queue.count(here, "rooms").overdue == 1
    assert queue.look(here, RULED, SUE).lines[0].late
    assert rules(here, SUE, "cold").role == "rooms.senior"
    assert whats(here) == ["opened", "escalated", "ruled"]
    clock.passes(9_999)
    assert expire(here, RULED) == 0
    verify(here, "rooms")


def test_a_claim_does_not_put_off_a_deadline(here: Settings, clock: Clock) -> None:
    open_case(here, RULED, room_case("d-1", at_expiry="cold"))
    clock.passes(590)
    one = claimed(here, ANN)
    clock.passes(10)
    words = raised(Exception, lambda: rule(here, RULED, ANN, "d-1", one.token, Answer("fine", "x")))
    assert "nobody ruled in time" in words
    assert whats(here) == ["opened", "ruled"]


def test_an_audit_draws_the_same_cases_each_time_with_their_chance(here: Settings) -> None:
    keys = [f"d-{number}" for number in range(60)]
    taken = [key for key in keys if audit(here, RULED, room_case(key), 0.3)]
    assert taken == [key for key in keys if drawn("rooms", "audit", key, 0.3)]
    assert 8 <= len(taken) <= 28
    assert not any(audit(here, RULED, room_case(key), 0.3) for key in keys if key not in taken)
    made = rules(here, ANN, "fine")
    assert made.source == "audit"
    assert labels(here, RULED, datetime.now(UTC))["propensity"].to_list() == [0.3]


@pytest.mark.parametrize(
    ("case", "words"),
    [
        (room_case("a b"), "cannot be a case's key"),
        (room_case("d", at_expiry="warm"), "cannot happen to a case"),
        (room_case("d", propensity=0.0), "chance is above 0"),
        (room_case("d", deadline=datetime(2026, 1, 1)), "names no zone"),
        (room_case("d", about={"at": datetime(2026, 1, 1)}), "is not plain"),
    ],
)
def test_a_case_that_can_be_none_is_refused_with_what_to_do(settings: Settings, case: object, words: str) -> None:
    assert words in raised(UsageError, lambda: open_case(settings, RULED, case))  # type: ignore[arg-type]


def test_a_domain_without_reviews_has_no_cases(settings: Settings) -> None:
    assert "declares no reviews" in raised(UsageError, lambda: open_case(settings, ROOMS, room_case("d")))
    nobody = ruled(roles={"rooms.caretaker": RULED.ruled_on.roles["rooms.caretaker"]})
    case = room_case("d", at_expiry=ESCALATE)
    assert "no role reads what is" in raised(UsageError, lambda: open_case(settings, nobody, case))


def test_asking_makes_no_database(settings: Settings) -> None:
    assert expire(settings, RULED) == 0
    assert queue.count(settings, "rooms") == queue.EMPTY
    assert not len(labels(settings, RULED, datetime.now(UTC)))
    assert not settings.home.exists()


def test_the_watch_ends_what_nobody_looks_at(settings: Settings) -> None:
    over = datetime.now(UTC) - timedelta(seconds=1)
    open_case(settings, RULED, room_case("d-1", deadline=over))
    Watcher(settings, RULED).look()
    assert whats(settings) == ["opened", "left"]
