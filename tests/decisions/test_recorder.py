"""What was logged is read back: after a kill, on a full disk, through midnight, whatever it holds."""

import os
import re
import resource
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal
from prometheus_client import REGISTRY

from headgate import settings as settings_module
from headgate.contract.live import DecisionLog
from headgate.contract.row import INSTANT, Row
from headgate.decisions import recorder as recorder_module
from headgate.decisions.compaction import compact
from headgate.decisions.layout import day_of, open_folder
from headgate.decisions.reading import find, gaps, listed, parts
from headgate.decisions.recorder import Ids, Segments
from headgate.settings import Settings

from .made import LOG
from .rows import NOON, micros, rows


def ids_in(settings: Settings) -> list[str]:
    return [one for _, part in parts(settings, LOG) for one in part["decision_id"]]


def metric(name: str) -> float:
    return REGISTRY.get_sample_value(name, {"domain": "rooms"}) or 0.0


#: A log with a column of every kind that a log can have.
OF_ALL = DecisionLog(
    "all",
    {
        "text": pl.String(),
        "flag": pl.Boolean(),
        "small": pl.Int8(),
        "number": pl.Float32(),
        "at": INSTANT,
        "vector": pl.Array(pl.Float32, 5),
    },
)


class OfAll(Row, frozen=True, array_like=True, gc=False):
    """Its rows: instants are microseconds, vectors the bytes of float32."""

    text: str | None
    flag: bool | None
    small: int | None
    number: float | None
    at: int | None
    vector: bytes | None


text = st.text(st.characters(codec="utf-8"), max_size=20)
instant = st.integers(micros(datetime(1971, 1, 1, tzinfo=UTC)), micros(datetime(2100, 1, 1, tzinfo=UTC)))
vector = st.lists(st.floats(width=32), min_size=5, max_size=5)
told = st.fixed_dictionaries(
    {
        "decided_at": instant,
        "version": st.integers(0, 2**31 - 1),
        "slice": text,
        "companions": text,
        "role": st.sampled_from(["champion", "canary", "default"]),
        "outcome": st.sampled_from(["fine", "cold", "hot"]),
        "text": st.none() | text,
        "flag": st.none() | st.booleans(),
        "small": st.none() | st.integers(-128, 127),
        "number": st.none() | st.floats(0, 1, width=32),
        "at": st.none() | instant,
        "vector": st.none() | vector.map(lambda v: np.array(v, np.float32).tobytes()),
    }
)


