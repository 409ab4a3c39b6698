"""Changing the calendar: one more revision each time, nothing lost, whoever else edits and whatever is killed."""

import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headgate.domains.capacity.companions import edit, file
from headgate.domains.capacity.companions.calendar import Event, as_of, read_calendar, read_masks
from headgate.domains.capacity.companions.edit import Signature
from headgate.domains.capacity.companions.holidays import add_holidays
from headgate.errors import DataRefused, HeadgateError, UsageError

ANA = Signature("ana", "as announced")
MAY = datetime(2024, 5, 1, tzinfo=UTC)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A source with a sale of a day, planned in May 2024."""
    add(tmp_path)
    return tmp_path


def add(folder: Path, event: str = "sale", start: str = "2026-06-10", end: str = "2026-06-11", **more: str) -> Event:
    by = Signature("ana", known_since=MAY)
    return edit.add(folder, event, by, kind=more.pop("kind", "sale"), start=start, end=end, **more)[1]  # type: ignore[arg-type]


def bytes_of(folder: Path) -> bytes:
    return (folder / "calendar.csv").read_bytes()


# -- what each change does ---------------------------------------------------------------------------------------------


def test_adding_writes_what_is_read_back(tmp_path: Path) -> None:
    before, after = edit.add(
        tmp_path,
        "sale",
        Signature("ana", 'new, "big"\nand loud'),
        kind="sale",
        name="Söldag, ½ price",
        start="2026-06-10T18:00",
        end="2026-06-12",
        region="in",
        services=("checkout", "cart"),
        intensity=2.5,
    )
    assert before is None
    assert read_calendar(tmp_path) == (after,)
    assert (after.revision, after.status, after.services) == (1, "planned", ("cart", "checkout"))
    assert (after.name, after.reason) == ("Söldag, ½ price", 'new, "big"\nand loud')
    assert timedelta() <= datetime.now(UTC) - after.known_since < timedelta(minutes=1)


@pytest.mark.parametrize(
    ("start", "end", "delta", "moved"),
    [
        ("2026-06-10", "2026-06-12", timedelta(days=3), ("2026-06-13", "2026-06-15")),  # dates stay dates
        ("2026-06-10", "2026-06-11", timedelta(hours=-6), ("2026-06-09T18:00", "2026-06-10T18:00")),
        ("2026-03-28T18:00", "2026-03-28T20:00", timedelta(days=1), ("2026-03-29T18:00", "2026-03-29T20:00")),
        ("2028-02-28", "2028-02-29", timedelta(days=1), ("2028-02-29", "2028-03-01")),  # onto the leap day
        ("2025-12-29", "2026-01-05", timedelta(weeks=53), ("2027-01-04", "2027-01-11")),  # past the 53 weeks of 2026
        (
            "2026-06-10T10:00+02:00",
            "2026-06-10T12:30+02:00",
            timedelta(minutes=90),
            ("2026-06-10T09:30:00+00:00", "2026-06-10T12:00:00+00:00"),
        ),
    ],
)
def test_a_moved_event_keeps_its_length_and_its_clock(
    tmp_path: Path, start: str, end: str, delta: timedelta, moved: tuple[str, str]
) -> None:
    event = add(tmp_path, start=start, end=end)
    before, after = edit.move(tmp_path, "sale", ANA, delta=delta)
    assert before == event
    assert (after.start, after.end) == moved
    assert (after.revision, after.author, after.reason) == (2, "ana", "as announced")
    assert read_calendar(tmp_path) == (before, after)


def test_a_local_day_moved_over_a_change_of_the_clock_is_a_day_again(tmp_path: Path) -> None:
    add(tmp_path, start="2026-03-29", end="2026-03-30")
    before, after = edit.move(tmp_path, "sale", ANA, start="2026-10-25")
    hours = [over - start for start, over in (row.span("Europe/Berlin") for row in (before, after))]
    assert hours == [timedelta(hours=23), timedelta(hours=25)]


def test_a_sale_is_stretched_from_one_day_to_two_and_back(folder: Path) -> None:
    _, longer = edit.stretch(folder, "sale", ANA, length=timedelta(hours=48))
    assert (longer.start, longer.end) == ("2026-06-10", "2026-06-12")
    _, shorter = edit.stretch(folder, "sale", ANA, end="2026-06-10T18:00")
    assert (shorter.start, shorter.end, shorter.revision) == ("2026-06-10", "2026-06-10T18:00", 3)


def test_times_and_intensity_change_in_one_revision(folder: Path) -> None:
    before, after = edit.change(folder, "sale", ANA, start="2026-06-12", end="2026-06-14", intensity=2.5, seen=1)
    assert (after.start, after.end, after.intensity, after.revision) == ("2026-06-12", "2026-06-14", 2.5, 2)
    assert read_calendar(folder) == (before, after)


def test_a_change_upon_what_is_not_the_last_revision_is_refused(folder: Path) -> None:
    edit.move(folder, "sale", ANA, start="2026-06-12")
    before = bytes_of(folder)
    with pytest.raises(UsageError, match="changed sale meanwhile: it is now 2026-06-12 to 2026-06-13 "):
        edit.change(folder, "sale", ANA, end="2026-06-20", seen=1)
    assert bytes_of(folder) == before


def test_a_cancelled_event_is_planned_again_by_adding_it(folder: Path) -> None:
    before, after = edit.cancel(folder, "sale", ANA)
    assert (before.status, after.status) == ("planned", "cancelled")
    assert as_of(read_calendar(folder), datetime.now(UTC)) == ()
    with pytest.raises(UsageError, match="sale is cancelled: add it again"):
        edit.move(folder, "sale", ANA, delta=timedelta(days=1))
    edit.add(folder, "sale", ANA, kind="sale", start="2026-07-01", end="2026-07-02")
    (event,) = as_of(read_calendar(folder), datetime.now(UTC))
    assert (event.revision, event.start) == (3, "2026-07-01")


def test_a_mask_is_added_and_withdrawn(tmp_path: Path) -> None:
    times = {"start": "2026-06-10T15:30Z", "end": "2026-06-10T18:00Z"}
    before, mask = edit.add_mask(tmp_path, "r1", ANA, effect="robots", region="in", **times)
    assert before is None
    assert as_of(read_masks(tmp_path), datetime.now(UTC)) == (mask,)
    assert edit.withdraw(tmp_path, "r1", ANA)[0] == mask
    assert as_of(read_masks(tmp_path), datetime.now(UTC)) == ()
    assert len(read_masks(tmp_path)) == 2


def test_doing_it_twice_writes_it_once(folder: Path) -> None:
    edit.move(folder, "sale", ANA, start="2026-06-12")
    once = bytes_of(folder)
    before, after = edit.move(folder, "sale", ANA, start="2026-06-12")
    assert before is after
    edit.stretch(folder, "sale", ANA, length=timedelta(days=1))
    add(folder, start="2026-06-12", end="2026-06-13")
    assert bytes_of(folder) == once
    edit.cancel(folder, "sale", ANA)
    once = bytes_of(folder)
    edit.cancel(folder, "sale", ANA)
    assert bytes_of(folder) == once


def test_a_dry_run_tells_and_leaves_no_trace(folder: Path) -> None:
    trace = {path.name: path.read_bytes() for path in folder.iterdir()}
    dry = Signature("ana", "why", dry_run=True)
    before, after = edit.move(folder, "sale", dry, start="2026-06-12")
    assert (before.start, after.start, after.revision) == ("2026-06-10", "2026-06-12", 2)
    edit.add_mask(folder, "r1", dry, effect="robots", start="2026-06-10", end="2026-06-11")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == trace


# -- since when --------------------------------------------------------------------------------------------------------


def test_a_change_may_be_known_since_earlier_but_not_before_the_last_one(folder: Path) -> None:
    edit.move(folder, "sale", Signature("ana", "why", known_since=MAY + timedelta(days=9)), start="2026-06-12")
    rows = read_calendar(folder)
    assert [row.start for row in as_of(rows, MAY + timedelta(days=8))] == ["2026-06-10"]
    assert [row.start for row in as_of(rows, MAY + timedelta(days=9))] == ["2026-06-12"]
    with pytest.raises(UsageError, match=r"sale was changed last at 2024-05-10T00:00:00\+00:00: a later change cannot"):
        edit.move(folder, "sale", Signature("ana", "why", known_since=MAY), start="2026-06-13")


def test_a_clock_that_runs_behind_does_not_break_the_history(folder: Path) -> None:
    ahead = datetime.now(UTC) + timedelta(hours=1)
    edit.move(folder, "sale", Signature("bo", "why", known_since=ahead), start="2026-06-12")
    _, after = edit.move(folder, "sale", ANA, start="2026-06-13")
    assert after.known_since == ahead
    assert [row.start for row in as_of(read_calendar(folder), ahead)] == ["2026-06-13"]


# -- what is refused ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda f: edit.move(f, "sail", ANA, start="2026-06-12"), "no event 'sail' in .*calendar.csv: perhaps sale?"),
        (lambda f: edit.withdraw(f, "r1", ANA), "no mask 'r1' in .*masks.csv: list them to see what there is"),
        (lambda f: edit.move(f, "sale", ANA), "Give one of both: --start TIME or --by LENGTH"),
        (lambda f: edit.move(f, "sale", ANA, start="2026-06-12", delta=timedelta(1)), "Give one of both"),
        (lambda f: edit.stretch(f, "sale", ANA), "Give one of both: --end TIME or --to LENGTH"),
        (lambda f: edit.move(f, "sale", ANA, start="12 June"), "'12 June' is no time: write 2026-11-27"),
        (lambda f: edit.move(f, "sale", ANA, start="2026-06-12T00:00Z"), "sale starts at 2026-06-10: .*a local time"),
        (lambda f: edit.move(f, "sale", ANA, delta=timedelta(weeks=9999)), "outside the years 1970 to 2199"),
        (lambda f: edit.stretch(f, "sale", ANA, length=timedelta(0)), "the end is exclusive"),
        (lambda f: edit.stretch(f, "sale", ANA, end="2026-06-09"), "lies before the start 2026-06-10"),
        (lambda f: edit.move(f, "sale", Signature("ana"), start="2026-06-12"), "Say why: give --reason"),
        (lambda f: edit.cancel(f, "sale", Signature("ana", "  ")), "Say why"),
        (lambda f: edit.cancel(f, "sale", Signature(" ", "why")), "Say who makes the change: give --author"),
        (lambda f: add(f, start="2026-07-01", end="2026-07-02"), "There is sale in .* already, and it says something"),
        (lambda f: add(f, "other", end="2026-06-10"), "the end is exclusive"),
        (lambda f: add(f, "o ther"), "event: 'o ther' is no id"),
        (lambda f: add(f, "other", kind="Sale"), "kind: 'Sale' is no kind"),
        (lambda f: add(f, "other", name="\udcff"), "is not UTF-8: write it anew"),
        (
            lambda f: edit.add_mask(f, "r1", Signature("ana"), effect="robots", start="2026-06-10", end="2026-06-11"),
            "Say why",
        ),
        (lambda f: edit.cancel(f / "nowhere", "sale", ANA), "There is no folder .*nowhere: check --in"),
    ],
)
def test_what_cannot_be_done_is_refused_and_nothing_is_written(folder: Path, change, said: str) -> None:  # type: ignore[no-untyped-def]
    before = bytes_of(folder)
    with pytest.raises(UsageError, match=said):
        change(folder)
    assert bytes_of(folder) == before
    assert not (folder / "masks.csv").exists()


def test_an_instant_is_not_moved_to_a_local_time(tmp_path: Path) -> None:
    add(tmp_path, start="2026-06-10T10:00Z", end="2026-06-10T12:00Z")
    with pytest.raises(UsageError, match="write '2026-06-12' likewise, with an offset"):
        edit.move(tmp_path, "sale", ANA, start="2026-06-12")


def test_a_calendar_that_is_not_right_is_refused_and_left_alone(folder: Path) -> None:
    (folder / "calendar.csv").write_bytes(bytes_of(folder).replace(b"planned", b"perhaps"))
    before = bytes_of(folder)
    with pytest.raises(DataRefused, match="line 2, column status: 'perhaps' is unknown"):
        edit.move(folder, "sale", ANA, start="2026-06-12")
    assert bytes_of(folder) == before


# -- the file ----------------------------------------------------------------------------------------------------------

CHANGES = st.lists(
    st.tuples(
        st.sampled_from(["add", "move", "stretch", "cancel"]), st.sampled_from(["a", "b"]), st.integers(-400, 400)
    ),
    max_size=12,
)


@settings(max_examples=40)
@given(CHANGES)
def test_whatever_is_changed_the_file_only_grows_by_what_was_returned(tmp_path_factory, changes) -> None:  # type: ignore[no-untyped-def]
    folder = tmp_path_factory.mktemp("calendar")
    data, rows = b"", []
    for what, event, number in changes:
        length = timedelta(hours=number)
        try:
            if what == "add":
                pair = edit.add(folder, event, ANA, kind="sale", start="2026-06-10", end="2026-06-12")
            elif what == "move":
                pair = edit.move(folder, event, ANA, delta=length)
            elif what == "stretch":
                pair = edit.stretch(folder, event, ANA, length=length)
            else:
                pair = edit.cancel(folder, event, ANA)
            rows += [pair[1]] if pair[0] is not pair[1] else []
        except UsageError:
            pass
        now = bytes_of(folder) if rows else b""
        assert now.startswith(data)
        data = now
        assert read_calendar(folder) == tuple(rows)


def test_the_file_keeps_its_own_columns_line_ends_mark_and_rights(folder: Path) -> None:
    path = folder / "calendar.csv"
    lines = [line.split(",") for line in path.read_text().splitlines()]
    turned = "\r\n".join(",".join(reversed(line)) for line in lines)  # no line end at the end
    path.write_bytes(b"\xef\xbb\xbf" + turned.encode())
    path.chmod(0o664)
    before = path.read_bytes()
    _, after = edit.move(folder, "sale", ANA, start="2026-06-12")
    assert path.read_bytes().startswith(before + b"\r\nas announced,ana,planned,")
    assert path.read_bytes().endswith(b",sale\r\n")
    assert path.stat().st_mode & 0o777 == 0o664
    assert read_calendar(folder)[1] == after


PLANNER = """
import sys
from datetime import timedelta
from pathlib import Path
from headgate.domains.capacity.companions import edit
folder, name = Path(sys.argv[1]), sys.argv[2]
by = edit.Signature(name, "why")
(folder / f"{name} is ready").touch()
while not (folder / "go").exists():
    pass
