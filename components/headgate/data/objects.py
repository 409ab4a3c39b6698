"""The objects of the DVC store: which there are, and which a recorded run needs. For whoever removes the others.

DVC keeps a file under its MD5, as `files/md5/AB/CDEF…`, and of a folder a list of its files as `….dir` beside them.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from headgate.errors import HeadgateError
from headgate.settings import Settings

if TYPE_CHECKING:
    from mlflow import MlflowClient

#: Where the slice of `dvc.lock` lies among a run's artifacts.
LOCK = "data/dvc.lock"


def stored(settings: Settings) -> Iterator[tuple[str, Path]]:
    """The objects of the local store: id and file."""
    for path in sorted((settings.home / "dvc" / "cache" / "files" / "md5").glob("??/[!.]*")):
        yield path.parent.name + path.name, path


def needed(settings: Settings, lock: Mapping[str, Any]) -> set[str]:
    """The ids of the objects that a `dvc.lock`, or a slice of one, leads to.

    Raises HeadgateError where the list of a folder is nowhere: what lies in it cannot be told then.
    """
    ids: set[str] = set()
    for stage in lock.get("stages", {}).values():
        for one in [*stage.get("deps", ()), *stage.get("outs", ())]:
            if "md5" in one:
                ids.add(one["md5"])
    for folder in [one for one in ids if one.endswith(".dir")]:
        path = settings.home / "dvc" / "cache" / "files" / "md5" / folder[:2] / folder[2:]
        if path.is_file():
            ids |= {file["md5"] for file in json.loads(path.read_text(encoding="utf-8"))}
        elif settings.data_remote is None:  # with a remote, what is not here is there
            raise HeadgateError(
                f"The data store lacks {folder}, which a version needs. Nothing was removed: restore it from a backup."
            )
    return ids


def newest(settings: Settings) -> dict[str, Any]:
    """The lock of the newest run of every domain."""
    path = settings.datasets / "dvc.lock"
    return dict(yaml.safe_load(path.read_text(encoding="utf-8")) or {}) if path.is_file() else {}


def recorded(registry: "MlflowClient", run_id: str) -> dict[str, Any]:
    """The slice of `dvc.lock` that a run recorded; empty where it recorded no data. HeadgateError if nobody can say."""
    try:
        if LOCK not in {file.path for file in registry.list_artifacts(run_id, "data")}:
            return {}
        from mlflow.artifacts import load_text

        return dict(yaml.safe_load(load_text(f"runs:/{run_id}/{LOCK}")))
    except Exception as error:
        raise HeadgateError(
            f"The artifacts of run {run_id} cannot be read ({type(error).__name__}), so nobody can say which data is "
            "needed. Nothing was removed: see to MLflow's artifact store."
        ) from error
