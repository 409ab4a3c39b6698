"""Read and write files of the raw schema, and refuse what does not follow it.

`check_file`, `scan_table` and `read_table` take a file as people hand it over and say in one sentence what is wrong
with it. Types that hold the same values are cast without a word: large and dictionary strings, wider integers that
fit, other units and zones of an instant. `write_day` and `write_days` write rows sorted, so that equal rows are equal
bytes, and `publishing` never changes a day that is there already.
"""

import filecmp
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from itertools import chain
from pathlib import Path
from typing import cast

import polars as pl

from headgate.domains.adclicks.schema import ARRIVAL, NULLABLE, TABLES
from headgate.errors import DataRefused, HeadgateError, UsageError
from headgate.files import atomic_file

# Polars panics, rather than raising an error, on some damaged files.
_UNREADABLE = (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError)


def check_file(path: Path, table: str) -> int:
    """Check that `path`, named by its UTC day, is a file of `table` (a key of TABLES); return its number of rows.

    Reads every value once, in bounded memory. Raises DataRefused naming the file, the column and what to do, for: a
    name that is no date, an empty or damaged file, a click file without rows, an unknown or a missing column, a wrong
    type, a null where none may be, and rows that arrived on another day.
    """
    day = day_of(path)
    found = _columns(path)
    _check_columns(found, table, path)
    arrival = ARRIVAL[table]
    typed = _typed(found, table, strict=False)
    midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
    here = typed[arrival].is_between(midnight, midnight + timedelta(days=1), closed="left")
    tests = [pl.len().alias("rows"), (~here).sum().alias("elsewhere")]
    tests += [pl.col(column).null_count().alias(f"nulls {column}") for column in typed]
    tests += [value.null_count().alias(f"misfits {column}") for column, value in typed.items()]
    looks = pl.concat(chain([pl.DataFrame(schema=found).select(tests)], _looks(path, tests)))
    seen = looks.sum().row(0, named=True)
    for column, dtype in TABLES[table].items():
        nulls, misfits = seen[f"nulls {column}"], seen[f"misfits {column}"] - seen[f"nulls {column}"]
        if nulls and column not in NULLABLE[table]:
            raise _null(path, column, nulls)
        if misfits:
            raise DataRefused(f"{path}: column {column} holds {misfits:,} values beyond {dtype}: correct them.")
    if table == "clicks" and not seen["rows"]:
        raise DataRefused(f"{path} holds no clicks: remove it, or export that day again.")
    if seen["elsewhere"]:
        raise DataRefused(
            f"{path}: column {arrival} lies on another day in {seen['elsewhere']:,} rows: put each row in the file of "
            "its UTC day of arrival."
        )
    return int(seen["rows"])


def scan_table(path: Path, table: str) -> pl.LazyFrame:
    """The rows of a file, lazily, with the columns of `table` in the schema's order and types.

    Looks at the columns only (DataRefused where they are wrong); `check_file` looks at the values.
    """
    found = _columns(path)
    _check_columns(found, table, path)
    return pl.scan_parquet(path, glob=False).select(**_typed(found, table, strict=True))


def read_table(path: Path, table: str) -> pl.DataFrame:
    """The rows of a file that `check_file` has found right, with the schema's columns and types."""
    check_file(path, table)
    try:
        return scan_table(path, table).collect()
    except _UNREADABLE as error:
        raise _damaged(path) from error


def write_day(frame: pl.DataFrame, table: str, path: Path) -> None:
    """Write `frame` to `path` atomically, in order of arrival and then of id: equal rows are equal bytes.

    Raises DataRefused where columns or types are not those of `table`, or hold nulls where none may be, and
    HeadgateError where the disk does not take it.
    """
    _check_columns(frame.schema, table, path)
    identity, arrival = next(iter(TABLES[table])), ARRIVAL[table]
    rows = frame.select(**_typed(frame.schema, table, strict=True)).sort(arrival, identity, maintain_order=True)
    for column in TABLES[table].keys() - NULLABLE[table]:
        if nulls := rows[column].null_count():
            raise _null(path, column, nulls)
    try:
        with atomic_file(path) as draft:
            rows.rechunk().write_parquet(draft, compression="zstd", statistics=True, row_group_size=1 << 17)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise HeadgateError(f"{path} could not be written ({error}): free some space or check the folder.") from error


def write_days(frame: pl.DataFrame, table: str, out: Path) -> list[str]:
    """Write `frame` to one file a UTC day of arrival, `out/TABLE/DAY.parquet`, and return their names.

    Writing the same rows again changes nothing. Raises UsageError, with nothing written, where a day is there with
    other rows, and DataRefused as `write_day` does.
    """
    _check_columns(frame.schema, table, out)
    with publishing(out) as draft:
        days = frame.with_columns(day=pl.col(ARRIVAL[table]).dt.convert_time_zone("UTC").dt.date())
        for (day,), rows in days.partition_by("day", as_dict=True, include_key=False).items():
            write_day(rows, table, draft / table / f"{day}.parquet")
        return sorted(path.relative_to(draft).as_posix() for path in draft.rglob("*.parquet"))


