"""Importers: every cell lands where it should, and bad input is named by its line and leaves nothing behind."""

import gzip
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headgate.domains.adclicks.data import importers
from headgate.domains.adclicks.data.importers import ImportReport, import_clicks
from headgate.domains.adclicks.data.raw import read_table
from headgate.errors import DataRefused, HeadgateError, UsageError
from headgate.files import sha256

from ....shared import TALKINGDATA, needs

HEADER = "ip,app,device,os,channel,click_time,attributed_time,is_attributed"
TALKING = f"""{HEADER}
83230,3,1,13,379,2017-11-06 23:59:58,,0
17357,3,1,19,379,2017-11-06 23:59:59,2017-11-07 09:00:00,1
17357,3,1,19,379,2017-11-06 23:59:59,,0
35810,3,2,13,478,2017-11-07 00:00:00,,0
"""
PLAIN = """click_id,event_time,user_id,ip
a,2026-11-01T12:00:00+01:00,u1,192.0.2.1
b,2026-11-01T12:00:05Z,u2,192.0.2.2
"""


def bring(folder: Path, text: str | bytes, format: str = "csv", **how: object) -> ImportReport:
    file = folder / "in.csv"
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    return import_clicks(file, format=format, out=folder / "out", **how)  # type: ignore[arg-type]


def table(folder: Path, name: str = "clicks") -> pl.DataFrame:
    return pl.concat(read_table(path, name) for path in sorted((folder / "out" / name).iterdir()))


def at(*when: int) -> datetime:
    return datetime(*when, tzinfo=UTC)  # type: ignore[misc,arg-type]


# ------------------------------------------------------------------------------------------------ talkingdata


def test_talkingdata_row_by_row(tmp_path: Path) -> None:
    report = bring(tmp_path, TALKING, "talkingdata")
    assert report == ImportReport(
        clicks=4,
        purchases=1,
        days=("2017-11-06", "2017-11-07"),
        first_click=at(2017, 11, 6, 23, 59, 58),
        last_click=at(2017, 11, 7),
        three_quarters=at(2017, 11, 7),
        in_order=True,
        ignored=(),
    )
    assert report.as_of == at(2017, 11, 8)
    assert "--as-of 2017-11-08T00:00:00Z" in report.words(Path("out"))
    rows = table(tmp_path)
    assert rows["click_id"].to_list() == ["td-000000001", "td-000000002", "td-000000003", "td-000000004"]
    assert rows.row(1, named=True) == {
        "click_id": "td-000000002",
        "event_time": at(2017, 11, 6, 23, 59, 59),
        "utc_offset_min": 480,
        "received_at": at(2017, 11, 6, 23, 59, 59),
        "user_id": "17357-1-19",
        "session_id": "17357-1-19",
        "ip": "17357",
        "device": "mobile",
        "logged_in": False,
        "campaign": "3-379",
        "rfm": None,
    }
    assert table(tmp_path, "purchases").rows(named=True) == [
        {
            "purchase_id": "p-td-000000002",
            "click_id": "td-000000002",
            "purchased_at": at(2017, 11, 7, 9),
            "known_at": at(2017, 11, 7, 9),
            "amount": 0.0,
        }
    ]


def test_a_file_out_of_order_is_sorted_by_time_and_within_a_second_keeps_its_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = TALKING.splitlines()
    report = bring(tmp_path, "\n".join([HEADER, lines[4], lines[2], lines[1], lines[3]]), "talkingdata")
    assert not report.in_order
    monkeypatch.setattr(importers, "_CHUNK_ROWS", 1)  # each chunk is in order, the chunks are not
    assert bring(tmp_path, "\n".join([HEADER, lines[4], lines[2], lines[1], lines[3]]), "talkingdata") == report
    assert table(tmp_path)["click_id"].to_list() == ["td-000000003", "td-000000002", "td-000000004", "td-000000001"]


