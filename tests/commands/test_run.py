"""`headgate run STAGE DOMAIN`: a stage as `dvc.yaml` runs it, and the files that it refuses."""

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

from headgate.domains.adclicks.simulated.simulator import simulate
from headgate.domains.adclicks.simulated.sizes import ClickSizes

from .said import Headgate, files


@pytest.fixture
def asked(tmp_path: Path) -> Callable[..., list[str]]:
    """The options that lead `headgate run` to a request."""

    def write(source: Path, *, workspace: Path | None = None, as_of: str = "2026-01-08") -> list[str]:
        values = {"workspace": str(workspace or tmp_path), "adclicks": {"source": str(source), "as_of": as_of}}
        (tmp_path / "params.yaml").write_text(yaml.safe_dump(values))
        return ["adclicks", "--params", str(tmp_path / "params.yaml")]

    return write


def test_a_stage_runs_and_tells_how_long_it_took(headgate: Headgate, asked: Any, tiny: Path, tmp_path: Path) -> None:
    said = headgate("run", "snapshot", *asked(tiny))
    assert (said.code, said.out) == (0, "")
    assert said.err.startswith("  snapshot")
    assert (tmp_path / "adclicks" / "snapshot" / "snapshot.json").is_file()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "workspace: w",
        "workspace: w\nadclicks:",
        "workspace: w\nadclicks: {source: s}",
        "adclicks: {source: s, as_of: '2026-01-08'}",
        "workspace: w\nadclicks: {{{",
        "\x00",
    ],
)
def test_params_that_hold_no_request_are_a_usage_error(headgate: Headgate, tmp_path: Path, text: str) -> None:
    (tmp_path / "params.yaml").write_text(text)
    said = headgate("run", "snapshot", "adclicks", "--params", tmp_path / "params.yaml")
    assert said.code == 2
    assert "params.yaml holds no request for adclicks: it needs `workspace`, and `adclicks` with" in said.sentence


def _truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _no_parquet(path: Path) -> None:
    path.write_text("click_id,user_id\n")


def _more_columns(path: Path) -> None:
    pl.read_parquet(path).with_columns(colour=pl.lit("red")).write_parquet(path)


def _fewer_columns(path: Path) -> None:
    pl.read_parquet(path).drop("ip").write_parquet(path)


def _other_types(path: Path) -> None:
    pl.read_parquet(path).with_columns(pl.col("event_time").cast(pl.String)).write_parquet(path)


def _no_rows(path: Path) -> None:
    pl.read_parquet(path).clear().write_parquet(path)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (_truncated, "is no whole Parquet file: copy or export it again."),
        (_empty, "is empty (0 bytes): copy or export it again."),
        (_no_parquet, "is no whole Parquet file: copy or export it again."),
        (_more_columns, "has the column colour, which clicks does not know: remove it."),
        (_fewer_columns, "lacks the column ip of clicks: add it."),
        (_other_types, "column event_time is String, expected Datetime"),
        (_no_rows, "holds no clicks: remove it, or export that day again."),
    ],
)
def test_a_spoilt_file_is_refused_and_the_last_snapshot_stays(
    headgate: Headgate, asked: Any, tiny: Path, tmp_path: Path, spoil: Callable[[Path], None], words: str
) -> None:
    assert headgate("run", "snapshot", *asked(tiny)).code == 0
    before = files(tmp_path / "adclicks")
    for path in tiny.rglob("*.parquet"):
        target = tmp_path / "source" / path.relative_to(tiny)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    spoil(tmp_path / "source" / "clicks" / "2026-01-06.parquet")
    said = headgate("run", "snapshot", *asked(tmp_path / "source"))
    assert said.code == 4
    assert said.sentence.startswith(str(tmp_path / "source" / "clicks" / "2026-01-06.parquet"))
    assert words in said.sentence
    assert files(tmp_path / "adclicks") == before
    assert [path.name for path in (tmp_path / "adclicks").iterdir()] == ["snapshot"]


def test_an_empty_source_is_refused(headgate: Headgate, asked: Any, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    said = headgate("run", "snapshot", *asked(tmp_path / "empty"))
    assert said.code == 4
    assert f"{tmp_path / 'empty'} has no clicks from" in said.sentence


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 3 MB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=3m", "none", disk], capture_output=True, text=True, check=False
    )
    if mount.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {mount.stderr.strip()}")
    yield disk
    subprocess.run(["umount", disk], check=True)


def test_a_full_disk_is_told_and_leaves_what_was_there(
    headgate: Headgate, asked: Any, small_disk: Path, tmp_path: Path
) -> None:
    simulate(tmp_path / "raw", ClickSizes(days=17, clicks_per_day=1_000), seed=1)
    options = asked(tmp_path / "raw", workspace=small_disk, as_of="2026-01-22")
    assert headgate("run", "snapshot", *options).code == 0
    work = small_disk / "adclicks"
    (work / "validate").mkdir()
    (work / "train").mkdir()
    (work / "train" / "model").write_text("old")
    before = files(work)
    with pytest.raises(OSError, match="No space left"):
        (small_disk / "ballast").write_bytes(b"\0" * (3 << 20))
    os.truncate(small_disk / "ballast", (small_disk / "ballast").stat().st_size - (40 << 10))
    for stage in ("train", "snapshot"):
        said = headgate("run", stage, *options)
        assert said.code == 1
        assert said.sentence.startswith("The disk is full. What was there before is unchanged: make room")
        assert files(work) == before
        assert {path.name for path in work.iterdir()} == {"snapshot", "validate", "train"}
