"""A person rules on a case, takes a ruling back, or asks for another reader."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from headgate.decisions.reviews import rows, trail
from headgate.decisions.reviews.cases import expire_due
from headgate.decisions.reviews.claims import Claimed, Conflict, NotAllowed, Reader, claimed, hold, why_not
from headgate.decisions.reviews.state import NOTHING, Ruled, State
from headgate.decisions.reviews.tables import tables
from headgate.decisions.reviews.trail import Writing
from headgate.domain import Domain
from headgate.errors import HeadgateError, UsageError
from headgate.registry.chain import storable
from headgate.settings import Settings

#: The longest reason, in characters, and the longest key of a client.
LONGEST, LONGEST_KEY = 2_000, 160


@dataclass(frozen=True)
class Answer:
    """What a reader says of a case. The same `client` key again is the same ruling: a double click, or a retry."""

    outcome: str
    client: str
    labels: Mapping[str, Any] = field(default_factory=dict)
    why: str = ""


def rule(settings: Settings, domain: Domain, reader: Reader, key: str, token: int, answer: Answer) -> Ruled:
    """Rule on a case that one has claimed by `token`; the ruling, or the one that was made with this client key before.

    A claim that ran out is still good while nobody else has claimed the case. Raises `Conflict` where it was lost,
    `NotAllowed` where no role of the reader reads it, UsageError for an answer that can be none.
    """
    answer = _checked(domain, answer)
    with trail.writing(settings, domain.name) as session:
        before = _with_client(session, answer.client)
        if before is not None:
            if (before.key, before.who) != (key, reader.who):
                raise UsageError("This client key was used for another ruling: send a new one with each.")
            return before
        expire_due(session, key)
        row = rows.find(session.connection, domain.name, key)
        if row is not None and row["token"] == token and row["holder"] == reader.who:
            return _ruled(session, domain, reader, row, answer)
        lost = why_not(session.connection, domain.name, reader, row, session.at)
    raise lost


def undo(settings: Settings, domain: Domain, reader: Reader, ruling: int) -> Claimed:
    """Take back one's ruling number `ruling`; the case, which is one's claim again.

    Raises `Conflict` where it is too late, or the case has gone on, and UsageError where there is none of one's own.
    """
    reviews = domain.ruled_on
    with trail.writing(settings, domain.name) as session:
        mine = _numbered(session, ruling)
        row = rows.find(session.connection, domain.name, mine.key) if mine and mine.key else None
        if mine is None or row is None or mine.who != reader.who:
            raise UsageError("There is no such ruling of yours.")
        state = rows.state(row)
        if mine.undone is None:
            if state.changed != ruling:
                raise Conflict("The case has gone on since you ruled: your ruling stays.")
            if session.at > mine.at + reviews.undo_seconds:
                raise Conflict(f"A ruling can be taken back for {reviews.undo_seconds:g} seconds: this one stays.")
            rows.happen(session, state, state.key, "undone", reader.who, {"ruling": ruling, "then": mine.reading})
            row = rows.find(session.connection, domain.name, state.key)
            assert row is not None
        elif row["holder"] not in (None, reader.who) or row["awaits"] != mine.reading:
            lost: HeadgateError = why_not(session.connection, domain.name, reader, row, session.at)
            raise lost
        hold(session, reviews, reader.who, row)
        return claimed(session, mine.key)


def appeal(settings: Settings, domain: Domain, who: str, key: str, why: str, client: str) -> bool:
    """Ask for another reader of a case that is ruled on; whether it was not asked by this client key before.

    A case can be appealed once. Raises `Conflict` where it was, and UsageError where there is nothing to appeal.
    """
    why, client = _text(why, LONGEST, "reason"), _text(client, LONGEST_KEY, "client key")
    if not client:
        raise UsageError("An appeal needs a client key, so that a retry is no second one.")
    with trail.writing(settings, domain.name) as session:
        row = rows.find(session.connection, domain.name, key)
        if row is None:
            raise UsageError("There is no such case.")
        state = rows.state(row)
        if state.appealed:
            if state.appealed == client:
                return False
            raise Conflict("This case was appealed before: that appeal holds.")
        if not any(one.counts for one in rows.rulings_of(session.connection, domain.name, key)):
            raise UsageError("Nobody has ruled on this case, so there is nothing to appeal.")
        rows.happen(session, state, key, "appealed", who, {"why": why, "client": client})
    return True


def _ruled(session: Writing, domain: Domain, reader: Reader, row: Mapping[Any, Any], answer: Answer) -> Ruled:
    reviews, state = domain.ruled_on, rows.state(row)
    role = reader.role(reviews, state.awaits, escalated=state.escalated)
    if role is None:
        raise NotAllowed(f"Such a case is not ruled on with the scopes of {reader.who}.")
    then = _then(session, domain, state, answer)
    told = {
        "decision_id": state.opened["decision_id"],
        "client": answer.client,
        "reading": state.awaits,
        "outcome": answer.outcome,
        "labels": dict(answer.labels),
        "why": answer.why,
        "role": role,
        "source": state.opened["source"] if state.awaits == "first" else state.awaits,
        "counts": state.awaits != "second",  # where it differs from the first, a third decides
        "seconds": session.at - row["claimed"],
        "then": then,
        "available": session.at + (reviews.undo_seconds if then else 0.0),
    }
    moved = rows.happen(session, state, state.key, "ruled", reader.who, told)
    found = _numbered(session, moved.changed)
    assert found is not None
    return found


def _then(session: Writing, domain: Domain, state: State, answer: Answer) -> str:
    """Which reading follows this one."""
    if state.awaits == "first":
        return "second" if state.opened["twice"] else NOTHING
    if state.awaits != "second":
        return NOTHING
    made = rows.rulings_of(session.connection, session.domain, state.key)
    first = next(one for one in reversed(made) if one.reading == "first")
    theirs, mine = ({"outcome": one.outcome} | dict(one.labels) for one in (first, answer))
    return NOTHING if all(theirs.get(name) == mine.get(name) for name in domain.ruled_on.agree_on) else "third"


def _checked(domain: Domain, answer: Answer) -> Answer:
    """`answer` as it is kept. Raises UsageError where it says what cannot be said."""
    reviews = domain.ruled_on
    if answer.outcome not in reviews.choices:
        known = ", ".join(reviews.choices)
        raise UsageError(f"Nobody can rule {answer.outcome!r} in {domain.name}; choose one of {known}.")
    client = _text(answer.client, LONGEST_KEY, "client key")
    if not client:
        raise UsageError("A ruling needs a client key, so that a retry is no second one.")
    return Answer(answer.outcome, client, labels(domain, answer.labels), _text(answer.why, LONGEST, "reason"))


def labels(domain: Domain, given: Mapping[str, Any]) -> dict[str, Any]:
    """The labels `given`, with those that were not, as plain values. Raises UsageError where one is none."""
    struct = domain.ruled_on.labels
    if struct is None:
        if given:
            raise UsageError(f"{domain.name} has no labels, and {', '.join(given)} was given.")
        return {}
    if strange := set(given) - set(struct.__struct_fields__):
        raise UsageError(f"{domain.name} has no label {', '.join(sorted(strange))}.")
    try:
        found: dict[str, Any] = msgspec.to_builtins(msgspec.convert(dict(given), struct))
    except msgspec.ValidationError as error:
        raise UsageError(f"A label is none that {domain.name} has: {error}.") from None
    return found


def _text(value: str, longest: int, what: str) -> str:
    if len(value) > longest:
        raise UsageError(f"The {what} is longer than {longest:,} characters: write less.")
    return storable(value).strip()


def _with_client(session: Writing, client: str) -> Ruled | None:
    return _one(session, tables().rulings.c.client == client)


def _numbered(session: Writing, seq: int) -> Ruled | None:
    return _one(session, tables().rulings.c.seq == seq)


def _one(session: Writing, which: Any) -> Ruled | None:
    from sqlalchemy import select

    table = tables().rulings
    row = session.connection.execute(select(table).where(table.c.domain == session.domain, which)).mappings().first()
    return None if row is None else rows.ruled(row)
