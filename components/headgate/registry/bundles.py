"""A bundle is what a version *is*: model, thresholds, certificate, scorecard, and a manifest of SHA-256 sums.

It moves, rolls back and is verified as one. Nothing in it is a pickle.
"""

import shutil
from pathlib import Path
from typing import Any

from headgate.errors import HeadgateError
from headgate.files import atomic_folder, read_json, sha256, write_json

MANIFEST = "manifest.json"

#: What a version describes itself by; `domain` names the code that can load it.
CARD = "bundle.json"


def seal_bundle(parts: list[Path], target: Path) -> str:
    """Copy the files of `parts` into `target`, write their manifest, and return the bundle's id."""
    with atomic_folder(target) as draft:
        for part in parts:
            if part.is_dir():
                shutil.copytree(part, draft, dirs_exist_ok=True)
            else:
                shutil.copyfile(part, draft / part.name)
        files = sorted(path for path in draft.rglob("*") if path.is_file())
        write_json(draft / MANIFEST, {str(path.relative_to(draft)): sha256(path) for path in files})
    return bundle_id(target)


def bundle_id(folder: Path) -> str:
    """The bundle's id: the SHA-256 of its manifest."""
    return sha256(folder / MANIFEST)


def verify(folder: Path, expected: str | None = None) -> str:
    """Check every file against the manifest, and the manifest against the `expected` id; return the id."""
    if not (folder / MANIFEST).is_file():
        raise HeadgateError(f"{folder} is no bundle: it has no {MANIFEST}.")
    identity = bundle_id(folder)
    if expected is not None and identity != expected:
        raise HeadgateError(f"The bundle in {folder} is not the registered one: its manifest differs. Fetch it again.")
    manifest: dict[str, str] = read_json(folder / MANIFEST)
    present = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()} - {MANIFEST}
    wrong = sorted(present ^ manifest.keys())
    wrong += sorted(name for name in present & manifest.keys() if sha256(folder / name) != manifest[name])
    if wrong:
        raise HeadgateError(f"The bundle in {folder} is damaged: {', '.join(wrong[:5])} do not match its manifest.")
    return identity


def card(folder: Path) -> dict[str, Any]:
    """What the bundle says of itself."""
    value: dict[str, Any] = read_json(folder / CARD)
    return value
