"""The calendar that is in force, as it is followed, and as it was when something was decided."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from headgate import settings
from headgate.contract.companions import Companion
from headgate.domains.capacity.companions import followed
from headgate.domains.capacity.companions.calendar import Event, as_of, companion_id, read_calendar
from headgate.domains.capacity.companions.edit import Signature, add, add_mask, cancel, change
from headgate.domains.capacity.companions.followed import COMPANIONS
from headgate.errors import DataRefused, HeadgateError, UsageError
from headgate.settings import Settings

CALENDAR, MASKS = COMPANIONS
SALE = {"kind": "sale", "start": "2026-02-20", "end": "2026-02-21"}
DAY = timedelta(days=1)


@pytest.fixture
def here(tmp_path: Path) -> Settings:
    """Settings with a calendar of one sale."""
    add(tmp_path, "sale", Signature("ana", known_since=datetime(2026, 1, 1, tzinfo=UTC)), **SALE)
    return replace(settings.load(), calendar=str(tmp_path))


def _folder(here: Settings) -> Path:
    assert here.calendar
    return Path(here.calendar)


def _recall(companion: Companion, here: Settings, identity: str, at: datetime) -> tuple[Event, ...]:
    assert companion.recall
    return companion.recall(here, identity, at)  # type: ignore[no-any-return]


def test_what_is_known_now_is_in_force_by_its_id(here: Settings) -> None:
    known = as_of(read_calendar(_folder(here)), datetime.now(UTC))
    assert [event.event for event in CALENDAR.read(here)] == ["sale"]
    assert CALENDAR.identify(here) == companion_id(known)


def test_every_change_is_another_calendar(here: Settings) -> None:
    before = CALENDAR.identify(here)
    change(_folder(here), "sale", Signature("ana", "late"), start="2026-02-21", end="2026-02-22")
    moved = CALENDAR.identify(here)
    assert moved != before
    assert CALENDAR.read(here)[0].start == "2026-02-21"
    cancel(_folder(here), "sale", Signature("ana", "no stock"))
    assert CALENDAR.identify(here) not in (before, moved)
    assert CALENDAR.read(here) == ()


def test_what_is_known_from_later_on_counts_from_then_on(here: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    tomorrow = datetime.now(UTC) + DAY
    add(_folder(here), "ahead", Signature("ana", known_since=tomorrow), **SALE)
    before = CALENDAR.identify(here)
    assert [event.event for event in CALENDAR.read(here)] == ["sale"]

    class Later(datetime):
        @classmethod
        def now(cls, tz: object = None) -> datetime:  # type: ignore[override]
            return tomorrow + DAY

    monkeypatch.setattr(followed, "datetime", Later)
    assert [event.event for event in CALENDAR.read(here)] == ["ahead", "sale"]
    assert CALENDAR.identify(here) != before


def test_a_look_at_what_has_not_changed_reads_nothing(here: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    before = CALENDAR.identify(here)
    monkeypatch.setattr(followed, "read_bytes", lambda path: pytest.fail("read again"))
    assert CALENDAR.identify(here) == before


def test_a_broken_file_is_said_with_its_line(here: Settings) -> None:
    path = _folder(here) / Event.FILE
    path.write_text(path.read_text().replace("2026-02-21", "soon"))
    with pytest.raises(DataRefused, match=r"calendar\.csv, line 2"):
        CALENDAR.identify(here)


def test_where_no_folder_is_set_none_is_in_force_and_one_without_a_calendar_is_said(tmp_path: Path) -> None:
    none = replace(settings.load(), calendar=None)
    assert [one.identify(none) for one in COMPANIONS] == [None, None]
    empty = replace(none, calendar=str(tmp_path / "nowhere"))
    assert MASKS.identify(empty) is None
    with pytest.raises(UsageError, match="check HEADGATE_CALENDAR"):
        CALENDAR.identify(empty)


def test_masks_are_followed_too(here: Settings) -> None:
    assert MASKS.identify(here) is None
    add_mask(_folder(here), "m", Signature("ana", "robots"), effect="robots", start="2026-02-01", end="2026-02-02")
    assert [mask.mask for mask in MASKS.read(here)] == ["m"]
    assert MASKS.identify(here)


def test_what_was_in_force_is_known_again_whatever_came_since(here: Settings) -> None:
    then, at = CALENDAR.identify(here), datetime.now(UTC)
    assert then
    change(_folder(here), "sale", Signature("ana", "late"), start="2026-02-21", end="2026-02-22")
    add(_folder(here), "more", Signature("ana"), **SALE)
    assert [(event.event, event.start) for event in _recall(CALENDAR, here, then, at)] == [("sale", "2026-02-20")]
    assert _recall(CALENDAR, here, then, datetime.now(UTC)), "also where the process followed a moment later"


def test_a_calendar_that_nobody_has_any_more_is_said_in_a_sentence(here: Settings) -> None:
    identity = CALENDAR.identify(here)
    assert identity
    now = datetime.now(UTC)
    with pytest.raises(DataRefused, match=r"decided with the calendar 0123456789ab, which .* does not tell any more"):
        _recall(CALENDAR, here, "0123456789ab", now)
    with pytest.raises(HeadgateError, match="HEADGATE_CALENDAR names no folder"):
        _recall(CALENDAR, replace(here, calendar=None), identity, now)