def test_chunks_leave_no_trace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [f"{i % 3},{i},1,13,9,2017-11-0{6 + i // 20} 16:00:{i // 4:02},,0" for i in range(40)]
    text = "\n".join([HEADER, *lines])
    (tmp_path / "whole").mkdir()
    whole = bring(tmp_path / "whole", text, "talkingdata")
    for rows in (1, 7, 39):
        monkeypatch.setattr(importers, "_CHUNK_ROWS", rows)
        folder = tmp_path / str(rows)
        folder.mkdir()
        assert bring(folder, text, "talkingdata") == whole
        for day in whole.days:
            name = f"out/clicks/{day}.parquet"
            assert sha256(folder / name) == sha256(tmp_path / "whole" / name)


def test_talkingdata_refuses_a_mapping_and_other_headers(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="go with --format csv"):
        bring(tmp_path, TALKING, "talkingdata", mapping={"ip": "ip"})
    with pytest.raises(DataRefused, match="lacks the column app"):
        bring(tmp_path, PLAIN, "talkingdata")
    with pytest.raises(DataRefused, match=r"in\.csv, line 3: ip is empty"):
        bring(tmp_path, TALKING.replace("17357", "", 1), "talkingdata")
    with pytest.raises(UsageError, match="no format 'parquet': choose one of talkingdata, csv"):
        bring(tmp_path, TALKING, "parquet")


@needs(TALKINGDATA)
@pytest.mark.nightly
def test_the_real_clicks(tmp_path: Path) -> None:
    report = import_clicks(TALKINGDATA, format="talkingdata", out=tmp_path / "out")
    assert (report.clicks, report.purchases, report.in_order) == (147_542, 250, True)
    assert report.last_click == at(2017, 11, 6, 16, 2, 43)
    source = pl.read_csv(TALKINGDATA, infer_schema=False)
    rows = table(tmp_path)
    assert rows["ip"].equals(source["ip"])  # in the file's order, none lost, none merged
    assert rows["campaign"].to_list() == (source["app"] + "-" + source["channel"]).to_list()
    assert rows["click_id"].n_unique() == 147_542
    late = (rows["event_time"] >= report.three_quarters).mean()
    assert late == pytest.approx(0.25, abs=0.02)
    bought = table(tmp_path, "purchases").join(rows, on="click_id", validate="1:1")
    assert len(bought) == 250
    assert bought.select((pl.col("known_at") - pl.col("event_time")).max()).item() < timedelta(hours=24)


# ------------------------------------------------------------------------------------------------ csv


def test_what_is_not_mapped_takes_its_default(tmp_path: Path) -> None:
    report = bring(tmp_path, PLAIN)
    rows = table(tmp_path)
    assert rows.row(0, named=True) == {
        "click_id": "a",
        "event_time": at(2026, 11, 1, 11),
        "utc_offset_min": 60,
        "received_at": at(2026, 11, 1, 11),
        "user_id": "u1",
        "session_id": "u1",
        "ip": "192.0.2.1",
        "device": "other",
        "logged_in": False,
        "campaign": "",
        "rfm": None,
    }
    assert rows["utc_offset_min"].to_list() == [60, 0]
    assert (report.clicks, report.purchases, report.ignored) == (2, 0, ())
    assert not (tmp_path / "out/purchases").exists()


def test_mapped_headers_and_purchases(tmp_path: Path) -> None:
    text = (
        "ID;ts;who;addr;Gerät;in;score;bought;told;eur;junk\n"
        "a;2026-11-01T12:00:00Z;u;i;Mobile;yes;7.0;2026-11-01T13:00:00Z;2026-11-02T00:00:00Z;9.5;x\n"
        "b;2026-11-01T12:00:01Z;u;i;;0;;;;;\n"
        "c;2026-11-01T12:00:02Z;u;i;desktop;TRUE;15;2026-11-01T14:00:00Z;;;\n"
    )
    mapping = {
        "click_id": "ID",
        "event_time": "ts",
        "user_id": "who",
        "ip": "addr",
        "device": "Gerät",
        "logged_in": "in",
    }
    mapping |= {"rfm": "score", "purchased_at": "bought", "known_at": "told", "amount": "eur"}
    report = bring(tmp_path, text, mapping=mapping)
    assert report.ignored == ("junk",)
    rows = table(tmp_path)
    assert rows["device"].to_list() == ["mobile", "other", "desktop"]
    assert rows["logged_in"].to_list() == [True, False, True]
    assert rows["rfm"].to_list() == [7, None, 15]
    assert sorted(path.name for path in (tmp_path / "out/purchases").iterdir()) == [
        "2026-11-01.parquet",
        "2026-11-02.parquet",
    ]
    assert table(tmp_path, "purchases").select("purchase_id", "known_at", "amount").rows() == [
        ("p-c", at(2026, 11, 1, 14), 0.0),
        ("p-a", at(2026, 11, 2), 9.5),
    ]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("zipped", [False, True])
