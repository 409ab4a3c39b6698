"""The raw schema's files: what is taken, what is refused and in which words, and what is loaded of them."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
import pytest

from headgate.domains.capacity.data.raw import (
    Series,
    check_file,
    load_matrix,
    load_points,
    read_series,
    write_days,
    write_series,
)
from headgate.domains.capacity.data.schema import POINTS
from headgate.errors import DataRefused, UsageError
from headgate.files import sha256

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)
DAY = "2026-11-01.parquet"

HOME = Series("eu/home/requests", "eu", "home", "requests", "requests", "Europe/Berlin", 60, "sum")
CART = replace(HOME, series="eu/cart/requests", service="cart")
WEEKLY = replace(HOME, series="eu/home/orders", metric="orders", step=604_800)


def points(n: int = 3, start: datetime = NOON, series: Series = HOME, first: float = 10.0) -> pl.DataFrame:
    times = [start + timedelta(seconds=i * series.step) for i in range(n)]
    return pl.DataFrame(
        {
            "series": [series.series] * n,
            "time": times,
            "value": [first + i for i in range(n)],
            "known_at": [time + timedelta(seconds=series.step) for time in times],
        },
        schema=POINTS,
    )


def saved(frame: pl.DataFrame, folder: Path, name: str = DAY) -> Path:
    frame.write_parquet(folder / name)
    return folder / name


KNOWN = {one.series: one for one in (HOME, CART, WEEKLY)}


# ---------------------------------------------------------------------------------------------------- series.csv


def test_series_come_back_as_they_were_written_sorted_by_id(tmp_path: Path) -> None:
    young = replace(CART, analogue=HOME.series)
    write_series([HOME, young], tmp_path)
    assert read_series(tmp_path) == {young.series: young, HOME.series: HOME}
    assert list(read_series(tmp_path)) == sorted([young.series, HOME.series])


def test_a_byte_order_mark_and_columns_in_another_order_are_taken(tmp_path: Path) -> None:
    write_series([HOME], tmp_path)
    rows = [line.split(",") for line in (tmp_path / "series.csv").read_text().splitlines()]
    turned = "\r\n".join(",".join(reversed(row)) for row in rows)
    (tmp_path / "series.csv").write_text("\ufeff" + turned + "\r\n", encoding="utf-8")
    assert read_series(tmp_path) == {HOME.series: HOME}


LINE = "eu/home/requests,eu,home,requests,requests,Europe/Berlin,60,sum,"
HEADER = "series,region,service,metric,unit,zone,step,aggregation,analogue"

BAD_SERIES: dict[str, tuple[str, str]] = {
    "unknown zone": (LINE.replace("Europe/Berlin", "Europe/Bärlin"), "line 2: there is no time zone 'Europe/Bärlin'"),
    "a folder of zones": (LINE.replace("Europe/Berlin", "Europe"), "no time zone 'Europe'"),
    "zone outside the database": (LINE.replace("Europe/Berlin", "../etc/passwd"), "no time zone"),
    "bad step": (LINE.replace(",60,", ",61,"), "the step is '61': it must be one of 60, 300"),
    "step in words": (LINE.replace(",60,", ",minute,"), "the step is 'minute'"),
    "duplicate id": (f"{LINE}\n{LINE}", "line 3: eu/home/requests is there twice"),
    "id not its parts": (LINE.replace(",home,", ",cart,"), "is not region/service/metric, here 'eu/cart/requests'"),
    "id with a bar": (LINE.replace("home", "home|cart"), "'home|cart' is no name of a region, service or metric"),
    "unknown analogue": (LINE + "eu/none/requests", "the analogue 'eu/none/requests' of eu/home/requests is no other"),
    "its own analogue": (LINE + "eu/home/requests", "is no other series"),
    "analogue of another step": (
        f"{LINE}eu/home/orders\neu/home/orders,eu,home,orders,orders,Europe/Berlin,604800,sum,",
        "have other steps",
    ),
    "aggregation": (LINE.replace(",sum,", ",max,"), "the aggregation is 'max': write sum or mean"),
    "too few fields": ("eu/home/requests,eu", "line 2: not 9 fields"),
    "too many fields": (LINE + ",,", "line 2: not 9 fields"),
    "no rows": ("", "names no series"),
}


@pytest.mark.parametrize("case", BAD_SERIES)
def test_series_that_break_the_schema_are_refused_in_plain_words(tmp_path: Path, case: str) -> None:
    text, words = BAD_SERIES[case]
    (tmp_path / "series.csv").write_text(f"{HEADER}\n{text}\n", encoding="utf-8")
    with pytest.raises(DataRefused, match=r"series\.csv") as refused:
        read_series(tmp_path)
    assert words in str(refused.value)
    assert str(refused.value).endswith(".")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "has the columns none"),
        (b"series,region\n", "has the columns series, region"),
        ((HEADER + ",colour\n").encode(), "colour"),
        ("series,région\n".encode("latin-1"), "not UTF-8"),
    ],
)
def test_a_file_that_lists_no_series_is_refused(tmp_path: Path, data: bytes, words: str) -> None:
    (tmp_path / "series.csv").write_bytes(data)
    with pytest.raises(DataRefused, match=words):
        read_series(tmp_path)


def test_a_source_without_series_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataRefused, match=r"no file .*series\.csv"):
        read_series(tmp_path)


# -------------------------------------------------------------------------------------------------------- points


def test_a_sound_file_is_taken_and_its_rows_counted(tmp_path: Path) -> None:
    both = pl.concat([points(), points(series=CART)])
    assert check_file(saved(both, tmp_path), KNOWN) == 6
    assert check_file(saved(both.reverse(), tmp_path), KNOWN) == 6  # their order is free


def test_a_week_lies_in_the_file_of_the_day_it_starts_on(tmp_path: Path) -> None:
    monday = datetime(2026, 11, 2, tzinfo=UTC)
    assert check_file(saved(points(1, monday, WEEKLY), tmp_path, "2026-11-02.parquet"), KNOWN) == 1
    with pytest.raises(DataRefused, match="off the grid"):
        check_file(saved(points(1, monday - timedelta(days=1), WEEKLY), tmp_path), KNOWN)


def test_zero_is_a_value_and_missing_is_no_row(tmp_path: Path) -> None:
    assert check_file(saved(points(first=0.0), tmp_path), KNOWN) == 3


def changed(**columns: object) -> Callable[[], pl.DataFrame]:
    return lambda: points().with_columns(**{name: pl.Series([value] * 3) for name, value in columns.items()})


BAD: dict[str, tuple[Callable[[], pl.DataFrame], str]] = {
    "unknown column": (lambda: points().with_columns(colour=1), "has the column colour, which points does not know"),
    "missing column": (lambda: points().drop("known_at"), "lacks the column known_at of points"),
    "wrong type": (changed(value="ten"), "column value is String, expected Float64"),
    "time without a zone": (
        lambda: points().with_columns(pl.col("time").dt.replace_time_zone(None)),
        "column time has no time zone",
    ),
    "null value": (lambda: points().with_columns(value=pl.lit(None, pl.Float64)), "column value is null in 3 rows"),
    "no rows": (lambda: points(0), "holds no points"),
    "negative value": (changed(value=-0.5), "(-0.5), one of 3, is negative, too large or no number"),
    "not a number": (changed(value=float("nan")), "is negative, too large or no number"),
    "beyond single precision": (changed(value=1e39), "is negative, too large or no number"),
    "infinite": (changed(value=float("inf")), "is negative, too large or no number"),
    "off the grid": (
        lambda: points(start=NOON + timedelta(seconds=30)),
        "eu/home/requests at 2026-11-01 12:00:30 UTC (10), one of 3, begins off the grid",
    ),
    "off by a microsecond": (lambda: points(start=NOON + timedelta(microseconds=1)), "off the grid"),
    "another day": (lambda: points(start=NOON - timedelta(days=1)), "column time lies on another day in 3 rows"),
    "stranger": (changed(series="eu/pay/requests"), "eu/pay/requests at 2026-11-01 12:00:00 UTC"),
    "repeated": (lambda: pl.concat([points(2), points(2, first=7.0)]), "one of 4, is there more than once"),
    "repeated side by side": (
        lambda: pl.concat([points(2), points(2)]).sort("time"),
        "one of 4, is there more than once",
    ),
    "known too early": (
        lambda: points().with_columns(known_at=pl.col("time")),
        "is known before its step was over",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_what_does_not_follow_the_schema_is_refused_by_file_and_series(tmp_path: Path, case: str) -> None:
    make, words = BAD[case]
    with pytest.raises(DataRefused, match=DAY) as refused:
        check_file(saved(make(), tmp_path), KNOWN)
    assert words in str(refused.value)


@pytest.mark.parametrize("name", ["today.parquet", "2026-1-1.parquet", "2026-02-29.parquet", "2026-11-01.pq"])
def test_a_name_that_is_no_day_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataRefused, match=r"YYYY-MM-DD\.parquet"):
        check_file(saved(points(), tmp_path, name), KNOWN)


def test_damaged_empty_and_missing_files_are_named(tmp_path: Path) -> None:
    whole = saved(points(500), tmp_path).read_bytes()
    (tmp_path / DAY).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataRefused, match="no whole Parquet file"):
        check_file(tmp_path / DAY, KNOWN)
    (tmp_path / DAY).write_bytes(b"")
    with pytest.raises(DataRefused, match="is empty"):
        check_file(tmp_path / DAY, KNOWN)
    with pytest.raises(DataRefused, match="no file"):
        check_file(tmp_path / "2026-11-02.parquet", KNOWN)


# ------------------------------------------------------------------------------------------------------- writing


def test_days_are_written_sorted_and_writing_twice_changes_nothing(tmp_path: Path) -> None:
    frame = pl.concat([points(3, NOON + timedelta(hours=12, minutes=-2)), points(3, series=CART)])
    names = write_days(frame, tmp_path, [HOME, CART])
    assert names == ["points/2026-11-01.parquet", "points/2026-11-02.parquet"]
    before = {name: sha256(tmp_path / name) for name in names}
    times = {name: (tmp_path / name).stat().st_mtime_ns for name in names}
    write_days(frame.reverse(), tmp_path, [CART])
    assert {name: sha256(tmp_path / name) for name in names} == before
    assert {name: (tmp_path / name).stat().st_mtime_ns for name in names} == times
    assert list(read_series(tmp_path)) == [CART.series, HOME.series]
    assert pl.read_parquet(tmp_path / names[0])["series"].is_sorted()


def test_a_source_grows_by_series_and_by_steps(tmp_path: Path) -> None:
    write_days(points(2), tmp_path, [HOME])
    write_days(points(4), tmp_path)
    write_days(points(2, series=CART), tmp_path, [CART])
    found = load_points(tmp_path)
    assert found.group_by(pl.col("series").cast(pl.String)).len().sort("series").rows() == [
        (CART.series, 2),
        (HOME.series, 4),
    ]


def test_a_step_that_would_change_is_refused_with_nothing_written(tmp_path: Path) -> None:
    write_days(points(2), tmp_path, [HOME])
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.*")}
    late = points(1, NOON + timedelta(days=1))
    with pytest.raises(UsageError, match=r"12:00 UTC with 10 already, one of 2 steps that would change"):
        write_days(pl.concat([points(2, first=99.0), late]), tmp_path)
    with pytest.raises(UsageError, match="has eu/home/requests already, as requests, Europe/Berlin, 60 s, sum"):
        write_days(late, tmp_path, [replace(HOME, zone="Asia/Tokyo")])
    with pytest.raises(DataRefused, match=r"is not in series\.csv"):
        write_days(points(series=CART), tmp_path)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.*")} == before


def test_a_file_is_no_folder_to_write_to(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(UsageError, match="is a file"):
        write_days(points(), tmp_path / "file", [HOME])


# ------------------------------------------------------------------------------------------------------- loading


def test_a_matrix_is_a_regular_grid_with_nan_where_nothing_was_measured(tmp_path: Path) -> None:
    gap = points(5).filter(pl.col("time") != NOON + timedelta(minutes=2))
    zeros = points(2, NOON + timedelta(days=1), CART, first=0.0)
    write_days(pl.concat([gap, zeros]), tmp_path, [HOME, CART])
    times, values = load_matrix(tmp_path, [HOME.series, CART.series])
    assert times.dtype == np.int64
    assert values.dtype == np.float32
    assert (np.diff(times) == 60).all()
    assert times[0] == NOON.timestamp()
    assert times[-1] == (NOON + timedelta(days=1, minutes=1)).timestamp()
    assert values[:5, 0].tolist()[:2] == [10.0, 11.0]
    assert np.isnan(values[2, 0])
    assert np.isnan(values[0, 1])
    assert values[-2:, 1].tolist() == [0.0, 1.0]
    assert np.isfinite(values).sum() == 6


def test_columns_follow_the_ids_asked_for(tmp_path: Path) -> None:
    write_days(pl.concat([points(1), points(1, series=CART, first=5.0)]), tmp_path, [HOME, CART])
    assert load_matrix(tmp_path, [CART.series, HOME.series])[1].tolist() == [[5.0, 10.0]]
    assert load_matrix(tmp_path, [HOME.series])[1].tolist() == [[10.0]]


def test_what_became_known_later_is_not_there_yet(tmp_path: Path) -> None:
    late = points(3).with_columns(known_at=pl.Series([NOON + timedelta(hours=h) for h in (1, 9, 1)]))
    write_days(late.cast(POINTS), tmp_path, [HOME])
    asked = [HOME.series]
    assert np.isfinite(load_matrix(tmp_path, asked, NOON + timedelta(hours=2))[1]).sum() == 2
    assert np.isfinite(load_matrix(tmp_path, asked, NOON + timedelta(hours=9))[1]).sum() == 3
    assert len(load_points(tmp_path, NOON + timedelta(hours=2))) == 2
    assert load_matrix(tmp_path, asked, NOON)[1].shape == (0, 1)


def test_a_whole_day_is_known_at_the_midnight_that_ends_it(tmp_path: Path) -> None:
    write_days(points(1440, NOON.replace(hour=0)), tmp_path, [HOME])
    midnight = NOON.replace(hour=0) + timedelta(days=1)
    assert len(load_matrix(tmp_path, [HOME.series], midnight)[0]) == 1440
    assert len(load_matrix(tmp_path, [HOME.series], midnight - timedelta(seconds=1))[0]) == 1439


def test_old_points_can_be_left_out(tmp_path: Path) -> None:
    write_days(points(3000), tmp_path, [HOME])
    since = NOON + timedelta(days=1, minutes=7)
    times, _ = load_matrix(tmp_path, [HOME.series], since=since)
    assert times[0] == since.timestamp()


def test_weeks_and_minutes_share_files_and_are_loaded_apart(tmp_path: Path) -> None:
    monday = datetime(2026, 11, 2, tzinfo=UTC)
    write_days(pl.concat([points(3, monday, WEEKLY), points(2, monday)]), tmp_path, [HOME, WEEKLY])
    times, values = load_matrix(tmp_path, [WEEKLY.series])
    assert np.diff(times).tolist() == [604_800, 604_800]
    assert values[:, 0].tolist() == [10.0, 11.0, 12.0]
    assert len(load_matrix(tmp_path, [HOME.series])[0]) == 2
    with pytest.raises(UsageError, match="60, 604800"):
        load_matrix(tmp_path, [HOME.series, WEEKLY.series])


def test_an_id_that_is_not_there_is_a_usage_error(tmp_path: Path) -> None:
    write_days(points(), tmp_path, [HOME])
    with pytest.raises(UsageError, match="has no series eu/none/requests"):
        load_matrix(tmp_path, ["eu/none/requests"])


@pytest.mark.parametrize(
    ("local_day", "minutes"),
    [("2026-03-29", 23 * 60), ("2026-10-25", 25 * 60), ("2024-02-29", 24 * 60), ("2026-06-01", 24 * 60)],
)
def test_local_days_of_23_24_and_25_hours_are_whole_in_utc(tmp_path: Path, local_day: str, minutes: int) -> None:
    berlin = ZoneInfo("Europe/Berlin")
    start = datetime.fromisoformat(local_day).replace(tzinfo=berlin)
    write_days(points(minutes, start.astimezone(UTC)), tmp_path, [HOME])
    times, values = load_matrix(tmp_path, [HOME.series])
    assert len(times) == minutes
    assert np.isfinite(values).all()
    end = datetime.fromtimestamp(int(times[-1]) + 60, berlin)
    assert (end.hour, end.date()) == (0, (start + timedelta(days=1)).date())
