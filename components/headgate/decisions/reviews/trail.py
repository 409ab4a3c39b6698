"""What happened to cases, in order: appended in the transaction that changes them, each event with the last one's hash.

One writes to a domain's reviews at a time: SQLite lets in one writer anyway, PostgreSQL by an advisory lock. So what a
writer has read still stands when it writes.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from headgate.decisions.reviews.tables import database, tables, unreachable
from headgate.errors import HeadgateError
from headgate.registry.chain import GENESIS, Link, storable
from headgate.registry.tables import READS
from headgate.registry.tables import now as now
from headgate.settings import Settings

if TYPE_CHECKING:
    from sqlalchemy import Connection

What = Literal[
    "opened",  # a case
    "ruled",  # by a person, or by a policy where nobody did in time
    "undone",  # its reader took a ruling back
    "left",  # nobody ruled in time, and the decision stays
    "escalated",  # nobody ruled in time, and others shall
    "appealed",  # somebody asks for another reader
]


@dataclass(frozen=True)
class Event(Link):
    """One thing that happened. `prev_hash` and `hash` are set as it is appended."""

    domain: str
    seq: int
    at: float  # epoch seconds of the database's clock; no event's is before the last one's
    key: str  # of the case; "" where somebody ruled without one
    what: What
    who: str
    details: Mapping[str, Any] = field(default_factory=dict)
    prev_hash: str = ""
    hash: str = ""


@dataclass
class Writing:
    """A transaction on the reviews of a domain, which nobody else changes meanwhile."""

    connection: "Connection"
    domain: str
    at: float  # now
    head: tuple[int, str]
    touched: bool = False

    def append(self, key: str, what: What, who: str, details: Mapping[str, Any]) -> Event:
        """Append an event that happens now."""
        from sqlalchemy import insert

        plain = json.loads(storable(json.dumps(dict(details), ensure_ascii=False)))
        seq, before = self.head
        event = Event(self.domain, seq + 1, self.at, key, what, storable(who), plain, before)
        event = replace(event, hash=event.digest())
        row = asdict(event) | {"details": _json(plain)}
        self.connection.execute(insert(tables().events).values(**row))
        self.head, self.touched = (event.seq, event.hash), True
        return event


@contextmanager
def writing(settings: Settings, domain: str) -> Iterator[Writing]:
    """A transaction that may change the reviews of `domain`; all that happens in it happens at one instant."""
    from sqlalchemy import insert, select, text, update
    from sqlalchemy.exc import DBAPIError

    events, queues = tables().events, tables().queues
    engine = database(settings)
    try:
        with engine.begin() as connection:
            if connection.dialect.name == "postgresql":
                lock = {"lock": f"headgate_reviews/{domain}"}
                connection.execute(text("select pg_advisory_xact_lock(hashtext(:lock))"), lock)
            newest = select(events.c.seq, events.c.hash, events.c.at).where(events.c.domain == domain)
            head = connection.execute(newest.order_by(events.c.seq.desc()).limit(1)).first()
            at = max(now(connection), head.at if head else 0.0)  # a clock that was set back changes no order
            session = Writing(connection, domain, at, (head.seq, head.hash) if head else (0, GENESIS))
            yield session
            if session.touched:
                mine = queues.c.domain == domain
                if not connection.execute(update(queues).where(mine).values(moves=queues.c.moves + 1)).rowcount:
                    connection.execute(insert(queues).values(domain=domain, moves=1))
    except DBAPIError as error:
        raise HeadgateError(unreachable(settings.reviews_url, error)) from error


@contextmanager
def reading(settings: Settings) -> Iterator["Connection"]:
    """A transaction that only reads."""
    from sqlalchemy.exc import DBAPIError

    engine = database(settings)
    try:
        with engine.connect().execution_options(**{READS: True}) as connection, connection.begin():
            yield connection
    except DBAPIError as error:
        raise HeadgateError(unreachable(settings.reviews_url, error)) from error


def events(settings: Settings, domain: str, after: int = 0, key: str | None = None) -> list[Event]:
    """What happened after the event `after`, oldest first; with `key`, to that case.

    Who acts on rulings, and publishes what was held, follows these and keeps the number of the last one it has seen.
    """
    with reading(settings) as connection:
        return read(connection, domain, after, key)


def read(connection: "Connection", domain: str, after: int = 0, key: str | None = None) -> list[Event]:
    """`events`, within a transaction."""
    from sqlalchemy import select

    table = tables().events
    query = select(table).where(table.c.domain == domain, table.c.seq > after).order_by(table.c.seq)
    if key is not None:
        query = query.where(table.c.key == key)
    return [_event(row) for row in connection.execute(query).mappings()]


def _event(row: Mapping[Any, Any]) -> Event:
    try:
        event = Event(**(dict(row) | {"details": json.loads(row["details"])}))
        same = _json(event.details) == row["details"]  # else other readers of the table would read something else
    except (TypeError, ValueError):
        same = False
    if not same:
        raise altered(row["domain"], row["seq"])
    return event


def altered(domain: str, seq: int) -> HeadgateError:
    """The trail is not what it was."""
    return HeadgateError(
        f"The reviews of {domain} are not what they were: event {seq} was altered, dropped or slipped in. Restore them "
        "from a backup (`headgate restore`), and ask who could write to their database."
    )


def _json(value: Any) -> str:
    return json.dumps(dict(value), sort_keys=True)
