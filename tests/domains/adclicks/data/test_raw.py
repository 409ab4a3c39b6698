"""The raw schema's files: what is taken, what is refused and in which words, and how days are written."""

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headgate.data.tables import publishing
from headgate.domains.adclicks.data.raw import check_file, read_table, scan_table, write_days
from headgate.domains.adclicks.data.schema import CLICKS, PURCHASES, REFUNDS
from headgate.errors import DataRefused, HeadgateError, UsageError
from headgate.files import sha256

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)
DAY = "2026-11-01.parquet"


def clicks(n: int = 3, start: datetime = NOON) -> pl.DataFrame:
    times = [start + timedelta(seconds=i) for i in range(n)]
    return pl.DataFrame(
        {
            "click_id": [f"c{i:06}" for i in range(n)],
            "event_time": times,
            "utc_offset_min": [60] * n,
            "received_at": times,
            "user_id": [f"u{i % 7}" for i in range(n)],
            "session_id": [f"s{i % 7}" for i in range(n)],
            "ip": ["192.0.2.1"] * n,
            "device": ["mobile"] * n,
            "logged_in": [True] * n,
            "campaign": ["autumn"] * n,
            "rfm": [None if i % 2 else 9 for i in range(n)],
        },
        schema=CLICKS,
    )


def saved(frame: pl.DataFrame, folder: Path, name: str = DAY) -> Path:
    frame.write_parquet(folder / name)
    return folder / name


# ------------------------------------------------------------------------------------------------ what is taken


def test_a_sound_file_is_read_as_it_is(tmp_path: Path) -> None:
    path = saved(clicks(), tmp_path)
    assert check_file(path, "clicks") == 3
    assert read_table(path, "clicks").equals(clicks())


WIDER: dict[str, tuple[str, pa.DataType]] = {
    "large string": ("user_id", pa.large_string()),
    "string view": ("user_id", pa.string_view()),
    "dictionary": ("campaign", pa.dictionary(pa.int32(), pa.string())),
    "int64": ("rfm", pa.int64()),
    "uint16": ("rfm", pa.uint16()),
    "milliseconds": ("event_time", pa.timestamp("ms", "UTC")),
    "nanoseconds": ("received_at", pa.timestamp("ns", "UTC")),
    "another zone": ("received_at", pa.timestamp("us", "Asia/Kolkata")),
}


@pytest.mark.parametrize("case", WIDER)
def test_types_that_hold_the_same_values_are_cast(tmp_path: Path, case: str) -> None:
    column, dtype = WIDER[case]
    table = pq.read_table(saved(clicks(), tmp_path))
    place = table.schema.get_field_index(column)
    pq.write_table(table.set_column(place, column, table[column].cast(dtype)), tmp_path / DAY)
    assert read_table(tmp_path / DAY, "clicks").equals(clicks())
    assert scan_table(tmp_path / DAY, "clicks").collect().equals(clicks())


def test_columns_in_another_order_and_of_nulls_alone_are_taken(tmp_path: Path) -> None:
    frame = clicks().with_columns(rfm=pl.lit(None, pl.Null)).select(sorted(CLICKS))
    read = read_table(saved(frame, tmp_path), "clicks")
    assert list(read.schema.items()) == list(CLICKS.items())
    assert read["rfm"].null_count() == 3


@pytest.mark.parametrize(("table", "schema"), [("purchases", PURCHASES), ("refunds", REFUNDS)])
def test_a_day_without_outcomes_is_sound(tmp_path: Path, table: str, schema: dict[str, pl.DataType]) -> None:
    assert check_file(saved(pl.DataFrame(schema=schema), tmp_path), table) == 0


# ------------------------------------------------------------------------------------------------ what is refused

