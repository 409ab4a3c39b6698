"""What people do to aliases and stages in MLflow: followed once, or put back, and always written down."""

import os
import shutil
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Event

import psutil
import pytest

from headgate.errors import HeadgateError
from headgate.registry import changes, registrar, versions
from headgate.registry.ledger import Entry, Ledger
from headgate.registry.registrar import SOMEONE, Registrar
from headgate.settings import Settings

from .. import killing
from . import acts
from .conftest import DOMAIN, Registry, Told

PATIENCE = 60.0


def followed(registry: Registry, champion: int, why: str) -> Entry:
    """Assert that one look makes a person's choice true, and that it is written as theirs."""
    (entry,) = registry.look()
    assert entry.what == "changed"
    assert (entry.who, entry.to_version) == (SOMEONE, champion)
    assert why in entry.why
    registry.settled(champion)
    return entry


def put_back(registry: Registry, champion: int, why: str) -> Entry:
    """Assert that one look undoes what a person did, and that it is written once."""
    before = registry.what()
    (entry,) = registry.look()
    assert entry.what == "refused"
    assert why in entry.why
    assert registry.what() == [*before, "refused"]
    registry.settled(champion)
    return entry


def test_an_alias_moved_back_is_followed_and_holds(registry: Registry) -> None:
    registry.line(2)
    registry.alias(1)
    assert followed(registry, 1, "The alias champion was moved to version 1.").details["rollback"]
    assert registry.ledger_state().held() is not None


def test_an_alias_moved_forward_promotes_what_waited_and_does_not_hold(registry: Registry) -> None:
    registry.line(1)
    number = registry.register("review")
    registry.alias(number)
    followed(registry, number, "The alias champion was moved to version 2.")
    assert registry.ledger_state().held() is None


@pytest.mark.parametrize("archive", [{}, {"archive_existing_versions": True}])
@pytest.mark.parametrize("target", [1, 3])
def test_a_stage_is_followed_with_and_without_archiving(
    registry: Registry, archive: dict[str, bool], target: int
) -> None:
    registry.line(2)
    registry.register()
    registry.stage(target, **archive)
    followed(registry, target, f"Version {target} was moved to the stage Production.")
    assert registry.version(2).stage == "Archived"


def test_move_after_move_is_followed(registry: Registry) -> None:
    registry.line(3)
    for turn in range(5):
        champion = registry.told().champion or 0
        target = champion % 3 + 1
        (registry.alias if turn % 2 else registry.stage)(target)
        followed(registry, target, "was moved")


def test_of_alias_and_stage_both_moved_the_alias_wins(registry: Registry) -> None:
    registry.line(3)
    registry.stage(1)
    registry.alias(2)
    followed(registry, 2, "version 1 was moved to Production too, and the alias wins")


def test_of_several_in_production_the_newest_there_wins(registry: Registry) -> None:
    registry.line(4)
    registry.stage(2)
    later(registry, 2)
    registry.stage(1)
    later(registry, 1)
    registry.stage(3, "Staging")  # touched last, but not in Production
    followed(registry, 1, "Version 1 was moved to the stage Production.")


def later(registry: Registry, number: int) -> None:
    """Wait until the next change of a stage is in a later millisecond."""
    until(lambda: time.time() * 1000 > registry.version(number).changed_ms + 1)


def until(true: Callable[[], object]) -> None:
    """Ask again until it is so."""
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_a_deleted_alias_is_put_back(registry: Registry) -> None:
    registry.line(2)
    registry.unalias()
    put_back(registry, 2, "The alias champion was deleted")


def test_a_champion_taken_out_of_production_is_put_back(registry: Registry) -> None:
    registry.line(2)
    registry.stage(2, "Archived")
    put_back(registry, 2, "The stage Production was taken from the champion")


def test_the_alias_previous_is_the_ledgers_to_say(registry: Registry) -> None:
    registry.line(3)
    registry.alias(1, versions.PREVIOUS)
    assert registry.look() == []
    registry.settled(3)
    registry.unalias(versions.PREVIOUS)
    assert registry.look() == []
    registry.settled(3)


