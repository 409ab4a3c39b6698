"""A log that was written in another format is refused by whoever would read it or write beside it, in one sentence."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from headgate import settings as settings_module
from headgate.contract.live import DecisionLog
from headgate.decisions import reading
from headgate.decisions.compaction import compact
from headgate.decisions.layout import FORMAT_FILE, claim, corrections_folder, log_folder, part_file, part_name
from headgate.decisions.recorder import Segments
from headgate.errors import DataRefused
from headgate.settings import Settings

LOG = DecisionLog("rooms", {"room": pl.String()})
NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return replace(settings_module.load(), home=tmp_path)


@pytest.fixture
def old(settings: Settings) -> Settings:
    """A state whose decisions are one bit each, as they were before there were outcomes."""
    path = part_file(settings, "rooms", part_name("host-1-0000000000", NOON))
    path.parent.mkdir(parents=True)
    row = {"decision_id": "20260105-a-1", "decided_at": NOON, "role": "champion", "slice": "all", "against": True}
    pl.DataFrame([row]).cast({"decided_at": pl.Datetime("us", "UTC")}).write_parquet(path)
    return settings


@pytest.mark.parametrize(
    "read",
    [
        lambda here: list(reading.parts(here, LOG)),
        lambda here: reading.find(here, LOG, "20260105-a-1"),
        lambda here: reading.gaps(here, "rooms"),
        lambda here: compact(here, LOG),
        lambda here: Segments(here).announce(["rooms"]),
    ],
    ids=["parts", "find", "gaps", "compact", "serve"],
)
def test_a_log_of_another_format_is_refused_in_one_sentence(old: Settings, read: Callable[[Settings], object]) -> None:
    with pytest.raises(DataRefused) as refused:
        read(old)
    said = str(refused.value)
    assert said.startswith(f"{log_folder(old, 'rooms')} was written by another Headgate")
    assert "Move log/rooms and corrections/rooms away together, or set HEADGATE_HOME to another folder" in said
    assert "\n" not in said


def test_corrections_of_another_format_are_refused_too(settings: Settings) -> None:
    home = corrections_folder(settings, "rooms")
    (home / "rulings").mkdir(parents=True)
    rows = pl.DataFrame(schema={"decision_id": pl.String, "outcome": pl.String})
    with pytest.raises(DataRefused, match=r"corrections/rooms was written by another Headgate"):
        reading.effective(settings, LOG, rows)


def test_what_is_written_here_is_marked_and_read_again(settings: Settings) -> None:
    claim(log_folder(settings, "rooms"))
    claim(log_folder(settings, "rooms"))  # again changes nothing
    assert (log_folder(settings, "rooms") / FORMAT_FILE).read_text() == "2\n"
    assert list(reading.parts(settings, LOG)) == []


def test_raw_files_that_were_made_of_a_log_are_no_log(settings: Settings) -> None:
    (log_folder(settings, "rooms") / "raw").mkdir(parents=True)
    assert list(reading.parts(settings, LOG)) == []
