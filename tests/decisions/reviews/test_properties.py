"""Whatever several people do in whatever order, the reviews are what a simple model of them is."""

import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from headgate import settings as settings_module
from headgate.contract.reviews import ESCALATE, LEAVE
from headgate.decisions import rulings as holding
from headgate.decisions.reviews import answers, cases, claims, queue, trail
from headgate.decisions.reviews.answers import Answer
from headgate.decisions.reviews.claims import Reader
from headgate.decisions.reviews.sampling import drawn
from headgate.decisions.reviews.verify import verify
from headgate.errors import HeadgateError

from ...toy_reviews import CARETAKER, SENIOR, room_case, ruled

DOMAIN = ruled(second_share=0.6, lease_seconds=50.0, undo_seconds=20.0, deadline_seconds=150.0)

PEOPLE = {name: Reader(name, {CARETAKER}) for name in ("ann", "ben", "cat")} | {
    name: Reader(name, {SENIOR}) for name in ("sue", "sam")
}
READS = {CARETAKER: ("first", "second"), SENIOR: ("first", "third", "appeal")}


@dataclass
class Made:
    """A ruling in the model."""

    seq: int
    who: str
    reading: str
    outcome: str
    at: float
    undone: bool = False


@dataclass
class Modelled:
    """A case in the model."""

    key: str
    policy: str
    deadline: float | None
    opened: float
    awaits: str = "first"
    late: bool = False
    appealed: bool = False
    available: float = 0.0
    made: list[Made] = field(default_factory=list)
    holder: str = ""
    until: float = 0.0
    token: int = -1  # of the claim that may rule
    newest: int = 0  # the ruling that is the newest event; 0: another is

    @property
    def holds(self) -> str | None:
        counting = [one.outcome for one in self.made if not one.undone and one.reading != "second"]
        return counting[-1] if counting else None

    def stands(self, reading: str) -> Made | None:
        return next((one for one in reversed(self.made) if one.reading == reading and not one.undone), None)

    def moves(self, awaits: str, available: float, newest: int = 0) -> None:
        self.awaits, self.available, self.newest = awaits, available, newest
        self.holder, self.until, self.token = "", 0.0, -1