@given(st.lists(st.lists(told, min_size=1, max_size=4), min_size=1, max_size=4))
@hypothesis_settings(max_examples=30)
def test_what_is_read_is_what_was_recorded_and_folding_changes_nothing(requests: list[list[dict]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        settings = replace(settings_module.load(), home=Path(folder))
        recorder, written = Segments(settings), []
        for number, request in enumerate(requests):
            batch = [OfAll(f"{number}-{n}", bundle="b" * 64, **one) for n, one in enumerate(request)]
            recorder.record("all", batch)
            written += batch
        written.sort(key=lambda one: one.decided_at)
        still_open = list(parts(settings, OF_ALL))
        recorder.roll(everything=True)
        assert compact(settings, OF_ALL) == [part for part, _ in still_open]
        ((_, read),) = parts(settings, OF_ALL)
        assert_frame_equal(read, still_open[0][1])
        for name in set(read.columns) - {"decided_at", "at", "vector"}:
            assert read[name].to_list() == [getattr(one, name) for one in written], name
        for name in ("decided_at", "at"):
            assert read[name].dt.epoch("us").to_list() == [getattr(one, name) for one in written], name
        for vector, one in zip(read["vector"], written, strict=True):
            served = None if vector is None else np.array(vector, np.float32)
            expected = None if one.vector is None else np.frombuffer(one.vector, np.float32)
            assert (served is None) == (expected is None)
            assert served is None or np.array_equal(served, expected, equal_nan=True)


@contextmanager
def writers(settings: Settings, *names: str) -> Iterator[list[subprocess.Popen]]:
    """Processes that log until they are killed; what they acknowledge goes to state/NAME.txt."""
    settings.home.mkdir(parents=True, exist_ok=True)
    started = []
    root = Path(__file__).parents[2]
    for name in names:
        with (settings.home / f"{name}.txt").open("wb") as out:
            command = [sys.executable, "-m", "tests.decisions.rows", name]
            started.append(subprocess.Popen(command, stdout=out, cwd=root))
    try:
        yield started
    finally:
        for process in started:
            process.kill()
            process.wait()


def acknowledged(settings: Settings, name: str) -> list[str]:
    lines = (settings.home / f"{name}.txt").read_text().split("\n")
    return lines[:-1]  # the last was cut off, or is empty


def until_acknowledged(settings: Settings, name: str, rows: int) -> None:
    deadline = datetime.now(UTC) + timedelta(seconds=60)
    while len(acknowledged(settings, name)) < rows:
        assert datetime.now(UTC) < deadline, "it did not happen in time"


def test_every_acknowledged_row_of_two_workers_survives_their_kill(settings: Settings) -> None:
    """And those of a worker that lives are left to it while the other's are folded."""
    with writers(settings, "a", "b") as (first, second):
        until_acknowledged(settings, "a", 2_000)
        until_acknowledged(settings, "b", 2_000)
        os.kill(first.pid, signal.SIGKILL)
        first.wait()
        assert any(f"-{first.pid}-" in part for part in compact(settings, LOG))
        left = [path.name for path in open_folder(settings, "rooms").glob("*.seg")]
        assert left
        assert all(f"-{second.pid}-" in name for name in left)
        before = len(acknowledged(settings, "b"))
        until_acknowledged(settings, "b", before + 500)
        os.kill(second.pid, signal.SIGKILL)
        second.wait()
    for _ in range(2):
        logged = ids_in(settings)
        assert len(set(logged)) == len(logged)
        for name in ("a", "b"):
            mine = [one for one in logged if one.startswith(f"{name}-")]
            told = acknowledged(settings, name)
            assert mine[: len(told)] == told
            assert len(mine) - len(told) <= 4, "at most the request that was not answered"
        compact(settings, LOG)
    assert not list(open_folder(settings, "rooms").iterdir())
    assert gaps(settings, "rooms") == []


def test_a_frame_cut_off_anywhere_is_dropped_and_is_no_gap(settings: Settings) -> None:
    recorder = Segments(settings)
    recorder.record("rooms", rows(["kept"]))
    (segment,) = open_folder(settings, "rooms").glob("*.seg")
    whole = segment.stat().st_size
    recorder.record("rooms", rows(["torn"]))
    recorder.roll(everything=True)
    written = segment.read_bytes()
    for size in range(whole, len(written)):
        segment.write_bytes(written[:size])
        assert ids_in(settings) == ["kept"]
        assert gaps(settings, "rooms") == []
    compact(settings, LOG)
    assert ids_in(settings) == ["kept"]


def test_what_the_disk_gave_back_otherwise_is_no_row_and_marks_the_interval(settings: Settings) -> None:
    recorder = Segments(settings)
    recorder.record("rooms", rows(["kept"]))
    (segment,) = open_folder(settings, "rooms").glob("*.seg")
    at = segment.stat().st_size + 20
    recorder.record("rooms", rows(["hurt"]))
    recorder.roll(everything=True)
    data = bytearray(segment.read_bytes())
    data[at] ^= 1
    segment.write_bytes(data)
    for _ in range(2):
        assert ids_in(settings) == ["kept"]
        (gap,) = gaps(settings, "rooms")
        assert (gap.rows, gap.damaged > 0) == (0, True)
        compact(settings, LOG)


@contextmanager
def tiny_disk(folder: Path) -> Iterator[tuple]:
    """A file system of 64 KiB at `folder`: how to fill it, and how to make room."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder]
    mounted = subprocess.run(mount, capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.strip()}")
    filler = folder / "filler"
    try:
        filler.write_bytes(b"x" * 32_768)
        yield lambda: None, filler.unlink
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


@contextmanager
def small_files(folder: Path, size: int = 20_000) -> Iterator[tuple]:
    """No file may grow beyond `size` bytes, until it may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    def limit(size: int) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))

    try:
        yield lambda: limit(size), lambda: limit(soft)
    finally:
        limit(soft)


@pytest.mark.parametrize("disk", [tiny_disk, small_files])
def test_on_a_full_disk_answers_go_on_and_the_lost_rows_are_counted_exactly(settings, tmp_path, disk, caplog) -> None:
    with disk(tmp_path / "disk") as (fill, make_room):
        here = replace(settings, home=tmp_path / "disk" / "state")
        recorder, told, lost_before = Segments(here), 0, metric("headgate_log_lost_rows_total")
        recorder.record("rooms", rows(["first"]))
        fill()
        for number in range(200):
            at = NOON + timedelta(seconds=number)
            ids = [f"{number}-{n}" for n in range(number % 3 + 1)]
            recorder.record("rooms", rows(ids, at=at))
            told += len(ids)
        logged = set(ids_in(here)) - {"first"}
        lost = told - len(logged)
        assert 0 < len(logged) < told
        assert metric("headgate_log_lost_rows_total") - lost_before == lost
        assert metric("headgate_log_failing") == 1
        (gap,) = gaps(here, "rooms")  # although the disk is full: a kill now would keep the count
        assert (gap.rows, gap.damaged) == (lost, 0)
        first_lost = next(n for n in range(200) if f"{n}-0" not in logged)
        assert gap.since == NOON + timedelta(seconds=first_lost)
        assert gap.until == NOON + timedelta(seconds=199)
        make_room()
        recorder.record("rooms", rows(["after"], at=NOON + timedelta(hours=1)))
        assert metric("headgate_log_failing") == 0
        assert {"first", "after"} | logged == set(ids_in(here))
        recorder.roll(everything=True)
        compact(here, LOG)
        assert {"first", "after"} | logged == set(ids_in(here))
        assert [gap.rows for gap in gaps(here, "rooms")] == [lost]
        assert gaps(here, "rooms", since=NOON + timedelta(minutes=30)) == []
    said = " ".join(record.getMessage() for record in caplog.records)
    # A short row may still fit where a longer one did not: then it is said a second time.
    assert said.count("cannot be logged") <= 2, "it is not said for every request"
    assert sum(map(int, re.findall(r"(\d+) are missing", said))) == lost


