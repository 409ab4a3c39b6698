"""The index of the store: what is held of which unit, where its bytes lie and until when; and what was forgotten.

It knows pseudonyms only, and no byte of what is held. A row is there before the first byte and goes after the last:
whatever is killed in between, the row still tells where bytes may be.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from headgate.privacy.databases import Database
from headgate.privacy.references import BeingForgotten
from headgate.settings import Settings

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Connection


@dataclass(frozen=True)
class Place:
    """Where bytes lie: in `file`, a path or the key of an object; of a shard, `length` bytes from `at` on."""

    file: str
    at: int | None  # None: the whole file
    length: int  # as they are stored


@dataclass(frozen=True)
class Blob:
    """A row of the index. A pending one is being put, or was when its process died; of a gone one the time is over."""

    id: int
    unit: str
    kind: str
    name: str
    media: str
    size: int  # of the bytes as they were put
    place: Place
    state: Literal["pending", "whole", "gone"]
    put_at: datetime
    expires_at: datetime | None

    def is_over(self, now: datetime) -> bool:
        """Whether its lifetime is over."""
        return self.expires_at is not None and self.expires_at <= now


@dataclass(frozen=True)
class Forgetting:
    """A forgetting: begun before the first deed, erased when the store has nothing more, done when nobody has."""

    id: int
    unit: str
    at: datetime  # when it was begun
    state: Literal["begun", "erased", "done"]
    told: Mapping[str, Any] = field(default_factory=dict)  # what was there, noted before it goes
    who: str = ""
    why: str = ""


@dataclass(frozen=True)
class _Tables:
    blobs: Any
    forgettings: Any
    metadata: Any


@cache
def _tables() -> _Tables:
    from sqlalchemy import Column, Float, Index, Integer, MetaData, String, Table, Text

    metadata = MetaData()

    def whose() -> tuple["Column[str]", "Column[str]"]:
        return Column("domain", String(64), nullable=False), Column("unit", String(24), nullable=False)

    blobs = Table(
        "blobs",
        metadata,
        Column("id", Integer, primary_key=True),
        *whose(),
        Column("kind", String(32), nullable=False),
        Column("name", String(32), nullable=False),
        Column("media", String(128), nullable=False),
        Column("size", Integer, nullable=False),
        Column("file", String(512), nullable=False),
        Column("at", Integer),
        Column("length", Integer, nullable=False),
        Column("state", String(8), nullable=False),
        Column("put_at", Float(53), nullable=False),
        Column("expires_at", Float(53)),
        Index("blobs_of", "domain", "unit", "kind", "name"),
        Index("blobs_until", "domain", "expires_at"),
        Index("blobs_in", "domain", "file"),
        sqlite_autoincrement=True,
    )
    forgettings = Table(
        "forgettings",
        metadata,
        Column("id", Integer, primary_key=True),
        *whose(),
        Column("at", Float(53), nullable=False),
        Column("state", String(8), nullable=False),
        Column("told", Text, nullable=False),
        Column("who", Text, nullable=False),
        Column("why", Text, nullable=False),
        Index("forgettings_of", "domain", "unit"),
        sqlite_autoincrement=True,
    )
    return _Tables(blobs, forgettings, metadata)


#: What every put and every read asks, in SQL: composed anew each time it would take most of their time.
BEGUN = "select id from forgettings where domain = :domain and unit = :unit and state = 'begun'"
RENEW = (
    "update blobs set put_at = :now, expires_at = :until where domain = :domain and unit = :unit and kind = :kind "
    "and name = :name and state = 'whole' and (expires_at is null or expires_at > :now)"
)
RESERVE = (
    "insert into blobs (domain, unit, kind, name, media, size, file, at, length, state, put_at) "
    "values (:domain, :unit, :kind, :name, :media, :size, :file, :at, :length, 'pending', :now)"
)
FINISH = "update blobs set state = 'whole', put_at = :now, expires_at = :until where id = :id"
FIND = (
    "select * from blobs where domain = :domain and unit = :unit and kind = :kind and name = :name "
    "and state != 'pending' order by id desc limit 1"
)
PAST = "select * from forgettings where domain = :domain and unit = :unit order by id"


@cache
def _sql(text: str) -> Any:
    from sqlalchemy import text as made

    return made(text)


def index_file(settings: Settings) -> Path:
    """Where the index lies."""
    return settings.store_folder / "index.db"


class Index:
    """The rows of one domain."""

    def __init__(self, settings: Settings, domain: str) -> None:
        """Nothing is made until something is written."""
        self._domain, self.database = domain, Database(index_file(settings), _tables().metadata, "WAL")

    def reserve(
        self,
        unit: str,
        kind: str,
        name: str,
        now: datetime,
        expires_at: datetime | None,
        about: Mapping[str, Any],
        place: Callable[[], Place],
    ) -> tuple[int, Place] | None:
        """Note that bytes `about` which we know media and size are about to be written to a `place`; the row's id.

        None where the same is held, whose time begins anew; BeingForgotten while the unit is forgotten.
        """
        whose = {"domain": self._domain, "unit": unit}
        row = {**whose, "kind": kind, "name": name, "now": now.timestamp(), "until": _seconds(expires_at)}
        with self.database.writing() as connection:
            if connection.execute(_sql(BEGUN), whose).first():
                raise BeingForgotten(f"Unit {unit} is being forgotten: put it again when that is done.")
            if connection.execute(_sql(RENEW), row).rowcount:
                return None
            chosen = place()
            where = {"file": chosen.file, "at": chosen.at, "length": chosen.length}
            return int(connection.execute(_sql(RESERVE), {**row, **about, **where}).lastrowid), chosen

    def finish(self, row: int, unit: str, kind: str, name: str, now: datetime, expires_at: datetime | None) -> bool:
        """Let a row count whose bytes are written; False where another has the same by now, whose time begins anew."""
        told: dict[str, Any] = {"domain": self._domain, "unit": unit, "kind": kind, "name": name}
        told |= {"now": now.timestamp(), "until": _seconds(expires_at)}
        with self.database.writing() as connection:
            if connection.execute(_sql(RENEW), told).rowcount:
                return False
            connection.execute(_sql(FINISH), {**told, "id": row})
            return True

    def find(self, unit: str, kind: str, name: str) -> Blob | None:
        """The newest row of what is held, or was held until its time was over."""
        told = {"domain": self._domain, "unit": unit, "kind": kind, "name": name}
        with self.database.reading() as connection:
            row = None if connection is None else connection.execute(_sql(FIND), told).mappings().first()
            return None if row is None else _blob(row)

    def of_unit(self, unit: str) -> list[Blob]:
        """All rows of a unit that may have bytes."""
        return self._blobs(self._is(unit) & (_tables().blobs.c.state != "gone"))

    def pending(self) -> list[Blob]:
        """What is being put, or was when its process died."""
        return self._blobs(self._mine & (_tables().blobs.c.state == "pending"))

    def expired(self, now: datetime) -> list[Blob]:
        """What is over and still has bytes."""
        table = _tables().blobs
        return self._blobs(self._mine & (table.c.state == "whole") & (table.c.expires_at <= now.timestamp()))

    def drop(self, rows: Sequence[int]) -> None:
        """Forget rows whose bytes are gone and that nobody ever had a reference of."""
        table = _tables().blobs
        with self.database.writing() as connection:
            for row in rows:
                connection.execute(table.delete().where(table.c.id == row))

    def let_go(self, rows: Sequence[int]) -> None:
        """Note that the bytes of what is over are gone."""
        table = _tables().blobs
        with self.database.writing() as connection:
            for row in rows:
                where = (table.c.id == row) & (table.c.state == "whole")
                connection.execute(table.update().where(where).values(state="gone", file="", at=None, length=0))

    def drop_gone(self, before: datetime) -> None:
        """Remove what is only remembered, of what was over before an instant."""
        table = _tables().blobs
        where = self._mine & (table.c.state == "gone") & (table.c.expires_at < before.timestamp())
        with self.database.writing() as connection:
            connection.execute(table.delete().where(where))

    def files(self) -> set[str]:
        """Every file, or object, in which a row may have bytes."""
        from sqlalchemy import select

        table = _tables().blobs
        with self.database.reading() as connection:
            if connection is None:
                return set()
            where = self._mine & (table.c.state != "gone")
            return set(connection.execute(select(table.c.file).where(where).distinct()).scalars())

    def units(self) -> set[str]:
        """The units that something may be held of."""
        from sqlalchemy import select

        table = _tables().blobs
        with self.database.reading() as connection:
            if connection is None:
                return set()
            where = self._mine & (table.c.state != "gone")
            return set(connection.execute(select(table.c.unit).where(where).distinct()).scalars())

    def sums(self) -> dict[str, tuple[int, int, int, datetime | None]]:
        """Of every kind, how many units and blobs are held, their bytes, and when the first of them is over."""
        from sqlalchemy import func, select

        table = _tables().blobs
        with self.database.reading() as connection:
            if connection is None:
                return {}
            columns = (
                table.c.kind,
                func.count(table.c.unit.distinct()),
                func.count(),
                func.sum(table.c.size),
                func.min(table.c.expires_at),
            )
            asked = select(*columns).where(self._mine & (table.c.state == "whole")).group_by(table.c.kind)
            return {kind: (units, n, size, _instant(at)) for kind, units, n, size, at in connection.execute(asked)}

    # ------------------------------------------------------------------------------------------------ forgetting

    def begin(self, unit: str, now: datetime, who: str = "", why: str = "") -> Forgetting:
        """Note that `unit` is to be forgotten; the forgetting that is under way already, if one is."""
        from sqlalchemy import insert

        table = _tables().forgettings
        with self.database.writing() as connection:
            for found in self._read(connection, (table.c.unit == unit) & (table.c.state != "done")):
                return found
            row = {"domain": self._domain, "unit": unit, "at": now.timestamp(), "state": "begun", "told": "{}"}
            made = connection.execute(insert(table).values(**row, who=who, why=why))
            return Forgetting(int(made.lastrowid), unit, now, "begun", {}, who, why)

    def note(self, forgetting: Forgetting, told: Mapping[str, Any]) -> Forgetting:
        """Note what was there, or what went."""
        return self._moved(forgetting, {"told": json.dumps(dict(told), sort_keys=True)})

    def erased(self, forgetting: Forgetting) -> Forgetting:
        """Note that the store holds nothing more of what it held of the unit; its rows go."""
        table = _tables().blobs
        with self.database.writing() as connection:
            connection.execute(table.delete().where(self._is(forgetting.unit)))
            self._set(connection, forgetting, {"state": "erased"})
        return self._again(forgetting)

    def done(self, forgetting: Forgetting) -> Forgetting:
        """Note that nothing of it is left to do."""
        return self._moved(forgetting, {"state": "done"})

    def reopen(self, unit: str, at: datetime) -> None:
        """Let what was done be done again everywhere but in the store: the rest came back as it was before."""
        table = _tables().forgettings
        if not any(one.at == at for one in self.forgettings(unit)):
            return
        where = (table.c.domain == self._domain) & (table.c.unit == unit) & (table.c.at == at.timestamp())
        with self.database.writing() as connection:
            connection.execute(table.update().where(where & (table.c.state == "done")).values(state="erased"))

    def forgettings(self, unit: str | None = None) -> list[Forgetting]:
        """All forgettings, or those of one unit, oldest first."""
        with self.database.reading() as connection:
            if connection is None:
                return []
            if unit is None:
                return list(self._read(connection, None))
            rows = connection.execute(_sql(PAST), {"domain": self._domain, "unit": unit}).mappings()
            return [_forgetting(row) for row in rows]

    def _moved(self, forgetting: Forgetting, values: Mapping[str, Any]) -> Forgetting:
        with self.database.writing() as connection:
            self._set(connection, forgetting, values)
        return self._again(forgetting)

    def _set(self, connection: "Connection", forgetting: Forgetting, values: Mapping[str, Any]) -> None:
        table = _tables().forgettings
        connection.execute(table.update().where(table.c.id == forgetting.id).values(**values))

    def _again(self, forgetting: Forgetting) -> Forgetting:
        with self.database.reading() as connection:
            assert connection is not None
            return next(self._read(connection, _tables().forgettings.c.id == forgetting.id))

    def _read(self, connection: "Connection", where: "ColumnElement[bool] | None") -> Iterator[Forgetting]:
        from sqlalchemy import select

        table = _tables().forgettings
        asked = select(table).where(table.c.domain == self._domain).order_by(table.c.id)
        for row in connection.execute(asked if where is None else asked.where(where)).mappings():
            yield _forgetting(row)

    # ------------------------------------------------------------------------------------------------ rows

    @property
    def _mine(self) -> Any:
        return _tables().blobs.c.domain == self._domain

    def _is(self, unit: str) -> Any:
        return self._mine & (_tables().blobs.c.unit == unit)

    def _blobs(self, where: Any) -> list[Blob]:
        from sqlalchemy import select

        table = _tables().blobs
        with self.database.reading() as connection:
            if connection is None:
                return []
            rows = connection.execute(select(table).where(where).order_by(table.c.id)).mappings()
            return [_blob(row) for row in rows]


def forgotten_units(settings: Settings, domain: str) -> dict[str, datetime]:
    """The pseudonyms of units of `domain` that were ever forgotten, or are to be: up to when, at last."""
    if not index_file(settings).is_file():
        return {}
    index = Index(settings, domain)
    try:
        return {one.unit: one.at for one in index.forgettings()}
    finally:
        index.database.close()


def _forgetting(row: Mapping[Any, Any]) -> Forgetting:
    at, told = datetime.fromtimestamp(row["at"], UTC), json.loads(row["told"])
    return Forgetting(row["id"], row["unit"], at, row["state"], told, row["who"], row["why"])


def _blob(row: Mapping[Any, Any]) -> Blob:
    place = Place(row["file"], row["at"], row["length"])
    put_at, until = datetime.fromtimestamp(row["put_at"], UTC), _instant(row["expires_at"])
    told = row["unit"], row["kind"], row["name"], row["media"], row["size"]
    return Blob(row["id"], *told, place, row["state"], put_at, until)


def _seconds(at: datetime | None) -> float | None:
    return None if at is None else at.timestamp()


def _instant(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