@contextmanager
def publishing(out: Path) -> Iterator[Path]:
    """Yield an empty folder; the Parquet files left in it move to `out` when the block ends without an error.

    Files with the same rows are left as they are. Where one is there with other rows, raises UsageError and moves none:
    the days of a source do not change once they are over.
    """
    if out.exists() and not out.is_dir():
        raise UsageError(f"{out} is a file: name a folder to write to.")
    home = out if out.exists() else out.parent  # on the file system of `out`, so that a move is a rename
    try:
        home.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".tmp-", dir=home) as folder:
            draft = Path(folder)
            yield draft
            names = sorted(path.relative_to(draft) for path in draft.rglob("*.parquet"))
            present = [name for name in names if (out / name).exists()]
            for name in present:
                if not _same_rows(draft / name, out / name):
                    remedy = "write to another folder, or remove that file first"
                    raise UsageError(f"{out / name} is there with other rows: {remedy}.")
            for name in set(names) - set(present):
                (out / name).parent.mkdir(parents=True, exist_ok=True)
                (draft / name).replace(out / name)
    except OSError as error:
        raise HeadgateError(f"{out} cannot be written to ({error}): check that folder.") from error


def _same_rows(one: Path, other: Path) -> bool:
    if filecmp.cmp(one, other, shallow=False):
        return True
    try:
        return pl.read_parquet(one, glob=False).equals(pl.read_parquet(other, glob=False))
    except _UNREADABLE:
        return False


def day_of(path: Path) -> date:
    """The UTC day that a file is named by."""
    try:
        day = date.fromisoformat(path.stem)
        if path.name == f"{day.isoformat()}.parquet":
            return day
    except ValueError:
        pass
    raise DataRefused(f"{path} is not named by its day: call it YYYY-MM-DD.parquet, after the UTC day of arrival.")


def _looks(path: Path, tests: list[pl.Expr]) -> Iterator[pl.DataFrame]:
    """`tests` of each batch of a file, read by Arrow: on damaged pages it raises where Polars may abort the process."""
    import pyarrow as pa  # type: ignore[import-untyped]
    import pyarrow.parquet as pq  # type: ignore[import-untyped]

    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            for batch in file.iter_batches(batch_size=1 << 17):
                yield cast(pl.DataFrame, pl.from_arrow(batch)).select(tests)
    except (pa.ArrowException, *_UNREADABLE) as error:
        raise _damaged(path) from error


def _null(path: Path, column: str, nulls: int) -> DataRefused:
    return DataRefused(f"{path}: column {column} is null in {nulls:,} rows: fill them or drop those rows.")


def _damaged(path: Path) -> DataRefused:
    return DataRefused(f"{path} is no whole Parquet file: copy or export it again.")


def _columns(path: Path) -> Mapping[str, pl.DataType]:
    """Names and types of a file's columns, from its footer."""
    if not path.is_file():
        raise DataRefused(f"There is no file {path}: check the source.")
    if not path.stat().st_size:
        raise DataRefused(f"{path} is empty (0 bytes): copy or export it again.")
    try:
        return pl.scan_parquet(path, glob=False).collect_schema()
    except _UNREADABLE as error:
        raise _damaged(path) from error


def _check_columns(found: Mapping[str, pl.DataType], table: str, path: Path) -> None:
    wanted = TABLES[table]
    if missing := [column for column in wanted if column not in found]:
        raise DataRefused(f"{path} lacks the column {', '.join(missing)} of {table}: add it.")
    if unknown := [column for column in found if column not in wanted]:
        raise DataRefused(f"{path} has the column {', '.join(unknown)}, which {table} does not know: remove it.")
    for column, dtype in wanted.items():
        has = found[column]
        if dtype.is_temporal() and isinstance(has, pl.Datetime) and has.time_zone is None:
            raise DataRefused(f"{path}: column {column} has no time zone: store it as an instant in UTC.")
        if not _holds(has, dtype):
            raise DataRefused(f"{path}: column {column} is {has}, expected {dtype}: cast it.")


def _holds(found: pl.DataType, wanted: pl.DataType) -> bool:
    """Whether values of type `found` can be values of type `wanted` without a change of meaning."""
    if found in (wanted, pl.Null):  # a column of nulls alone has no type of its own
        return True
    if wanted == pl.String:
        return found in (pl.Categorical, pl.Enum)
    if wanted.is_integer():
        return found.is_integer()
    if wanted.is_float():
        return found.is_numeric()
    return isinstance(wanted, pl.Datetime) and isinstance(found, pl.Datetime)


def _typed(found: Mapping[str, pl.DataType], table: str, *, strict: bool) -> dict[str, pl.Expr]:
    """Each column of `table` as an expression of its type; without `strict` what does not fit is null."""

    def cast(column: str, dtype: pl.DataType) -> pl.Expr:
        value = pl.col(column)
        if isinstance(dtype, pl.Datetime) and isinstance(found[column], pl.Datetime):
            return value.dt.cast_time_unit("us").dt.convert_time_zone("UTC")
        return value.cast(dtype, strict=strict)

    return {column: cast(column, dtype) for column, dtype in TABLES[table].items()}
