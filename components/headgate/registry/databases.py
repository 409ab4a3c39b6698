"""Make the local registry's database; copy those of registry and ledger, and move artifacts: for backups.

The ledger is copied row by row, so it can go from SQLite to PostgreSQL and back; its hashes show that nothing changed.
MLflow's own tables are copied by the database's tools: SQLite's online backup, pg_dump and pg_restore.
"""

import logging
import os
import shutil
import sqlite3
import subprocess
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from headgate.data.datasets import LOCK_SECONDS, exclusively
from headgate.errors import HeadgateError, UsageError
from headgate.files import sweep
from headgate.registry.tables import engine, tables, with_driver
from headgate.settings import Settings

#: The columns of MLflow's tables that name a place of artifacts, as a URI or a path.
PLACES = {
    "experiments": ("artifact_location",),
    "runs": ("artifact_uri",),
    "logged_models": ("artifact_location",),
    "model_versions": ("source", "storage_location"),
}


def make_registry(settings: Settings) -> None:
    """Make the local registry's database, whole or not at all, unless it is there.

    MLflow makes it by dozens of migrations, each committed by itself: killed among them it would leave a database
    that it can neither use nor go on with.
    """
    made = settings.local_database
    if made.is_file():
        return
    from mlflow.db import upgrade

    assert upgrade.callback is not None  # what `mlflow db upgrade` calls
    made.parent.mkdir(parents=True, exist_ok=True)
    with exclusively(settings, "mlflow", wait=LOCK_SECONDS):
        if made.is_file():
            return
        sweep(made.parent)
        draft = made.with_name(f".tmp-{made.name}")
        for name in ("alembic", "mlflow"):  # they tell every migration
            logging.getLogger(name).setLevel(logging.WARNING)
        upgrade.callback(f"sqlite:///{draft}")
        with suppress(FileExistsError):  # a server that was started meanwhile made it, and uses it
            os.link(draft, made)
        draft.unlink()


def is_postgresql(address: str) -> bool:
    """Whether `address` is a PostgreSQL database's."""
    return address.startswith(("postgresql:", "postgresql+", "postgres:"))


def copy_sqlite(source: Path, target: Path) -> None:
    """Copy a SQLite database that others write to, as it stands at one moment."""
    with closing(sqlite3.connect(source, timeout=30)) as theirs, closing(sqlite3.connect(target)) as ours:
        theirs.backup(ours)


def copy_ledger(source: str, target: str) -> None:
    """Copy entries and leases, as they stand at one moment, to the empty ledger at `target`, all or nothing.

    The leases are free there, and their tokens go on from where they were: who held one is fenced off in both.
    """
    from sqlalchemy import insert, select

    ledger, leases = tables().ledger, tables().leases
    with engine(source).begin() as connection:
        entries = [dict(row) for row in connection.execute(select(ledger).order_by(ledger.c.seq)).mappings()]
        held = [dict(row) | {"until": 0.0} for row in connection.execute(select(leases)).mappings()]
    with engine(target).begin() as connection:
        for table, rows in ((ledger, entries), (leases, held)):
            if rows:
                connection.execute(insert(table), rows)


def dump(address: str, target: Path) -> None:
    """Write a PostgreSQL database to the file `target`. Raises UsageError where there is no pg_dump."""
    _tool("pg_dump", address, "--format=custom", "--no-owner", f"--file={target}")


def load(source: Path, address: str) -> None:
    """Bring a dump back into the empty PostgreSQL database at `address`, all or nothing."""
    _tool("pg_restore", address, "--exit-on-error", "--single-transaction", "--no-owner", str(source))


def tags(address: str, key: str) -> set[str] | None:
    """The values of the tag `key` of all versions in the registry at `address`; None where no registry is."""
    from sqlalchemy import create_engine, inspect, text
    from sqlalchemy.exc import DBAPIError
    from sqlalchemy.pool import NullPool

    try:
        with create_engine(with_driver(address), poolclass=NullPool).connect() as connection:
            if not inspect(connection).has_table("model_version_tags"):
                return None
            asked = text("select value from model_version_tags where key = :key")
            return set(connection.execute(asked, {"key": key}).scalars())
    except DBAPIError as error:
        raise HeadgateError(f"The registry's database does not answer ({type(error).__name__}).") from error


def move(address: str, before: Path, after: Path) -> None:
    """Let the registry at `address` find below `after` the artifacts that were below the folder `before`."""
    from sqlalchemy import create_engine, text
    from sqlalchemy.pool import NullPool

    made = create_engine(with_driver(address) if is_postgresql(address) else address, poolclass=NullPool)
    with made.begin() as connection:
        for old, new in ((before.as_uri(), after.as_uri()), (str(before), str(after))):
            told = {"old": f"{old}/", "new": f"{new}/", "length": len(old) + 1}
            for table, columns in PLACES.items():
                for column in columns:
                    connection.execute(
                        text(
                            f"update {table} set {column} = :new || substr({column}, :length + 1) "
                            f"where substr({column}, 1, :length) = :old"
                        ),
                        told,
                    )


def _tool(name: str, address: str, *arguments: str) -> None:
    """Run one of PostgreSQL's programs on the database at `address`; its password stays off the command line."""
    program = shutil.which(name)
    if program is None:
        raise UsageError(f"The registry is in PostgreSQL, and {name} is not installed: run it where it is.")
    url = with_driver(address).set(drivername="postgresql")
    env: dict[str, Any] = {**os.environ, "PGCONNECT_TIMEOUT": "10"}
    if url.password:
        env["PGPASSWORD"] = str(url.password)
    bare = url.set(password=None).render_as_string()
    done = subprocess.run([program, "--dbname", bare, *arguments], env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        said = " ".join(done.stderr.split())[:400]
        raise HeadgateError(f"{name} failed on the registry's database ({said}). Nothing was changed.")
