"""Files of the raw schema: read, check and write them, and load what was known of series at an instant.

`read_series` and `check_file` take files as people hand them over and say in one sentence what is wrong with them.
`write_days` adds rows to a source and never changes one. `load_matrix` is what models are trained from: one array of
all series of a step, filled day file by day file, so that memory is that array and one day.
"""

import csv
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import UTC, date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
from numpy.typing import NDArray

from headgate.data import tables
from headgate.data.tables import publishing
from headgate.domains.capacity.data.schema import AGGREGATIONS, ANCHOR, DAY, POINTS, POINTS_TABLE, SERIES, STEPS
from headgate.errors import DataRefused, UsageError
from headgate.files import atomic_file

#: The largest value of a point: models are trained in single precision, and add up weeks.
MOST = 1e30

_NAME = re.compile(r"[\w.:-]+")  # a region, a service, a metric: no "/", which parts them, nor "|" and "*" of calendars


@dataclass(frozen=True)
class Series:
    """One row of series.csv: what a series measures, and by which clock."""

    series: str  # "region/service/metric"
    region: str
    service: str
    metric: str
    unit: str
    zone: str
    step: int  # seconds
    aggregation: str  # sum or mean
    analogue: str = ""  # the id of a series that this one is likely to resemble, or empty


# ---------------------------------------------------------------------------------------------------- series.csv


def read_series(folder: Path) -> dict[str, Series]:
    """The series of `folder`/series.csv by id, in the file's order.

    Raises DataRefused naming the line for: a missing, empty or undecodable file, other columns than SERIES, an unknown
    zone, step or aggregation, a repeated id, an id that is not region/service/metric, an unknown analogue.
    """
    path = folder / "series.csv"
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            header = tuple(reader.fieldnames or ())
            if sorted(header) != sorted(SERIES):
                raise DataRefused(f"{path} has the columns {', '.join(header) or 'none'}: give it {', '.join(SERIES)}.")
            rows = [(reader.line_num, row) for row in reader]
    except FileNotFoundError as error:
        raise DataRefused(f"There is no file {path}: a source of load lists its series there.") from error
    except UnicodeDecodeError as error:
        raise DataRefused(f"{path} is not UTF-8 text: convert it first (iconv -f ENCODING -t UTF-8).") from error
    except (OSError, csv.Error) as error:
        raise DataRefused(f"{path} cannot be read ({error}): write it anew.") from error
    found: dict[str, Series] = {}
    for line, row in rows:
        if None in row or None in row.values():
            raise DataRefused(f"{path}, line {line}: not {len(SERIES)} fields as in the header: correct it.")
        one = _one_series({key: value.strip() for key, value in row.items()}, f"{path}, line {line}")
        if one.series in found:
            raise DataRefused(f"{path}, line {line}: {one.series} is there twice: remove one.")
        found[one.series] = one
    if not found:
        raise DataRefused(f"{path} names no series: add a row for each.")
    for one in found.values():
        _check_analogue(one, found, path)
    return found


def _one_series(row: Mapping[str, str], where: str) -> Series:
    parts = (row["region"], row["service"], row["metric"])
    if strange := [part for part in parts if not _NAME.fullmatch(part)]:
        raise DataRefused(
            f"{where}: {strange[0]!r} is no name of a region, service or metric: write it of letters, digits and "
            ". _ : - alone."
        )
    if row["series"] != "/".join(parts):
        raise DataRefused(
            f"{where}: the id {row['series']!r} is not region/service/metric, here {'/'.join(parts)!r}: make them "
            "agree."
        )
    try:
        ZoneInfo(row["zone"])
    except (KeyError, ValueError, OSError) as error:
        raise DataRefused(f"{where}: there is no time zone {row['zone']!r}: write one as Europe/Berlin.") from error
    if row["step"] not in map(str, STEPS):
        raise DataRefused(
            f"{where}: the step is {row['step']!r}: it must be one of {', '.join(map(str, STEPS))} seconds."
        )
    if row["aggregation"] not in AGGREGATIONS:
        raise DataRefused(f"{where}: the aggregation is {row['aggregation']!r}: write {' or '.join(AGGREGATIONS)}.")
    return Series(**{**row, "step": int(row["step"])})  # type: ignore[arg-type]


def _check_analogue(one: Series, known: Mapping[str, Series], path: Path) -> None:
    if one.analogue and (one.analogue == one.series or one.analogue not in known):
        raise DataRefused(
            f"{path}: the analogue {one.analogue!r} of {one.series} is no other series of it: correct it."
        )
    if one.analogue and known[one.analogue].step != one.step:
        raise DataRefused(
            f"{path}: {one.series} and its analogue {one.analogue} have other steps: name one of its step."
        )


def write_series(series: Iterable[Series], folder: Path) -> None:
    """Write series.csv atomically, sorted by id. Raises DataRefused as `read_series` does, with nothing written."""
    rows = sorted(series, key=lambda one: one.series)
    path = folder / "series.csv"
    known = {one.series: one for one in rows}
    for one in rows:
        _one_series({key: str(value) for key, value in asdict(one).items()}, str(path))
        _check_analogue(one, known, path)
    with atomic_file(path) as draft, draft.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(SERIES)
        writer.writerows([getattr(one, field.name) for field in fields(Series)] for one in rows)


