"""The ledger: an append-only history of what changed, what was meant to change, and why. MLflow keeps none.

Every entry carries the hash of the one before it, so that an entry that was altered, dropped or slipped in shows; the
newest hash is also written outside of the database (`anchor`), so that a tail that was cut off shows too.

Beside it lie the leases of who may change something now. A lease has a token that grows with every new holder, and an
entry can be appended under a lease only while its token is the newest: a holder that was stopped past its lease finds
itself fenced off when it wakes (Kleppmann, How to do distributed locking, 2016).
"""

import json
import os
import re
import socket
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NewType, get_args
from uuid import uuid4

from headgate.errors import HeadgateError
from headgate.registry.chain import GENESIS, Link, first_broken, storable
from headgate.registry.tables import engine, now, tables
from headgate.settings import Settings

if TYPE_CHECKING:
    from sqlalchemy import Connection

#: What happens in every domain.
What = Literal[
    "verdict",  # the gate judged a version
    "override",  # a reviewer lets a version serve that the gate refused
    "intent",  # a change of the champion is about to be made
    "changed",  # it was made: `to_version` decides
    "undone",  # an intent was given up
    "challenger",  # a version waits for a reviewer
    "canary",  # the challenger decides for a share of the units
    "refused",  # a change in the registry was put back: it may not serve
    "hold",  # nothing is promoted automatically, from `starts` to `ends` where details say so
    "released",  # the hold is over
    "replayed",  # past events were decided again
    "forgotten",  # what was held of a unit is gone; the entry names its pseudonym
    "alert",  # a person should look
]

#: What happens in one domain only: its name, a point, and a word of its own, such as `rooms.opened`.
OwnWhat = NewType("OwnWhat", str)

#: Seconds that a lease lasts, and that someone waits for one at most.
LEASE_SECONDS, WAIT_SECONDS = 15.0, 60.0


class Fenced(HeadgateError):
    """Someone else holds the lease by now: whoever meets this must change nothing any more."""


class Busy(HeadgateError):
    """Someone else changes the same thing at this moment."""


@dataclass(frozen=True)
class Entry(Link):
    """One line of the ledger. `seq`, `at`, `prev_hash` and `hash` are set as it is appended."""

    domain: str
    what: What | OwnWhat
    who: str
    why: str = ""
    from_version: int | None = None
    to_version: int | None = None
    bundle: str = ""  # of `to_version`
    ruling: str = ""
    run_id: str = ""
    data: str = ""  # the data version
    details: Mapping[str, Any] = field(default_factory=dict)
    seq: int = 0
    at: str = ""  # UTC, ISO 8601
    prev_hash: str = ""
    hash: str = ""


@dataclass(frozen=True)
class Lease:
    """The right to change `name`, for as long as no newer token was given out."""

    name: str
    token: int


