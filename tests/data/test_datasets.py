"""Datasets under DVC: every version leads back to its exact data, and `dvc repro` makes the same hashes."""

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from headgate import settings, stages
from headgate.data import datasets
from headgate.domain import Request, get_domain
from headgate.errors import HeadgateError, UsageError

AS_OF = datetime(2026, 1, 22, tzinfo=UTC)


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> settings.Settings:
    return replace(settings.load(), home=tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def recorded(here: settings.Settings, calm: Path) -> tuple[Path, dict]:
    """The two cheap stages, run as functions and recorded: the folder they worked in, and the slice of the lock."""
    domain, request = get_domain("adclicks"), Request(str(calm), AS_OF)
    work = datasets.prepare(here, "adclicks", request)
    stages.snapshot(domain, work, request)
    stages.validate(domain, work)
    return work, datasets.record(here, "adclicks", ["snapshot", "validate"])


def _files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_checkout_restores_the_very_bytes(here: settings.Settings, recorded: tuple[Path, dict], tmp_path: Path) -> None:
    work, lock = recorded
    folders = datasets.checkout(here, lock, tmp_path / "out")
    assert [folder.name for folder in folders] == ["snapshot", "validate"]
    for folder in folders:
        assert _files(folder) == _files(work / folder.name)


def test_a_damaged_remote_is_not_restored(here: settings.Settings, recorded: tuple[Path, dict], tmp_path: Path) -> None:
    _, lock = recorded
    hurt = replace(here, home=tmp_path / "home")
    shutil.copytree(here.home / "dvc", hurt.home / "dvc", copy_function=shutil.copyfile)
    blob = max((hurt.home / "dvc").rglob("*"), key=lambda path: path.stat().st_size if path.is_file() else 0)
    blob.chmod(0o644)
    blob.write_bytes(blob.read_bytes()[:-1] + b"\x00")
    with pytest.raises(HeadgateError, match="DVC could not pull"):
        datasets.checkout(hurt, lock, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_checkout_keeps_what_is_there(here: settings.Settings, recorded: tuple[Path, dict], tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("precious")
    with pytest.raises(UsageError, match="not empty"):
        datasets.checkout(here, recorded[1], tmp_path)
    assert (tmp_path / "mine").read_text() == "precious"


def test_recording_again_changes_nothing(here: settings.Settings, recorded: tuple[Path, dict]) -> None:
    assert datasets.record(here, "adclicks", ["snapshot", "validate"]) == recorded[1]


@pytest.mark.nightly
def test_dvc_repro_finds_nothing_to_do_and_elsewhere_makes_the_same_hashes(
    here: settings.Settings, recorded: tuple[Path, dict], tmp_path: Path
) -> None:
    _, lock = recorded
    assert "didn't change" in _repro(here.datasets) or "up to date" in _repro(here.datasets)
    fresh = tmp_path / "fresh"
    shutil.copytree(here.datasets, fresh, ignore=shutil.ignore_patterns("work", "dvc.lock"))
    config = (fresh / ".dvc" / "config").read_text().replace(str(here.home / "dvc"), str(tmp_path / "dvc"))
    (fresh / ".dvc" / "config").write_text(config)
    _repro(fresh)
    again = yaml.safe_load((fresh / "dvc.lock").read_text())["stages"]
    for name, stage in lock["stages"].items():
        assert again[name]["outs"] == stage["outs"]


def _repro(root: Path) -> str:
    """Really run `dvc repro validate` in a project."""
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(
        [sys.executable, "-m", "dvc", "repro", "validate@adclicks"],
        cwd=root,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_second_holder_is_told_who_holds_the_lock(here: settings.Settings) -> None:
    with (
        datasets.exclusively(here, "adclicks"),
        pytest.raises(HeadgateError, match=rf"process {os.getpid()}"),
        datasets.exclusively(here, "adclicks"),
    ):
        pytest.fail("two holders")


def test_a_lock_goes_with_the_process_that_held_it(here: settings.Settings, tmp_path: Path) -> None:
    script = (
        "import os, signal; from dataclasses import replace; from pathlib import Path; from headgate import settings;"
        "from headgate.data import datasets;"
        f"here = replace(settings.load(), home=Path({str(here.home)!r}));"
        "lock = datasets.exclusively(here, 'adclicks'); lock.__enter__(); os.kill(os.getpid(), signal.SIGKILL)"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == -9
    with datasets.exclusively(here, "adclicks"):
        pass