@pytest.mark.parametrize("ruling", ["refused", None])
@pytest.mark.parametrize("by", ["alias", "stage", "both", "archiving"])
def test_what_may_not_serve_is_put_back_and_written_down(registry: Registry, ruling: str | None, by: str) -> None:
    registry.line(2)
    number = registry.register(ruling, **{versions.TAG_RULING: "passed"})
    if by in ("alias", "both"):
        registry.alias(number)
    if by != "alias":
        registry.stage(number, archive_existing_versions=by == "archiving")
    entry = put_back(registry, 2, f"version {number} may not serve")
    assert (entry.from_version, entry.to_version, entry.who) == (2, number, SOMEONE)


def test_an_override_is_followed_and_written_down(registry: Registry) -> None:
    registry.line(1)
    number = registry.register("refused")
    registry.tag(number, changes.TAG_OVERRIDE, "we know this attack")
    registry.alias(number)
    followed(registry, number, "was moved")
    assert "override" in registry.what()


@pytest.mark.parametrize("stage", [False, True])
def test_before_the_first_promotion_nothing_that_may_not_serve_decides(registry: Registry, stage: bool) -> None:
    number = registry.register("refused")
    (registry.stage if stage else registry.alias)(number)
    (entry,) = registry.look()
    assert entry.what == "refused"
    assert registry.told() == Told(None, None, ())
    assert registry.look() == []


def test_a_person_may_crown_the_first_champion(registry: Registry) -> None:
    registry.alias(registry.register("review"))
    followed(registry, 1, "was moved")


def test_a_deleted_champion_is_replaced_by_the_one_before(registry: Registry) -> None:
    registry.line(3)
    registry.delete(3)
    followed(registry, 2, "Version 3, the champion, was deleted")
    assert registry.ledger_state().held() is not None


def test_a_deleted_champion_is_replaced_by_one_that_may_serve(registry: Registry) -> None:
    registry.line(4)
    registry.delete(4)
    registry.delete(3)
    registry.tag(2, versions.TAG_BUNDLE, "f" * 64)
    (entry,) = registry.look()
    assert (entry.what, entry.to_version) == ("changed", 1)
    assert registry.told().champion == 1


def test_a_deleted_champion_that_nothing_can_replace_alerts_once(registry: Registry) -> None:
    registry.line(1)
    registry.delete(1)
    (entry,) = registry.look()
    assert entry.what == "alert"
    assert "None before it may serve" in entry.why
    assert registry.look() == []
    registry.promote(registry.register())
    registry.settled(2)


def test_a_deleted_champion_and_an_alias_on_what_may_not_serve(registry: Registry) -> None:
    registry.line(2)
    number = registry.register("refused")
    registry.delete(2)
    registry.alias(number)
    assert [entry.what for entry in registry.look()] == ["refused"]
    followed(registry, 1, "Version 2, the champion, was deleted")


def test_a_deleted_previous_version_is_replaced_by_the_one_before(registry: Registry) -> None:
    registry.line(3)
    registry.delete(2)
    registry.look()
    registry.settled(3)
    assert registry.told().previous == 1


def begun(registry: Registry, number: int, *, by: str = "the flow", hold: bool = False) -> None:
    """Write an intent as a process does that is killed right after."""
    with registry.office() as at:
        now, version = at.ledger_state(), registry.version(number)
        at.write(changes._entry("intent", now, version, by, "it was begun", {"hold": hold}))


@pytest.mark.parametrize("done", ["nothing", "previous", "alias", "stage"])
def test_a_change_that_was_cut_off_is_finished(registry: Registry, done: str) -> None:
    registry.line(2)
    number = registry.register()
    begun(registry, number)
    if done != "nothing":
        registry.alias(2, versions.PREVIOUS)
    if done in ("alias", "stage"):
        registry.alias(number)
    if done == "stage":
        registry.stage(number, archive_existing_versions=True)
    (entry,) = registry.look()
    assert (entry.what, entry.who, entry.why) == ("changed", "the flow", "it was begun")
    registry.settled(number)


