"""Atomic writes and content hashes: a reader sees a whole file or folder, or none."""

import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


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
            old = draft.with_name(draft.name + "-old")
            target.rename(old)
            draft.rename(target)
            shutil.rmtree(old)
        else:
            draft.rename(target)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


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


def link_or_copy(source: Path, target: Path) -> None:
    """Hard-link `source` to `target`, or copy it where the file system cannot."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
