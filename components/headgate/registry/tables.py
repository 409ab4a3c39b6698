"""Where the ledger lies: its two tables, and the database that holds them, SQLite or PostgreSQL.

Others keep tables in such databases too (`open_database`): the same two kinds, the same way to write, the same clock.
"""

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from headgate.errors import UsageError

if TYPE_CHECKING:
    from sqlalchemy import URL, Connection, Engine

#: Options of a PostgreSQL session: one that is stopped in the middle of a transaction keeps nobody waiting for long.
POSTGRESQL = "-c lock_timeout=10s -c idle_in_transaction_session_timeout=10s"

#: An option of a connection whose transactions write nothing.
READS = "headgate_only_reads"


@dataclass(frozen=True)
class Tables:
    """The ledger and the leases."""

    ledger: Any
    leases: Any
    metadata: Any


@cache
def tables() -> Tables:
    """The two tables; SQLAlchemy is imported when the first of them is needed."""
    from sqlalchemy import Column, Float, Integer, MetaData, String, Table, Text

    metadata = MetaData()
    texts = ("at", "who", "why", "run_id", "data", "details")
    ledger = Table(
        "headgate_ledger",
        metadata,
        Column("seq", Integer, primary_key=True, autoincrement=False),
        Column("domain", String(64), nullable=False, index=True),
        Column("what", String(16), nullable=False),
        Column("from_version", Integer),
        Column("to_version", Integer),
        Column("bundle", String(64), nullable=False),
        Column("ruling", String(16), nullable=False),
        *(Column(name, Text, nullable=False) for name in texts),
        Column("prev_hash", String(64), nullable=False, unique=True),
        Column("hash", String(64), nullable=False, unique=True),
    )
    leases = Table(
        "headgate_leases",
        metadata,
        Column("name", String(128), primary_key=True),
        Column("token", Integer, nullable=False),
        Column("holder", Text, nullable=False),
        Column("until", Float(53), nullable=False),
    )
    return Tables(ledger, leases, metadata)


def engine(url: str) -> "Engine":
    """The ledger's database at `url`, with the tables in it. Raises UsageError as `open_database` does."""
    return open_database(url, tables().metadata, lock="headgate_ledger", setting="HEADGATE_LEDGER", what="the ledger")


def open_database(url: str, metadata: Any, *, lock: str, setting: str, what: str) -> "Engine":
    """The database at `url`, with the tables of `metadata` in it, made by one at a time under the advisory `lock`.

    Raises UsageError where it is neither of the two that are known: `setting` named it, for `what`.
    """
    from sqlalchemy import create_engine, make_url, text
    from sqlalchemy.pool import NullPool

    address = make_url(url)
    kind = address.get_backend_name()
    if kind == "postgresql":
        address = with_driver(url)
        options: dict[str, Any] = {"connect_timeout": 5, "options": POSTGRESQL}
        made = create_engine(address, pool_pre_ping=True, pool_size=2, connect_args=options)
    elif kind == "sqlite" and address.database not in (None, "", ":memory:"):
        made = create_engine(address, poolclass=NullPool, connect_args={"timeout": 10})
        _write_at_once(made)
    else:
        raise UsageError(f"{setting} names no database for {what}: give a postgresql:// or a sqlite:/// URL.")
    with made.begin() as connection:
        if kind == "postgresql":  # two that find no tables would both make them
            connection.execute(text("select pg_advisory_xact_lock(hashtext(:lock))"), {"lock": lock})
        metadata.create_all(connection)
    return made


def with_driver(url: str) -> "URL":
    """The address of a PostgreSQL database, with the driver that comes with Headgate whatever was said."""
    from sqlalchemy import make_url

    return make_url(url).set(drivername="postgresql+psycopg2")


def _write_at_once(made: "Engine") -> None:
    """Let every transaction of SQLite begin as a writer's: who reads in order to write waits then, not at the end.

    One of a connection with the option `READS` only reads, and keeps no writer waiting before it begins.
    """
    from sqlalchemy import event

    @event.listens_for(made, "connect")
    def _by_hand(connection: Any, record: Any) -> None:
        connection.isolation_level = None  # SQLAlchemy's way to let a transaction begin where we say

    @event.listens_for(made, "begin")
    def _immediately(connection: Any) -> None:
        only_reads = connection.get_execution_options().get(READS)
        connection.exec_driver_sql("BEGIN" if only_reads else "BEGIN IMMEDIATE")


def now(connection: "Connection") -> float:
    """The database's clock in epoch seconds: the only one that all holders of a lease share."""
    from sqlalchemy import text

    clock = {"sqlite": "select (julianday('now') - 2440587.5) * 86400.0"}
    asked = clock.get(connection.dialect.name, "select extract(epoch from clock_timestamp())")
    return float(connection.execute(text(asked)).scalar_one())
