"""The policy of promotion: of all that a version may wait for, what a person must end first is said."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from headgate.contract.checks import Check, Consequence, Verdict
from headgate.gate.promotion import waits
from headgate.registry.ledger import Entry
from headgate.registry.ledger_state import state_of

from ..toy import ROOMS

NOW = datetime(2026, 3, 4, 12, tzinfo=UTC)
CHAMPION = Entry("rooms", "changed", "ada", to_version=4)
NEWER = Entry("rooms", "changed", "ada", to_version=6)
HOLD = Entry("rooms", "hold", "ada", "moving house")
HELD = "rooms is held by ada (moving house): `headgate release rooms` ends that."
FREEZE = Entry(
    "rooms", "hold", "ada", "fair", details={"starts": "2026-03-05T00:00+00:00", "ends": "2026-03-06T00:00+00:00"}
)
OVER = Entry("rooms", "released", "ada")


def _check(outcome: str, consequence: Consequence = "review", sentence: str = "It differs.") -> Check:
    return Check("change", "shadow", outcome, consequence, "–", "–", sentence)  # type: ignore[arg-type]


PASSED, REVIEW = Verdict((_check("passed"),)), Verdict((_check("failed"),))
FEW = _check("failed", sentence="It was held against 3 live decisions.")


@pytest.mark.parametrize(
    ("entries", "promotion", "verdict", "shadow", "said"),
    [
        ((), "auto", PASSED, None, ""),
        ((CHAMPION,), "auto", PASSED, None, ""),
        ((CHAMPION,), "auto", PASSED, _check("passed"), ""),
        ((CHAMPION,), "auto", Verdict((_check("failed", "note"),)), None, ""),
        ((CHAMPION,), "auto", PASSED, FEW, "It was held against 3 live decisions."),
        ((CHAMPION,), "auto", REVIEW, None, "The gate asks for a reviewer."),
        ((CHAMPION,), "auto", REVIEW, FEW, "The gate asks for a reviewer."),
        ((CHAMPION,), "review", REVIEW, FEW, "A reviewer promotes rooms."),
        ((), "review", PASSED, None, "A reviewer promotes rooms."),
        ((CHAMPION, NEWER), "review", REVIEW, FEW, "Version 6, which is newer, decides already."),
        ((CHAMPION, NEWER, HOLD), "review", REVIEW, FEW, HELD),
        ((CHAMPION, HOLD, OVER), "auto", PASSED, None, ""),
        ((CHAMPION, FREEZE), "auto", PASSED, None, ""),
    ],
)  # fmt: skip
def test_what_a_version_waits_for(entries, promotion, verdict: Verdict, shadow: Check | None, said: str) -> None:
    domain = replace(ROOMS, promotion=promotion)
    assert waits(domain, 5, verdict, state_of(entries), shadow, NOW) == said


def test_a_freeze_holds_from_its_start_to_its_end() -> None:
    state = state_of((CHAMPION, FREEZE))
    held = [bool(waits(ROOMS, 5, PASSED, state, None, datetime(2026, 3, day, tzinfo=UTC))) for day in (4, 5, 6)]
    assert held == [False, True, False]
