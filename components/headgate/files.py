"""Atomic writes and content hashes: a reader sees a whole file or folder, or none."""

import ctypes
import hashlib
import json
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from headgate.errors import UsageError

_HERE, _RENAME_EXCHANGE = -100, 2  # AT_FDCWD and a flag of renameat2(2)


@contextmanager
def atomic_folder(target: Path) -> Iterator[Path]:
    """Yield an empty folder beside `target` that takes its place when the block ends without an error.

    A killed process leaves at most a `.tmp-…` folder behind, which `sweep` removes.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.parent / f".tmp-{target.name}-{uuid.uuid4().hex[:8]}"
    draft.mkdir()
    try:
        yield draft
        if target.exists():
            _exchange(draft, target)  # the draft is now what was there, and goes
        else:
            draft.rename(target)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _exchange(draft: Path, target: Path) -> None:
    """Swap two folders in one step, so that there is always one under `target`'s name; in two where none is offered."""
    swap = getattr(ctypes.CDLL(None), "renameat2", None)  # Linux; Python does not offer it
    if swap is not None and swap(_HERE, os.fsencode(draft), _HERE, os.fsencode(target), _RENAME_EXCHANGE) == 0:
        return
    old = draft.with_name(draft.name + "-old")
    target.rename(old)
    draft.rename(target)
    old.rename(draft)


@contextmanager
def atomic_file(target: Path) -> Iterator[Path]:
    """Yield a path beside `target` that is renamed to it when the block ends without an error."""
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.parent / f".tmp-{uuid.uuid4().hex[:8]}-{target.name}"
    try:
        yield draft
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)


def refuse_unwritable(out: Path, *suffixes: str) -> None:
    """Raise UsageError where no file, or none of this kind, can be written to `out`; asked before the work."""
    try:
        if out.is_dir():
            raise UsageError(f"{out} is a folder: name a file.")
        there = next(folder for folder in out.absolute().parents if folder.exists())
        with tempfile.NamedTemporaryFile(dir=there, prefix=".tmp-", suffix=f"-{out.name}"):  # a name like any draft's
            pass
    except OSError as error:
        raise UsageError(f"{out} cannot be written ({error.strerror}): name another file.") from error
    if suffixes and out.suffix not in suffixes:
        raise UsageError(f"{out} would be no {' or '.join(suffixes)} file: give its name that ending.")


def sweep(folder: Path) -> None:
    """Remove what killed processes left half-made directly below `folder`. The caller holds its lock."""
    for draft in folder.glob(".tmp-*"):
        if draft.is_dir():
            shutil.rmtree(draft, ignore_errors=True)
        else:
            draft.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    """Write `value` as JSON with sorted keys, so that equal values are equal bytes."""
    with atomic_file(path) as draft:
        draft.write_text(json.dumps(value, indent=2, sort_keys=True, allow_nan=False) + "\n", encoding="utf-8")


def read_json(path: Path) -> Any:
    """Read the JSON in `path`."""
    return json.loads(path.read_text(encoding="utf-8"))


def sha256(path: Path) -> str:
    """Hex SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
