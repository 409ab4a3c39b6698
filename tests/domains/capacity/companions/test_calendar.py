"""The calendar and the masks: read as written or refused in a sentence, and told as they were known at any instant."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.domains.capacity.companions.calendar import Event, Mask, as_of, companion_id, read_calendar, read_masks
from headgate.errors import DataRefused

EVENTS = "event,revision,kind,name,region,services,start,end,intensity,known_since,status,author,reason"
SALE = "sale-2026,1,sale,Sale,in,cart|checkout,2026-06-10,2026-06-11,2,2026-05-01T00:00:00+00:00,planned,ana,"
MASKS = "mask,revision,region,services,start,end,effect,known_since,status,author,reason"
ROBOTS = "r1,1,in,*,2026-06-10T15:30Z,2026-06-10T18:00Z,robots,2026-06-11T00:00Z,active,ana,scraper"

NEW_YORK, BERLIN = "America/New_York", "Europe/Berlin"


def calendar(folder: Path, *lines: str) -> Path:
    (folder / "calendar.csv").write_text("\n".join([EVENTS, *lines]) + "\n", encoding="utf-8")
    return folder


def sale(**cells: object) -> Event:
    """An event, planned in May 2026 for a day in June."""
    known = datetime(2026, 5, 1, tzinfo=UTC)
    row = Event("sale", 1, "sale", "", "*", ("*",), "2026-06-10", "2026-06-11", 1.0, known, "planned", "ana", "")
    return replace(row, **cells)  # type: ignore[arg-type]


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


# -- reading -----------------------------------------------------------------------------------------------------------


def test_a_row_is_read_with_its_types(tmp_path: Path) -> None:
    (event,) = read_calendar(calendar(tmp_path, SALE))
    assert (event.event, event.revision, event.services, event.intensity) == ("sale-2026", 1, ("cart", "checkout"), 2.0)
    assert event.known_since == utc("2026-05-01")
    (tmp_path / "masks.csv").write_text(f"{MASKS}\n{ROBOTS}\n")
    (mask,) = read_masks(tmp_path)
    assert (mask.mask, mask.effect, mask.status) == ("r1", "robots", "active")
    assert mask.span("Asia/Kolkata") == (utc("2026-06-10T15:30"), utc("2026-06-10T18:00"))


def test_without_files_there_are_no_events_and_no_masks(tmp_path: Path) -> None:
    assert read_calendar(tmp_path) == ()
    assert read_masks(tmp_path) == ()


def test_every_revision_is_read_in_the_order_of_the_file(tmp_path: Path) -> None:
    later = SALE.replace(",1,", ",2,", 1).replace("2026-05-01", "2026-05-02")
    other = SALE.replace("sale-2026", "other")
    assert [(row.event, row.revision) for row in read_calendar(calendar(tmp_path, SALE, other, later))] == [
        ("sale-2026", 1),
        ("other", 1),
        ("sale-2026", 2),
    ]


@pytest.mark.parametrize(
    "form",
    [
        b"\xef\xbb\xbf%s\n%s\n",  # a byte-order mark
        b"%s\r\n%s\r\n",
        b"%s\n%s",  # no line end
        b"%s\n,,,,,,,,,,,,\n\n%s\n\n",  # what a spreadsheet leaves behind
    ],
)
def test_what_spreadsheets_make_of_text_is_read_alike(tmp_path: Path, form: bytes) -> None:
    (tmp_path / "calendar.csv").write_bytes(form % (EVENTS.encode(), SALE.encode()))
    assert read_calendar(tmp_path) == read_calendar(calendar(tmp_path, SALE))


def test_columns_may_stand_in_any_order_and_an_empty_intensity_is_one(tmp_path: Path) -> None:
    pairs = sorted(zip(EVENTS.split(","), SALE.replace(",2,", ",,").split(","), strict=True))
    lines = [",".join(column) for column in zip(*pairs, strict=True)]
    (tmp_path / "calendar.csv").write_text("\n".join(lines) + "\n")
    assert read_calendar(tmp_path)[0].intensity == 1.0


@pytest.mark.parametrize(
    ("column", "text", "said"),
    [
        ("event", "", "'' is no id: write one without spaces"),
        ("event", "summer sale", "'summer sale' is no id"),
        ("revision", "one", "'one' is no revision: write 1, 2, 3"),
        ("revision", "0", "'0' is no revision"),
        ("kind", "Sale!", "'Sale!' is no kind: write lower-case letters"),
        ("region", "", "'' is no region: write one, or * for all"),
        ("region", "in|us", "'in|us' is no region"),
        ("services", "cart||checkout", "names no services: write them as cart|checkout"),
        ("services", "cart|*", "names no services"),
        ("start", "10.06.2026", "'10.06.2026' is no time: write 2026-11-27, 2026-11-27T18:00 (both local) or"),
        ("start", "2026-02-29", "'2026-02-29' is no time"),
        ("start", "2026-06-10T25:00", "'2026-06-10T25:00' is no time"),
        ("start", "20260610", "'20260610' is no time"),
        ("start", "2026-W24-3", "'2026-W24-3' is no time"),
        ("start", "0026-06-10", "lies outside the years 1970 to 2199: check the year"),
        ("end", "2026-06-09", "2026-06-09 lies before the start 2026-06-10: exchange or correct them"),
        ("end", "2026-06-10", "the end is exclusive: write when it is over"),
        ("end", "2026-06-11T00:00Z", "start and end mix a local time and an instant"),
        ("intensity", "0", "'0' is no intensity: write a number above 0"),
        ("intensity", "-1", "'-1' is no intensity"),
        ("intensity", "nan", "'nan' is no intensity"),
        ("intensity", "1e999", "'1e999' is no intensity"),
        ("intensity", "double", "'double' is no intensity"),
        ("known_since", "2026-05-01", "'2026-05-01' names no zone: write it with its offset"),
        ("known_since", "2026-05-01T00:00", "names no zone"),
        ("known_since", "", "'' is no time"),
        ("status", "maybe", "'maybe' is unknown: write planned or cancelled"),
    ],
)
def test_a_cell_that_does_not_fit_is_refused_with_its_place(tmp_path: Path, column: str, text: str, said: str) -> None:
    row = dict(zip(EVENTS.split(","), SALE.split(","), strict=True)) | {column: text}
    calendar(tmp_path, SALE.replace("sale-2026", "fine"), ",".join(row.values()))
    with pytest.raises(DataRefused) as refused:
        read_calendar(tmp_path)
    assert str(refused.value).startswith(f"{tmp_path / 'calendar.csv'}, line 3, column {column}: ")
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("column", "text", "said"),
    [
        ("effect", "bots", "'bots' is unknown: write robots or outage or throttled or load-test or keep"),
        ("status", "planned", "'planned' is unknown: write active or withdrawn"),
        ("end", "2026-06-10T15:30Z", "the end is exclusive"),
    ],
)
def test_a_mask_that_does_not_fit_is_refused(tmp_path: Path, column: str, text: str, said: str) -> None:
    row = dict(zip(MASKS.split(","), ROBOTS.split(","), strict=True)) | {column: text}
    (tmp_path / "masks.csv").write_text(f"{MASKS}\n{','.join(row.values())}\n")
    with pytest.raises(DataRefused) as refused:
        read_masks(tmp_path)
    assert f"masks.csv, line 2, column {column}: " in str(refused.value)
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "is empty: remove it, or write its header, event,revision,"),
        (EVENTS.replace(",kind", "").encode(), "line 1: the column kind is missing: add it."),
        (EVENTS.replace(",", ";").encode(), "is missing: save it with commas, not semicolons."),
        ((EVENTS + ",colour").encode(), "line 1: the column 'colour' is unknown: remove it."),
        ((EVENTS + ",name").encode(), "line 1: the column name is there more than once: remove one."),
        (f"{EVENTS}\n{SALE},extra".encode(), "line 2: 14 fields, expected 13 as in the header: quote a text"),
        (f'{EVENTS}\n{SALE}"open" quote"'.encode(), "line 2: "),
        (f"{EVENTS}\n{SALE}".encode() + b"caf\xe9", "line 2: not UTF-8 text: convert it first (iconv"),
    ],
)
def test_a_file_that_is_no_calendar_is_refused(tmp_path: Path, data: bytes, said: str) -> None:
    (tmp_path / "calendar.csv").write_bytes(data)
    with pytest.raises(DataRefused) as refused:
        read_calendar(tmp_path)
    assert str(refused.value).startswith(f"{tmp_path / 'calendar.csv'}")
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("revision", "known", "line", "said"),
    [
        ("1", "2026-05-02", 3, "column revision: sale-2026 has revision 1 twice: number the later one 2"),
        ("3", "2026-05-02", 3, "column revision: sale-2026 has no revision 2 before this 3: restore it"),
        ("2", "2026-04-30", 3, "column known_since: sale-2026 was known earlier than in its revision 1"),
    ],
)
def test_a_history_with_gaps_or_going_back_is_refused(
    tmp_path: Path, revision: str, known: str, line: int, said: str
) -> None:
    calendar(tmp_path, SALE, SALE.replace(",1,", f",{revision},", 1).replace("2026-05-01", known))
    with pytest.raises(DataRefused) as refused:
        read_calendar(tmp_path)
    assert f"calendar.csv, line {line}, {said}" in str(refused.value)


def test_a_history_that_does_not_begin_with_one_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataRefused, match="line 2, column revision: sale-2026 has no revision 1 before this 2"):
        read_calendar(calendar(tmp_path, SALE.replace(",1,", ",2,", 1)))


def test_only_a_break_of_the_slope_may_end_as_it_starts(tmp_path: Path) -> None:
    row = SALE.replace(",sale,", ",break,").replace("2026-06-11", "2026-06-10")
    (event,) = read_calendar(calendar(tmp_path, row))
    assert event.span("UTC") == (utc("2026-06-10"), utc("2026-06-10"))


# -- where and when ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("region", "services", "series", "applies"),
    [
        ("*", ("*",), ("in", "cart"), True),
        ("in", ("*",), ("in", "cart"), True),
        ("in", ("cart", "checkout"), ("in", "checkout"), True),
        ("*", ("cart",), ("us", "cart"), True),
        ("in", ("*",), ("us", "cart"), False),
        ("in", ("cart",), ("in", "cart-api"), False),
    ],
)
def test_a_row_applies_to_its_region_and_services(
    region: str, services: tuple[str, ...], series: tuple[str, str], applies: bool
) -> None:
    assert sale(region=region, services=services).applies(*series) is applies


@pytest.mark.parametrize(
    ("start", "end", "zone", "hours"),
    [
        ("2026-03-29", "2026-03-30", BERLIN, 23),  # summer time begins
        ("2026-10-25", "2026-10-26", BERLIN, 25),  # and ends
        ("2026-03-08", "2026-03-09", NEW_YORK, 23),
        ("2026-10-25", "2026-10-26", "Asia/Kolkata", 24),
        ("2026-10-04", "2026-10-05", "Australia/Lord_Howe", 23.5),
        ("2026-04-24", "2026-04-25", "Africa/Cairo", 23),  # there is no midnight that day
        ("2028-02-29", "2028-03-01", BERLIN, 24),  # a leap day
        ("2026-12-28", "2027-01-04", BERLIN, 7 * 24),  # the 53rd week of its year
        ("2026-10-25T01:00", "2026-10-25T03:00", BERLIN, 3),
        ("2026-03-29T02:00", "2026-03-29T03:00", BERLIN, 0),  # the clock skips it whole
        ("2026-03-29T02:30", "2026-03-29T03:15", BERLIN, 0),
        ("2026-06-10T00:00Z", "2026-06-11T00:00Z", BERLIN, 24),
    ],
)
def test_a_local_span_lasts_as_long_as_it_does_there(start: str, end: str, zone: str, hours: float) -> None:
    begins, over = sale(start=start, end=end).span(zone)
    assert over - begins == timedelta(hours=hours)


@pytest.mark.parametrize(
    ("local", "instant"),
    [
        ("2026-10-25T02:30", "2026-10-25T00:30"),  # shown twice: the first
        ("2026-03-29T02:30", "2026-03-29T01:30"),  # never shown: 03:30 by the new clock
        ("2026-11-27", "2026-11-26T23:00"),
        ("2026-11-27T18:00", "2026-11-27T17:00"),
    ],
)
def test_local_times_are_resolved_in_the_zone_of_the_series(local: str, instant: str) -> None:
    assert sale(start=local, end="2026-12-31").span(BERLIN)[0] == utc(instant)


def test_one_local_day_is_another_instant_in_every_zone() -> None:
    event = sale(start="2026-11-27", end="2026-11-28")
    assert event.span("Asia/Kolkata")[0] == utc("2026-11-26T18:30")
    assert event.span(NEW_YORK)[0] == utc("2026-11-27T05:00")


@pytest.mark.parametrize("zone", ["Mars/Olympus", "", "../etc", "America"])
def test_an_unknown_zone_is_refused(zone: str) -> None:
    with pytest.raises(DataRefused, match="There is no time zone"):
        sale().span(zone)


# -- what was known when -----------------------------------------------------------------------------------------------


@st.composite
def histories(draw: st.DrawFn) -> list[Event | Mask]:
    """Events or masks with revisions that are right: numbered, and never known earlier than the one before."""
    table, statuses = draw(st.sampled_from([(Event, Event.STATUSES), (Mask, Mask.STATUSES)]))
    rows: list[Event | Mask] = []
    for name in "abc"[: draw(st.integers(1, 3))]:
        days = sorted(draw(st.lists(st.integers(0, 60), min_size=1, max_size=5)))
        for number, day in enumerate(days, start=1):
            status = draw(st.sampled_from(statuses))
            known = utc("2026-01-01") + timedelta(days=day)
            start = f"2026-0{draw(st.integers(1, 9))}-10"
            when = (start, start.replace("-10", "-11"))
            if table is Event:
                rows.append(Event(name, number, "sale", "", "*", ("*",), *when, 1.0, known, status, "ana", ""))
            else:
                rows.append(Mask(name, number, "*", ("*",), *when, "robots", known, status, "ana", ""))
    return rows


@given(histories(), st.integers(0, 61), st.randoms(use_true_random=False))
def test_the_state_known_at_an_instant_never_depends_on_later_revisions(rows, day, random) -> None:  # type: ignore[no-untyped-def]
    instant = utc("2026-01-01") + timedelta(days=day)
    known = [row for row in rows if row.known_since <= instant]
    state = as_of(rows, instant)
    assert state == as_of(known, instant)
    shuffled = random.sample(rows, len(rows))
    assert state == as_of(shuffled, instant)
    last = {row.id: row for row in sorted(known, key=lambda row: row.revision)}
    assert {row.id: row for row in state} == {
        name: row for name, row in last.items() if row.status in ("planned", "active")
    }


def test_a_cancelled_event_and_a_withdrawn_mask_are_told_until_then(tmp_path: Path) -> None:
    gone = SALE.replace(",1,", ",2,", 1).replace("2026-05-01", "2026-05-20").replace("planned", "cancelled")
    rows = read_calendar(calendar(tmp_path, SALE, gone))
    assert as_of(rows, utc("2026-04-30")) == ()
    assert [row.revision for row in as_of(rows, utc("2026-05-01"))] == [1]
    assert as_of(rows, utc("2026-05-20")) == ()


@given(histories(), st.randoms(use_true_random=False))
def test_the_id_of_companions_does_not_depend_on_their_order(rows, random) -> None:  # type: ignore[no-untyped-def]
    assert companion_id(rows) == companion_id(random.sample(rows, len(rows)))
    assert companion_id(rows[1:]) != companion_id(rows)


def test_the_id_is_that_of_the_meaning_not_of_the_writing() -> None:
    event = sale(start="2026-06-10T10:00Z", end="2026-06-10T12:00Z", services=("cart", "checkout"))
    alike = sale(start="2026-06-10T12:00+02:00", end="2026-06-10T12:00:00+00:00", services=("checkout", "cart"))
    assert companion_id([event]) == companion_id([alike])
    assert len(companion_id([])) == 12
    for column, value in {"intensity": 2.0, "end": "2026-06-10T13:00Z", "reason": "x", "status": "cancelled"}.items():
        assert companion_id([replace(event, **{column: value})]) != companion_id([event]), column  # type: ignore[arg-type]


def test_the_id_is_the_same_for_everyone_for_ever() -> None:
    """Decisions record it: it must not change with the version of Headgate."""
    assert companion_id([sale()]) == "ea7365f4d163"
