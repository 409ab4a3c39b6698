"""Decisions a minute of the last hour: every one counted once, whether its part is folded or still open."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from unittest import mock

import pytest

from headgate.decisions import pace
from headgate.decisions.compaction import compact
from headgate.decisions.pace import Pace, Paces
from headgate.decisions.recorder import Segments
from headgate.settings import Settings

from ..toy import ROOMS
from .rows import row

MINUTE = timedelta(minutes=1)


@pytest.fixture(autouse=True)
def _never_fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace, "FRESH", 0.0)


@pytest.fixture
def now() -> datetime:
    """Parts are named for when they are written, so decisions are of about now too."""
    return datetime.now(UTC)


def write(recorder: Segments, now: datetime, ago: int, *outcomes: str) -> None:
    """Decisions of so many minutes ago."""
    at = now.replace(second=0, microsecond=0) - ago * MINUTE
    recorder.record("rooms", [row(f"{ago}-{n}", at, outcome=one) for n, one in enumerate(outcomes)])


def look(paces: Paces, now: datetime) -> Pace:
    found = paces.of(ROOMS, now)
    assert found is not None
    return found


def test_decisions_are_counted_by_the_minute_and_the_adverse_among_them(settings: Settings, now: datetime) -> None:
    recorder = Segments(settings)
    write(recorder, now, 61, "fine")  # too long ago
    write(recorder, now, 59, "fine")
    write(recorder, now, 1, "fine", "cold", "hot", "fine")
    write(recorder, now, 0, "hot")
    found = look(Paces(settings), now)
    assert (found.decisions[0], found.decisions[-2], found.decisions[-1]) == (1, 4, 1)
    assert (found.adverse[0], found.adverse[-2], found.adverse[-1]) == (0, 2, 1)
    assert (found.total, found.last, found.share, found.whole) == (6, 4, 0.5, True)


def test_a_decision_is_counted_once_as_its_part_is_folded_and_the_hour_goes_on(
    settings: Settings, now: datetime
) -> None:
    recorder, paces = Segments(settings), Paces(settings)
    write(recorder, now, 1, "fine", "cold")
    assert look(paces, now).total == 2
    recorder.roll(everything=True)
    write(recorder, now, 0, "fine")
    assert look(paces, now).total == 3
    write(recorder, now, 0, "hot")  # into the segment that was just looked at
    assert look(paces, now).total == 4
    compact(settings, ROOMS.logs.log)
    assert look(paces, now).total == 4
    assert look(paces, now + MINUTE).decisions[-3:] == (2, 2, 0)
    assert look(paces, now + 61 * MINUTE).total == 0


def test_a_folded_part_is_read_once(settings: Settings, now: datetime) -> None:
    recorder, paces = Segments(settings), Paces(settings)
    write(recorder, now, 1, "fine", "cold")
    recorder.roll(everything=True)
    compact(settings, ROOMS.logs.log)
    assert look(paces, now).total == 2
    with mock.patch.object(pace, "read_part", side_effect=AssertionError("read again")):
        assert look(paces, now).total == 2


def test_what_a_look_has_no_time_for_comes_with_the_next_the_newest_first(
    settings: Settings, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder, paces = Segments(settings), Paces(settings)
    for ago in (2, 1):
        write(recorder, now, ago, *["fine"] * ago)
        recorder.roll(everything=True)
    compact(settings, ROOMS.logs.log)
    monkeypatch.setattr(pace, "LOOK", -1.0)
    hurried = look(paces, now)
    assert (hurried.total, hurried.whole) == (0, False)
    monkeypatch.setattr(pace, "LOOK", 10.0)
    assert look(paces, now).whole
    assert look(paces, now).total == 3


def test_a_large_open_segment_waits_until_it_is_folded(
    settings: Settings, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder, paces = Segments(settings), Paces(settings)
    monkeypatch.setattr(pace, "LARGEST", 0)
    write(recorder, now, 1, "fine")
    assert (look(paces, now).total, look(paces, now).whole) == (0, False)
    recorder.roll(everything=True)
    compact(settings, ROOMS.logs.log)
    assert (look(paces, now).total, look(paces, now).whole) == (1, True)


def test_an_answer_is_given_again_for_a_while(
    settings: Settings, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder, paces = Segments(settings), Paces(settings)
    monkeypatch.setattr(pace, "FRESH", 60.0)
    assert look(paces, now).total == 0
    write(recorder, now, 0, "fine")
    assert look(paces, now).total == 0


def test_a_domain_that_logs_nothing_has_none(settings: Settings) -> None:
    assert Paces(settings).of(replace(ROOMS, live=None)) is None
