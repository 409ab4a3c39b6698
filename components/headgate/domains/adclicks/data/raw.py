"""Files of the raw schema of clicks: `headgate.data.tables`, with this domain's tables by name."""

from datetime import date
from pathlib import Path

import polars as pl

from headgate.data import tables
from headgate.data.tables import Table, publishing
from headgate.domains.adclicks.data.schema import ARRIVAL, NULLABLE, TABLES

_TABLES = {
    name: Table(
        name=name,
        columns=columns,
        day=ARRIVAL[name],
        day_is="UTC day of arrival",
        order=(ARRIVAL[name], next(iter(columns))),
        nullable=frozenset(NULLABLE[name]),
        may_be_empty=name != "clicks",
    )
    for name, columns in TABLES.items()
}


def check_file(path: Path, table: str) -> int:
    """Check that `path` is a file of `table` (a key of TABLES), as `tables.check_file` does; return its rows."""
    return tables.check_file(path, _TABLES[table])


def scan_table(path: Path, table: str) -> pl.LazyFrame:
    """The rows of a file, lazily, with the columns of `table` in the schema's order and types."""
    return tables.scan_table(path, _TABLES[table])


def read_table(path: Path, table: str) -> pl.DataFrame:
    """The rows of a file that `check_file` has found right, with the schema's columns and types."""
    return tables.read_table(path, _TABLES[table])


def write_day(frame: pl.DataFrame, table: str, path: Path) -> None:
    """Write `frame` to `path` atomically, in order of arrival and then of id: equal rows are equal bytes."""
    tables.write_day(frame, _TABLES[table], path)


def write_days(frame: pl.DataFrame, table: str, out: Path) -> list[str]:
    """Write `frame` to one file a UTC day of arrival, `out/TABLE/DAY.parquet`, and return their names.

    Writing the same rows again changes nothing. Raises UsageError, with nothing written, where a day is there with
    other rows, and DataRefused as `write_day` does.
    """
    tables.check_columns(frame.schema, _TABLES[table], out)
    with publishing(out) as draft:
        days = frame.with_columns(day=pl.col(ARRIVAL[table]).dt.convert_time_zone("UTC").dt.date())
        for (day,), rows in days.partition_by("day", as_dict=True, include_key=False).items():
            write_day(rows, table, draft / table / f"{day}.parquet")
        return sorted(path.relative_to(draft).as_posix() for path in draft.rglob("*.parquet"))


def day_of(path: Path) -> date:
    """The UTC day that a file is named by."""
    return tables.day_of(path, _TABLES["clicks"])
