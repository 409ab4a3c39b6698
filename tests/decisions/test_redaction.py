"""Of whom is forgotten, nothing personal stands in the log, in what is derived of it, or in what was cut off."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest

from headgate.decisions import corrections, redaction
from headgate.decisions.compaction import compact
from headgate.decisions.layout import corrections_folder, log_folder, part_file
from headgate.decisions.reading import effective, read_part
from headgate.decisions.recorder import Segments
from headgate.decisions.redaction import held, redact, redacted
from headgate.privacy.index import Index
from headgate.settings import Settings

from ..privacy.stores import found
from ..toy import LOG as TOY
from .made import START, make_rows, write_part
from .rows import row

#: The toy's log, in which a guest's room is a pseudonym and what deciding again says of the guest is personal.
LOG = replace(TOY, unit="room", hidden=("guest", "room"), decided=("usual", "guest"))

LATER = START + timedelta(days=1)


@pytest.fixture
def part(settings: Settings) -> str:
    """Readings of three rooms over ten minutes; `guest 7` and others in each."""
    return write_part(settings, make_rows(600), LOG)


def test_rows_stay_and_what_is_personal_in_them_is_null(settings: Settings, part: str) -> None:
    before = read_part(settings, LOG, part)
    count = held(settings, LOG, "attic", LATER)
    assert count == (before["room"] == "attic").sum() > 0
    done = redact(settings, LOG, "attic", LATER)
    assert (done.rows, done.files, done.still_open) == (count, 1, ())
    after = read_part(settings, LOG, part)
    assert after.drop("guest").equals(before.drop("guest"))
    assert after.filter(pl.col("room") == "attic")["guest"].null_count() == count
    assert after.filter(pl.col("room") != "attic")["guest"].null_count() == 0
    assert held(settings, LOG, "attic", LATER) == 0
    assert redact(settings, LOG, "attic", LATER).files == 0, "a second time nothing is written anew"


def test_parts_of_older_columns_and_many_at_once_are_looked_through(
    settings: Settings, part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redaction, "AT_ONCE", 2)
    count = held(settings, LOG, "attic", LATER)
    path = part_file(settings, "rooms", part)
    whole = pl.read_parquet(path)
    older = (whole.drop("guest"), whole.drop("room"), whole.with_columns(pl.col("degrees").cast(pl.Int64)), whole)
    for number, rows in enumerate(older):
        rows.write_parquet(path.with_name(f"worker-2-{number:010x}-20260105T00000{number}000000.parquet"))
    assert held(settings, LOG, "attic", LATER) == 3 * count
    assert redact(settings, LOG, "attic", LATER).rows == 3 * count
    assert held(settings, LOG, "attic", LATER) == 0


def test_what_was_decided_later_stays(settings: Settings, part: str) -> None:
    middle = START + timedelta(minutes=5)
    redact(settings, LOG, "attic", middle)
    after = read_part(settings, LOG, part).filter(pl.col("room") == "attic")
    assert after.filter(pl.col("guest").is_null())["decided_at"].max() <= middle  # type: ignore[operator]
    assert after.filter(pl.col("guest").is_not_null())["decided_at"].min() > middle  # type: ignore[operator]


def test_what_replays_decided_of_it_goes_too(settings: Settings, part: str) -> None:
    rows = read_part(settings, LOG, part)
    changed = rows.select("decision_id", "version", "bundle", "slice", "outcome", "usual", guest=pl.lit("told again"))
    corrections.publish(settings, LOG, "again", part, changed.with_columns(mode=pl.lit("logged"), before=pl.lit("hot")))
    (corrections_folder(settings, "rooms") / "again" / f".tmp-12345678-{part}.parquet").write_bytes(b"half of it")
    assert redact(settings, LOG, "attic", LATER).files == 2
    now = effective(settings, LOG, rows, part)
    assert now.filter(pl.col("room") == "attic")["guest"].null_count() == (rows["room"] == "attic").sum()
    assert set(now.filter(pl.col("room") != "attic")["guest"]) == {"told again"}
    assert not list(corrections_folder(settings, "rooms").rglob(".tmp-*"))


def test_drafts_of_killed_processes_go_and_one_that_is_being_folded_stays(settings: Settings, part: str) -> None:
    day = part_file(settings, "rooms", part).parent
    dead = day / f".tmp-12345678-{part}.parquet"
    dead.write_bytes(b"guest 7")
    recorder = Segments(settings)
    recorder.record("rooms", [row("20260105-x-1", START, room="cellar")])
    (segment,) = (log_folder(settings, "rooms") / "open").glob("*.seg")
    alive = day / f".tmp-87654321-{segment.stem}.parquet"
    alive.write_bytes(b"guest 7")
    redact(settings, LOG, "attic", LATER)
    assert (dead.exists(), alive.exists()) == (False, True)
    recorder.roll(everything=True)
    compact(settings, replace(LOG, unit=None))
    redact(settings, LOG, "attic", LATER)
    assert not alive.exists()


def test_a_segment_that_is_written_is_told_and_a_closed_one_is_counted(settings: Settings, tmp_path: Path) -> None:
    recorder = Segments(settings)
    recorder.record("rooms", [row("20260105-x-1", START, room="attic", guest="Ann Other")])
    assert held(settings, LOG, "attic", LATER) == 1
    assert held(settings, LOG, "attic", START - timedelta(seconds=1)) == 0
    assert redact(settings, LOG, "cellar", LATER).still_open == ()
    (still,) = redact(settings, LOG, "attic", LATER).still_open
    recorder.roll(everything=True)
    compact(settings, LOG)
    done = redact(settings, LOG, "attic", LATER)
    assert (done.rows, done.still_open) == (1, ())
    assert len(read_part(settings, LOG, still)) == 1
    assert found(settings.home, b"Ann Other") == []


def test_a_log_that_does_not_tell_whom_it_is_about_stays_as_it_is(settings: Settings, part: str) -> None:
    rows = read_part(settings, LOG, part)
    assert redacted(TOY, rows, {"attic": LATER}).equals(rows)
    assert redacted(LOG, rows.drop("room"), {"attic": LATER}).equals(rows.drop("room"))


def test_what_is_folded_after_a_forgetting_began_is_written_without_it(settings: Settings) -> None:
    recorder = Segments(settings)
    recorder.record("rooms", [row(f"20260105-x-{room}", START, room=room) for room in ("attic", "cellar")])
    recorder.roll(everything=True)
    Index(settings, "rooms").begin("attic", LATER)
    (folded,) = compact(settings, LOG)
    assert read_part(settings, LOG, folded)["guest"].to_list() == [None, "guest 20260105-x-cellar"]
