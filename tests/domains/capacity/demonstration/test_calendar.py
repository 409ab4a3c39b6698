"""The calendar of the demonstration is in force without a setting, and what people planned is kept."""

import shutil
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from headgate.contract.demonstration import Play
from headgate.domains.capacity.companions import edit
from headgate.domains.capacity.companions.calendar import Event, read_calendar
from headgate.domains.capacity.companions.edit import Signature
from headgate.domains.capacity.companions.followed import known, shared_folder
from headgate.domains.capacity.demonstration.calendar import put_in_force
from headgate.domains.capacity.simulated.simulator import simulate
from headgate.domains.capacity.simulated.sizes import LoadSizes
from headgate.settings import Settings

AS_OF = datetime(2026, 2, 16, tzinfo=UTC)
SIZES = LoadSizes(days=3, regions=1, services=1, step=900)

ANA = Signature("ana", "The supplier is late.")


def played(settings: Settings, as_of: datetime = AS_OF, name: str = "capacity") -> Play:
    """A few days of load in a folder of the state's demo."""
    play = Play(settings.home / "demo" / name, SIZES, "on-sale", (as_of - timedelta(days=3)).date(), as_of)
    simulate(play.source, SIZES, scenario="on-sale", start=play.start)
    return play


def ahead(folder: Path) -> str:
    """The sale that is to come."""
    (name,) = [name for name in planned(folder) if name.startswith("members-sale")]
    return name


def planned(folder: Path) -> dict[str, Event]:
    found = known(folder, Event, datetime.now(UTC))
    assert found is not None
    return {event.event: event for event in found[1]}


def test_the_demonstrations_calendar_is_in_force_without_a_setting(settings: Settings) -> None:
    assert shared_folder(settings) is None
    put_in_force(settings, played(settings), None)
    folder = shared_folder(settings)
    assert folder == settings.home / "calendar"
    events = planned(folder)
    start, end = events["two-day-sale-2026-02-16"].span("Europe/Berlin")
    assert start < AS_OF < end, "a sale is on as the last day ends"
    assert AS_OF < events[ahead(folder)].span("Europe/Berlin")[0] < AS_OF + timedelta(days=14)
    others = [event for event in events.values() if event.kind == "sale" and event.event != ahead(folder)]
    start, end = events[ahead(folder)].span("UTC")
    assert not [one for one in others if one.span("UTC")[0] < end and start < one.span("UTC")[1]], "it stands alone"
    set_ = replace(settings, calendar="/elsewhere")
    assert shared_folder(set_) == Path("/elsewhere"), "a setting counts above it"


def test_a_change_is_one_of_the_source_too_so_that_the_next_version_learns_with_it(settings: Settings) -> None:
    play = played(settings)
    put_in_force(settings, play, None)
    folder = shared_folder(settings)
    assert folder is not None
    name = ahead(folder)
    edit.change(folder, name, ANA, start="2026-02-24", end="2026-02-26")
    assert planned(play.source)[name].start == "2026-02-24"
    edit.change(play.source, name, ANA, intensity=2.0)
    assert planned(folder)[name].intensity == 2.0


def test_a_calendar_of_ones_own_stays_in_force(settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    own = settings.home / "calendar"
    own.mkdir(parents=True)
    play = played(settings)
    shutil.copyfile(play.source / "calendar.csv", own / "calendar.csv")
    edit.add(own, "my-own", ANA, kind="sale", start="2026-03-01", end="2026-03-02")
    put_in_force(settings, play, None)
    assert "my-own" in planned(own)
    assert not own.is_symlink()
    assert "stays the calendar in force" in caplog.text


def test_what_people_planned_ahead_is_kept_on_the_next_day(settings: Settings) -> None:
    before = played(settings, name="before").source
    name = ahead(before)
    edit.change(before, name, ANA, start="2026-02-24", end="2026-02-26")
    edit.change(before, "two-day-sale-2026-02-16", ANA, intensity=2.0)  # on already: the new days know nothing of it
    edit.add(before, "my-own", ANA, kind="sale", start="2026-03-01", end="2026-03-02")
    play = played(settings, AS_OF + timedelta(days=1))
    drawn = {one: event for one, event in planned(play.source).items() if one != name}
    put_in_force(settings, play, before)
    events = planned(play.source)
    assert (events[name].start, events[name].revision) == ("2026-02-24", 2)
    assert [row.revision for row in read_calendar(play.source) if row.event == name] == [1, 2]
    assert events["my-own"].author == "ana"
    assert "two-day-sale-2026-02-16" not in events
    assert {one: events[one] for one in drawn} == drawn, "all else is as it was drawn"