class Reviews(RuleBasedStateMachine):
    """Five people, two roles, and a clock."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.here = replace(settings_module.load(), home=Path(self.folder.name))
        self.at, self.cases = 1_800_000_000.0, dict[str, Modelled]()
        self.clients = 0
        self.patch = mock.patch.object(trail, "now", side_effect=lambda connection: self.at)
        self.patch.start()

    def teardown(self) -> None:
        verify(self.here, "rooms")
        self.patch.stop()
        self.folder.cleanup()

    def may(self, who: str, case: Modelled) -> bool:
        scope = next(iter(PEOPLE[who].scopes or ()))
        roles = case.awaits in READS[scope] and not (case.late and case.awaits == "first" and scope != SENIOR)
        return roles and case.available <= self.at and who not in {one.who for one in case.made if not one.undone}

    def free(self, who: str, case: Modelled) -> bool:
        return case.holder in ("", who) or case.until <= self.at

    def room(self, who: str, case: Modelled) -> bool:
        return sum(one.holder == who and one.until > self.at for one in self.cases.values() if one is not case) < 2

    def ends(self, *some: Modelled) -> None:
        """What time does to cases when somebody looks."""
        for case in some or list(self.cases.values()):
            if case.awaits == "first" and case.deadline is not None and case.deadline <= self.at:
                if case.policy == ESCALATE:
                    case.moves("first", case.available)
                    case.late, case.deadline = True, None
                elif case.policy == LEAVE:
                    case.moves("", case.available)
                else:
                    case.made.append(Made(-1, "policy", "first", case.policy, self.at))
                    case.moves("", self.at)

    def got(self, who: str, found: claims.Claimed) -> None:
        case = self.cases[found.case.key]
        assert found.reading == case.awaits
        blind = found.reading in ("first", "second")
        assert [one.outcome for one in found.earlier] == (
            [] if blind else [one.outcome for one in case.made if not one.undone]
        )
        case.holder, case.until, case.token = who, self.at + 50.0, found.token

    @rule(policy=st.sampled_from([LEAVE, ESCALATE, "hot"]), ends=st.booleans())
    def opens(self, policy: str, ends: bool) -> None:
        key = f"d-{len(self.cases)}"
        domain = DOMAIN if ends else ruled(second_share=0.6, deadline_seconds=None)
        assert cases.open_case(self.here, domain, room_case(key, at_expiry=policy))
        assert not cases.open_case(self.here, domain, room_case(key))
        self.cases[key] = Modelled(key, policy, self.at + 150.0 if ends else None, self.at, available=self.at)

    @precondition(lambda self: self.cases)
    @rule(who=st.sampled_from(list(PEOPLE)), number=st.integers(0, 5))
    def claims_one(self, who: str, number: int) -> None:
        self.claims(who, self.cases[f"d-{number % len(self.cases)}"])

    @precondition(lambda self: any(case.awaits not in ("", "first") for case in self.cases.values()))
    @rule(data=st.data(), order=st.permutations(list(PEOPLE)))
    def everybody_claims_what_is_read_again(self, data: Any, order: list[str]) -> None:
        case = data.draw(st.sampled_from([one for one in self.cases.values() if one.awaits not in ("", "first")]))
        self.at = max(self.at, case.available)
        for who in order:
            self.claims(who, case)

    def claims(self, who: str, case: Modelled) -> None:
        self.ends(case)
        if self.may(who, case) and self.free(who, case) and self.room(who, case):
            found = claims.claim(self.here, DOMAIN, PEOPLE[who], case.key)
            assert found is not None
            self.got(who, found)
        else:
            with pytest.raises(HeadgateError):
                claims.claim(self.here, DOMAIN, PEOPLE[who], case.key)

    @rule(who=st.sampled_from(list(PEOPLE)))
    def claims_next(self, who: str) -> None:
        self.claims_the_next(who)

    def claims_the_next(self, who: str) -> None:
        self.ends()
        some = [case for case in self.cases.values() if self.may(who, case) and self.free(who, case)]
        mine = [case for case in some if case.holder == who and case.until > self.at]
        if some and not mine and not all(self.room(who, case) for case in some):
            return
        found = claims.claim(self.here, DOMAIN, PEOPLE[who])
        assert (found is not None) == bool(some)
        if found is not None:
            assert self.cases[found.case.key] in (mine or some)
            self.got(who, found)

    @precondition(lambda self: self.cases)
    @rule(who=st.sampled_from(list(PEOPLE)), outcome=st.sampled_from(["cold", "hot"]), later=st.booleans())
    def reads(self, who: str, outcome: str, later: bool) -> None:
        """What people do most: claim what comes, and rule on it."""
        self.at += 21.0 if later else 0.0
        self.claims_the_next(who)
        mine = [case for case in self.cases.values() if case.holder == who and case.token >= 0]
        if mine:
            self.answers(who, mine[-1], outcome)

    @precondition(lambda self: any(case.token >= 0 for case in self.cases.values()))
    @rule(data=st.data(), outcome=st.sampled_from(["cold", "hot"]))
    def rules_on_what_they_claimed(self, data: Any, outcome: str) -> None:
        case = data.draw(st.sampled_from([case for case in self.cases.values() if case.token >= 0]))
        self.answers(case.holder, case, outcome)

    @precondition(lambda self: self.cases)
    @rule(who=st.sampled_from(list(PEOPLE)), number=st.integers(0, 5))
    def rules_on_anything(self, who: str, number: int) -> None:
        self.answers(who, self.cases[f"d-{number % len(self.cases)}"], "fine")

    def answers(self, who: str, case: Modelled, outcome: str) -> None:
        self.ends(case)
        self.clients += 1
        answer, token, reading = Answer(outcome, f"c-{self.clients}"), case.token, case.awaits
        if case.holder != who or token < 0:
            with pytest.raises(HeadgateError):
                answers.rule(self.here, DOMAIN, PEOPLE[who], case.key, token, answer)
            return
        made = answers.rule(self.here, DOMAIN, PEOPLE[who], case.key, token, answer)
        assert answers.rule(self.here, DOMAIN, PEOPLE[who], case.key, token, answer) == made
        assert made.reading == reading
        first, then = case.stands("first"), ""
        if reading == "first" and drawn("rooms", "second", case.key, 0.6):
            then = "second"
        if reading == "second":
            assert first is not None
            then = "" if first.outcome == outcome else "third"
        case.made.append(Made(made.seq, who, reading, outcome, self.at))
        case.moves(then, self.at + (20.0 if then else 0.0), made.seq)

    @precondition(lambda self: any(case.made for case in self.cases.values()))
    @rule(other=st.sampled_from(["", "", "", *PEOPLE]), data=st.data())
    def takes_back(self, other: str, data: Any) -> None:
        case = data.draw(st.sampled_from([case for case in self.cases.values() if case.made]))
        one = case.made[-1]
        who = other or one.who
        may = one.who == who and case.newest == one.seq and not one.undone and self.at <= one.at + 20.0
        if one.undone or one.seq < 0 or who == "policy":
            return
        if not may:
            with pytest.raises(HeadgateError):
                answers.undo(self.here, DOMAIN, PEOPLE[who], one.seq)
            return
        back = answers.undo(self.here, DOMAIN, PEOPLE[who], one.seq)
        one.undone = True
        case.moves(one.reading, self.at)
        self.got(who, back)

    @precondition(lambda self: self.cases)
    @rule(data=st.data())
    def appeals(self, data: Any) -> None:
        could = [case for case in self.cases.values() if case.holds and not case.appealed]
        case = data.draw(st.sampled_from(could or list(self.cases.values())))
        if case.holds is None or case.appealed:
            with pytest.raises(HeadgateError):
                answers.appeal(self.here, DOMAIN, "guest", case.key, "no", f"again-{self.at}-{self.clients}-x")
            return
        assert answers.appeal(self.here, DOMAIN, "guest", case.key, "no", f"a-{case.key}")
        case.appealed = True
        case.moves("appeal", self.at)

    @rule(seconds=st.sampled_from([5.0, 21.0, 51.0, 160.0]))
    def time_passes(self, seconds: float) -> None:
        self.at += seconds

    @rule()
    def somebody_looks(self) -> None:
        self.ends()
        cases.expire(self.here, DOMAIN)

    @invariant()
    def the_reviews_are_what_the_model_is(self) -> None:
        told = holding.held(self.here, "rooms", list(self.cases))
        assert told == {key: case.holds for key, case in self.cases.items() if case.holds is not None}
        assert queue.count(self.here, "rooms").waiting == sum(case.awaits != "" for case in self.cases.values())
        everybody = queue.look(self.here, DOMAIN, Reader("nobody")).lines
        seen = {line.case.key: line.holder for line in everybody}
        assert seen == {
            key: case.holder if case.holder and case.until > self.at else None
            for key, case in self.cases.items()
            if case.awaits and case.available <= self.at
        }
        for case in self.cases.values():
            readers = [one.who for one in case.made if not one.undone]
            assert len(readers) == len(set(readers)), "one person has read a case twice"
            readings = [one.reading for one in case.made if not one.undone]
            assert len(readings) == len(set(readings)), "a case has had one reading twice"


TestReviews = Reviews.TestCase
TestReviews.settings = hypothesis_settings(max_examples=30, stateful_step_count=30, deadline=None, derandomize=True)


@pytest.mark.nightly
def test_the_same_for_long() -> None:
    many = hypothesis_settings(max_examples=400, stateful_step_count=60, deadline=None)
    run_state_machine_as_test(Reviews, settings=many)
