"""What people and programs do to reviews, as processes that are killed at it and run again."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta

from headgate.decisions.reviews.answers import Answer, appeal, rule, undo
from headgate.decisions.reviews.cases import expire, open_cases
from headgate.decisions.reviews.claims import Conflict, Reader, claim
from headgate.decisions.reviews.state import Ruled
from headgate.decisions.rulings import rule as rule_by_hand
from headgate.domain import Domain
from headgate.settings import Settings

from ...toy_reviews import RULED, room_case, ruled

AT_ONCE = ruled(second_share=1.0, undo_seconds=0.0)


def work(settings: Settings) -> None:
    """All that can happen to cases. A client that gets no answer asks again, with the same keys."""
    over = datetime.now(UTC) - timedelta(seconds=1)
    open_cases(settings, AT_ONCE, [room_case("twice")])
    open_cases(settings, RULED, [room_case("once"), room_case("late", deadline=over, at_expiry="hot")])
    expire(settings, RULED)
    made = answer(settings, RULED, "ann", "once", "cold", "1")
    with suppress(Conflict):  # it was taken back before, and ruled on again
        undo(settings, RULED, Reader("ann"), made.seq)
    answer(settings, RULED, "ann", "once", "fine", "2")
    answer(settings, AT_ONCE, "ann", "twice", "cold", "3")
    answer(settings, AT_ONCE, "ben", "twice", "hot", "4")
    answer(settings, AT_ONCE, "cat", "twice", "hot", "5")
    appeal(settings, RULED, "guest", "once", "It was cold.", "6")
    answer(settings, RULED, "dan", "once", "cold", "7")
    rule_by_hand(settings, RULED, ["by-hand-1", "by-hand-2"], outcome="hot", who="eve", why="I looked", client="8")


def answer(settings: Settings, domain: Domain, who: str, key: str, outcome: str, client: str) -> Ruled:
    token = 0
    with suppress(Conflict):  # it was ruled on before the answer was lost
        held = claim(settings, domain, Reader(who), key)
        token = held.token if held else 0
    return rule(settings, domain, Reader(who), key, token, Answer(outcome, client))
