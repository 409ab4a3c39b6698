"""A bundle is what a version *is*: model, thresholds, certificate, scorecard, and a manifest of SHA-256 sums.

It moves, rolls back and is verified as one. Nothing in it is a pickle. The manifest names a large file by its size too:
such a part is stored once for all versions that share it (`registry.parts`), and lies in each folder under its name.
"""

import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headgate.errors import HeadgateError
from headgate.files import atomic_folder, read_json, sha256, write_json

MANIFEST = "manifest.json"

#: What a version describes itself by; `domain` names the code that can load it.
CARD = "bundle.json"

#: A file of at least so many bytes is a large part, such as a backbone or a gallery.
LARGE = 8 << 20


@dataclass(frozen=True)
class Part:
    """A large part, as a manifest names it."""

    sha256: str
    bytes: int


def seal_bundle(parts: list[Path], target: Path) -> str:
    """Copy the files of `parts` into `target`, write their manifest, and return the bundle's id."""
    with atomic_folder(target) as draft:
        for part in parts:
            if part.is_dir():
                shutil.copytree(part, draft, dirs_exist_ok=True)
            else:
                shutil.copyfile(part, draft / part.name)
        files = sorted(path for path in draft.rglob("*") if path.is_file())
        write_json(draft / MANIFEST, {str(path.relative_to(draft)): _named(path) for path in files})
    return bundle_id(target)


def _named(path: Path) -> str | dict[str, Any]:
    """How the manifest names a file: by its hash, and where it is large by its size too."""
    size = path.stat().st_size
    return sha256(path) if size < LARGE else {"sha256": sha256(path), "bytes": size}


def bundle_id(folder: Path) -> str:
    """The bundle's id: the SHA-256 of its manifest."""
    return sha256(folder / MANIFEST)


def read_manifest(folder: Path, expected: str | None = None) -> dict[str, Any]:
    """The manifest, held against the `expected` id: file → its SHA-256, or what names a large part."""
    if not (folder / MANIFEST).is_file():
        raise HeadgateError(f"{folder} is no bundle: it has no {MANIFEST}.")
    if expected is not None and bundle_id(folder) != expected:
        raise HeadgateError(f"The bundle in {folder} is not the registered one: its manifest differs. Fetch it again.")
    manifest: dict[str, Any] = read_json(folder / MANIFEST)
    return manifest


def verify(folder: Path, expected: str | None = None) -> str:
    """Check every file against the manifest, and the manifest against the `expected` id; return the id."""
    manifest = read_manifest(folder, expected)
    sums = {name: named if isinstance(named, str) else named["sha256"] for name, named in manifest.items()}
    present = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()} - {MANIFEST}
    wrong = sorted(present ^ sums.keys())
    wrong += sorted(name for name in present & sums.keys() if sha256(folder / name) != sums[name])
    if wrong:
        raise HeadgateError(f"The bundle in {folder} is damaged: {', '.join(wrong[:5])} do not match its manifest.")
    return bundle_id(folder)


def large_parts(manifest: Mapping[str, Any]) -> dict[str, Part]:
    """The large parts that a manifest names, by the path of each in the bundle. HeadgateError for a forged one."""
    found = {name: Part(**named) for name, named in manifest.items() if not isinstance(named, str)}
    for name, part in found.items():
        outside = Path(name).is_absolute() or ".." in Path(name).parts
        if outside or not re.fullmatch("[0-9a-f]{64}", part.sha256):
            raise HeadgateError(f"The manifest names a part {name!r} that no bundle has: take another version.")
    return found


def card(folder: Path) -> dict[str, Any]:
    """What the bundle says of itself."""
    value: dict[str, Any] = read_json(folder / CARD)
    return value
