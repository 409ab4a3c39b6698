"""Raw tables as Parquet files, one a UTC day: read, check and write them, and refuse what does not follow their schema.

`check_file`, `scan_table` and `read_table` take a file as people hand it over and say in one sentence what is wrong
with it. Types that hold the same values are cast without a word: large and dictionary strings, wider integers that
fit, other units and zones of an instant. `write_day` writes rows sorted, so that equal rows are equal bytes, and
`publishing` never changes a day that is there already, unless it is told to.
"""

import filecmp
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import chain
from pathlib import Path
from typing import cast

import polars as pl

from headgate.errors import DataRefused, HeadgateError, UsageError
from headgate.files import atomic_file

#: What Polars raises on unreadable files: on some damaged ones it panics rather than raising an error.
UNREADABLE = (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError)


@dataclass(frozen=True)
class Table:
    """The schema of one kind of rows."""

    name: str
    columns: Mapping[str, pl.DataType]
    day: str  # the column whose UTC date names the file that a row lies in
    day_is: str  # what that date is, for people: "UTC day of arrival"
    order: tuple[str, ...]  # the columns that rows are sorted by
    nullable: frozenset[str] = frozenset()  # columns that may hold nulls; in every other a null is an error
    may_be_empty: bool = True


def check_file(path: Path, table: Table) -> int:
    """Check that `path`, named by its UTC day, is a file of `table`; return its number of rows.

    Reads every value once, in bounded memory. Raises DataRefused naming the file, the column and what to do, for: a
    name that is no date, an empty or damaged file, no rows where some must be, an unknown or a missing column, a wrong
    type, a null where none may be, and rows of another day.
    """
    day = day_of(path, table)
    found = columns_of(path)
    check_columns(found, table, path)
    typed = as_typed(found, table, strict=False)
    midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
    here = typed[table.day].is_between(midnight, midnight + timedelta(days=1), closed="left")
    tests = [pl.len().alias("rows"), (~here).sum().alias("elsewhere")]
    tests += [pl.col(column).null_count().alias(f"nulls {column}") for column in typed]
    tests += [value.null_count().alias(f"misfits {column}") for column, value in typed.items()]
    looks = pl.concat(chain([pl.DataFrame(schema=found).select(tests)], _looks(path, tests)))
    seen = looks.sum().row(0, named=True)
    for column, dtype in table.columns.items():
        nulls, misfits = seen[f"nulls {column}"], seen[f"misfits {column}"] - seen[f"nulls {column}"]
        if nulls and column not in table.nullable:
            raise _null(path, column, nulls)
        if misfits:
            raise DataRefused(f"{path}: column {column} holds {misfits:,} values beyond {dtype}: correct them.")
    if not table.may_be_empty and not seen["rows"]:
        raise DataRefused(f"{path} holds no {table.name}: remove it, or export that day again.")
    if seen["elsewhere"]:
        raise DataRefused(
            f"{path}: column {table.day} lies on another day in {seen['elsewhere']:,} rows: put each row in the file "
            f"of its {table.day_is}."
        )
    return int(seen["rows"])


def scan_table(path: Path, table: Table) -> pl.LazyFrame:
    """The rows of a file, lazily, with the columns of `table` in the schema's order and types.

    Looks at the columns only (DataRefused where they are wrong); `check_file` looks at the values.
    """
    found = columns_of(path)
    check_columns(found, table, path)
    return pl.scan_parquet(path, glob=False).select(**as_typed(found, table, strict=True))


def read_table(path: Path, table: Table) -> pl.DataFrame:
    """The rows of a file that `check_file` has found right, with the schema's columns and types."""
    check_file(path, table)
    try:
        return scan_table(path, table).collect()
    except UNREADABLE as error:
        raise _damaged(path) from error


def write_day(frame: pl.DataFrame, table: Table, path: Path) -> None:
    """Write `frame` to `path` atomically, in the table's order: equal rows are equal bytes.

    Raises DataRefused where columns or types are not those of `table`, or hold nulls where none may be, and
    HeadgateError where the disk does not take it.
    """
    check_columns(frame.schema, table, path)
    rows = frame.select(**as_typed(frame.schema, table, strict=True)).sort(table.order, maintain_order=True)
    for column in table.columns.keys() - table.nullable:
        if nulls := rows[column].null_count():
            raise _null(path, column, nulls)
    try:
        with atomic_file(path) as draft:
            rows.rechunk().write_parquet(draft, compression="zstd", statistics=True, row_group_size=1 << 17)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise HeadgateError(f"{path} could not be written ({error}): free some space or check the folder.") from error


