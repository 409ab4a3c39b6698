"""Cases are opened by programs, each once by its key, and end by their policy where nobody rules in time."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from headgate.contract.reviews import ESCALATE, LEAVE
from headgate.decisions.reviews import rows, trail
from headgate.decisions.reviews.sampling import drawn
from headgate.decisions.reviews.state import NOTHING, State
from headgate.decisions.reviews.tables import exists, tables
from headgate.decisions.reviews.trail import Writing
from headgate.domain import Domain
from headgate.errors import UsageError
from headgate.registry.chain import storable
from headgate.settings import Settings

#: Who rules where nobody did in time.
POLICY = "policy"

#: What a case can be called: it stands in addresses.
KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@-]{0,127}")

#: Cases that are ended in one transaction at most; whoever looks next ends the others.
AT_ONCE = 500


@dataclass(frozen=True)
class NewCase:
    """A case to be opened. What it holds stays in the trail: references to what persons wrote, not what they wrote."""

    key: str  # of two cases with one key, the second is not opened: a decision's id as a rule
    title: str  # in lists, in words
    why: str = ""  # it is here, in words for its reader
    kind: str = ""
    subjects: Sequence[str] = ()
    about: Mapping[str, Any] = field(default_factory=dict)  # plain values that the card shows
    decision_id: str | None = None
    priority: float = 0.0  # higher comes first
    deadline: datetime | None = None  # None: the domain's `deadline_seconds` from now
    at_expiry: str | None = None  # an outcome, LEAVE or ESCALATE; None: the domain's
    source: Literal["queue", "audit"] = "queue"
    propensity: float = 1.0  # the chance that it had to become a case: weights of estimates


def open_case(settings: Settings, domain: Domain, case: NewCase) -> bool:
    """Open a case; whether there was none of its key. Raises as `open_cases` does."""
    return bool(open_cases(settings, domain, [case]))


def open_cases(settings: Settings, domain: Domain, cases: Sequence[NewCase]) -> list[str]:
    """Open those of `cases` that are new, all or none; their keys. Raises UsageError for a case that can be none."""
    from sqlalchemy import select

    told = {case.key: _checked(domain, case) for case in cases}
    table = tables().cases
    with trail.writing(settings, domain.name) as session:
        there = select(table.c.key).where(table.c.domain == domain.name, table.c.key.in_(list(told)))
        known = set(session.connection.execute(there).scalars())
        new = [key for key in told if key not in known]
        for key in new:
            opened = _with_deadline(domain, told[key], session.at)
            rows.happen(session, None, key, "opened", domain.name, opened)
    return new


def audit(settings: Settings, domain: Domain, case: NewCase, propensity: float) -> bool:
    """Open `case` if it is drawn with this chance; whether it is. The same case is always drawn, or never."""
    if not drawn(domain.name, "audit", case.key, propensity):
        return False
    open_case(settings, domain, _audited(case, propensity))
    return True


def expire(settings: Settings, domain: Domain) -> int:
    """Apply the policies of the cases whose deadline is over, each once; how many those were. Makes no database."""
    from sqlalchemy import func, select

    if not exists(settings):
        return 0
    with trail.reading(settings) as connection:
        at = trail.now(connection)
        due = connection.execute(select(func.count()).where(*_due(domain.name, at))).scalar_one()
    ended = 0
    while due > 0:
        with trail.writing(settings, domain.name) as session:
            count = expire_due(session)
        ended, due = ended + count, due - count if count else 0
    return ended


def expire_due(session: Writing, key: str | None = None) -> int:
    """Apply, within a transaction, the policies of the cases whose deadline is over; how many those were.

    With `key`, of that case alone.
    """
    from sqlalchemy import select

    table = tables().cases
    query = select(table).where(*_due(session.domain, session.at)).order_by(table.c.deadline).limit(AT_ONCE)
    if key is not None:
        query = query.where(table.c.key == key)
    due = [rows.state(row) for row in session.connection.execute(query).mappings().all()]
    for state in due:
        _end(session, state)
    return len(due)


def _end(session: Writing, state: State) -> None:
    """What was said when it was opened: nobody has ruled in time."""
    policy = state.opened["at_expiry"]
    if policy == LEAVE:
        rows.happen(session, state, state.key, "left", POLICY, {})
    elif policy == ESCALATE:
        rows.happen(session, state, state.key, "escalated", POLICY, {})
    else:
        told = {
            "decision_id": state.opened["decision_id"],
            "client": f"policy:{state.key}",
            "reading": "first",
            "outcome": policy,
            "labels": {},
            "why": "nobody ruled in time",
            "role": POLICY,
            "source": POLICY,
            "counts": True,
            "seconds": None,
            "then": NOTHING,
            "available": session.at,
        }
        rows.happen(session, state, state.key, "ruled", POLICY, told)


def _due(domain: str, at: float) -> list[Any]:
    table = tables().cases
    return [table.c.domain == domain, table.c.awaits == "first", table.c.deadline <= at]


def _audited(case: NewCase, propensity: float) -> NewCase:
    return NewCase(**(vars(case) | {"source": "audit", "propensity": propensity}))


def _checked(domain: Domain, case: NewCase) -> dict[str, Any]:
    """What is told of a case as it is opened, but for its deadline. Raises UsageError where it can be none."""
    reviews = domain.ruled_on
    policy = reviews.at_expiry if case.at_expiry is None else case.at_expiry
    if not KEY.fullmatch(case.key):
        raise UsageError(f"{case.key!r} cannot be a case's key: use at most 128 letters of ASCII, digits and . _ : @ -")
    if policy not in (LEAVE, ESCALATE, *domain.decides.words):
        known = ", ".join((LEAVE, ESCALATE, *domain.decides.words))
        raise UsageError(f"{policy!r} cannot happen to a case that nobody has read: choose one of {known}.")
    if policy == ESCALATE and not any(role.escalated for role in reviews.roles.values()):
        raise UsageError("A case cannot be escalated where no role reads what is: name one in `Reviews.roles`.")
    if not 0 < case.propensity <= 1:
        raise UsageError(f"A case's chance is above 0, and 1 at most: {case.propensity} was given.")
    deadline = case.deadline
    if deadline is not None and deadline.tzinfo is None:
        raise UsageError(f"The deadline {deadline} names no zone: give it in UTC.")
    try:
        about = json.loads(json.dumps(dict(case.about), allow_nan=False))
    except (TypeError, ValueError) as error:
        raise UsageError(f"What case {case.key} is about is not plain ({error}): give texts and numbers.") from None
    return {
        "title": storable(case.title),
        "why": storable(case.why),
        "kind": case.kind,
        "subjects": list(case.subjects),
        "about": about,
        "decision_id": case.decision_id,
        "priority": float(case.priority),
        "deadline": deadline.astimezone(UTC).timestamp() if deadline else None,
        "at_expiry": policy,
        "source": case.source,
        "propensity": float(case.propensity),
        "twice": drawn(domain.name, "second", case.key, reviews.second_share),
        "second_share": reviews.second_share,
    }


def _with_deadline(domain: Domain, told: dict[str, Any], at: float) -> dict[str, Any]:
    seconds = domain.ruled_on.deadline_seconds
    return told if told["deadline"] is not None or seconds is None else told | {"deadline": at + seconds}
