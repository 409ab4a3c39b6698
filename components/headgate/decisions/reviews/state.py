"""What the events of a case add up to: one function, by which every change is made and every trail is verified."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from headgate.contract.reviews import Case
from headgate.decisions.reviews.trail import Event

#: No reading is awaited any more.
NOTHING = ""


@dataclass(frozen=True)
class State:
    """A case after its newest event `changed`. Instants are epoch seconds."""

    key: str
    changed: int
    opened: Mapping[str, Any]  # what it was opened with: `cases.NewCase`, and what was drawn for it
    opened_at: float
    deadline: float | None
    awaits: str = "first"  # a reading, or NOTHING
    escalated: bool = False
    appealed: str = ""  # by which client key
    available: float = 0.0  # nobody can claim it before

    @property
    def priority(self) -> float:
        """Higher comes first."""
        return float(self.opened["priority"])

    def case(self, domain: str) -> Case:
        """What a reader may know of it."""
        told = self.opened
        return Case(
            key=self.key,
            domain=domain,
            title=told["title"],
            why=told["why"],
            kind=told["kind"],
            subjects=tuple(told["subjects"]),
            about=told["about"],
            decision_id=told["decision_id"],
            priority=self.priority,
            opened=_instant(self.opened_at),
            deadline=None if self.deadline is None else _instant(self.deadline),
        )


@dataclass(frozen=True)
class Ruled:
    """A ruling: of a case, or of somebody who ruled on a decision without one (`key` is "")."""

    seq: int
    key: str
    decision_id: str | None
    client: str
    reading: str
    outcome: str
    labels: Mapping[str, Any]
    why: str
    who: str
    role: str
    source: str  # queue, audit, second, third, appeal, policy, operator
    counts: bool
    at: float
    seconds: float | None
    undone: float | None = None


def after(state: State | None, event: Event) -> State | None:
    """The case after `event`; None where the event is of no case."""
    told = event.details
    if event.what == "opened":
        deadline = told["deadline"]
        return State(event.key, event.seq, told, event.at, deadline, available=event.at)
    if state is None:
        return None
    moved = replace(state, changed=event.seq)
    if event.what == "ruled":
        return replace(moved, awaits=told["then"], available=told["available"])
    if event.what == "undone":
        return replace(moved, awaits=told["then"], available=event.at)
    if event.what == "left":
        return replace(moved, awaits=NOTHING)
    if event.what == "escalated":
        return replace(moved, escalated=True, deadline=None)
    return replace(moved, awaits="appeal", appealed=told["client"], available=event.at)


def ruling_of(event: Event) -> Ruled:
    """The ruling that an event "ruled" is."""
    told = event.details
    names = ("decision_id", "client", "reading", "outcome", "labels", "why", "role", "source", "counts", "seconds")
    return Ruled(seq=event.seq, key=event.key, who=event.who, at=event.at, **{name: told[name] for name in names})


def add_up(events: Iterable[Event]) -> tuple[dict[str, State], dict[int, Ruled]]:
    """All cases by key and all rulings by number, of the events of a domain from the first on."""
    cases: dict[str, State] = {}
    rulings: dict[int, Ruled] = {}
    for event in events:
        if event.what == "ruled":
            rulings[event.seq] = ruling_of(event)
        elif event.what == "undone":
            undone = event.details["ruling"]
            rulings[undone] = replace(rulings[undone], undone=event.at)
        if (state := after(cases.get(event.key), event)) is not None:
            cases[event.key] = state
    return cases, rulings


def _instant(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
