"""Importing exported series: which points come out, and in which words what cannot be read is refused."""

import gzip
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
import pytest

from headgate.domains.capacity.data import importers
from headgate.domains.capacity.data.importers import ImportReport, import_series
from headgate.domains.capacity.data.raw import check_file, load_matrix, load_points, read_series
from headgate.errors import DataRefused, HeadgateError, UsageError

from ....shared import CLOUD_API, needs

START = datetime(2026, 11, 1, 12, tzinfo=UTC)

Import = Callable[..., ImportReport]


@pytest.fixture
def bring(tmp_path: Path) -> Import:
    """Import text, or bytes, as a file into `tmp_path/out`."""

    def bring(data: str | bytes, name: str = "load.csv", **how: object) -> ImportReport:
        (tmp_path / name).write_bytes(data if isinstance(data, bytes) else data.encode())
        told = {"region": "eu", "service": "home", "metric": "requests"} | how
        told = {key: value for key, value in told.items() if value is not None}
        return import_series(tmp_path / name, out=tmp_path / "out", **told)  # type: ignore[arg-type]

    return bring


def lines(times: list[datetime], form: str = "%Y-%m-%dT%H:%M:%SZ", header: str = "time,value") -> str:
    rows = [f"{time.strftime(form)},{10 + n}" for n, time in enumerate(times)]
    return "\n".join([header, *rows]) + "\n"


def every(step: int, n: int, start: datetime = START) -> list[datetime]:
    return [start + timedelta(seconds=step * i) for i in range(n)]


# ------------------------------------------------------------------------------------------------- what is taken


def test_points_come_out_as_they_are_and_are_known_when_their_step_is_over(bring: Import, tmp_path: Path) -> None:
    report = bring(lines(every(300, 4)), unit="requests", zone="Europe/Berlin")
    assert report == ImportReport(
        points=4,
        series=("eu/home/requests",),
        step=300,
        first=START,
        last=START + timedelta(minutes=15),
        left_out=0,
        gaps=0,
        moved_seconds=0,
    )
    assert report.as_of == START + timedelta(minutes=20)
    assert "--as-of 2026-11-01T12:20:00Z" in report.hint
    one = read_series(tmp_path / "out")["eu/home/requests"]
    assert (one.unit, one.zone, one.step, one.aggregation) == ("requests", "Europe/Berlin", 300, "sum")
    times, values = load_matrix(tmp_path / "out", ["eu/home/requests"], report.as_of)
    assert times[0] == START.timestamp()
    assert values.ravel().tolist() == [10, 11, 12, 13]
    assert len(load_matrix(tmp_path / "out", ["eu/home/requests"], report.as_of - timedelta(seconds=1))[0]) == 3
    for path in (tmp_path / "out/points").iterdir():
        check_file(path, read_series(tmp_path / "out"))


SAME: dict[str, tuple[Callable[[datetime], str], str | None]] = {
    "UTC with a Z": (lambda time: time.strftime("%Y-%m-%dT%H:%M:%SZ"), None),
    "with an offset": (lambda time: time.astimezone(ZoneInfo("Asia/Tokyo")).isoformat(), None),
    "epoch seconds": (lambda time: str(int(time.timestamp())), None),
    "epoch milliseconds": (lambda time: str(int(time.timestamp() * 1000)), None),
    "local in Berlin": (lambda time: f"{time.astimezone(ZoneInfo('Europe/Berlin')):%Y-%m-%d %H:%M}", "Europe/Berlin"),
    "local in New York": (
        lambda time: f"{time.astimezone(ZoneInfo('America/New_York')):%Y-%m-%d %H:%M:%S}",
        "America/New_York",
    ),
    "local in Kolkata": (lambda time: f"{time.astimezone(ZoneInfo('Asia/Kolkata')):%Y-%m-%d %H:%M}", "Asia/Kolkata"),
}


@pytest.mark.parametrize("form", SAME)
@pytest.mark.parametrize("day", ["2026-10-25", "2026-03-29", "2026-11-01", "2028-02-29"])
def test_every_way_to_write_times_gives_the_same_points(bring: Import, tmp_path: Path, form: str, day: str) -> None:
    times = every(1800, 60, datetime.fromisoformat(day).replace(tzinfo=UTC) - timedelta(hours=6))
    write, tz = SAME[form]
    rows = [f"{write(time)},{n}" for n, time in enumerate(times)]
    report = bring("\n".join(["time,value", *rows]), tz=tz)
    assert (report.points, report.gaps, report.step) == (60, 0, 1800)
    found, values = load_matrix(tmp_path / "out", ["eu/home/requests"])
    assert found.tolist() == [int(time.timestamp()) for time in times]
    assert values.ravel().tolist() == list(range(60))


