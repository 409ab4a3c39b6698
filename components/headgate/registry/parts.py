"""The store of bundles' large parts: what many versions share, a backbone or a gallery, lies there once, by its hash.

It lies among MLflow's artifacts, in a folder of its own. A machine keeps what it has brought there or fetched below its
state folder, and the bundles on it are links to that. Nothing is believed for its name: every use sums it up again.
"""

import os
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from headgate.data.datasets import LOCK_SECONDS, exclusively
from headgate.errors import HeadgateError, in_a_line
from headgate.files import atomic_file, sha256, sweep
from headgate.registry.bundles import MANIFEST, Part, large_parts, read_manifest
from headgate.servers import artifact_root
from headgate.settings import Settings

if TYPE_CHECKING:
    from mlflow import MlflowClient

#: The experiment, without runs, whose place for artifacts is the store's: so the registry knows where it is.
EXPERIMENT = "headgate.parts"


def log_bundle(registry: "MlflowClient", settings: Settings, run_id: str, bundle: Path) -> None:
    """Log a sealed bundle to a run: its large parts to the store, but for those that are there, the rest to the run."""
    upload(registry, settings, bundle)
    large = {bundle / name for name in large_parts(read_manifest(bundle))}
    with TemporaryDirectory() as scratch:
        rest = Path(scratch) / "bundle"
        shutil.copytree(bundle, rest, ignore=lambda at, names: [name for name in names if Path(at, name) in large])
        registry.log_artifacts(run_id, str(rest), "bundle")


def upload(registry: "MlflowClient", settings: Settings, bundle: Path) -> None:
    """Bring the large parts of a sealed bundle to the store, but for those that are there whole."""
    parts = large_parts(read_manifest(bundle))
    if not parts:
        return
    store = _store(registry, settings)
    there = {one.path: one.file_size for one in store.list_artifacts()}
    with exclusively(settings, "parts", wait=LOCK_SECONDS):
        for name, part in parts.items():
            kept = settings.parts / part.sha256
            if not _is_whole(kept, part):
                _link(bundle / name, kept)
            if there.get(part.sha256) != part.bytes:  # missing, or cut off by a kill
                store.log_artifact(str(kept))


def bring(registry: "MlflowClient", settings: Settings, folder: Path, expected: str | None) -> None:
    """Put the large parts that the manifest in `folder`, with the `expected` id, names there under their names.

    Raises HeadgateError that names the first which the store has not, or not as it was sealed.
    """
    for name, part in large_parts(read_manifest(folder, expected)).items():
        with exclusively(settings, "parts", wait=LOCK_SECONDS):
            kept = settings.parts / part.sha256
            if not _is_whole(kept, part):
                _download(registry, settings, name, part)
            _link(kept, folder / name)


def stored(registry: "MlflowClient", settings: Settings) -> dict[str, int]:
    """The bytes of each part that is in the store or on this machine, by its hash."""
    store = _existing(registry)
    found = {one.path: one.file_size or 0 for one in store.list_artifacts()} if store else {}
    return {path.name: path.stat().st_size for path in sorted(settings.parts.glob("[!.]*"))} | found


def recorded(run_id: str) -> dict[str, Any]:
    """The manifest of the bundle that a run logged. HeadgateError if nobody can say which parts it names."""
    from mlflow.artifacts import load_dict

    try:
        return dict(load_dict(f"runs:/{run_id}/bundle/{MANIFEST}"))
    except Exception as error:
        raise HeadgateError(
            f"The artifacts of run {run_id} cannot be read ({in_a_line(error)}), so nobody can say which parts are "
            "needed. Nothing was removed: see to MLflow's artifact store."
        ) from error


def remove(registry: "MlflowClient", settings: Settings, digest: str) -> None:
    """Remove a part from the store and from this machine."""
    store = _existing(registry)
    if store and digest in {one.path for one in store.list_artifacts()}:
        store.delete_artifacts(digest)
    (settings.parts / digest).unlink(missing_ok=True)


def _download(registry: "MlflowClient", settings: Settings, name: str, part: Part) -> None:
    """Fetch a part to this machine. The caller holds the lock."""
    settings.parts.mkdir(parents=True, exist_ok=True)
    sweep(settings.parts)  # what killed processes had fetched of parts
    store = _store(registry, settings)
    with TemporaryDirectory(prefix=".tmp-", dir=settings.parts) as scratch:
        try:
            got = Path(store.download_artifacts(part.sha256, dst_path=scratch))
        except Exception as error:
            raise HeadgateError(
                f"The part {name} ({part.sha256[:12]}…) could not be fetched from {store.artifact_uri} "
                f"({in_a_line(error)}). Restore it from a backup, or retrain."
            ) from error
        if not _is_whole(got, part):
            raise HeadgateError(
                f"The part {name} in {store.artifact_uri} is not what was sealed ({part.sha256[:12]}…): delete it "
                "there and restore it from a backup, or retrain."
            )
        got.replace(settings.parts / part.sha256)


def _store(registry: "MlflowClient", settings: Settings) -> Any:
    """MLflow's artifact repository for the store, which is made if it is not there."""
    if (store := _existing(registry)) is None:
        registry.create_experiment(EXPERIMENT, f"{artifact_root(settings)}/parts")
        store = _existing(registry)
    return store


def _existing(registry: "MlflowClient") -> Any:
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    there = registry.get_experiment_by_name(EXPERIMENT)
    return get_artifact_repository(there.artifact_location) if there else None


def _is_whole(path: Path, part: Part) -> bool:
    return path.is_file() and path.stat().st_size == part.bytes and sha256(path) == part.sha256


def _link(source: Path, target: Path) -> None:
    """Let `target` be the same file as `source`, or a copy of it where they lie on two disks."""
    with atomic_file(target) as draft:
        try:
            os.link(source, draft)
        except OSError:
            shutil.copyfile(source, draft)