def _with_added(series: Iterable[Series], folder: Path) -> dict[str, Series]:
    """The series of `folder` and those added. Raises UsageError where one is there that says something else."""
    known = read_series(folder) if (folder / "series.csv").exists() else {}
    added = {one.series: one for one in series}
    for name in sorted(added.keys() & known.keys()):
        if added[name] != known[name]:
            raise UsageError(
                f"{folder / 'series.csv'} has {name} already, as {_words(known[name])}; this one is "
                f"{_words(added[name])}: write to another folder, or give it another name."
            )
    return known | added


def _words(one: Series) -> str:
    return f"{one.unit or 'no unit'}, {one.zone}, {one.step} s, {one.aggregation}"


# -------------------------------------------------------------------------------------------------------- points


def check_file(path: Path, series: Mapping[str, Series]) -> int:
    """Check that `path`, named by its UTC day, holds points of `series`; return its number of rows.

    Holds one day in memory. Raises DataRefused naming the file, the series and its first hour for all that
    `headgate.data.tables.check_file` refuses, and for: a series that is not in series.csv, a value that is negative or
    no number, a time off the grid of its series' step, a point known before its step was over, and two points of one
    series and time.
    """
    rows = tables.check_file(path, POINTS_TABLE)
    _check_rows(tables.scan_table(path, POINTS_TABLE).collect(), series, str(path))
    return rows


def _check_rows(points: pl.DataFrame, series: Mapping[str, Series], where: str) -> None:
    step = pl.col("series").replace_strict(list(series), [one.step for one in series.values()], default=None)
    microseconds = pl.col("time").dt.epoch("us") - ANCHOR * 1_000_000
    over = pl.col("time") + pl.duration(seconds=pl.col("step"))
    twice = pl.struct("series", "time").is_duplicated()
    if points.select(pl.col("series", "time")).lazy().select(_in_order()).collect().item():
        twice = pl.lit(False)  # strictly sorted, as `write_days` writes: looking is quicker than hashing
    sentences = {
        "unknown": "is not in series.csv: add it there",
        "value": "is negative, too large or no number: a step without a measurement has no row",
        "grid": "begins off the grid of its series' step: move it to the start of its step",
        "early": "is known before its step was over: correct known_at",
        "twice": "is there more than once: keep one",
    }
    bad = (
        points.lazy()
        .with_columns(step=step)
        .with_columns(
            unknown=pl.col("step").is_null(),
            value_=~((pl.col("value") >= 0) & (pl.col("value") <= MOST)),
            grid=(microseconds % (pl.col("step") * 1_000_000) != 0).fill_null(False),
            early=(pl.col("known_at") < over).fill_null(False),
            twice=twice,
        )
        .rename({"value": "was", "value_": "value"})
        .filter(pl.any_horizontal(*sentences))
        .collect()
    )
    for fault, sentence in sentences.items():
        rows = bad.filter(pl.col(fault)).sort("series", "time")
        if len(rows):
            first = rows.row(0, named=True)
            raise DataRefused(
                f"{where}: the point of {first['series']} at {first['time']:%Y-%m-%d %H:%M:%S} UTC ({first['was']:g}), "
                f"one of {len(rows):,}, {sentence}."
            )


def _in_order() -> pl.Expr:
    """Whether rows are strictly sorted by series and time."""
    before, time = pl.col("series").shift(), pl.col("time")
    return ((pl.col("series") > before) | ((pl.col("series") == before) & (time > time.shift()))).fill_null(True).all()


def write_day(frame: pl.DataFrame, path: Path) -> None:
    """Write the points of one UTC day to `path` atomically, sorted: equal rows are equal bytes."""
    tables.write_day(frame, POINTS_TABLE, path)


def write_days(frame: pl.DataFrame, out: Path, series: Iterable[Series] = ()) -> list[str]:
    """Add `frame` to `out/points/DAY.parquet`, one file a UTC day of `time`, and return the names of those days' files.

    `series` are added to series.csv. Rows join those that a day holds; writing the same rows again changes nothing.
    Raises UsageError, with nothing written, where a series is there with other attributes or a step with another value,
    and DataRefused as `check_file`.
    """
    tables.check_columns(frame.schema, POINTS_TABLE, out)
    points = frame.select(**tables.as_typed(frame.schema, POINTS_TABLE, strict=True))
    known = _with_added(series, out)
    _check_rows(points, known, str(out))
    with publishing(out, replace=True) as draft:
        days = points.with_columns(day=pl.col("time").dt.date())
        for (day,), rows in days.partition_by("day", as_dict=True, include_key=False).items():
            name = f"points/{day}.parquet"
            if (out / name).exists():
                rows = _joined(tables.read_table(out / name, POINTS_TABLE), rows, out / name)
            write_day(rows, draft / name)
        if not (out / "series.csv").exists() or known != read_series(out):
            write_series(known.values(), out)
        return sorted(path.relative_to(draft).as_posix() for path in draft.rglob("*.parquet"))