REFUSED: dict[str, tuple[Callable[[pl.DataFrame], pl.DataFrame], str]] = {
    "unknown column": (
        lambda f: f.with_columns(price=1),
        "has the column price, which clicks does not know: remove it",
    ),
    "missing columns": (lambda f: f.drop("ip", "rfm"), "lacks the column ip, rfm of clicks: add it"),
    "float for int": (lambda f: f.cast({"rfm": pl.Float64}), "column rfm is Float64, expected Int8: cast it"),
    "int for string": (lambda f: f.with_columns(user_id=1), "column user_id is Int32, expected String: cast it"),
    "text for time": (lambda f: f.cast({"event_time": pl.String}), "column event_time is String, expected Datetime"),
    "naive time": (
        lambda f: f.with_columns(pl.col("event_time").dt.replace_time_zone(None)),
        "column event_time has no time zone: store it as an instant in UTC",
    ),
    "too wide": (
        lambda f: f.cast({"rfm": pl.Int64}).with_columns(rfm=pl.lit(300, pl.Int64)),
        "column rfm holds 3 values beyond Int8",
    ),
    "null": (
        lambda f: f.with_columns(ip=pl.when(pl.col("click_id") != "c000001").then("ip")),
        "column ip is null in 1 rows",
    ),
    "beyond the calendar": (
        lambda f: f.with_columns(received_at=pl.lit(1 << 62).cast(pl.Datetime("us", "UTC"))),
        "received_at lies on another day in 3 rows",
    ),
    "only nulls": (lambda f: f.with_columns(ip=pl.lit(None)), "column ip is null in 3 rows"),
    "no rows": (lambda f: f.clear(), "holds no clicks"),
    "another day": (
        lambda f: f.with_columns(received_at=pl.col("received_at") + pl.duration(seconds=43_198)),
        "received_at lies on another day in 1 rows",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_does_not_follow_the_schema_is_refused_with_file_and_column(tmp_path: Path, case: str) -> None:
    spoil, words = REFUSED[case]
    path = saved(spoil(clicks()), tmp_path)
    for look in (check_file, read_table):
        with pytest.raises(DataRefused, match=words) as refusal:
            look(path, "clicks")
        assert str(path) in str(refusal.value)
        assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("name", ["clicks.parquet", "20261101.parquet", "2026-11-31.parquet", "2026-11-01.pq"])
def test_a_name_that_is_no_day_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataRefused, match=r"not named by its day: call it YYYY-MM-DD\.parquet"):
        check_file(saved(clicks(), tmp_path, name), "clicks")


def test_an_empty_and_a_missing_file_are_named(tmp_path: Path) -> None:
    (tmp_path / DAY).touch()
    with pytest.raises(DataRefused, match=r"empty \(0 bytes\)"):
        check_file(tmp_path / DAY, "clicks")
    with pytest.raises(DataRefused, match="There is no file"):
        check_file(tmp_path / "2026-11-02.parquet", "clicks")


@settings(max_examples=60, deadline=None)
@given(share=st.floats(0, 1, exclude_max=True))
def test_a_file_cut_anywhere_is_refused(tmp_path_factory: pytest.TempPathFactory, share: float) -> None:
    folder = tmp_path_factory.mktemp("cut")
    path = saved(clicks(50), folder)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(DataRefused, match=r"no whole Parquet file|0 bytes"):
        check_file(path, "clicks")


@settings(max_examples=60, deadline=None)
@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_a_flipped_bit_is_refused_or_harmless_but_never_a_crash(
    tmp_path_factory: pytest.TempPathFactory, place: float, bit: int
) -> None:
    folder = tmp_path_factory.mktemp("flip")
    path = saved(clicks(50), folder)
    data = bytearray(path.read_bytes())
    data[int(place * len(data))] ^= 1 << bit
    path.write_bytes(data)
    with suppress(DataRefused):
        read_table(path, "clicks")


# ------------------------------------------------------------------------------------------------ how days are written


def test_rows_lie_in_the_day_they_arrived_on_sorted_by_arrival_and_id(tmp_path: Path) -> None:
    frame = clicks(6, NOON.replace(hour=23, minute=59, second=57))
    frame = frame.with_columns(received_at=pl.col("received_at").dt.truncate("2s")).reverse()
    assert write_days(frame, "clicks", tmp_path) == ["clicks/2026-11-01.parquet", "clicks/2026-11-02.parquet"]
    both = [read_table(tmp_path / "clicks" / name, "clicks") for name in (DAY, "2026-11-02.parquet")]
    assert [len(part) for part in both] == [3, 3]
    assert pl.concat(both)["click_id"].to_list() == [f"c{i:06}" for i in range(6)]
    assert list(tmp_path.iterdir()) == [tmp_path / "clicks"]


@settings(max_examples=20, deadline=None)
@given(order=st.permutations(range(40)), cut=st.integers(1, 39))
def test_equal_rows_are_equal_bytes(tmp_path_factory: pytest.TempPathFactory, order: list[int], cut: int) -> None:
    folder = tmp_path_factory.mktemp("bytes")
    write_days(clicks(40), "clicks", folder / "one")
    shuffled = clicks(40)[order]
    write_days(pl.concat([shuffled[:cut], shuffled[cut:]], rechunk=False), "clicks", folder / "other")
    assert sha256(folder / "one/clicks" / DAY) == sha256(folder / "other/clicks" / DAY)


def test_writing_twice_changes_nothing_and_other_rows_are_refused_whole(tmp_path: Path) -> None:
    write_days(clicks(), "clicks", tmp_path)
    path = tmp_path / "clicks" / DAY
    before = path.stat()
    write_days(clicks(), "clicks", tmp_path)
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    later = pl.concat([clicks(4), clicks(3, NOON + timedelta(days=1))])
    with pytest.raises(UsageError, match=r"2026-11-01\.parquet is there with other rows"):
        write_days(later, "clicks", tmp_path)
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert list(tmp_path.rglob("*.parquet")) == [path]


def test_the_same_rows_in_other_bytes_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "clicks").mkdir()
    clicks().write_parquet(tmp_path / "clicks" / DAY, compression="uncompressed")
    before = sha256(tmp_path / "clicks" / DAY)
    write_days(clicks(), "clicks", tmp_path)
    assert sha256(tmp_path / "clicks" / DAY) == before


def test_nothing_is_published_when_the_block_fails(tmp_path: Path) -> None:
    def fail() -> None:
        with publishing(tmp_path / "out") as draft:
            clicks().write_parquet(draft / DAY)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_a_frame_that_breaks_the_schema_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(DataRefused, match="ip is null"):
        write_days(clicks().with_columns(ip=pl.lit(None, pl.String)), "clicks", tmp_path / "out")
    naive = clicks().with_columns(pl.col("received_at").dt.replace_time_zone(None))
    with pytest.raises(DataRefused, match="no time zone"):
        write_days(naive, "clicks", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_file_or_a_place_below_one_is_no_folder_to_write_to(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="is a file"):
        write_days(clicks(), "clicks", tmp_path / "file")
    with pytest.raises(HeadgateError, match="cannot be written to"):
        write_days(clicks(), "clicks", tmp_path / "file" / "below")