class Ledger:
    """The ledger of one Headgate, in SQLite or PostgreSQL. Safe to use from several threads and processes."""

    def __init__(self, settings: Settings) -> None:
        """Open the database that the settings name, and make its tables where they are missing."""
        self.url = settings.ledger_url
        if self.url.startswith("sqlite:///"):
            settings.home.mkdir(parents=True, exist_ok=True)
        try:
            self._engine = engine(self.url)
        except HeadgateError:
            raise
        except Exception as error:
            raise HeadgateError(_unreachable(self.url, error)) from error

    def append(self, entry: Entry, lease: Lease | None = None) -> Entry:
        """Append `entry` and answer it as it stands; under a `lease`, raise `Fenced` if it has been lost.

        Raises ValueError for a kind of entry that is neither every domain's nor the entry's own domain's.
        """
        from sqlalchemy import insert
        from sqlalchemy.exc import IntegrityError

        if entry.what not in get_args(What) and not re.fullmatch(rf"{re.escape(entry.domain)}\.[a-z-]+", entry.what):
            raise ValueError(f"{entry.what!r} is no kind of entry: one of {entry.domain}'s own begins with its name.")
        for _ in range(100):  # two at once: the second finds its place taken and goes behind the first
            try:
                with self._begin() as connection:
                    if lease is not None:
                        _hold_on(connection, lease)
                    head = self._head(connection)
                    seq, before = (head.seq + 1, head.hash) if head else (1, GENESIS)
                    at = datetime.now(UTC).isoformat(timespec="milliseconds")
                    placed = replace(_storable(entry), seq=seq, at=at, prev_hash=before, hash="")
                    placed = replace(placed, hash=placed.digest())
                    connection.execute(insert(tables().ledger).values(**_row(placed)))
                    return placed
            except IntegrityError:
                continue
        raise HeadgateError("The ledger is too busy: nothing was written. Run it again.")

    def entries(self, domain: str | None = None) -> list[Entry]:
        """All entries, or those of one domain, oldest first."""
        from sqlalchemy import select

        table = tables().ledger
        query = select(table).order_by(table.c.seq)
        if domain is not None:
            query = query.where(table.c.domain == domain)
        with self._begin() as connection:
            return [_entry(row) for row in connection.execute(query).mappings()]

    def head(self) -> Entry | None:
        """The newest entry."""
        with self._begin() as connection:
            return self._head(connection)

    def mark(self) -> object:
        """Another one after something was written, as a rule: a glance, where `head` asks the database.

        Two writes within one tick of the file system's clock may look like one.
        """
        if self._engine.dialect.name != "sqlite":
            head = self.head()
            return head.seq if head else 0
        with suppress(OSError):
            seen = Path(self._engine.url.database or "").stat()
            return seen.st_ino, seen.st_mtime_ns, seen.st_size
        return None

    def verify(self, anchors: Iterable[str] = ()) -> int:
        """Hold every entry against its hash and every anchor against the entries; how many entries there are.

        Raises HeadgateError that names the first entry which is not what it was.
        """
        entries = self.entries()
        if broken := first_broken(entries):
            raise _altered(broken)
        seen = {entry.anchor for entry in entries}
        for anchor in anchors:
            if anchor not in seen:
                raise HeadgateError(
                    f"The ledger is not what it was: entry {anchor.partition(':')[0]} was seen elsewhere and is not in "
                    "it. Its end was cut off, or an older ledger was restored without the registry."
                )
        return len(entries)

    @contextmanager
    def lease(self, name: str, *, wait: float = WAIT_SECONDS, seconds: float = LEASE_SECONDS) -> Iterator[Lease]:
        """The lease `name` for the block; raises `Busy` if someone else holds it for longer than `wait`."""
        deadline = time.monotonic() + wait
        holder = f"{socket.gethostname()}/{os.getpid()}/{uuid4().hex[:8]}"
        while (token := self._acquire(name, holder, seconds)) is None:
            if time.monotonic() > deadline:
                raise Busy(f"Someone else is changing {name.rpartition('/')[2]} at the moment: try again.")
            time.sleep(0.05)
        try:
            yield (lease := Lease(name, token))
        finally:
            self._release(lease)

    def renew(self, lease: Lease, seconds: float = LEASE_SECONDS) -> None:
        """Hold `lease` for `seconds` from now, to be asked before a side effect; raises `Fenced` if it was lost."""
        from sqlalchemy import update

        table = tables().leases
        with self._begin() as connection:
            mine = (table.c.name == lease.name) & (table.c.token == lease.token)
            until = now(connection) + seconds
            if connection.execute(update(table).where(mine).values(until=until)).rowcount != 1:
                raise Fenced(f"Another process has taken over {lease.name}: this one changes nothing any more.")

    def _acquire(self, name: str, holder: str, seconds: float) -> int | None:
        from sqlalchemy import insert, select, update
        from sqlalchemy.exc import IntegrityError

        table = tables().leases
        try:
            with self._begin() as connection:
                at = now(connection)
                row = connection.execute(select(table).where(table.c.name == name)).mappings().first()
                if row is None:
                    connection.execute(insert(table).values(name=name, token=1, holder=holder, until=at + seconds))
                    return 1
                if row["until"] > at:
                    return None
                # `until` too: its holder may have renewed it since it was read
                free = (table.c.name == name) & (table.c.token == row["token"]) & (table.c.until == row["until"])
                token = int(row["token"]) + 1
                taken = update(table).where(free).values(token=token, holder=holder, until=at + seconds)
                return token if connection.execute(taken).rowcount == 1 else None
        except IntegrityError:  # two asked for the first time
            return None

    def _release(self, lease: Lease) -> None:
        from sqlalchemy import update

        table = tables().leases
        with self._begin() as connection:
            mine = (table.c.name == lease.name) & (table.c.token == lease.token)
            connection.execute(update(table).where(mine).values(until=0.0))

    def _head(self, connection: "Connection") -> Entry | None:
        from sqlalchemy import select

        table = tables().ledger
        row = connection.execute(select(table).order_by(table.c.seq.desc()).limit(1)).mappings().first()
        return None if row is None else _entry(row)

    @contextmanager
    def _begin(self) -> Iterator["Connection"]:
        from sqlalchemy.exc import DBAPIError, IntegrityError

        try:
            with self._engine.begin() as connection:
                yield connection
        except IntegrityError:
            raise
        except DBAPIError as error:
            raise HeadgateError(_unreachable(self.url, error)) from error


def me() -> str:
    """Who acts, for the ledger: the user of this machine."""
    import getpass

    return f"{getpass.getuser()}@{socket.gethostname()}"


def _unreachable(url: str, error: Exception) -> str:
    from sqlalchemy import make_url

    try:
        shown = make_url(url).render_as_string(hide_password=True)
    except Exception:
        shown = "HEADGATE_LEDGER"
    return (
        f"The ledger at {shown} does not answer ({type(error).__name__}: {str(error).splitlines()[0][:200]}). "
        "Nothing is promoted without it: start its database, or set HEADGATE_LEDGER to where it is."
    )


def _hold_on(connection: "Connection", lease: Lease) -> None:
    """Raise `Fenced` unless `lease` is still ours; keeps it ours until the transaction ends."""
    from sqlalchemy import select

    table = tables().leases
    row = connection.execute(select(table.c.token).where(table.c.name == lease.name).with_for_update()).first()
    if row is None or row[0] != lease.token:
        raise Fenced(f"Another process has taken over {lease.name}: this one changes nothing any more.")


def _storable(entry: Entry) -> Entry:
    """`entry` as a database gives it back: JSON turns keys to text and tuples to lists; not all text can be stored."""
    texts: dict[str, Any] = {name: storable(value) for name, value in vars(entry).items() if isinstance(value, str)}
    return replace(entry, **texts, details=json.loads(json.dumps(dict(entry.details))))


def _row(entry: Entry) -> dict[str, Any]:
    return asdict(entry) | {"details": json.dumps(dict(entry.details), sort_keys=True)}


def _entry(row: Mapping[Any, Any]) -> Entry:
    try:
        entry = Entry(**(dict(row) | {"details": json.loads(row["details"])}))
        same = _row(entry)["details"] == row["details"]  # else other readers of the table would read something else
    except (TypeError, ValueError):
        same = False
    if not same:
        raise _altered(row["seq"])
    return entry


def _altered(seq: int) -> HeadgateError:
    return HeadgateError(
        f"The ledger is not what it was: entry {seq} was altered, dropped or slipped in. Restore it from a backup "
        "(`headgate restore`), and ask who could write to its database."
    )