for number in range(25):
    edit.add(folder, f"{name}-{number}", by, kind="sale", start="2026-06-10", end="2026-06-11")
    edit.move(folder, "sale", by, delta=timedelta(days=1))
"""


def test_two_planners_at_once_lose_nothing(folder: Path) -> None:
    names = ("bo", "cy")
    planners = [subprocess.Popen([sys.executable, "-c", PLANNER, str(folder), name]) for name in names]
    try:
        while not all((folder / f"{name} is ready").exists() for name in names):
            assert all(planner.poll() is None for planner in planners)
        (folder / "go").touch()
        assert [planner.wait(60) for planner in planners] == [0, 0]
    finally:
        for planner in planners:
            planner.kill()
    rows = read_calendar(folder)  # refuses a revision that is there twice
    assert {row.event for row in rows} == {"sale", *(f"{name}-{n}" for name in names for n in range(25))}
    assert sorted(row.revision for row in rows if row.event == "sale") == list(range(1, 52))
    (sale,) = (row for row in as_of(rows, datetime.now(UTC)) if row.event == "sale")
    assert sale.start == "2026-07-30"


@pytest.mark.parametrize(
    "dying",
    [
        "Path.write_bytes = lambda path, data: (path.open('wb', 0).write(data[:-9]), die())",  # half written
        "shutil.copymode = lambda *paths: die()",  # written, and about to take its place
    ],
)
def test_a_change_that_is_killed_leaves_the_file_whole_and_the_way_free(folder: Path, dying: str) -> None:
    script = f"""
