"""Killed at any of its external writes, a change is finished or given up by the next registrar, and never half made."""

import itertools
import shutil
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from headgate.domain import NAMES
from headgate.registry import changes
from headgate.registry.ledger import Ledger
from headgate.registry.ledger_state import state_of
from headgate.registry.registrar import SOMEONE

from .. import killing
from ..killing import SOME_OR_ALL, Outcome
from . import acts
from .conftest import DOMAIN, Registry


def copies(registry: Registry, folder: Path) -> Iterator[Registry]:
    """One copy after another of a registry as it is."""
    for number in itertools.count():
        shutil.copytree(registry.settings.home, folder / str(number))
        yield Registry(replace(registry.settings, home=folder / str(number)))


def survives(
    registry: Registry, folder: Path, work: Callable[..., None], *arguments: object, ends: set[int], every: bool
) -> None:
    """Kill `work` at some or `every` of its writes: after one look of a registrar one of `ends` decides, and wholly."""
    copy = copies(registry, folder)
    whole = killing.run(0, work, next(copy).settings, *arguments)
    assert not whole.killed
    for n, one in zip(killing.points(whole.writes, every), copy, strict=False):
        assert killing.run(n, work, one.settings, *arguments) == Outcome(True, n - 1)
        one.expire()
        killing.run(0, acts.look, one.settings)
        champion = one.told().champion
        assert champion in ends, f"killed at write {n}"
        one.settled(champion)
        assert one.what().count("changed") - registry.what().count("changed") <= 1
        assert one.what().count("hold") <= 1
        guessed = [entry.why for entry in one.ledger.entries(DOMAIN) if entry.who == SOMEONE]
        assert work is acts.look or not guessed, "what was cut off was taken for a person's change"


@SOME_OR_ALL
def test_a_promotion(registry: Registry, tmp_path: Path, every: bool) -> None:
    registry.line(2)
    number = registry.register(None)
    survives(registry, tmp_path / "copies", acts.promote, number, ends={2, number}, every=every)


@SOME_OR_ALL
def test_a_promotion_that_is_run_again(registry: Registry, tmp_path: Path, every: bool) -> None:
    """Without any registrar: the next run of the flow itself finishes it."""
    registry.line(1)
    number = registry.register(None)
    copy = copies(registry, tmp_path / "copies")
    writes = killing.run(0, acts.promote, next(copy).settings, number).writes
    for n, one in zip(killing.points(writes, every), copy, strict=False):
        assert killing.run(n, acts.promote, one.settings, number).killed
        one.expire()
        killing.run(0, acts.promote, one.settings, number)
        one.settled(number)


@SOME_OR_ALL
def test_a_rollback(registry: Registry, tmp_path: Path, every: bool) -> None:
    registry.line(3)
    survives(registry, tmp_path / "copies", acts.roll_back, ends={2, 3}, every=every)


@SOME_OR_ALL
def test_a_registrar_that_follows_a_stage(registry: Registry, tmp_path: Path, every: bool) -> None:
    registry.line(3)
    registry.stage(1)
    survives(registry, tmp_path / "copies", acts.look, ends={1}, every=every)


@SOME_OR_ALL
def test_a_registrar_that_puts_back_what_may_not_serve(registry: Registry, tmp_path: Path, every: bool) -> None:
    registry.line(2)
    number = registry.register("refused")
    registry.alias(number)
    registry.stage(number, archive_existing_versions=True)
    survives(registry, tmp_path / "copies", acts.look, ends={2}, every=every)


def test_the_tool_kills_before_a_request_that_writes_and_before_a_rename(tmp_path: Path) -> None:
    """Else the tests above prove nothing over HTTP."""
    seen: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            seen.append(self.command)
            self.send_response(204)
            self.end_headers()

        do_GET = do_POST = do_PATCH = _answer  # noqa: N815

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    arguments = (f"http://127.0.0.1:{server.server_port}/", str(tmp_path))
    try:
        assert killing.run(0, acts.request_and_rename, *arguments) == Outcome(False, 4)
        assert seen == ["GET", "POST", "GET", "PATCH"]
        (tmp_path / "two").unlink()
        (tmp_path / "folder" / "old").unlink()
        for n, (requests, renamed) in enumerate([(1, 0), (3, 0), (4, 0), (4, 1)], 1):
            seen.clear()
            assert killing.run(n, acts.request_and_rename, *arguments) == Outcome(True, n - 1)
            assert (len(seen), (tmp_path / "two").exists()) == (requests, bool(renamed))
            assert not (tmp_path / "folder" / "old").exists()
    finally:
        server.shutdown()
        server.server_close()


def test_the_tool_kills_a_command_line_too(registry: Registry) -> None:
    env = {"HEADGATE_HOME": str(registry.settings.home), "PATH": "/usr/bin:/bin"}
    line = ("headgate.cli", "hold", NAMES[0], "--reason", "a sale")
    assert killing.command(1, *line, env=env) == Outcome(True, 0)
    assert state_of(registry.ledger.entries(NAMES[0])).held() is None
    assert killing.command(0, *line, env=env) == Outcome(False, 1)
    assert state_of(registry.ledger.entries(NAMES[0])).held() is not None
    assert Ledger(registry.settings).verify(changes.anchors(registry.client, [DOMAIN]))