def test_a_rollback_that_was_cut_off_is_finished_with_its_hold(registry: Registry) -> None:
    registry.line(2)
    begun(registry, 1, by="a person", hold=True)
    registry.look()
    registry.settled(1)
    assert registry.ledger_state().held() is not None
    assert registry.what().count("hold") == 1


@pytest.mark.parametrize("by", ["alias", "stage"])
def test_a_person_beats_a_change_that_was_cut_off(registry: Registry, by: str) -> None:
    registry.line(2)
    number = registry.register()
    begun(registry, number)
    (registry.alias if by == "alias" else registry.stage)(1)
    followed(registry, 1, "was moved")
    undone = next(entry for entry in registry.ledger.entries() if entry.what == "undone")
    assert "a person chose otherwise" in undone.why


@pytest.mark.parametrize("lost", ["deleted", "forged"])
def test_a_change_to_what_is_gone_or_may_not_serve_is_given_up(registry: Registry, lost: str) -> None:
    """Cut off after the alias was moved."""
    registry.line(2)
    number = registry.register()
    begun(registry, number)
    registry.alias(number)
    registry.delete(number) if lost == "deleted" else registry.tag(number, versions.TAG_BUNDLE, "f" * 64)
    registry.look()
    registry.settled(2)
    assert registry.what()[-1] in ("undone", "refused")


def test_a_registrar_that_goes_on_looking_writes_nothing_more(registry: Registry) -> None:
    """No write in answer to its own write, no question to the versions where nothing has changed."""
    registry.line(3)
    runs = Registrar(registry.settings, [DOMAIN, "halls"])
    registry.stage(1)
    assert [entry.what for entry in runs.look()] == ["changed"]
    runs.look()
    before, asked = registry.dump(), []
    runs._registry.search_model_versions = lambda *a, **b: asked.append(a)  # type: ignore[union-attr, method-assign]
    for _ in range(20):
        assert runs.look() == []
    assert registry.dump() == before
    assert not asked
    del runs._registry.search_model_versions  # type: ignore[union-attr]
    registry.alias(2)  # no timestamp moves with an alias
    assert [entry.to_version for entry in runs.look()] == [2]


def test_a_registrar_tells_of_each_change_once(registry: Registry) -> None:
    registry.line(2)
    number = registry.register("refused")
    told: list[str] = []
    runs = Registrar(registry.settings, [DOMAIN])
    for move in (lambda: registry.alias(1), lambda: registry.stage(number), lambda: None):
        move()
        for _ in range(3):
            told += [entry.what for entry in runs.look()]
    assert told == ["changed", "refused"]


