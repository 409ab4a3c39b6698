"""Killed anywhere, a put is whole or leaves nothing, what was acknowledged stays, and what is forgotten is gone."""

import os
import signal
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from headgate.privacy.places import SMALL
from headgate.privacy.references import BeingForgotten, Forgotten
from headgate.privacy.sweep import sweep
from headgate.settings import Settings

from .. import killing
from ..killing import SOME_OR_ALL
from .stores import START, Turned, found, make_store

CONTENTS = (b"Ann's small bytes " * 20, b"Ann's large bytes " * (SMALL // 10))
KINDS = (*killing.KINDS, "erase")


def put_all(settings: Settings, upload: Path) -> None:
    """Put small and large, plain and keyed, bytes and files, some of it twice."""
    store = make_store(settings)
    for kind in ("note", "picture"):
        for content in (*CONTENTS, *CONTENTS):
            store.put("ann", content, kind)
            upload.write_bytes(content)
            store.put("cid", upload, kind)


def sweep_late(settings: Settings) -> None:
    clock = Turned()
    clock.turn(days=31)
    sweep(make_store(settings, clock))


def uploaded(folder: Path) -> Path:
    """A file of a killed upload is the upload's to sweep: it lies elsewhere."""
    (folder / "uploads").mkdir(exist_ok=True)
    return folder / "uploads" / "upload"


@SOME_OR_ALL
@pytest.mark.parametrize("swept", [False, True], ids=["forgotten", "swept"])
def test_a_put_that_is_killed_leaves_nothing_that_is_not_found(tmp_path: Path, every: bool, swept: bool) -> None:
    from headgate import settings as settings_module

    base = settings_module.load()

    def fresh(name: str) -> Settings:
        from dataclasses import replace

        here = replace(base, home=tmp_path / name)
        make_store(here).put("bob", CONTENTS[0], "picture")
        return here

    writes = killing.run(0, put_all, fresh("whole"), uploaded(tmp_path), kinds=KINDS).writes
    assert writes > 30
    for n in killing.points(writes, every):
        here = fresh(str(n))
        assert killing.run(n, put_all, here, uploaded(tmp_path), kinds=KINDS).killed
        store = make_store(here)
        if swept:
            cut_off = store.index.pending()
            sweep(store)
            assert store.index.pending() == []
            files = {path.name for path in here.store_folder.glob("rooms/*/files/*/*")}
            assert not files & {Path(blob.place.file).name for blob in cut_off}
            assert files == {Path(name).name for name in store.index.files() if "/files/" in name}
        for unit in ("ann", "cid"):
            store.forget(unit)
        assert found(here.home, *CONTENTS) == [], f"killed at write {n}"
        kept = store.put("bob", CONTENTS[0], "picture")
        assert store.get(kept) == CONTENTS[0]
        put_all(here, uploaded(tmp_path))


@SOME_OR_ALL
def test_a_sweep_that_is_killed_is_finished_by_the_next(tmp_path: Path, settings: Settings, every: bool) -> None:
    import shutil
    from dataclasses import replace

    put_all(settings, uploaded(tmp_path))
    kept = make_store(settings).put("bob", CONTENTS[0], "picture")

    def copy(name: str) -> Settings:
        shutil.copytree(settings.home, tmp_path / name)
        return replace(settings, home=tmp_path / name)

    writes = killing.run(0, sweep_late, copy("whole"), kinds=KINDS).writes
    for n in killing.points(writes, every):
        here = copy(str(n))
        assert killing.run(n, sweep_late, here, kinds=KINDS).killed
        sweep_late(here)
        assert make_store(here).index.expired(START.replace(year=2030)) == []
        assert found(here.home, *CONTENTS) == [], f"killed at write {n}"
        assert make_store(here).get(kept) == CONTENTS[0]
        shutil.rmtree(here.home)


def keep_putting(pipe: Connection, settings: Settings, name: str) -> None:
    """Put for ever, each reference told once it was answered."""
    store, number = make_store(settings), 0
    while True:
        number += 1
        content = f"{name} {number}".encode() * (40 if number % 5 else 8000)
        try:
            pipe.send((store.put("ann", content, ("note", "picture")[number % 2]), content))
        except BeingForgotten:
            pipe.send(None)


def test_of_processes_that_are_killed_what_was_answered_stays_and_all_of_it_is_forgotten(settings: Settings) -> None:
    started = [killing.process(keep_putting, settings, f"Ann's {n}") for n in range(3)]
    answers = []
    for process, pipe in started:
        answers += [pipe.recv() for _ in range(20)]
        os.kill(process.pid, signal.SIGKILL)
        process.join(30)
        while pipe.poll():
            try:
                answers.append(pipe.recv())
            except EOFError:
                break
    store = make_store(settings)
    assert all(store.get(reference) == content for reference, content in answers)
    store.forget("ann")
    assert found(settings.home, b"Ann's ") == []
    for reference, _ in answers:
        with pytest.raises(Forgotten):
            store.get(reference)


def test_who_is_forgotten_while_others_put_is_forgotten_wholly_each_time(settings: Settings) -> None:
    started = [killing.process(keep_putting, settings, f"Ann's {n}") for n in range(2)]
    answers: list[tuple[str, bytes]] = []
    store = make_store(settings)
    for _ in range(6):
        for _, pipe in started:
            answers += [one for one in (pipe.recv() for _ in range(5)) if one]
        before = [reference for reference, _ in answers]
        store.forget("ann")
        for reference in before:
            with pytest.raises(Forgotten):
                store.get(reference)
    for process, pipe in started:
        os.kill(process.pid, signal.SIGKILL)
        process.join(30)
        pipe.close()
    store.forget("ann")
    assert found(settings.home, b"Ann's ") == []
    sweep(store)
    assert store.keys.units() == set()