def test_an_hour_that_comes_twice_goes_by_the_order_of_lines(bring: Import, tmp_path: Path) -> None:
    berlin = [f"2026-10-25 {hour}" for hour in ("01:30", "02:00", "02:30", "02:00", "02:30", "03:00")]
    bring("\n".join(["time,value", *(f"{time},{n}" for n, time in enumerate(berlin))]), tz="Europe/Berlin")
    times, values = load_matrix(tmp_path / "out", ["eu/home/requests"])
    assert datetime.fromtimestamp(int(times[0]), UTC) == datetime(2026, 10, 24, 23, 30, tzinfo=UTC)
    assert values.ravel().tolist() == [0, 1, 2, 3, 4, 5]


def test_an_hour_that_comes_twice_and_was_written_once_leaves_a_gap(bring: Import, tmp_path: Path) -> None:
    report = bring(
        "time,value\n2026-10-25 01:00,1\n2026-10-25 02:00,2\n2026-10-25 03:00,3\n2026-10-25 04:00,4", tz="Europe/Berlin"
    )
    assert report.gaps == 1
    assert np.isnan(load_matrix(tmp_path / "out", ["eu/home/requests"])[1].ravel()).tolist() == [0, 0, 1, 0, 0]


def test_an_hour_that_never_came_is_refused(bring: Import) -> None:
    with pytest.raises(DataRefused, match="line 3: the clock of Europe/Berlin never showed 2026-03-29 02:30"):
        bring("time,value\n2026-03-29 01:30,1\n2026-03-29 02:30,2\n", tz="Europe/Berlin")


def test_local_times_with_a_false_z_are_told_and_can_be_taken(bring: Import) -> None:
    text = "time,value\n" + "".join(f"2026-10-25T0{h}:00:00Z,{n}\n" for n, h in enumerate((0, 1, 2, 2, 3, 4)))
    with pytest.raises(DataRefused, match=r"02:00:00 UTC is there more than once.*--ignore-offsets"):
        bring(text)
    report = bring(text, tz="Europe/Berlin", ignore_offsets=True)
    assert (report.points, report.gaps) == (6, 0)
    with pytest.raises(UsageError, match="give --tz"):
        bring(text, ignore_offsets=True)


def test_zero_is_kept_and_missing_is_left_out(bring: Import, tmp_path: Path) -> None:
    values = ["0", "", "NaN", "0.0", "5", "null", "6"]
    flags = ["0", "0", "0", "0", "1", "", "false"]
    rows = [f"{time:%Y-%m-%dT%H:%MZ},{v},{f}" for time, v, f in zip(every(60, 7), values, flags, strict=True)]
    report = bring("\n".join(["time,value,bad", *rows]), mapping={"missing": "bad"})
    assert (report.points, report.left_out, report.gaps) == (3, 4, 4)
    assert "4 rows were left out as missing; 4 steps have no point" in report.hint
    assert load_points(tmp_path / "out")["value"].to_list() == [0.0, 0.0, 6.0]


def test_headers_quotes_a_mark_semicolons_and_gzip_are_understood(bring: Import, tmp_path: Path) -> None:
    text = '\ufeff"Zeit";"Last";"Note"\r\n' + "".join(
        f'"{t:%Y-%m-%d %H:%M}";"{n}";"x;y"\r\n' for n, t in enumerate(every(60, 3))
    )
    report = bring(gzip.compress(text.encode()), "load.csv.gz", mapping={"time": "Zeit", "value": "Last"}, tz="UTC")
    assert (report.points, report.ignored) == (3, ("Note",))


def test_a_file_of_many_series_names_them_by_headers(bring: Import, tmp_path: Path) -> None:
    rows = [f"{t:%Y-%m-%dT%H:%MZ},{n},{pool}" for pool in ("cart", "home") for n, t in enumerate(every(60, 3))]
    report = bring("\n".join(["time,value,pool", *rows]), service=None, mapping={"service": "pool"})
    assert report.series == ("eu/cart/requests", "eu/home/requests")
    assert report.points == 6


