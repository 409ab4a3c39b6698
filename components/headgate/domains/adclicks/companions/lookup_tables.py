"""What is looked up about a click: two tables of keys and values in SQLite or PostgreSQL, each replaced as a whole.

Beside them stands what was loaded last into each, so that serving notices a load at once and can say which it used. The
default is a file in the state folder; it comes into being with the first load. Readers never wait for a load: they
see the old rows until all of the new ones are there. Accounts lie under their pseudonyms: nobody's name is in the
database, and whoever loads has the salt of whoever serves.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from headgate.errors import DataRefused, HeadgateError, UsageError
from headgate.privacy.pseudonyms import Pseudonyms, salt
from headgate.registry.tables import POSTGRESQL, with_driver
from headgate.settings import Settings

if TYPE_CHECKING:
    import polars as pl
    from sqlalchemy import URL, Connection, Engine, Table

Name = Literal["accounts", "campaigns"]

#: Key and value of each table; a file that is loaded has columns of these names.
COLUMNS: dict[Name, tuple[str, str]] = {"accounts": ("user_id", "rfm"), "campaigns": ("campaign", "advertiser")}

#: The least and the most that an account's RFM can be.
RFM = (3, 15)

#: Longest key and value, in characters: what a click can carry.
LONGEST = 256

#: Options of a session that reads: PostgreSQL gives up a question in time, and a server that is gone is noticed soon.
_READS = {
    "options": "-c statement_timeout=5s -c default_transaction_read_only=on",
    "tcp_user_timeout": 5000,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 2,
}

#: Rows of one statement of a load.
_CHUNK = 10_000


@dataclass(frozen=True)
class Replaced:
    """What a load did: rows that a table has now, and had before."""

    table: Name
    rows: int
    before: int

    @property
    def words(self) -> str:
        """The same in a sentence."""
        return f"{self.rows:,} {self.table} are in place of {self.before:,}; serving follows within two seconds."


@dataclass(frozen=True)
class Load:
    """What was loaded last into a table."""

    id: str  # the same for the same rows
    rows: int
    at: str  # an instant


@cache
def _tables() -> dict[Name | Literal["loads"], "Table"]:
    """The tables; SQLAlchemy is imported when the first of them is needed."""
    from sqlalchemy import BigInteger, CheckConstraint, Column, MetaData, SmallInteger, String, Table

    metadata = MetaData()
    (user, rfm), (campaign, advertiser) = COLUMNS["accounts"], COLUMNS["campaigns"]
    accounts = Table(
        "headgate_accounts",
        metadata,
        Column(user, String(LONGEST), primary_key=True),
        Column(rfm, SmallInteger, CheckConstraint(f"{rfm} between {RFM[0]} and {RFM[1]}"), nullable=False),
    )
    campaigns = Table(
        "headgate_campaigns",
        metadata,
        Column(campaign, String(LONGEST), primary_key=True),
        Column(advertiser, String(LONGEST), nullable=False),
    )
    loads = Table(
        "headgate_lookup_loads",
        metadata,
        Column("name", String(LONGEST), primary_key=True),
        Column("id", String(LONGEST), nullable=False),
        Column("rows", BigInteger, nullable=False),
        Column("at", String(LONGEST), nullable=False),
    )
    return {"accounts": accounts, "campaigns": campaigns, "loads": loads}


def stored_keys(settings: Settings) -> dict[Name, Callable[[str], str]]:
    """For each table, what turns a user_id or a campaign into the key that the database has for it."""
    pseudonym = Pseudonyms(salt(settings))
    return {"accounts": lambda user: pseudonym("user", user), "campaigns": str}


class Database:
    """The database of lookups, for those who read. Making one opens no connection."""

    def __init__(self, settings: Settings) -> None:
        """Raises UsageError where HEADGATE_LOOKUPS names no database that is known."""
        from sqlalchemy import create_engine
        from sqlalchemy.pool import NullPool

        address = _address(settings)
        self._file = _file(address)
        if self._file is None:
            options = {"connect_timeout": 5, **_READS}
            made = create_engine(
                address, pool_pre_ping=True, pool_size=1, max_overflow=0, connect_args=options, hide_parameters=True
            )
        else:
            made = create_engine(address, poolclass=NullPool, connect_args={"timeout": 5}, hide_parameters=True)
        self._engine: Engine = made.execution_options(isolation_level="AUTOCOMMIT")

    def ask(self, table: Name, keys: Sequence[str]) -> dict[str, Any]:
        """The values of those of `keys` (`stored_keys`) that `table` has, in one query. Raises what SQLAlchemy does."""
        from sqlalchemy import select

        if self._file is not None and not self._file.exists():  # nothing was loaded yet; asking must not make the file
            return {}
        key, value = _tables()[table].c
        with self._engine.connect() as connection:
            return {row[0]: row[1] for row in connection.execute(select(key, value).where(key.in_(keys)))}

    def loads(self) -> dict[str, Load]:
        """What was loaded last, by table; nothing where nobody noted it. Raises what SQLAlchemy does."""
        from sqlalchemy import inspect, select

        if self._file is not None and not self._file.exists():
            return {}
        table = _tables()["loads"]
        with self._engine.connect() as connection:
            if not inspect(connection).has_table(table.name):
                return {}
            return {row[0]: Load(*row[1:]) for row in connection.execute(select(table))}

    def close(self) -> None:
        """Close what is open."""
        self._engine.dispose()


def replace(settings: Settings, table: Name, rows: "pl.DataFrame") -> Replaced:
    """Put `rows` (as `read` gives them) in the place of all that `table` has, in one transaction.

    Raises HeadgateError where the database does not take them; it then has what it had before.
    """
    from sqlalchemy import create_engine, func, select
    from sqlalchemy.exc import SQLAlchemyError

    address = _address(settings)
    file = _file(address)
    options: dict[str, Any] = {"connect_timeout": 5, "options": POSTGRESQL} if file is None else {"timeout": 10}
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(address, connect_args=options, hide_parameters=True)
    target, loads, stored = _tables()[table], _tables()["loads"], stored_keys(settings)[table]
    key, value = COLUMNS[table]
    digest = hashlib.sha256()
    try:
        with engine.begin() as connection:
            _prepare(connection)
            before = connection.execute(select(func.count()).select_from(target)).scalar_one()
            connection.execute(target.delete())
            for part in rows.sort(key).iter_slices(_CHUNK):
                told = [{key: stored(name), value: of} for name, of in part.iter_rows()]
                digest.update(repr(told).encode())
                connection.execute(target.insert(), told)
            noted = Load(digest.hexdigest()[:12], len(rows), datetime.now(UTC).isoformat(timespec="seconds"))
            connection.execute(loads.delete().where(loads.c.name == table))
            connection.execute(loads.insert(), {"name": table, **asdict(noted)})
    except SQLAlchemyError as error:
        why = words_of(error)
        raise HeadgateError(f"The lookups were not loaded ({why}): check HEADGATE_LOOKUPS and load again.") from error
    finally:
        engine.dispose()
    return Replaced(table, len(rows), before)


def _prepare(connection: "Connection") -> None:
    """Let one load at a time go on, and see to it that the tables are there."""
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("pragma journal_mode=wal")  # who reads does not wait for who writes
    else:
        connection.exec_driver_sql("select pg_advisory_xact_lock(hashtext('headgate_lookups'))")
    _tables()["accounts"].metadata.create_all(connection)


def read(file: Path, table: Name) -> "pl.DataFrame":
    """The key and value of each row of a CSV or Parquet file; other columns are left aside.

    Raises UsageError where there is no such file, and DataRefused, naming the row (the first below the header is 1),
    where a key is missing, repeated or longer than 256 characters, or a value is none.
    """
    import polars as pl

    from headgate.data.tables import UNREADABLE

    if not file.is_file():
        raise UsageError(f"There is no file {file}: check its name.")
    readers = {".csv": lambda: pl.read_csv(file, infer_schema=False), ".parquet": lambda: pl.read_parquet(file)}
    if file.suffix not in readers:
        raise UsageError(f"{file} is neither .csv nor .parquet: export it as one of them.")
    try:
        found = readers[file.suffix]()
    except UNREADABLE as error:
        raise DataRefused(f"{file} cannot be read ({str(error).splitlines()[0]}): export it again.") from error
    key, value = COLUMNS[table]
    if missing := [column for column in (key, value) if column not in found.columns]:
        raise DataRefused(f"{file} lacks the column {', '.join(missing)} of {table}: add it.")
    if found.is_empty():
        raise DataRefused(f"{file} holds no rows: nothing was replaced.")
    kind = found.schema[key]
    if not (kind.is_integer() or kind in (pl.String, pl.Categorical, pl.Enum)):
        raise DataRefused(f"{file}: column {key} is {kind}, expected text: cast it.")
    text = pl.col(key).cast(pl.String)
    rows = found.select(text, _value(table, found[value]))
    _refuse(file, rows, text.is_null() | (text == ""), f"{key} is empty")
    _refuse(file, rows, _unfit(text), f"{key} is longer than {LONGEST} characters, or has a NUL in it")
    _refuse(file, rows, ~text.is_first_distinct(), f"{key} was there before")
    wanted = f"a whole number from {RFM[0]} to {RFM[1]}" if table == "accounts" else f"1 to {LONGEST} characters"
    _refuse(file, rows, pl.col(value).is_null(), f"{value} is not {wanted}")
    return rows


def _value(table: Name, values: "pl.Series") -> "pl.Series":
    """The values as the database takes them; null where one is not what it must be."""
    import polars as pl

    if table == "accounts":
        text = values.str.strip_chars() if values.dtype == pl.String else values
        number = text.cast(pl.Float64, strict=False)
        whole = number.is_between(*RFM) & (number == number.floor())
        return number.set(~whole, None).cast(pl.Int64)  # type: ignore[arg-type]
    text = values.cast(pl.String, strict=False).str.strip_chars()
    fit = text.to_frame("text").select(ok=(pl.col("text") != "") & ~_unfit(pl.col("text")))["ok"]
    return text.set(~fit, None)  # type: ignore[arg-type]


def _unfit(text: "pl.Expr") -> "pl.Expr":
    return (text.str.len_chars() > LONGEST) | text.str.contains("\0", literal=True)


def _refuse(file: Path, rows: "pl.DataFrame", bad: "pl.Expr", why: str) -> None:
    """Raise DataRefused for the first of `rows` where `bad` is true."""
    at = rows.select(bad.fill_null(False).alias("bad"))["bad"].arg_true()
    if len(at):
        raise DataRefused(f"{file}, row {at[0] + 1}: {why}. Nothing was replaced; correct it and load again.")


def show(settings: Settings, key: str) -> dict[Name, Any]:
    """What each table has for a user_id or a campaign, or None; HeadgateError where the database does not answer."""
    from sqlalchemy.exc import SQLAlchemyError

    database = Database(settings)
    try:
        stored = {table: of(key) for table, of in stored_keys(settings).items()}
        return {table: database.ask(table, [name]).get(name) for table, name in stored.items()}
    except SQLAlchemyError as error:
        said = words_of(error)
        raise HeadgateError(f"The lookups' database does not answer ({said}): check HEADGATE_LOOKUPS.") from error
    finally:
        database.close()


def words_of(error: Exception) -> str:
    """One line about a database's error, without the values that were asked for."""
    lines = str(getattr(error, "orig", None) or error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def _address(settings: Settings) -> "URL":
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        address = make_url(settings.lookups_url)
    except ArgumentError:
        address = None
    if address is not None and address.get_backend_name() == "postgresql":
        return with_driver(settings.lookups_url)
    if address is None or address.get_backend_name() != "sqlite" or address.database in (None, "", ":memory:"):
        raise UsageError("HEADGATE_LOOKUPS names no database of lookups: give a postgresql:// or a sqlite:/// URL.")
    return address


def _file(address: "URL") -> Path | None:
    """The file of an embedded database."""
    return Path(str(address.database)) if address.get_backend_name() == "sqlite" else None