def _joined(present: pl.DataFrame, rows: pl.DataFrame, path: Path) -> pl.DataFrame:
    """Rows of a day with new ones; what is there already is taken once."""
    both = present.join(rows, on=["series", "time"], how="inner", suffix="_new")
    changed = both.filter((pl.col("value") != pl.col("value_new")) | (pl.col("known_at") != pl.col("known_at_new")))
    if len(changed):
        first = changed.sort("series", "time").row(0, named=True)
        raise UsageError(
            f"{path} has {first['series']} at {first['time']:%Y-%m-%d %H:%M} UTC with {first['value']:g} already, one "
            f"of {len(changed):,} steps that would change: write to another folder, or remove that file first."
        )
    return pl.concat([present, rows.join(present, on=["series", "time"], how="anti")])


# ------------------------------------------------------------------------------------------------ what was known


def load_points(folder: Path, as_of: datetime | None = None) -> pl.DataFrame:
    """The points of `folder` known at `as_of` (all if None): series (Categorical), time, value, by file.

    For small sources and for looking at them; `load_matrix` holds a large one in a tenth of the memory.
    """
    frames = [
        _known(tables.scan_table(path, POINTS_TABLE), as_of).select(
            pl.col("series").cast(pl.Categorical), "time", "value"
        )
        for path in _files(folder, as_of)
    ]
    empty = pl.LazyFrame(schema={"series": pl.Categorical(), "time": POINTS["time"], "value": POINTS["value"]})
    return pl.concat([empty, *frames]).collect(engine="streaming")


def load_matrix(
    folder: Path, ids: Sequence[str], as_of: datetime | None = None, *, since: datetime | None = None
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """What was known at `as_of` of the series `ids`, all of one step: times [n] and values [n, len(ids)].

    Times are the seconds since 1970 at which steps begin, on a regular grid from the first to the last step that any
    of the series has; a missing value is NaN. `since` leaves out what is older. Without a point both are empty (n = 0).
    Raises UsageError for an id that series.csv does not name, and for ids of several steps.
    """
    series = read_series(folder)
    if unknown := [name for name in ids if name not in series]:
        raise UsageError(f"{folder} has no series {', '.join(unknown)}: series.csv names those it has.")
    steps = sorted({series[name].step for name in ids})
    if len(steps) != 1:
        raise UsageError(
            f"Series of one step can be loaded together, these have {', '.join(map(str, steps)) or 'none'}."
        )
    step = steps[0]
    wanted = pl.Enum(list(ids))

    def rows(path: Path) -> pl.LazyFrame:
        frame = _known(tables.scan_table(path, POINTS_TABLE), as_of)
        if since is not None:
            frame = frame.filter(pl.col("time") >= since)
        return (
            frame.filter(pl.col("series").is_between(pl.lit(min(ids)), pl.lit(max(ids))))
            .select(
                row=(pl.col("time").dt.epoch("s") - ANCHOR) // step,
                column=pl.col("series").cast(wanted, strict=False).to_physical(),
                value=pl.col("value").cast(pl.Float32),
            )
            .drop_nulls("column")
        )

    files = [path for path in _files(folder, as_of) if since is None or day_of(path) >= since.astimezone(UTC).date()]
    first, last = (
        next((path for path in order if len(rows(path).head(1).collect())), None) for order in (files, files[::-1])
    )
    if first is None or last is None:
        return np.empty(0, np.int64), np.empty((0, len(ids)), np.float32)
    epoch = date(1970, 1, 1)
    start = -(-((day_of(first) - epoch).days * DAY - ANCHOR) // step)  # the first step that begins on that day
    end = -(-((day_of(last) - epoch).days * DAY + DAY - ANCHOR) // step)
    values = np.full((end - start, len(ids)), np.nan, np.float32)
    for path in files[files.index(first) : files.index(last) + 1]:
        part = rows(path).collect()
        values[part["row"].to_numpy() - start, part["column"].to_numpy()] = part["value"].to_numpy()
    filled = np.flatnonzero(~np.isnan(values).all(axis=1))
    low, high = filled[0], filled[-1] + 1
    times = ANCHOR + step * np.arange(start + low, start + high, dtype=np.int64)
    return times, values[low:high]


def has_points(folder: Path, as_of: datetime) -> bool:
    """Whether any point was known at `as_of`."""
    files = reversed(_files(folder, as_of))
    return any(len(_known(tables.scan_table(path, POINTS_TABLE), as_of).head(1).collect()) for path in files)


def _known(points: pl.LazyFrame, as_of: datetime | None) -> pl.LazyFrame:
    """Points that we had learned of by `as_of`. Their steps were over by then."""
    return points if as_of is None else points.filter(pl.col("known_at") <= as_of)


def _files(folder: Path, as_of: datetime | None) -> list[Path]:
    """The point files that may hold something known at `as_of`, by day."""
    paths = sorted((folder / "points").glob("[!.]*.parquet"))
    return [path for path in paths if as_of is None or day_of(path) <= as_of.astimezone(UTC).date()]


def day_of(path: Path) -> date:
    """The UTC day that a file of points is named by."""
    return tables.day_of(path, POINTS_TABLE)
