"""Claims: one case goes to one person, for a while, and everybody else learns to whom."""

import threading
from typing import Any

import pytest

from headgate.decisions.reviews import queue
from headgate.decisions.reviews.answers import Answer, rule
from headgate.decisions.reviews.cases import open_case, open_cases
from headgate.decisions.reviews.claims import Conflict, NotAllowed, Reader, Taken, claim, release, renew
from headgate.errors import UsageError
from headgate.settings import Settings

from ... import killing
from ...toy_reviews import RULED, room_case, ruled
from .conftest import ANN, BEN, SUE, Clock, claimed, raised, rules


def test_of_two_who_claim_one_case_one_gets_it_and_the_other_learns_who_has_it_and_until_when(
    here: Settings, clock: Clock
) -> None:
    open_case(here, RULED, room_case("d-1"))
    first = claimed(here, ANN, "d-1")
    with pytest.raises(Taken) as taken:
        claim(here, RULED, BEN, "d-1")
    assert taken.value.who == "ann"
    assert taken.value.until == first.until
    assert "ann has this case until" in str(taken.value)
    assert claim(here, RULED, BEN) is None
    assert [(line.holder, line.until) for line in queue.look(here, RULED, BEN).lines] == [("ann", first.until)]


def test_a_claim_that_runs_out_is_free_and_one_that_is_renewed_is_not(here: Settings, clock: Clock) -> None:
    open_case(here, RULED, room_case("d-1"))
    first = claimed(here, ANN)
    clock.passes(100)
    renew(here, RULED, ANN, "d-1", first.token)
    clock.passes(100)
    with pytest.raises(Taken):
        claim(here, RULED, BEN, "d-1")
    clock.passes(21)
    second = claimed(here, BEN, "d-1")
    words = raised(Taken, lambda: renew(here, RULED, ANN, "d-1", first.token))
    assert "ben has this case" in words
    assert "ben has this case" in raised(
        Taken, lambda: rule(here, RULED, ANN, "d-1", first.token, Answer("fine", "ann"))
    )
    assert rule(here, RULED, BEN, "d-1", second.token, Answer("cold", "ben")).who == "ben"
    words = raised(Conflict, lambda: rule(here, RULED, ANN, "d-1", first.token, Answer("fine", "ann")))
    assert "ben has ruled it cold" in words


def test_who_was_late_still_rules_while_nobody_else_has_come(here: Settings, clock: Clock) -> None:
    open_case(here, RULED, room_case("d-1"))
    first = claimed(here, ANN)
    clock.passes(300)
    assert rule(here, RULED, ANN, "d-1", first.token, Answer("fine", "x")).seconds == 300


def test_a_claim_that_is_given_back_is_free_at_once(here: Settings) -> None:
    open_case(here, RULED, room_case("d-1"))
    first = claimed(here, ANN)
    release(here, RULED, ANN, "d-1", first.token)
    assert claimed(here, BEN).case.key == "d-1"
    release(here, RULED, ANN, "d-1", first.token)  # which is nobody's any more
    assert claim(here, RULED, ANN) is None


def test_one_who_comes_back_finds_what_they_had_and_the_window_before_has_lost_it(here: Settings) -> None:
    open_cases(here, RULED, [room_case("d-1"), room_case("d-2", degrees=0.0)])
    first = claimed(here, ANN)
    again = claimed(here, ANN)
    assert again.case.key == first.case.key == "d-2"
    words = raised(Conflict, lambda: rule(here, RULED, ANN, "d-2", first.token, Answer("fine", "x")))
    assert "in another window" in words
    assert claimed(here, ANN, "d-1").case.key == "d-1"
    open_case(here, RULED, room_case("d-3"))
    assert "claimed 2 cases already" in raised(UsageError, lambda: claim(here, RULED, ANN, skip=["d-1", "d-2"]))


def test_a_skipped_case_is_left_to_others(here: Settings) -> None:
    open_cases(here, RULED, [room_case("d-1"), room_case("d-2", degrees=0.0)])
    found = claim(here, RULED, ANN, skip=["d-2"])
    assert found is not None
    assert found.case.key == "d-1"


def test_a_role_reads_what_it_is_for(here: Settings) -> None:
    open_case(here, RULED, room_case("d-1"))
    stranger = Reader("eve", {"read", "operate"})
    assert claim(here, RULED, stranger) is None
    assert "not read with the scopes of eve" in raised(NotAllowed, lambda: claim(here, RULED, stranger, "d-1"))
    assert queue.look(here, RULED, stranger).waiting == 0
    assert claimed(here, Reader("me")).case.key == "d-1"  # where nobody needs a token


def test_a_second_reader_learns_nothing_of_the_first(here: Settings, clock: Clock) -> None:
    twice = ruled(second_share=1.0)
    open_case(here, twice, room_case("d-1"))
    rules(here, ANN, "cold", domain=twice)
    words = raised(Conflict, lambda: claim(here, twice, BEN, "d-1"))
    assert "ann" not in words
    assert "cold" not in words
    clock.passes(61)
    found = claimed(here, BEN, domain=twice)
    assert (found.reading, found.earlier) == ("second", ())
    assert found.case == claimed(here, BEN, domain=twice).case
    assert claim(here, twice, ANN) is None


def test_many_who_claim_at_once_get_a_case_each(here: Settings) -> None:
    """Threads and processes: no case goes to two, and nobody is turned away while one is left."""
    open_cases(here, RULED, [room_case(f"d-{number}") for number in range(18)])
    started = [killing.process(claim_two, here, f"process-{number}") for number in range(3)]
    found: dict[str, list[str]] = {}

    def work(name: str) -> None:
        found[name] = two(here, name)

    threads = [threading.Thread(target=work, args=(f"thread-{number}",)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number, (process, pipe) in enumerate(started):
        found[f"process-{number}"] = pipe.recv()
        process.join(30)
    keys = [key for theirs in found.values() for key in theirs]
    assert len(keys) == len(set(keys)) == 18
    holders = {line.case.key: line.holder for line in queue.look(here, RULED, SUE).lines}
    assert holders == {key: name for name, theirs in found.items() for key in theirs}


def two(settings: Settings, name: str) -> list[str]:
    keys: list[str] = []
    for _ in range(2):
        one = claim(settings, RULED, Reader(name), skip=keys)
        assert one is not None
        keys.append(one.case.key)
    return keys


def claim_two(pipe: Any, settings: Settings, name: str) -> None:
    pipe.send(two(settings, name))


def test_a_sign_that_comes_late_keeps_the_claim_while_nobody_else_has_it(here: Settings, clock: Clock) -> None:
    open_case(here, RULED, room_case("d-1"))
    first = claimed(here, ANN)
    clock.passes(200)
    renew(here, RULED, ANN, "d-1", first.token)
    with pytest.raises(Taken):
        claim(here, RULED, BEN, "d-1")
    assert rule(here, RULED, ANN, "d-1", first.token, Answer("fine", "x")).who == "ann"