def test_a_stage_moved_behind_the_timestamps_is_found_by_a_thorough_look(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.line(2)
    monkeypatch.setattr(registrar, "THOROUGH", 3)
    runs = Registrar(registry.settings, [DOMAIN])
    runs.look()
    runs.look()
    from sqlalchemy import create_engine, text

    with create_engine(registry.settings.local_tracking_uri).begin() as connection:
        connection.execute(text("update model_versions set current_stage = 'Archived' where version = 2"))
    assert [entry.what for _ in range(3) for entry in runs.look()] == ["refused"]
    registry.settled(2)


def test_nobody_is_disturbed_in_the_middle_of_a_change(registry: Registry) -> None:
    registry.line(2)
    with registry.office():
        registry.alias(1)
        assert registry.look() == []
    followed(registry, 1, "was moved")


def test_whatever_was_written_last_is_known_outside_of_the_ledger(registry: Registry, tmp_path: Path) -> None:
    """A hold that is cut off the ledger's end shows, once the registrar has looked."""
    registry.line(1)
    shutil.copyfile(registry.settings.home / "ledger.db", tmp_path / "backup.db")
    changes.hold(registry.ledger, DOMAIN, who="me", why="a sale")
    registry.look()
    shutil.copyfile(tmp_path / "backup.db", registry.settings.home / "ledger.db")
    with pytest.raises(HeadgateError, match="was seen elsewhere"):
        registry.ledger.verify(changes.anchors(registry.client, [DOMAIN]))
    (entry,) = registry.look()  # tells a person, and leaves the proof where it is
    assert entry.what == "alert"
    assert registry.look() == []
    with pytest.raises(HeadgateError, match="was seen elsewhere"):
        registry.ledger.verify(changes.anchors(registry.client, [DOMAIN]))
    registry.line(1)
    registry.alias(1)
    assert [entry.what for entry in registry.look()] == ["changed"]  # and people can still go back


def test_a_lost_ledger_takes_the_champion_from_nobody(registry: Registry, tmp_path: Path) -> None:
    """An empty database in the ledger's place, as a wrong HEADGATE_LEDGER makes one, is told and not obeyed."""
    registry.line(2)
    kept, told = registry.settings.home / "ledger.db", registry.told()
    kept.rename(tmp_path / "kept.db")
    registry.ledger = Ledger(registry.settings)
    changes.hold(registry.ledger, DOMAIN, who="me", why="whatever is written meanwhile")
    for _ in range(2):
        with pytest.raises(HeadgateError, match="HEADGATE_LEDGER names another"):
            registry.look()
    assert registry.told() == told
    (tmp_path / "kept.db").replace(kept)
    registry.ledger = Ledger(registry.settings)
    assert registry.look() == []
    registry.settled(2)


def test_no_registry_is_made_by_looking_for_one(settings: Settings) -> None:
    assert Registrar(settings, [DOMAIN]).look() == []
    assert not settings.home.exists()


def test_a_registrar_outlives_what_goes_wrong(registry: Registry, caplog: pytest.LogCaptureFixture) -> None:
    """A fault is said once, tried again, and over when it is over."""
    registry.line(2)
    stopped, faults = Event(), 0

    runs = Registrar(registry.settings, [DOMAIN])
    whole = runs.look

    def look() -> list[Entry]:
        nonlocal faults
        if faults < 3:
            faults += 1
            raise ConnectionError("the registry is away")
        (registry.stage if registry.told().champion == 1 else registry.alias)(2 if registry.told().champion == 1 else 1)
        written = whole()
        if any(entry.to_version == 2 for entry in written):
            stopped.set()
        return written

    runs.look = look  # type: ignore[method-assign]
    stopped.wait = lambda timeout=None: stopped.is_set()  # type: ignore[method-assign, assignment]
    runs.run(stopped)
    assert sum("is not followed" in record.message for record in caplog.records) == 1
    registry.settled(2)


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("n", [1, 2, 3])
def test_a_registrar_stopped_past_its_lease_changes_nothing_twice(registry: Registry, n: int, after: bool) -> None:
    """Stopped before it renews its lease or right after: the next finishes, and the stopped one is fenced off.

    The third renewal is for the anchor, when all else is done.
    """
    registry.line(3)
    registry.alias(2)
    process, pipe = killing.process(acts.look_and_stop, registry.settings, n, after)
    try:
        assert pipe.recv() == "stopping"
        until(lambda: psutil.Process(process.pid).status() == psutil.STATUS_STOPPED)
        assert registry.look() == []  # the lease is still the other's
        registry.expire()
        assert [entry.what for entry in registry.look()] == (["changed"] if n < 3 else [])
        registry.settled(2)
        before = registry.ledger.entries()
        os.kill(process.pid, signal.SIGCONT)
        assert pipe.recv() == ("looked" if after and n == 3 else "Fenced")
    finally:
        with suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGKILL)
    assert registry.ledger.entries() == before
    assert [entry.to_version for entry in before if entry.what == "changed"] == [1, 2, 3, 2]
    registry.settled(2)
