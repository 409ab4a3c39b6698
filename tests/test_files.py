"""Atomic writes: whatever happens to the writer, who looks sees the old or the new, whole."""

import hashlib
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from headgate import files
from headgate.errors import UsageError
from headgate.files import atomic_file, atomic_folder, read_json, refuse_unwritable, sha256, sweep, write_json

#: Where a writer may be killed: with its draft half written, or whole and about to take its place.
WRITERS = {
    "folder, half written": "with files.atomic_folder(target) as draft: (draft / 'a').write_text('new'); die()",
    "folder, before the swap": (
        "files._exchange = lambda *_: die()\nwith files.atomic_folder(target) as draft: (draft / 'a').write_text('new')"
    ),
    "file, half written": "with files.atomic_file(target / 'a') as draft: draft.write_text('ne'); die()",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with old content."""
    target = tmp_path / "target"
    target.mkdir()
    (target / "a").write_text("old")
    (target / "b").write_text("old")
    return target


def content(target: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in target.iterdir() if not path.name.startswith(".tmp-")}


def test_a_folder_takes_the_place_of_what_was_there_whole(folder: Path) -> None:
    with atomic_folder(folder) as draft:
        assert list(draft.iterdir()) == []
        (draft / "a").write_text("new")
        assert content(folder) == {"a": "old", "b": "old"}
    assert content(folder) == {"a": "new"}
    assert list(folder.parent.iterdir()) == [folder]


def test_a_folder_is_made_with_its_parents(tmp_path: Path) -> None:
    with atomic_folder(tmp_path / "deep" / "target") as draft:
        (draft / "a").write_text("new")
    assert content(tmp_path / "deep" / "target") == {"a": "new"}


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_an_exception_leaves_the_old_and_no_draft(folder: Path, error: type[BaseException]) -> None:
    def write(path: Path) -> None:
        path.write_text("new")
        raise error

    with pytest.raises(error), atomic_folder(folder) as draft:
        write(draft / "a")
    with pytest.raises(error), atomic_file(folder / "a") as file:
        write(file)
    assert content(folder) == {"a": "old", "b": "old"}
    assert list(folder.parent.iterdir()) == [folder]
    assert len(list(folder.iterdir())) == 2


@pytest.mark.parametrize("script", WRITERS.values(), ids=WRITERS)
def test_a_killed_writer_leaves_the_old_and_a_draft_that_is_swept(folder: Path, script: str) -> None:
    head = (
        "import os, signal, sys; from pathlib import Path; from headgate import files\n"
        "target, die = Path(sys.argv[1]), lambda: os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", head + script, str(folder)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert content(folder) == {"a": "old", "b": "old"}
    sweep(folder)
    sweep(folder.parent)
    assert list(folder.parent.rglob(".tmp-*")) == []
    assert content(folder) == {"a": "old", "b": "old"}


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux swaps two folders in one step")
def test_a_reader_finds_the_folder_at_every_instant(folder: Path) -> None:
    """Opened by its name again and again while it is replaced, the folder is never missing and never half-made."""
    for name in ("a", "b"):
        (folder / name).write_text("0")
    done = threading.Event()

    def write() -> None:
        for number in range(1, 400):
            with atomic_folder(folder) as draft:
                for name in ("a", "b"):
                    (draft / name).write_text(str(number))
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    looks, torn = 0, []
    while not done.is_set():
        handle = os.open(folder, os.O_RDONLY)  # one folder, whatever its name leads to by then
        try:
            names = sorted(entry.name for entry in os.scandir(handle))
            if names and names != ["a", "b"] and folder.stat().st_ino == os.fstat(handle).st_ino:
                torn.append(names)
        finally:
            os.close(handle)
        looks += 1
    writer.join()
    assert looks > 100
    assert torn == []
    assert content(folder) == {"a": "399", "b": "399"}


def test_a_reader_of_a_file_sees_the_old_or_the_new(tmp_path: Path) -> None:
    target = tmp_path / "file"
    long = 1 << 16
    target.write_text("0" * long)
    done = threading.Event()

    def write() -> None:
        for number in range(1, 300):
            with atomic_file(target) as draft:
                draft.write_text(str(number % 10) * long)
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    seen = []
    while not done.is_set():
        text = target.read_text()
        seen.append((len(text), len(set(text))))
    writer.join()
    assert set(seen) == {(long, 1)}


def test_without_a_swap_the_folder_is_replaced_all_the_same(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files.ctypes, "CDLL", lambda name: object())
    with atomic_folder(folder) as draft:
        (draft / "a").write_text("new")
    assert content(folder) == {"a": "new"}
    assert list(folder.parent.iterdir()) == [folder]


def test_sweeping_takes_drafts_and_nothing_else(folder: Path) -> None:
    (folder / ".tmp-half").mkdir()
    (folder / ".tmp-half" / "x").touch()
    (folder / ".tmp-file").touch()
    (folder / ".kept").touch()
    sweep(folder)
    assert {path.name for path in folder.iterdir()} == {"a", "b", ".kept"}


def test_equal_values_are_equal_bytes(tmp_path: Path) -> None:
    write_json(tmp_path / "one", {"b": 1, "a": ["ü", None, 0.1]})
    write_json(tmp_path / "other", {"a": ["ü", None, 0.1], "b": 1})
    assert (tmp_path / "one").read_bytes() == (tmp_path / "other").read_bytes()
    assert read_json(tmp_path / "one") == {"a": ["ü", None, 0.1], "b": 1}


@pytest.mark.parametrize("value", [float("nan"), object()])
def test_what_is_no_json_leaves_the_old_file(tmp_path: Path, value: object) -> None:
    write_json(tmp_path / "file", 1)
    with pytest.raises((ValueError, TypeError)):
        write_json(tmp_path / "file", [value])
    assert read_json(tmp_path / "file") == 1
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("data", [b"", b"x", b"x" * 3_000_000])
def test_the_sum_of_a_file_is_that_of_its_bytes(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "file").write_bytes(data)
    assert sha256(tmp_path / "file") == hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize(
    ("out", "said"),
    [
        ("/proc/no/such.json", "cannot be written"),
        ("a/x.json", "cannot be written .Not a directory"),
        ("y" * 250, "cannot be written .File name too long"),
        (".", "is a folder"),
        ("x.txt", "would be no .json or .png file"),
    ],
)
def test_a_file_that_cannot_be_written_is_refused_before_the_work(folder: Path, out: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        refuse_unwritable(folder / out, ".json", ".png")


def test_asking_whether_a_file_can_be_written_leaves_nothing_behind(folder: Path) -> None:
    refuse_unwritable(folder / "new" / "x.json", ".json", ".png")
    refuse_unwritable(folder / "a")
    assert content(folder) == {"a": "old", "b": "old"}
    assert not [*folder.glob(".tmp-*")]
