"""What waits: for a reader's page, for operators, and for Prometheus."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, get_args

from headgate.contract.reviews import Case, Reading
from headgate.decisions.reviews import rows, trail
from headgate.decisions.reviews.claims import Reader, in_order, readable
from headgate.decisions.reviews.tables import exists, tables
from headgate.domain import Domain
from headgate.settings import Settings

if TYPE_CHECKING:
    from sqlalchemy import Connection

#: Cases that a list shows at most.
SHOWN = 30


@dataclass(frozen=True)
class Line:
    """A case in a list."""

    case: Case
    late: bool  # its deadline is over, and it was escalated
    holder: str | None  # who has claimed it
    until: datetime | None


@dataclass(frozen=True)
class Look:
    """What waits for a reader, at an instant; the same until `until` unless somebody moves (`moves`)."""

    waiting: int
    lines: tuple[Line, ...]  # the first of them
    at: datetime
    moves: int
    until: datetime | None


@dataclass(frozen=True)
class Counts:
    """How a queue stands."""

    waiting: int  # cases that await a reading of any kind
    claimed: int  # of those, by somebody now
    overdue: int  # of those, whose deadline is over
    oldest_seconds: float | None  # since the oldest of those was opened
    by_reading: dict[str, int]
    opened: int  # cases, ever
    ruled: int  # rulings of people that stand
    by_policy: int  # cases that their policy ended, or escalated, as nobody ruled in time


#: A queue that nobody ever opened a case in.
EMPTY = Counts(0, 0, 0, None, {}, 0, 0, 0)


def look(settings: Settings, domain: Domain, reader: Reader) -> Look:
    """What waits for `reader` now, claimed by others or not."""
    from sqlalchemy import func, select

    reviews, table = domain.ruled_on, tables().cases
    with trail.reading(settings) as connection:
        at, moved = trail.now(connection), moves_of(connection, domain.name)
        mine = readable(reviews, domain.name, reader, at)
        number = connection.execute(select(func.count()).select_from(table).where(*mine)).scalar_one()
        query = select(table.c.key).where(*mine).order_by(*in_order()).limit(SHOWN)
        keys = list(connection.execute(query).scalars())
        shown = select(table).where(table.c.domain == domain.name, table.c.key.in_(keys))
        found = {row["key"]: _line(row, domain.name, at) for row in connection.execute(shown).mappings()}
        lines = tuple(found[key] for key in keys)
        until = _changes(connection, domain.name, at)
    return Look(int(number), lines, _instant(at), moved, until)


def waiting(settings: Settings, domain: str) -> tuple[int, int]:
    """How many cases of `domain` await a reading, and of how many of them the deadline is over; makes no database."""
    from sqlalchemy import case, func, select

    if not exists(settings):
        return 0, 0
    table = tables().cases
    with trail.reading(settings) as connection:
        late = ((table.c.deadline <= trail.now(connection)) | table.c.escalated) & (table.c.awaits == "first")
        numbers = select(func.count(), func.count(case((late, 1)))).where(*_waits(domain))
        row = connection.execute(numbers).one()
    return int(row[0]), int(row[1])


def count(settings: Settings, domain: str) -> Counts:
    """How the queue of `domain` stands; makes no database."""
    from sqlalchemy import func, select

    if not exists(settings):
        return EMPTY
    cases, rulings, events = tables().cases, tables().rulings, tables().events
    waits, overdue = waiting(settings, domain)
    with trail.reading(settings) as connection:
        at = trail.now(connection)

        def number(*where: Any) -> int:
            return int(connection.execute(select(func.count()).where(*where)).scalar_one())

        kinds = select(cases.c.awaits, func.count()).where(*_waits(domain)).group_by(cases.c.awaits)
        oldest = connection.execute(select(func.min(cases.c.opened_at)).where(*_waits(domain))).scalar()
        stand = (rulings.c.domain == domain) & rulings.c.undone.is_(None) & (rulings.c.source != "policy")
        policy = events.c.what.in_(("ruled", "left", "escalated")) & (events.c.who == "policy")
        return Counts(
            waiting=waits,
            claimed=number(*_waits(domain), cases.c.held_until > at),
            overdue=overdue,
            oldest_seconds=None if oldest is None else max(0.0, at - oldest),
            by_reading={str(name): int(many) for name, many in connection.execute(kinds)},
            opened=number(cases.c.domain == domain),
            ruled=number(stand),
            by_policy=number(events.c.domain == domain, policy),
        )


def moves(settings: Settings, domain: str) -> int:
    """How often the queue was changed, claims included: what is asked each second."""
    with trail.reading(settings) as connection:
        return moves_of(connection, domain)


def moves_of(connection: "Connection", domain: str) -> int:
    """How often the queue was changed, claims included."""
    from sqlalchemy import select

    table = tables().queues
    return int(connection.execute(select(table.c.moves).where(table.c.domain == domain)).scalar() or 0)


def _line(row: Any, domain: str, at: float) -> Line:
    state = rows.state(row)
    held = row["holder"] is not None and row["held_until"] > at
    until = _instant(row["held_until"]) if held else None
    return Line(state.case(domain), state.escalated and state.awaits == "first", row["holder"] if held else None, until)


def _changes(connection: "Connection", domain: str, at: float) -> datetime | None:
    """When the queue changes by time alone: a claim runs out, a deadline comes, a second reader may begin."""
    from sqlalchemy import case, func, select

    table = tables().cases
    times = [
        func.min(case((column > at, column))) for column in (table.c.held_until, table.c.deadline, table.c.available)
    ]
    found = [time for time in connection.execute(select(*times).where(*_waits(domain))).one() if time is not None]
    return _instant(min(found)) if found else None


def _waits(domain: str) -> tuple[Any, ...]:
    """Which cases await a reading."""
    table = tables().cases
    return table.c.domain == domain, table.c.awaits.in_(get_args(Reading))


def _instant(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
