"""Turn exported load series into a source of the raw schema: `headgate import capacity FILE --map … --out DIR`.

The file is delimited text with a point a line. What names its series is either told once for the whole file or mapped
to headers. Times with an offset are taken as they are; times without one are what the clock of `tz` showed. Where that
clock shows an hour twice in autumn, the first line with such a time is the first of both, by order in the file, and the
second the second.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import cast

import polars as pl

from headgate.data import delimited
from headgate.data.delimited import Chunk, refuse
from headgate.domains.capacity.data.raw import Series, write_days
from headgate.domains.capacity.data.schema import AGGREGATIONS, ANCHOR, DAY, STEPS, UTC
from headgate.errors import DataRefused, UsageError

FORMATS = ("csv",)

#: What `--map` can name.
MAPPABLE = ("time", "value", "region", "service", "metric", "missing")

_NAMES = ("region", "service", "metric")
_CHUNK_ROWS = 100_000
_TRUE, _FALSE = ("true", "t", "yes", "y", "1", "1.0"), ("false", "f", "no", "n", "0", "0.0")
_DATE = r"^\d{4}-\d\d-\d\d$"
_YEARS = 1970, 2199  # as of the calendar
_NO_VALUE = ("nan", "null", "none", "na", "n/a", "-")


@dataclass(frozen=True)
class ImportReport:
    """What an import has written."""

    points: int
    series: tuple[str, ...]
    step: int  # seconds
    first: datetime  # starts of the first and the last step, UTC
    last: datetime
    left_out: int  # rows without a value, or flagged missing
    gaps: int  # steps between a series' first and last that have no point
    moved_seconds: int  # by how much times were moved onto the grid; negative where to the past
    ignored: tuple[str, ...] = ()  # headers of the file that nothing was taken from

    @property
    def as_of(self) -> datetime:
        """The earliest as-of at which every point is known: the end of the last step."""
        return self.last + timedelta(seconds=self.step)

    @property
    def hint(self) -> str:
        """What a reader should know, and what to do next, in a few sentences."""
        parts = [f"Train with --as-of {self.as_of:%Y-%m-%dT%H:%M:%SZ} or later."]
        if self.left_out or self.gaps:
            parts.append(f"{self.left_out:,} rows were left out as missing; {self.gaps:,} steps have no point.")
        if self.moved_seconds:
            parts.append(f"Times were moved by {self.moved_seconds:+,} s onto the grid of the step.")
        return " ".join(parts)

    def words(self, out: Path) -> str:
        """What is in `out` now, and what to do next."""
        return f"{self.points:,} points of {len(self.series):,} series are in {out}. {self.hint}"


def import_series(
    file: Path,
    *,
    out: Path,
    format: str = "csv",
    mapping: Mapping[str, str] | None = None,
    tz: str | None = None,
    ignore_offsets: bool = False,
    region: str | None = None,
    service: str | None = None,
    metric: str | None = None,
    unit: str = "",
    zone: str | None = None,
    step: int | None = None,
    aggregation: str = "sum",
) -> ImportReport:
    """Write the points of `file` (plain or gzipped) to `out/points`, and add their series to `out/series.csv`.

    `mapping` is column → header, of MAPPABLE; a column that it does not name is read from the header of its own name.
    `tz` is the IANA zone of times written without an offset; with `ignore_offsets` also of those that have one, since
    some exports mark local times with a false Z, so that an hour is there twice in autumn. `zone` is that of the people
    who make the load (`tz` or UTC unless given), `step` the seconds from point to point (found from the times unless
    given). Times that are all off the grid by the same are moved onto it, by half a step at most. Rows that `missing`
    flags, and such without a value, are left out. A point counts as known when its step is over. Importing the same
    file again changes nothing.

    Raises UsageError for a request that cannot be met, and DataRefused naming the line for rows that cannot be read; in
    both cases `out` is left as it was.
    """
    if format not in FORMATS:
        raise UsageError(f"There is no format {format!r}: choose one of {', '.join(FORMATS)}.")
    if step is not None and step not in STEPS:
        raise UsageError(f"The step {step} is none that a series may have: {', '.join(map(str, STEPS))} seconds.")
    if aggregation not in AGGREGATIONS:
        raise UsageError(f"There is no aggregation {aggregation!r}: write {' or '.join(AGGREGATIONS)}.")
    tz, zone = delimited.known_zone(tz), delimited.known_zone(zone)
    header, delimiter = delimited.header_of(file)
    named = {"region": region, "service": service, "metric": metric}
    headers = _resolve(file, header, mapping or {}, named)
    if ignore_offsets and tz is None:
        raise UsageError("Without their offsets times have no zone: give --tz ZONE.")
    parts = [
        _read(chunk, tz, named, ignore_offsets)
        for chunk in delimited.chunks(file, delimiter, header, headers, MAPPABLE, _CHUNK_ROWS)
    ]
    if not parts or not any(len(part) for part in parts):
        raise DataRefused(f"{file} holds a header and no points: export it again.")
    rows = _instants(pl.concat(parts), tz, file)
    _check_years(rows, file)
    if not rows["value"].count():
        raise DataRefused(f"{file} holds no value that is not missing: export it again.")
    step = step or _step(rows, str(file))
    if step >= DAY:  # a day or a week of the local clock is stored under its date
        rows = rows.with_columns(time=pl.col("shown").dt.replace_time_zone("UTC"))
    written = rows.filter(pl.col("value").is_not_null())
    like = Series("", "", "", "", unit, zone or tz or "UTC", step, aggregation)
    report = write_points(written, out, like, str(file))
    ignored = tuple(name for name in header if name and name not in headers.values())
    return replace(report, left_out=len(rows) - len(written), ignored=ignored)


def write_points(rows: pl.DataFrame, out: Path, like: Series, file: str) -> ImportReport:
    """Put rows (region, service, metric, time, instant, value, line) onto the grid and write them to `out`.

    `instant` is when their steps truly begin. Their series take the rest from `like`.
    """
    step = like.step
    rows, moved = _on_grid(rows.with_columns(series=pl.concat_str(_NAMES, separator="/")), step, file)
    names = rows.select("series", *_NAMES).unique().sort("series").rows()
    series = [replace(like, series=s, region=r, service=v, metric=m) for s, r, v, m in names]
    known = pl.max_horizontal("time", "instant") + timedelta(seconds=step)
    write_days(rows.select("series", "time", "value", known_at=known), out, series)
    spans = rows.group_by("series").agg(n=pl.len(), span=(pl.col("time").max() - pl.col("time").min()))
    expected = (spans["span"].dt.total_seconds() // step + 1).sum()
    return ImportReport(
        points=len(rows),
        series=tuple(one.series for one in series),
        step=step,
        first=cast(datetime, rows["time"].min()),
        last=cast(datetime, rows["time"].max()),
        left_out=0,
        gaps=int(expected) - len(rows),
        moved_seconds=moved,
    )


# ---------------------------------------------------------------------------------------------------------- rows


def _read(chunk: Chunk, tz: str | None, named: Mapping[str, str | None], ignore_offsets: bool) -> pl.DataFrame:
    """The rows of a chunk: line, region, service, metric, instant or local time, value (null where missing)."""
    midnight = pl.when(pl.col("time").str.contains(_DATE)).then(pl.col("time") + "T00:00").otherwise("time")
    chunk = replace(chunk, rows=chunk.rows.with_columns(time=midnight))  # a day or a week is named by its date
    rows = chunk.rows
    refuse(chunk, rows["time"].is_null(), "time", "is empty: fill it or drop the row.")
    seen = delimited.times(chunk, "time", tz)
    shown = pl.coalesce("local", pl.col("instant").dt.replace_time_zone(None) + pl.duration(minutes="ahead"))
    seen = seen.with_columns(shown=shown)
    if ignore_offsets:
        seen = seen.with_columns(instant=pl.lit(None, UTC), local="shown")
    text = rows["value"].str.to_lowercase()
    value = text.cast(pl.Float64, strict=False)
    none = text.is_null() | text.is_in(_NO_VALUE) | value.is_nan().fill_null(False)
    refuse(
        chunk, ~none & ~value.is_finite().fill_null(False), "value", "must be a number, or empty where it is missing."
    )
    refuse(chunk, ~none & (value < 0), "value", "is negative: a load is 0 or more.")
    flag = rows["missing"].str.to_lowercase()
    refuse(chunk, ~flag.is_in(_TRUE + _FALSE), "missing", "must be true or false.")
    for name in _NAMES:
        if named[name] is None:
            refuse(chunk, rows[name].is_null(), name, "is empty: fill it or drop the row.")
    return rows.select(
        "line",
        *(name if told is None else pl.lit(told).alias(name) for name, told in named.items()),
        *(seen[name] for name in ("instant", "local", "shown")),
        value=pl.when(none | flag.is_in(_TRUE).fill_null(False)).then(None).otherwise(value),
    )


def _instants(rows: pl.DataFrame, tz: str | None, file: Path) -> pl.DataFrame:
    """The rows with the `instant` of each as `time` too, from local times by their order in the file."""
    turn = pl.col("local").cum_count().over(*_NAMES, "local")
    zoned = pl.col("local").dt.replace_time_zone(
        tz or "UTC",
        ambiguous=pl.when(turn == 1).then(pl.lit("earliest")).otherwise(pl.lit("latest")),
        non_existent="null",
    )
    instant = pl.coalesce("instant", zoned.dt.convert_time_zone("UTC")).cast(UTC)
    found = rows.with_columns(instant=instant).with_columns(time="instant")
    for line, local in found.filter(pl.col("time").is_null()).select("line", "local").head(1).rows():
        raise DataRefused(
            f"{file}, line {line}: the clock of {tz} never showed {local:%Y-%m-%d %H:%M}, when it was set forward: "
            "give the zone that the file was written in, or times with offsets."
        )
    twice = found.filter(pl.struct(*_NAMES, "time").is_duplicated())
    if len(twice):
        first = twice.sort("time", "line").row(0, named=True)
        raise DataRefused(
            f"{file}, line {first['line']}: {first['time']:%Y-%m-%d %H:%M:%S} UTC is there more than once, one of "
            f"{len(twice):,} such rows: keep one, map what tells its series apart (--map service=HEADER), or, if the "
            "file marks local times with a false offset, give --tz ZONE --ignore-offsets."
        )
    return found.drop("local")


def _check_years(rows: pl.DataFrame, file: Path) -> None:
    """Raise DataRefused for a time that no load can be of: an empty clock, or milliseconds taken for seconds."""
    for line, time in rows.filter(~pl.col("time").dt.year().is_between(*_YEARS)).select("line", "time").head(1).rows():
        raise DataRefused(f"{file}, line {line}: {time.date()} lies outside the years 1970 to 2199: check the year.")


def _step(rows: pl.DataFrame, file: str) -> int:
    """The most frequent difference between neighbouring times of a series, in seconds."""
    apart = rows.sort("time").select(gap=pl.col("time").diff().over(_NAMES).dt.total_seconds()).drop_nulls()
    if not len(apart):
        raise DataRefused(f"{file} has one point a series, which does not tell the step: give --step SECONDS.")
    step = int(apart["gap"].mode().min())  # type: ignore[arg-type]
    if step not in STEPS:
        raise DataRefused(
            f"{file}: most points lie {step:,} s apart, which is no step that a series may have "
            f"({', '.join(map(str, STEPS))} s): aggregate it first, or give --step SECONDS."
        )
    return step


def _on_grid(rows: pl.DataFrame, step: int, file: str) -> tuple[pl.DataFrame, int]:
    """The rows with `time` on the grid of a step, and the seconds that all of them moved by, to the nearest step."""
    past = (pl.col("time").dt.epoch("us") - ANCHOR * 1_000_000) % (step * 1_000_000)
    rows = rows.with_columns(past=past)
    phase = int(rows["past"].mode().min())  # type: ignore[arg-type]
    off = rows.filter(pl.col("past") != phase).sort("line")
    if len(off):
        first = off.row(0, named=True)
        raise DataRefused(
            f"{file}, line {first['line']}: {first['time']:%Y-%m-%d %H:%M:%S} UTC lies "
            f"{(first['past'] - phase) / 1e6:+g} s off the grid of {step} s that the other points lie on, one of "
            f"{len(off):,}: aggregate to steps first, or give another --step."
        )
    moved = -phase if 2 * phase <= step * 1_000_000 else step * 1_000_000 - phase
    placed = rows.with_columns(time=pl.col("time") + timedelta(microseconds=moved)).drop("past")
    return placed, round(moved / 1e6)


# ------------------------------------------------------------------------------------------------------- mapping


def _resolve(
    file: Path, header: list[str], mapping: Mapping[str, str], named: Mapping[str, str | None]
) -> dict[str, str]:
    """Column → header, from `mapping` and, for columns it does not name, headers that have a column's own name."""
    delimited.check_mapping(file, header, mapping, MAPPABLE)
    told = {name for name, value in named.items() if value is not None}
    if both := sorted(told & mapping.keys()):
        raise UsageError(f"{both[0]} is given and mapped to a header: do one of both.")
    headers = {column: mapping.get(column, column) for column in MAPPABLE if column not in told}
    headers = {column: name for column, name in headers.items() if name in header}
    for column in ("time", "value"):
        if column not in headers:
            hint = f"{delimited.perhaps(column, header)}: give --map {column}=HEADER, one of {', '.join(header)}."
            raise UsageError(f"{file} has no header {column}{hint}")
    for column in _NAMES:
        if column not in headers and column not in told:
            raise UsageError(f"The {column} of the series is not told: give --{column} NAME, or --map {column}=HEADER.")
    delimited.check_once(file, header, headers.values())
    return headers
