"""A PostgreSQL server for tests: started once a session on a socket of its own, a fresh database for each test."""

import ctypes
import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

#: How long the server may take until it answers, and until it has stopped.
PATIENCE = 30.0


@dataclass
class Postgres:
    """A running server; `socket` is the folder of its socket."""

    socket: Path
    _count: Iterator[int] = field(default_factory=itertools.count)

    def database(self, template: str = "template1") -> str:
        """The name of a new database, a copy of `template`."""
        name = f"test_{next(self._count)}"
        self.execute(f"create database {name} template {template}")
        return name

    def url(self, name: str, driver: str = "") -> str:
        """The address of a database, as SQLAlchemy names it."""
        return f"postgresql{'+' if driver else ''}{driver}://postgres@/{name}?host={self.socket}"

    def execute(self, statement: str) -> None:
        with closing(self._connect()) as connection, connection.cursor() as cursor:
            cursor.execute(statement)

    def ask(self, question: str) -> int:
        """The one number that answers `question`."""
        with closing(self._connect()) as connection, connection.cursor() as cursor:
            cursor.execute(question)
            return int(cursor.fetchone()[0])

    def _connect(self) -> Any:
        import psycopg2

        connection = psycopg2.connect(host=str(self.socket), user="postgres", dbname="postgres")
        connection.autocommit = True  # a database is not made within a transaction
        return connection


def programs() -> Path | None:
    """Where Debian's package has put the newest PostgreSQL, or where PATH has it."""
    packaged = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parts[-3]))
    found = packaged[-1] if packaged else shutil.which("initdb")
    return Path(found).parent if found else None


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A server on a socket in a folder of its own; skips where PostgreSQL is not installed."""
    found = programs()
    if found is None:
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
    folder = Path(tempfile.mkdtemp(prefix="headgate-pg-", dir="/tmp"))  # a socket's path must be short
    user = None
    if os.getuid() == 0:  # which PostgreSQL refuses to run as
        known = {one.pw_name for one in pwd.getpwall()}
        user = "postgres" if "postgres" in known else "nobody"
        shutil.chown(folder, user)
    data = folder / "data"
    flags = ["--auth=trust", "--username=postgres", "--encoding=UTF8", "--locale=C", "--no-sync"]
    as_user = {"user": user, "group": pwd.getpwnam(user).pw_gid, "extra_groups": []} if user else {}
    try:
        subprocess.run([found / "initdb", *flags, data], check=True, capture_output=True, cwd=folder, **as_user)
        settings = {"listen_addresses": "", "unix_socket_directories": folder, "fsync": "off", "max_connections": 50}
        options = [f"-c{name}={value}" for name, value in settings.items()]
        with (folder / "log").open("wb") as log:
            server = subprocess.Popen(
                [found / "postgres", "-D", data, *options],
                stdout=log,
                stderr=log,
                cwd=folder,
                preexec_fn=_with_us,
                **as_user,
            )
        try:
            _wait(found, folder, server)
            yield Postgres(folder)
        finally:
            server.send_signal(signal.SIGINT)  # a fast shutdown
            server.wait(PATIENCE)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _with_us() -> None:
    """Let the server end when the tests are killed (Linux): SIGINT to it, a fast shutdown."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(1, signal.SIGINT)  # PR_SET_PDEATHSIG


def _wait(found: Path, folder: Path, server: subprocess.Popen) -> None:
    deadline = time.monotonic() + PATIENCE
    asked = [found / "pg_isready", "--quiet", "-h", folder]
    while subprocess.run(asked, check=False).returncode != 0:
        if server.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"PostgreSQL did not start: {(folder / 'log').read_text()}")
        time.sleep(0.05)