def test_a_request_that_fits_only_in_part_leaves_nothing_behind(settings: Settings, tmp_path: Path) -> None:
    recorder = Segments(settings)
    recorder.record("rooms", rows(["first"]))
    (segment,) = open_folder(settings, "rooms").glob("*.seg")
    before = segment.stat().st_size
    with small_files(tmp_path) as (fill, _):
        fill()
        recorder.record("rooms", rows([f"{n}" for n in range(100)]))
        assert segment.stat().st_size == before
        recorder.record("rooms", rows(["small"]))
    assert ids_in(settings) == ["first", "small"]
    assert [(gap.rows, gap.damaged) for gap in gaps(settings, "rooms")] == [(100, 0)]


def test_where_nothing_can_be_written_at_first_it_is_said_and_noted_as_soon_as_it_can(settings, caplog) -> None:
    settings.home.mkdir()
    (settings.home / "log").write_text("a file where a folder should be")
    recorder = Segments(settings)
    assert "cannot be logged" in (recorder.probe() or "")
    recorder.record("rooms", rows(["1", "2", "3"]))
    assert list(parts(settings, LOG)) == []
    (settings.home / "log").unlink()
    assert recorder.probe() is None
    recorder.record("rooms", rows(["4"], at=NOON + timedelta(seconds=9)))
    assert ids_in(settings) == ["4"]
    (gap,) = gaps(settings, "rooms")
    assert (gap.rows, gap.since, gap.until) == (3, NOON, NOON)
    assert "3 are missing" in caplog.text


class Clock:
    """`time.time`, as a test moves it."""

    def __init__(self, at: datetime) -> None:
        self.at = at

    def time(self) -> float:
        return self.at.timestamp()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock(NOON)
    monkeypatch.setattr(recorder_module, "time", clock)
    return clock


def test_a_segment_ends_by_age_by_size_and_at_midnight(settings, clock, monkeypatch) -> None:
    recorder = Segments(settings)

    def record(at: datetime) -> int:
        clock.at = at
        recorder.record("rooms", rows([f"{at}"], at=at))
        return len(listed(settings, "rooms"))

    assert [record(NOON), record(NOON + timedelta(seconds=59)), record(NOON + timedelta(seconds=60))] == [1, 1, 2]
    midnight = datetime(2026, 1, 6, tzinfo=UTC)
    assert [record(midnight - timedelta(seconds=1)), record(midnight)] == [3, 4]
    assert [f"{day_of(part)}" for part in listed(settings, "rooms")][-2:] == ["2026-01-05", "2026-01-06"]
    monkeypatch.setattr(recorder_module, "MOST_BYTES", 1)
    assert [record(midnight + timedelta(seconds=1)), record(midnight + timedelta(seconds=2))] == [5, 6]


def test_a_worker_that_is_asked_nothing_lets_go_of_its_segment_too(settings, clock) -> None:
    recorder = Segments(settings)
    recorder.record("rooms", rows(["1"]))
    recorder.roll()
    assert compact(settings, LOG) == []
    clock.at += timedelta(seconds=60)
    recorder.roll()
    assert len(compact(settings, LOG)) == 1


def test_ids_are_unique_among_workers_and_lead_to_their_row(settings: Settings) -> None:
    one, other, now = Segments(settings), Ids(), datetime.now(UTC)
    ids = [*one.ids(1000, now), *one.ids(1000, now), *other(1000, now)]
    assert len(set(ids)) == 3000
    one.record("rooms", rows(ids[:3], at=now))
    found = find(settings, LOG, ids[1])
    assert found is not None
    assert found[1]["guest"].to_list() == [f"guest {ids[1]}"]
    assert find(settings, LOG, ids[2500]) is None
    assert find(settings, LOG, "no id at all") is None


def test_a_segment_of_an_older_headgate_is_read_with_nulls(settings: Settings) -> None:
    recorder = Segments(settings)
    recorder.record("rooms", rows(["1"]))
    recorder.roll(everything=True)
    compact(settings, LOG)
    recorder.record("rooms", rows(["2"]))
    newer = replace(LOG, own={**LOG.own, "colour": pl.String()})
    read = [part.select("decision_id", "colour").row(0) for _, part in parts(settings, newer)]
    assert read == [("1", None), ("2", None)]