def test_dialects_say_the_same(tmp_path: Path, delimiter: str, mark: bytes, end: str, zipped: bool) -> None:
    bring(tmp_path, PLAIN)
    expected = table(tmp_path)
    data = mark + PLAIN.replace(",", delimiter).replace("\n", end).encode()
    other = tmp_path / "other"
    other.mkdir()
    bring(other, gzip.compress(data) if zipped else data)
    assert table(other).equals(expected)


def test_quotes_and_blank_lines_and_spaces(tmp_path: Path) -> None:
    text = (
        'click_id , event_time,user_id,ip,campaign\n"a,""1""",2026-11-01T12:00:00Z, u ,i,"two\nlines"\n\nb,bad,u,i,\n'
    )
    with pytest.raises(DataRefused, match="line 5: event_time 'bad' is no time"):
        bring(tmp_path, text)
    bring(tmp_path, text.replace("bad", "2026-11-01T12:00:00Z"))
    assert table(tmp_path).select("click_id", "user_id", "campaign").rows() == [
        ('a,"1"', "u", "two\nlines"),
        ("b", "u", ""),
    ]


def test_a_column_may_be_left_at_its_default(tmp_path: Path) -> None:
    text = "click_id,event_time,user_id,ip,device\na,2026-11-01T12:00:00Z,u,i,iPhone\n"
    with pytest.raises(DataRefused, match="line 2: device 'iphone' must be one of mobile, desktop, tablet, other"):
        bring(tmp_path, text.replace("iPhone", "iphone"))
    report = bring(tmp_path, text, mapping={"device": ""})
    assert table(tmp_path)["device"].to_list() == ["other"]
    assert report.ignored == ("device",)


# ------------------------------------------------------------------------------------------------ times

TIMES: dict[str, tuple[datetime, int]] = {
    "2026-11-01T12:00:00Z": (at(2026, 11, 1, 12), 0),
    "2026-11-01 12:00:00 UTC": (at(2026, 11, 1, 12), 0),
    "2026-11-01 12:00:00+0530": (at(2026, 11, 1, 6, 30), 330),
    "2026-11-01T12:00-03:30": (at(2026, 11, 1, 15, 30), -210),
    "2026-11-01T12:00:00-08": (at(2026, 11, 1, 20), -480),
    "2026-11-01T12:00:00.123456789Z": (at(2026, 11, 1, 12, 0, 0, 123456), 0),
    "2026-11-01T12:00:00.5+00:00": (at(2026, 11, 1, 12, 0, 0, 500_000), 0),
    "1793534400": (at(2026, 11, 1, 12), 0),
    "1793534400250": (at(2026, 11, 1, 12, 0, 0, 250_000), 0),
    "1793534400000001": (at(2026, 11, 1, 12, 0, 0, 1), 0),
}


@pytest.mark.parametrize("text", TIMES)
def test_a_time_and_its_offset(tmp_path: Path, text: str) -> None:
    instant, offset = TIMES[text]
    bring(tmp_path, f"click_id,event_time,user_id,ip\na,{text},u,i\n")
    assert table(tmp_path).select("event_time", "utc_offset_min").row(0) == (instant, offset)