import os, shutil, signal, sys
from pathlib import Path
from headgate.domains.capacity.companions import edit
die = lambda: os.kill(os.getpid(), signal.SIGKILL)
{dying}
edit.move(Path(sys.argv[1]), "sale", edit.Signature("bo", "why"), start="2026-06-12")
"""
    before = bytes_of(folder)
    done = subprocess.run([sys.executable, "-c", script, str(folder)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert bytes_of(folder) == before
    assert len(list(folder.glob(".tmp-*"))) == 1
    edit.move(folder, "sale", ANA, start="2026-06-13")
    assert [row.start for row in read_calendar(folder)] == ["2026-06-10", "2026-06-13"]
    assert list(folder.glob(".tmp-*")) == []


def test_whoever_waits_too_long_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file, "LOCK_SECONDS", 0.0)
    before = bytes_of(folder)
    with file.locked(folder / "calendar.csv"), pytest.raises(HeadgateError, match="Someone else is changing"):
        edit.move(folder, "sale", ANA, start="2026-06-12")
    assert bytes_of(folder) == before


# -- holidays ----------------------------------------------------------------------------------------------------------


def test_diwali_moved_by_a_person_stays_when_holidays_are_added_again(tmp_path: Path) -> None:
    first = add_holidays(tmp_path, "IN", 2027, Signature("ana"), region="in").added
    diwali = next(row for row in first if row.name.startswith("Diwali"))
    assert (diwali.kind, diwali.region, diwali.length) == ("holiday", "in", timedelta(days=1))
    edit.move(tmp_path, diwali.event, ANA, start="2027-11-07")
    edit.cancel(tmp_path, "in-holi-2027", ANA)
    before = bytes_of(tmp_path)
    again = add_holidays(tmp_path, "IN", 2027, Signature("bo"), region="in")
    assert again.added == ()
    assert {row.event for row in again.kept} == {row.event for row in first}
    (said,) = again.differing
    assert said.startswith(f"{diwali.event} stays on 2027-11-07, as ana has it; holidays ")
    assert said.endswith(f" says {diwali.start}.")
    assert bytes_of(tmp_path) == before
    planned = {row.event: row for row in as_of(read_calendar(tmp_path), datetime.now(UTC))}
    assert planned[diwali.event].span("Asia/Kolkata")[0] == datetime(2027, 11, 6, 18, 30, tzinfo=UTC)
    assert "in-holi-2027" not in planned


def test_days_of_one_holiday_are_one_event_and_two_of_a_name_are_two(tmp_path: Path) -> None:
    added = {row.event: row for row in add_holidays(tmp_path, "TR", 2027, ANA).added}
    assert (added["tr-eid-al-adha-2027"].start, added["tr-eid-al-adha-2027"].end) == ("2027-05-16", "2027-05-20")
    assert added["tr-eid-al-adha-2027"].region == "*"
    first, second = (row for row in add_holidays(tmp_path, "IN", 2033, ANA).added if "fitr" in row.event)
    assert (first.event, second.event) == ("in-eid-al-fitr-2033", "in-eid-al-fitr-2033-2")
    assert (first.start[:7], second.start[:7]) == ("2033-01", "2033-12")


def test_two_countries_in_one_region_each_have_their_own(tmp_path: Path) -> None:
    german = add_holidays(tmp_path, "de-by", 2027, ANA, region="eu").added
    french = add_holidays(tmp_path, "FR", 2027, ANA, region="eu").added
    assert "de-by-eu-epiphany-2027" in {row.event for row in german}
    assert {row.event for row in german}.isdisjoint(row.event for row in french)


@pytest.mark.parametrize(
    ("country", "year", "said"),
    [
        ("XX", 2027, "There is no table of holidays for 'XX': give a country by its code, such as IN or DE-BY"),
        ("DE-XX", 2027, "DE has no part 'XX' with holidays of its own: BB, BE"),
        ("IN", 1900, "holds none for IN in 1900: check the year"),
    ],
)
def test_holidays_that_no_table_knows_are_refused(tmp_path: Path, country: str, year: int, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        add_holidays(tmp_path, country, year, ANA)
    assert list(tmp_path.iterdir()) == []
