"""What other processes do in the tests of the registry: each at the top level, with all it needs as arguments."""

import os
import signal
from multiprocessing.connection import Connection
from pathlib import Path

from headgate.errors import HeadgateError
from headgate.registry import changes, versions
from headgate.registry.changes import ChangeSession
from headgate.registry.ledger import Entry, Ledger
from headgate.registry.registrar import Registrar
from headgate.settings import Settings

DOMAIN = "rooms"


def promote(settings: Settings, number: int) -> None:
    """As the flow does: the verdict, then the champion."""
    registry, ledger = versions.client(settings), Ledger(settings)
    version = versions.find(registry, DOMAIN, str(number))
    changes.record_verdict(ledger, version, "passed", "the gate", [])
    with changes.change_session(registry, ledger, DOMAIN) as at:
        if at.ledger_state().champion != number:
            changes.make_champion(at, version, who="the flow", why="it passed")


def roll_back(settings: Settings) -> None:
    registry, ledger = versions.client(settings), Ledger(settings)
    with changes.change_session(registry, ledger, DOMAIN) as at:
        changes.rollback(at, None, who="a person", why="it was bad")


def look(settings: Settings) -> None:
    """One look of a registrar."""
    Registrar(settings, [DOMAIN]).look()


def append(pipe: Connection, settings: Settings, who: str, count: int) -> None:
    """Open the ledger and append so many entries as soon as the others are ready too."""
    pipe.send("ready")
    pipe.recv()
    ledger = Ledger(settings)
    for number in range(count):
        ledger.append(Entry(DOMAIN, "alert", who, str(number)))
    pipe.send("done")


def count_up(pipe: Connection, settings: Settings, counter: str, times: int) -> None:
    """Read a number from a file and write the next one, under a lease: with two holders at once one step is lost."""
    ledger = Ledger(settings)
    pipe.send("ready")
    pipe.recv()
    for _ in range(times):
        with ledger.lease("counter"):
            with open(counter) as file:  # noqa: PTH123
                number = int(file.read())
            with open(counter, "w") as file:  # noqa: PTH123
                file.write(str(number + 1))
    pipe.send("done")


def hold_a_lease(pipe: Connection, settings: Settings, seconds: float) -> None:
    """Take a short lease, wait, and try then to do what only its holder may; tell what came of it."""
    ledger = Ledger(settings)
    said = []
    with ledger.lease("registry/rooms", seconds=seconds) as lease:
        pipe.send("held")
        pipe.recv()
        for attempt in (lambda: ledger.append(Entry(DOMAIN, "alert", "late"), lease), lambda: ledger.renew(lease)):
            try:
                attempt()
                said.append("done")
            except HeadgateError as error:
                said.append(type(error).__name__)
    pipe.send(said)


def look_and_stop(pipe: Connection, settings: Settings, n: int, after: bool) -> None:
    """A look of a registrar that is stopped before or after it renews its lease for the `n`-th time."""
    renew, count = ChangeSession.hold_on, 0

    def hold_on(self: ChangeSession) -> None:
        nonlocal count
        count += 1
        if after:
            renew(self)
        if count == n:
            pipe.send("stopping")
            os.kill(os.getpid(), signal.SIGSTOP)
        if not after:
            renew(self)

    ChangeSession.hold_on = hold_on  # type: ignore[method-assign]
    try:
        Registrar(settings, [DOMAIN]).look()
        pipe.send("looked")
    except HeadgateError as error:
        pipe.send(type(error).__name__)


def request_and_rename(url: str, folder: str) -> None:
    """Two requests that write and two that do not, a rename and an exchange of folders."""
    import requests

    from headgate.files import atomic_file, atomic_folder

    home = Path(folder)
    (home / "folder").mkdir(exist_ok=True)
    for method in ("GET", "POST", "GET", "PATCH"):
        requests.request(method, url, timeout=10)
    with atomic_file(home / "two") as draft:
        draft.touch()
    with atomic_folder(home / "folder") as new:
        (new / "old").touch()