@settings(max_examples=60, deadline=None)
@given(
    when=st.datetimes(datetime(1990, 1, 1), datetime(2090, 1, 1)),
    minutes=st.integers(-720, 840),
)
def test_any_iso_time_with_an_offset(tmp_path_factory: pytest.TempPathFactory, when: datetime, minutes: int) -> None:
    sign, (hours, rest) = "-" if minutes < 0 else "+", divmod(abs(minutes), 60)
    folder = tmp_path_factory.mktemp("iso")
    bring(folder, f"click_id,event_time,user_id,ip\na,{when.isoformat()}{sign}{hours:02}:{rest:02},u,i\n")
    row = table(folder).row(0, named=True)
    assert row["event_time"] == when.replace(tzinfo=UTC) - timedelta(minutes=minutes)
    assert row["utc_offset_min"] == minutes


@pytest.mark.parametrize(
    "text",
    ["yesterday", "2026-13-01T00:00:00Z", "2026-11-01T25:00:00Z", "2026-11-01", "12345", "2026-11-01T12:00:00+15:00"],
)
def test_what_is_no_time_is_named(tmp_path: Path, text: str) -> None:
    with pytest.raises(DataRefused, match=r"line 2: event_time '.*' is no time: write it as"):
        bring(tmp_path, f"click_id,event_time,user_id,ip\na,{text},u,i\n")


def test_a_time_without_zone_needs_one(tmp_path: Path) -> None:
    text = "click_id,event_time,user_id,ip\na,2026-11-01T12:00:00Z,u,i\nb,2026-07-01 12:00:00,u,i\n"
    with pytest.raises(DataRefused, match=r"line 3: event_time '2026-07-01 12:00:00' has no zone: .* --tz ZONE"):
        bring(tmp_path, text)
    bring(tmp_path, text, tz="Europe/Berlin")
    assert table(tmp_path).select("click_id", "event_time", "utc_offset_min").rows() == [
        ("b", at(2026, 7, 1, 10), 120),
        ("a", at(2026, 11, 1, 12), 0),
    ]
    with pytest.raises(UsageError, match="no time zone 'Mars/Olympus'"):
        bring(tmp_path, text, tz="Mars/Olympus")


@pytest.mark.parametrize("clock", ["2026-10-25 02:30:00", "2026-03-29 02:30:00"])
def test_an_hour_that_comes_twice_or_never_is_named(tmp_path: Path, clock: str) -> None:
    text = f"click_id,event_time,user_id,ip\na,2026-10-25 01:59:59,u,i\nb,{clock},u,i\n"
    with pytest.raises(DataRefused, match=f"line 3: event_time '{clock}' comes twice or never in Europe/Berlin"):
        bring(tmp_path, text, tz="Europe/Berlin")


# ------------------------------------------------------------------------------------------------ bad cells, bad files

CELLS = {
    "logged_in": "perhaps",
    "rfm": "2",
    "utc_offset_min": "900",
    "received_at": "later",
    "purchased_at": "soon",
}


@pytest.mark.parametrize("column", CELLS)
def test_a_bad_cell_is_named_by_line_and_header(tmp_path: Path, column: str) -> None:
    text = (
        f"click_id,event_time,user_id,ip,H\na,2026-11-01T12:00:00Z,u,i,\nb,2026-11-01T12:00:00Z,u,i,{CELLS[column]}\n"
    )
    with pytest.raises(DataRefused, match=f"line 3: H '{CELLS[column]}' "):
        bring(tmp_path, text, mapping={column: "H"})
    assert [path.name for path in tmp_path.iterdir()] == ["in.csv"]


@pytest.mark.parametrize("amount", ["ten", "nan", "inf", "1,5"])
def test_an_amount_is_a_number(tmp_path: Path, amount: str) -> None:
    text = f"click_id;event_time;user_id;ip;purchased_at;amount\na;1793534400;u;i;1793534401;{amount}\n"
    with pytest.raises(DataRefused, match=f"line 2: amount '{amount}' must be a number"):
        bring(tmp_path, text)


@pytest.mark.parametrize("column", ["click_id", "event_time", "user_id", "ip"])
def test_a_required_cell_is_never_empty(tmp_path: Path, column: str) -> None:
    cells = {"click_id": "a", "event_time": "1793534400", "user_id": "u", "ip": "i"} | {column: " "}
    with pytest.raises(DataRefused, match=f"line 2: {column} is empty"):
        bring(tmp_path, f"{','.join(cells)}\n{','.join(cells.values())}\n")


