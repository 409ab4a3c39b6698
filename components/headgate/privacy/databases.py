"""Small SQLite databases of the store: made whole or not at all, for this user alone, and nothing lingers in them."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from uuid import uuid4

from headgate.errors import HeadgateError

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine, MetaData

#: Seconds that a transaction waits for another process's.
WAIT_SECONDS = 30.0


class Database:
    """A database at a path. Several threads and processes may use it, also those that are forked from this one."""

    def __init__(self, path: Path, metadata: "MetaData", journal: Literal["WAL", "DELETE"]) -> None:
        """Nothing is made until something is written."""
        self.path, self._metadata, self._journal = path, metadata, journal
        self._engine: Engine | None = None
        self._pid = 0

    @contextmanager
    def writing(self) -> Iterator["Connection"]:
        """A transaction that nobody else writes beside; committed at the block's end, unless by an error."""
        if not self.path.is_file():
            self._make()
        with self._connected() as connection:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            yield connection
            connection.commit()

    @contextmanager
    def reading(self) -> Iterator["Connection | None"]:
        """A connection that only reads; None where there is no database yet."""
        if not self.path.is_file():
            yield None
            return
        with self._connected() as connection:
            yield connection

    @contextmanager
    def _connected(self) -> Iterator["Connection"]:
        from sqlalchemy.exc import DBAPIError, IntegrityError

        try:
            with self._made().connect() as connection:
                yield connection
        except IntegrityError:
            raise
        except DBAPIError as error:
            said = str(error.orig).splitlines()[0][:200]
            raise HeadgateError(f"{self.path} cannot be used ({said}): see to the disk, then run it again.") from error

    def settle(self) -> None:
        """Write to the disk all that was committed, and leave nothing of what was deleted in the journal."""
        if self._journal == "WAL" and self.path.is_file():
            with self._connected() as connection:
                connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")

    def close(self) -> None:
        """Let go of the files."""
        if self._engine is not None and self._pid == os.getpid():
            self._engine.dispose()
        self._engine = None

    def _made(self) -> "Engine":
        if self._engine is None or self._pid != os.getpid():  # a connection does not survive a fork
            self._engine, self._pid = _engine(self.path, self._journal), os.getpid()
        return self._engine

    def _make(self) -> None:
        """Make it beside its place and link it there: whoever is first stays."""
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        draft = self.path.with_name(f".tmp-{uuid4().hex[:8]}-{self.path.name}")
        os.close(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        try:
            engine = _engine(draft, self._journal)
            with engine.connect() as connection:
                connection.exec_driver_sql(f"PRAGMA journal_mode={self._journal}")
                self._metadata.create_all(connection)
                connection.commit()
            engine.dispose()
            with suppress(FileExistsError):
                os.link(draft, self.path)
        finally:
            draft.unlink(missing_ok=True)


def _engine(path: Path, journal: str) -> "Engine":
    from sqlalchemy import create_engine, event

    made = create_engine(f"sqlite:///{path}", connect_args={"timeout": WAIT_SECONDS})

    @event.listens_for(made, "connect")
    def _prepare(connection: Any, record: Any) -> None:
        connection.isolation_level = None  # SQLAlchemy's way to let a transaction begin where we say
        connection.execute("PRAGMA secure_delete=ON")  # what is deleted is overwritten
        # Of a journal that is written ahead, a power cut may take the newest; of the keys, nothing may be lost.
        connection.execute(f"PRAGMA synchronous={'NORMAL' if journal == 'WAL' else 'FULL'}")

    return made
