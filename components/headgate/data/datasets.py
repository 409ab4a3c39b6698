"""Datasets under DVC: what the stages made is recorded, pushed, and restored for any version, without git.

The daily runs have a DVC project of their own in the state folder, with its cache and lock, so that they never dirty
the checkout. It reads the same `dvc.yaml`; only `params.yaml` is its own, written from the run's arguments.
"""

import fcntl
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from headgate.domain import Request
from headgate.errors import HeadgateError, UsageError
from headgate.files import atomic_file, atomic_folder
from headgate.settings import SAFE_PATH, Settings

#: The top-level pipeline. In an installed wheel there is none: the checkout's is looked for from the working folder up.
PIPELINE = "dvc.yaml"

#: How long one run waits for another that records its data.
LOCK_SECONDS = 600


def work_folder(settings: Settings, domain: str) -> Path:
    """Where the stages of `domain` work, inside the DVC project of the daily runs."""
    return settings.datasets / "work" / domain


def pipeline() -> Path:
    """The checkout's `dvc.yaml`."""
    start = Path(__file__).resolve().parents[3]
    for folder in (start, Path.cwd(), *Path.cwd().parents):
        if (folder / PIPELINE).is_file() and (folder / "flows").is_dir():
            return folder / PIPELINE
    raise UsageError("No checkout of Headgate around here: run the command inside one, where dvc.yaml and flows/ are.")


def prepare(settings: Settings, domain: str, request: Request) -> Path:
    """Bring the DVC project of the daily runs up to date for `request`; return the folder that `domain` works in."""
    root = settings.datasets
    dvc = root / ".dvc"
    dvc.mkdir(parents=True, exist_ok=True)
    _write(root / PIPELINE, pipeline().read_text(encoding="utf-8"))
    _write(dvc / "config", _config(settings))
    params = yaml.safe_load((root / "params.yaml").read_text(encoding="utf-8")) if _has(root / "params.yaml") else {}
    params |= {"workspace": "work", domain: parameters(request)}
    _write(root / "params.yaml", yaml.safe_dump(params, sort_keys=True))
    return work_folder(settings, domain)


def parameters(request: Request) -> dict[str, Any]:
    """A request as `params.yaml` holds it. The instant is text: YAML would read it as a date of its own."""
    return {
        "source": request.source,
        "as_of": request.as_of.isoformat(),
        "base": request.base or "",
        "seed": request.seed,
    }


def record(settings: Settings, domain: str, stages: list[str]) -> dict[str, Any]:
    """Commit what the stages of `domain` made to the cache, push it, and return their slice of `dvc.lock`.

    The caller holds the lock of `exclusively`.
    """
    names = [f"{stage}@{domain}" for stage in stages]
    _dvc(settings.datasets, "commit", "--force", *names)
    _dvc(settings.datasets, "push", *names)
    lock = yaml.safe_load((settings.datasets / "dvc.lock").read_text(encoding="utf-8"))
    return {"schema": lock["schema"], "stages": {name: lock["stages"][name] for name in names}}


def data_version(lock: dict[str, Any]) -> str:
    """The data version of a run: the hash that DVC gave to its snapshot."""
    for name, stage in lock["stages"].items():
        if name.startswith("snapshot@"):
            return str(stage["outs"][0]["md5"]).removesuffix(".dir")
    raise HeadgateError("The recorded lock has no snapshot: this version was not made by `headgate retrain`.")


def checkout(settings: Settings, lock: dict[str, Any], target: Path) -> list[Path]:
    """Restore from the DVC remote the folders that `lock` recorded, each verified, as folders of `target`."""
    if target.is_file() or (target.is_dir() and any(target.iterdir())):
        raise UsageError(f"{target} is not empty, or is a file: give a new folder with --out.")
    with atomic_folder(target) as draft:
        (draft / ".dvc").mkdir()
        _write(draft / ".dvc" / "config", _config(settings, cache=draft / ".dvc" / "cache", verify=True))
        slim: dict[str, Any] = {}
        for name, stage in lock["stages"].items():
            outs = [out | {"path": Path(out["path"]).name} for out in stage["outs"]]
            slim[name.partition("@")[0]] = {"cmd": "true", "outs": outs}
        plain = {name: {"cmd": "true", "outs": [out["path"] for out in s["outs"]]} for name, s in slim.items()}
        _write(draft / PIPELINE, yaml.safe_dump({"stages": plain}))
        _write(draft / "dvc.lock", yaml.safe_dump({"schema": lock["schema"], "stages": slim}))
        _dvc(draft, "pull")
        shutil.rmtree(draft / ".dvc")
        for extra in (PIPELINE, "dvc.lock", ".dvcignore"):
            (draft / extra).unlink(missing_ok=True)
    return sorted(path for path in target.iterdir() if path.is_dir())


@contextmanager
def exclusively(settings: Settings, what: str, *, suffix: str = "lock", wait: float = 0.0) -> Iterator[None]:
    """Hold a lock on `what` for this machine, one for each `suffix`; a second holder waits, or is told who has it."""
    path = settings.home / "locks" / f"{what}.{suffix}"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as file:
        deadline = time.monotonic() + wait
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    file.seek(0)
                    raise HeadgateError(
                        f"Another run holds {what} (process {file.read().strip() or 'unknown'}). "
                        "Nothing was changed: wait until it is done, or stop it."
                    ) from None
                time.sleep(0.1)
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def _dvc(root: Path, *arguments: str) -> None:
    """Run a DVC command in the project at `root`. In a process of its own: DVC reads paths in the working folder."""
    done = subprocess.run(
        [sys.executable, "-m", "dvc", *arguments, "--quiet"],
        cwd=root,
        env=os.environ | SAFE_PATH,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        said = " ".join(done.stderr.split()) or f"exit code {done.returncode}"
        raise HeadgateError(
            f"DVC could not {arguments[0]} the data: {said[:500]}. Check the disk and HEADGATE_DATA_REMOTE."
        )


def _config(settings: Settings, *, cache: Path | None = None, verify: bool = False) -> str:
    """DVC's configuration: no git, cache and remote in the state folder unless a remote was set."""
    store = settings.home / "dvc"
    remote = settings.data_remote or str(store / "cache")  # a local remote and the cache are one: one copy on disk
    cache = cache or store / "cache"
    lines = [
        "[core]",
        "no_scm = true",
        "analytics = false",
        "remote = store",
        f"site_cache_dir = {store / 'site'}",
        "[cache]",
        f"dir = {cache}",
        'type = "reflink,hardlink,copy"',
        "['remote \"store\"']",
        f"url = {remote}",
    ]
    if verify:
        lines.append("verify = true")
    return "\n".join(lines) + "\n"


def _has(path: Path) -> bool:
    return path.is_file() and path.stat().st_size > 0


def _write(path: Path, text: str) -> None:
    """Write `text` unless it is there already, so that an unchanged file keeps its time."""
    if path.is_file() and path.read_text(encoding="utf-8") == text:
        return
    with atomic_file(path) as draft:
        draft.write_text(text, encoding="utf-8")