BROKEN: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "is empty"),
    "blank": (b"\n\n", "starts with a blank line"),
    "header only": (PLAIN.splitlines()[0].encode(), "a header and no clicks"),
    "short row": (PLAIN.encode() + b"c,1793534400\n", "line 4: 2 fields, expected 4"),
    "long row": (PLAIN.encode() + b"c,1793534400,u,i,x\n", "line 4: 5 fields, expected 4"),
    "open quote": (PLAIN.encode() + b'c,1793534400,u,"i\n', "line 4: .*check the quotes"),
    "latin-1": (PLAIN.replace("u2", "ü2").encode("latin-1"), "line 3: not UTF-8 text: convert it"),
    "utf-16": (PLAIN.encode("utf-16"), "line 1: not UTF-8 text: convert it"),
    "cut gzip": (gzip.compress(PLAIN.encode() * 50)[:-20], "damaged gzip"),
    "twice": (PLAIN.replace("user_id", "ip").encode(), "no header user_id"),
    "two of a name": (b"click_id,event_time,user_id,ip,ip\na,1793534400,u,i,j\n", "header ip more than once"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_file_is_refused_in_one_sentence_and_leaves_nothing(tmp_path: Path, case: str) -> None:
    data, words = BROKEN[case]
    with pytest.raises(HeadgateError, match=words) as refusal:
        bring(tmp_path, data)
    assert "in.csv" in str(refusal.value)
    assert [path.name for path in tmp_path.iterdir()] == ["in.csv"]


def test_a_bad_row_after_many_good_ones_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importers, "_CHUNK_ROWS", 10)
    good = "".join(f"c{i},{1793534400 + i},u,i\n" for i in range(35))
    header = PLAIN.splitlines()[0]
    (tmp_path / "out").mkdir()
    with pytest.raises(DataRefused, match="line 37: event_time 'x' is no time"):
        bring(tmp_path, f"{header}\n{good}z,x,u,i\n")
    assert list((tmp_path / "out").iterdir()) == []


def test_importing_again_changes_nothing_and_other_clicks_of_a_day_are_refused(tmp_path: Path) -> None:
    first = bring(tmp_path, PLAIN)
    path = tmp_path / "out/clicks/2026-11-01.parquet"
    before = path.stat()
    assert bring(tmp_path, PLAIN) == first
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    with pytest.raises(UsageError, match=r"2026-11-01\.parquet is there with other rows"):
        bring(tmp_path, PLAIN.replace("u2", "u3"))
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    bring(tmp_path, PLAIN.replace("2026-11-01", "2026-11-02"))
    assert len(table(tmp_path)) == 4


# ------------------------------------------------------------------------------------------------ the mapping

MAPPINGS: dict[str, tuple[dict[str, str], str]] = {
    "typo in a header": (
        {"event_time": "evnt_time"},
        r"no header 'evnt_time' \(perhaps event_time\?\): it has click_id",
    ),
    "typo in a column": ({"evnt_time": "event_time"}, r"no column 'evnt_time' \(perhaps event_time\?\)"),
    "required and unmapped": ({"ip": ""}, r"no header ip.*: give --map ip=HEADER, one of click_id, event_time"),
    "amount alone": ({"amount": "ip"}, "without its purchased_at"),
}


@pytest.mark.parametrize("case", MAPPINGS)
def test_a_mapping_that_leads_nowhere_names_the_candidates(tmp_path: Path, case: str) -> None:
    mapping, words = MAPPINGS[case]
    with pytest.raises(UsageError, match=words):
        bring(tmp_path, PLAIN, mapping=mapping)
    assert not (tmp_path / "out").exists()


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no file"):
        import_clicks(tmp_path / "gone.csv", format="csv", out=tmp_path / "out")
    with pytest.raises(UsageError, match="cannot be read: Is a directory"):
        import_clicks(tmp_path, format="csv", out=tmp_path / "out")
