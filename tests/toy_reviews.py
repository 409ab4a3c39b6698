"""The toy with people: every room that is decided cold or hot becomes a case, and a caretaker says what it was."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

import msgspec

from headgate.contract.host import Host
from headgate.contract.reviews import Card, Case, Reviews, Role
from headgate.contract.row import Recorder, Row
from headgate.decisions.reviews.cases import NewCase, open_cases
from headgate.domain import Domain
from headgate.settings import Settings

from .toy import OUTCOMES, ROOMS

CARETAKER, SENIOR = "rooms.caretaker", "rooms.senior"


class Cause(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a caretaker tells of a room beside its outcome."""

    cause: Literal["window", "heating", "sun"] | None = None
    seen: bool = False


def card(case: Case, host: Host) -> Card:
    """A room, how warm it is, and how warm it usually is."""
    degrees, usual = case.about["degrees"], case.about["usual"]
    off = f"{degrees - usual:+.1f} °C".replace("-", "−")
    facts = {"Now": f"{degrees:.1f} °C", "Usually": f"{usual:.1f} °C", "Off by": off}
    return Card(f"Room {case.about['room']}", facts)


REVIEWS = Reviews(
    card=card,
    choices={"fine": "f", "cold": "c", "hot": "h"},
    roles={CARETAKER: Role(), SENIOR: Role(("first", "third", "appeal"), escalated=True)},
    labels=Cause,
    deadline_seconds=600.0,
)

RULED: Domain = replace(
    ROOMS,
    scopes={CARETAKER: "rules on rooms", SENIOR: "rules where two disagree, on appeals and on what is late"},
    reviews=REVIEWS,
    routes=lambda host: ROOMS.routes(replace(host, recorder=Opening(host.recorder, host.settings))),
)


def ruled(**others: Any) -> Domain:
    """`RULED` with reviews as in `others`."""
    return replace(RULED, reviews=replace(REVIEWS, **others))


@dataclass(frozen=True)
class Opening:
    """Logs a decision, and opens a case where it was cold or hot: before it is answered."""

    inner: Recorder
    settings: Settings

    def ids(self, n: int, at: datetime) -> list[str]:
        return self.inner.ids(n, at)

    def record(self, domain: str, rows: Sequence[Row]) -> None:
        self.inner.record(domain, rows)
        cases = [case_of(row) for row in rows if row.outcome in OUTCOMES.adverse]
        if cases:
            open_cases(self.settings, RULED, cases)


def case_of(row: Any) -> NewCase:
    about = {"room": row.room, "degrees": row.degrees, "usual": row.usual}
    return room_case(row.decision_id, **about)


def room_case(key: str, room: str = "a", degrees: float = 15.0, usual: float = 20.0, **others: Any) -> NewCase:
    """The case of a decision called `key`."""
    off = degrees - usual
    told = {
        "title": f"Room {room}",
        "why": f"it is {abs(off):.0f} °C {'colder' if off < 0 else 'warmer'} than usual",
        "about": {"room": room, "degrees": degrees, "usual": usual},
        "decision_id": key,
        "priority": abs(off),
    }
    return NewCase(key, **(told | others))