def test_rows_in_any_order_give_the_same(bring: Import, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bring(lines(every(60, 50)))
    before = (tmp_path / "out/points/2026-11-01.parquet").read_bytes()
    header, *rows = lines(every(60, 50)).splitlines()
    monkeypatch.setattr(importers, "_CHUNK_ROWS", 7)
    bring("\n".join([header, *reversed(rows)]))
    assert (tmp_path / "out/points/2026-11-01.parquet").read_bytes() == before


def test_a_second_file_joins_the_first_and_a_contradiction_is_refused(bring: Import, tmp_path: Path) -> None:
    bring(lines(every(60, 5)))
    bring(lines(every(60, 5)), service="cart")
    assert list(read_series(tmp_path / "out")) == ["eu/cart/requests", "eu/home/requests"]
    with pytest.raises(UsageError, match="that would change"):
        bring(lines(every(60, 5), header="time,value").replace(",10\n", ",99\n"))
    with pytest.raises(UsageError, match="has eu/home/requests already"):
        bring(lines(every(300, 5, START + timedelta(days=2))))


# ----------------------------------------------------------------------------------------------------- the grid


def test_times_that_are_all_off_the_grid_by_the_same_are_moved_onto_it(bring: Import, tmp_path: Path) -> None:
    report = bring(lines(every(300, 4, START + timedelta(minutes=4))))
    assert (report.step, report.moved_seconds, report.first) == (300, 60, START + timedelta(minutes=5))
    assert "moved by +60 s" in report.hint
    early = bring(lines(every(300, 4, START + timedelta(minutes=1))), service="cart")
    assert (early.moved_seconds, early.first) == (-60, START)
    known = pl.read_parquet(tmp_path / "out/points/*.parquet").filter(pl.col("series").str.contains("cart"))
    assert known["known_at"][0] == START + timedelta(minutes=6)  # when the step truly was over


def test_local_days_and_weeks_keep_their_dates(bring: Import, tmp_path: Path) -> None:
    for tz in ("America/New_York", "Asia/Tokyo", "Europe/Berlin", "Pacific/Auckland"):
        days = [datetime(2026, 3, 20) + timedelta(days=n) for n in range(20)]
        report = bring(lines(days, "%Y-%m-%d %H:%M"), tz=tz, service=tz.partition("/")[2])
        assert (report.step, report.gaps) == (86_400, 0)
        assert report.first == datetime(2026, 3, 20, tzinfo=UTC)
    sundays = [datetime(2026, 3, 1) + timedelta(weeks=n) for n in range(8)]
    report = bring(lines(sundays, "%Y-%m-%d %H:%M"), tz="America/New_York", metric="orders")
    assert (report.step, report.gaps) == (604_800, 0)
    assert report.first == datetime(2026, 3, 2, tzinfo=UTC)  # weeks begin on Mondays


@pytest.mark.parametrize("days", [1, 7])
def test_days_and_weeks_are_named_by_their_date(bring: Import, tmp_path: Path, days: int) -> None:
    monday = datetime(2026, 3, 23, tzinfo=UTC)  # over the setting of clocks on the 29th
    dates = [monday + timedelta(days=days * n) for n in range(9)]
    report = bring("time,value\n" + "".join(f"{date:%Y-%m-%d},7\n" for date in dates), tz="Europe/Berlin")
    assert (report.step, report.points, report.gaps, report.moved_seconds) == (days * 86_400, 9, 0, 0)
    assert load_matrix(tmp_path / "out", list(report.series))[0].tolist() == [int(date.timestamp()) for date in dates]


def test_a_gap_is_a_gap_and_not_another_step(bring: Import) -> None:
    times = [time for n, time in enumerate(every(60, 20)) if n not in (3, 4, 9)]
    report = bring(lines(times))
    assert (report.step, report.points, report.gaps) == (60, 17, 3)


# ------------------------------------------------------------------------------------------------------- refusals

GOOD = lines(every(60, 3))

REFUSED: dict[str, tuple[str | bytes, dict, str]] = {
    "no header of that name": (GOOD, {"mapping": {"value": "valeu"}}, r"no header 'valeu' \(perhaps value\?\)"),
    "no time": (GOOD.replace("time", "when"), {}, "no header time: give --map time=HEADER, one of when, value"),
    "an unknown column": (GOOD, {"mapping": {"colour": "value"}}, "--map knows no column 'colour'"),
    "no service": (GOOD, {"service": None}, "The service of the series is not told"),
    "given and mapped": (GOOD, {"mapping": {"service": "value"}}, "service is given and mapped"),
    "a header twice": ("time,value,value\n", {}, "has the header value more than once"),
    "not a number": (GOOD.replace(",11", ",eleven"), {}, "line 3: value 'eleven' must be a number"),
    "infinite": (GOOD.replace(",11", ",inf"), {}, "line 3: value 'inf' must be a number"),
    "negative": (GOOD.replace(",11", ",-11"), {}, "line 3: value '-11' is negative"),
    "no time in a row": (GOOD.replace("2026-11-01T12:01:00Z", ""), {}, "line 3: time is empty"),
    "not a time": (GOOD.replace("2026-11-01T12:01:00Z", "noon"), {}, "line 3: time 'noon' is no time"),
    "a year of an empty clock": (
        GOOD.replace("2026-11-01T12:01", "0001-01-01T00:01"),
        {},
        "line 3: 0001-01-01 lies",
    ),
    "a year that never ends": (GOOD.replace("2026-11-01T12:01", "9999-12-31T23:59"), {}, "line 3: 9999-12-31 lies"),
    "too large": (GOOD.replace(",11", ",1e39"), {}, "too large"),
    "dates without a zone": (lines(every(60, 3)).replace("T12:00:00Z", ""), {}, "line 2: time .* has no zone"),
    "no zone": (GOOD.replace("Z", ""), {}, "line 2: time .* has no zone"),
    "an unknown zone": (GOOD, {"tz": "Europe/Bärlin"}, "no time zone 'Europe/Bärlin'"),
    "an unknown zone of the series": (GOOD, {"zone": "Mars"}, "no time zone 'Mars'"),
    "a time twice": (GOOD + "2026-11-01T12:01:00Z,5\n", {}, "line 3: 2026-11-01 12:01:00 UTC is there more than once"),
    "an irregular grid": (
        lines([*every(60, 9), START + timedelta(minutes=9, seconds=17)]),
        {},
        r"line 11: .* lies \+17 s off the grid of 60 s",
    ),
    "no known step": (lines(every(97, 9)), {}, "most points lie 97 s apart"),
    "one point": (lines(every(60, 1)), {}, "does not tell the step: give --step"),
    "a bad step": (GOOD, {"step": 61}, "The step 61 is none"),
    "a bad aggregation": (GOOD, {"aggregation": "max"}, "no aggregation 'max'"),
    "a bad flag": (GOOD.replace("value", "missing,value"), {}, "line 2: 2 fields, expected 3"),
    "an unknown flag": ("time,value,missing\n2026-11-01T12:00Z,1,perhaps\n", {}, "line 2: missing 'perhaps' must be"),
    "a bad name": (GOOD, {"region": "eu west"}, "'eu west' is no name of a region"),
    "an unknown format": (GOOD, {"format": "xml"}, "no format 'xml'"),
    "no rows": ("time,value\n", {}, "holds a header and no points"),
    "no values": ("time,value\n2026-11-01T12:00Z,\n", {}, "holds no value"),
    "an empty file": ("", {}, "is empty"),
    "not UTF-8": ("time,value\n2026-11-01T12:00Z,1é\n".encode("latin-1"), {}, "line 2: not UTF-8"),
    "damaged gzip": (gzip.compress(GOOD.encode())[:-9], {}, "damaged gzip"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_read_is_refused_in_a_sentence_with_nothing_written(
    bring: Import, tmp_path: Path, case: str
) -> None:
    data, how, words = REFUSED[case]
    with pytest.raises(HeadgateError, match=words) as refused:
        bring(data, **how)
    assert isinstance(refused.value, UsageError | DataRefused)
    assert not (tmp_path / "out").exists()


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no file .*gone\.csv"):
        import_series(tmp_path / "gone.csv", out=tmp_path / "out", region="eu", service="home", metric="requests")


# --------------------------------------------------------------------------------------------------- a real series


@needs(CLOUD_API)
def test_a_real_export_whose_z_is_false_is_found_out_and_taken(tmp_path: Path) -> None:
    how = {"mapping": {"time": "TimeStamp", "value": "Value"}, "region": "us", "service": "api", "metric": "calls"}
    with pytest.raises(DataRefused, match=r"line 99: 2017-11-05 01:00:00 UTC is there more than once"):
        import_series(CLOUD_API, out=tmp_path, **how)  # type: ignore[arg-type]
    report = import_series(
        CLOUD_API,
        out=tmp_path,
        tz="America/New_York",
        ignore_offsets=True,
        aggregation="mean",
        **how,  # type: ignore[arg-type]
    )
    assert (report.points, report.step, report.gaps, report.ignored) == (3624, 3600, 0, ("Label",))
    times, values = load_matrix(tmp_path, ["us/api/calls"])
    assert len(times) == 151 * 24  # five whole months, through both settings of the clocks
    assert np.isfinite(values).all()