@contextmanager
def publishing(out: Path, *, replace: bool = False) -> Iterator[Path]:
    """Yield an empty folder; the Parquet files left in it move to `out` when the block ends without an error.

    Files with the same rows are left as they are. Where one is there with other rows it is replaced if `replace` says
    so; else raises UsageError and moves none: the days of a source do not change once they are over.
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
            same = {name for name in names if (out / name).exists() and _same_rows(draft / name, out / name)}
            moved = [name for name in names if name not in same]
            for name in moved:
                if (out / name).exists() and not replace:
                    remedy = "write to another folder, or remove that file first"
                    raise UsageError(f"{out / name} is there with other rows: {remedy}.")
            for name in moved:
                (out / name).parent.mkdir(parents=True, exist_ok=True)
                (draft / name).replace(out / name)
    except OSError as error:
        raise HeadgateError(f"{out} cannot be written to ({error}): check that folder.") from error


def _same_rows(one: Path, other: Path) -> bool:
    if filecmp.cmp(one, other, shallow=False):
        return True
    try:
        return pl.read_parquet(one, glob=False).equals(pl.read_parquet(other, glob=False))
    except UNREADABLE:
        return False


def day_of(path: Path, table: Table) -> date:
    """The UTC day that a file of `table` is named by."""
    try:
        day = date.fromisoformat(path.stem)
        if path.name == f"{day.isoformat()}.parquet":
            return day
    except ValueError:
        pass
    raise DataRefused(f"{path} is not named by its day: call it YYYY-MM-DD.parquet, after the {table.day_is}.")


def _looks(path: Path, tests: list[pl.Expr]) -> Iterator[pl.DataFrame]:
    """`tests` of each batch of a file, read by Arrow: on damaged pages it raises where Polars may abort the process."""
    import pyarrow as pa  # type: ignore[import-untyped]
    import pyarrow.parquet as pq  # type: ignore[import-untyped]

    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            for batch in file.iter_batches(batch_size=1 << 17):
                yield cast(pl.DataFrame, pl.from_arrow(batch)).select(tests)
    except (pa.ArrowException, *UNREADABLE) as error:
        raise _damaged(path) from error


def _null(path: Path, column: str, nulls: int) -> DataRefused:
    return DataRefused(f"{path}: column {column} is null in {nulls:,} rows: fill them or drop those rows.")


def _damaged(path: Path) -> DataRefused:
    return DataRefused(f"{path} is no whole Parquet file: copy or export it again.")


def columns_of(path: Path) -> Mapping[str, pl.DataType]:
    """Names and types of a file's columns, from its footer."""
    if not path.is_file():
        raise DataRefused(f"There is no file {path}: check the source.")
    if not path.stat().st_size:
        raise DataRefused(f"{path} is empty (0 bytes): copy or export it again.")
    try:
        return pl.scan_parquet(path, glob=False).collect_schema()
    except UNREADABLE as error:
        raise _damaged(path) from error


def check_columns(found: Mapping[str, pl.DataType], table: Table, path: Path) -> None:
    """Raise DataRefused where the columns `found` in `path` cannot be those of `table`."""
    if missing := [column for column in table.columns if column not in found]:
        raise DataRefused(f"{path} lacks the column {', '.join(missing)} of {table.name}: add it.")
    if unknown := [column for column in found if column not in table.columns]:
        raise DataRefused(f"{path} has the column {', '.join(unknown)}, which {table.name} does not know: remove it.")
    for column, dtype in table.columns.items():
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


def as_typed(found: Mapping[str, pl.DataType], table: Table, *, strict: bool) -> dict[str, pl.Expr]:
    """Each column of `table` as an expression of its type; without `strict` what does not fit is null."""

    def cast(column: str, dtype: pl.DataType) -> pl.Expr:
        value = pl.col(column)
        if isinstance(dtype, pl.Datetime) and isinstance(found[column], pl.Datetime):
            return value.dt.cast_time_unit("us").dt.convert_time_zone("UTC")
        return value.cast(dtype, strict=strict)

    return {column: cast(column, dtype) for column, dtype in table.columns.items()}
