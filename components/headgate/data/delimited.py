"""Delimited text that other people exported: read it in chunks, as text, and refuse a cell by its line and header.

Understands UTF-8 with or without a byte-order mark, plain or gzipped, and finds the delimiter in the header.
"""

import csv
import gzip
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from difflib import get_close_matches
from io import BufferedReader, TextIOWrapper
from itertools import islice
from pathlib import Path
from typing import TextIO, cast

import polars as pl

from headgate.errors import DataRefused, UsageError

_EPOCH_MICROSECONDS = {10: 1_000_000, 13: 1_000, 16: 1}  # by the number of digits: seconds, milliseconds, microseconds
_TIME = r"^(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d(?::\d\d)?)(?:[.,](\d{1,9}))? ?(Z|UTC|[+-]\d\d(?::?\d\d)?)?$"


@dataclass(frozen=True)
class Chunk:
    """Consecutive rows of a file as text: a String column for each that was asked for, null where empty, and `line`."""

    file: Path
    headers: Mapping[str, str]  # column → the header it was read from
    first: int  # rows of the file before this chunk
    rows: pl.DataFrame


def chunks(
    file: Path, delimiter: str, header: list[str], headers: Mapping[str, str], columns: Sequence[str], size: int
) -> Iterator[Chunk]:
    """The file's rows, `size` at a time; a column without a header is null, as is an empty cell."""
    places = {column: header.index(headers[column]) if headers.get(column) else None for column in columns}
    first = 0
    with _text(file) as text:
        rows = _rows(file, text, delimiter, len(header))
        while block := list(islice(rows, size)):
            cells = {
                column: [None if place is None else row[place] for _, row in block] for column, place in places.items()
            }
            trimmed = pl.all().str.strip_chars()
            filled = pl.DataFrame(cells, schema=dict.fromkeys(columns, pl.String)).select(
                pl.when(trimmed != "").then(trimmed).name.keep()
            )
            lines = pl.Series("line", [line for line, _ in block])
            yield Chunk(file, headers, first, filled.with_columns(lines))
            first += len(block)


def refuse(chunk: Chunk, bad: pl.Series, column: str, why: str) -> None:
    """Raise DataRefused for the first row where `bad` is true (null is not)."""
    rows = chunk.rows.select("line", column).filter(bad.fill_null(False))
    if len(rows):
        line, value = rows.row(0)
        name = chunk.headers.get(column, column)
        raise DataRefused(f"{chunk.file}, line {line}: {name} {'' if value is None else repr(value) + ' '}{why}")


def header_of(file: Path) -> tuple[list[str], str]:
    """The header's names, and the delimiter: the one of comma, semicolon, tab and bar that it holds most of."""
    with _text(file) as text:
        top = text.readline()
    if not top.strip():
        raise DataRefused(
            f"{file} {'starts with a blank line' if top else 'is empty'}: export it again, with a header."
        )
    delimiter = max(",;\t|", key=top.count)
    return [name.strip() for name in next(csv.reader([top], delimiter=delimiter))], delimiter


def check_mapping(file: Path, header: Sequence[str], mapping: Mapping[str, str], mappable: Sequence[str]) -> None:
    """Raise UsageError where `mapping` (column → header) names a column or a header that there is not."""
    for column, name in mapping.items():
        if column not in mappable:
            raise UsageError(f"--map knows no column {column!r}{perhaps(column, mappable)}: {', '.join(mappable)}.")
        if name and name not in header:
            raise UsageError(f"{file} has no header {name!r}{perhaps(name, header)}: it has {', '.join(header)}.")


def check_once(file: Path, header: Sequence[str], names: Iterable[str]) -> None:
    """Raise DataRefused where one of the headers `names` is there more than once."""
    if twice := sorted({name for name in names if header.count(name) > 1}):
        raise DataRefused(f"{file} has the header {', '.join(twice)} more than once: rename one.")


def perhaps(name: str, candidates: Sequence[str]) -> str:
    """A hint at candidates that are spelled much like `name`, or nothing."""
    close = get_close_matches(name.lower(), [candidate.lower() for candidate in candidates], n=3)
    found = [candidate for candidate in candidates if candidate.lower() in close]
    return f" (perhaps {' or '.join(found)}?)" if found else ""


def known_zone(tz: str | None) -> str | None:
    """`tz`, if it is a zone that Polars knows."""
    if tz is not None:
        try:
            pl.Series([datetime(2000, 1, 1)]).dt.replace_time_zone(tz)
        except pl.exceptions.PolarsError as error:
            raise UsageError(f"There is no time zone {tz!r}: give one as Europe/Berlin or UTC.") from error
    return tz


# --------------------------------------------------------------------------------------------------------- times


def times(chunk: Chunk, column: str, tz: str | None) -> pl.DataFrame:
    """The times of a column as they are written: `instant` (UTC), `local` (no zone) and `ahead`, null where empty.

    Understands ISO 8601 dates with time (T or a space between, to the microsecond) and Unix epochs in seconds,
    milliseconds or microseconds. One written without an offset is `local`, a clock time of the zone `tz`; it is refused
    where no zone is given. `ahead` is the minutes by which an instant was written ahead of UTC.
    """
    text = pl.col(column)
    part = text.str.extract_groups(_TIME).struct
    clock = part["2"] + pl.when(part["2"].str.len_chars() == 5).then(pl.lit(":00")).otherwise(pl.lit(""))
    fraction = (part["3"].fill_null("").str.pad_end(9, "0").cast(pl.Int64) // 1000).cast(pl.Duration("us"))
    written = (part["1"] + "T" + clock).str.to_datetime("%Y-%m-%dT%H:%M:%S", time_unit="us", strict=False) + fraction
    sign = pl.when(part["4"].str.starts_with("-")).then(-1).otherwise(1)
    hours, minutes = part["4"].str.slice(1, 2), part["4"].str.extract(r"^...:?(\d\d)$").fill_null("0")
    named = pl.when(part["4"].is_in(["Z", "UTC"])).then(0)
    ahead = named.otherwise(sign * (hours.cast(pl.Int32, strict=False) * 60 + minutes.cast(pl.Int32)))
    epoch = pl.when(text.str.contains(r"^\d+$")).then(text.cast(pl.Int64, strict=False))
    scale = text.str.len_chars().replace_strict(_EPOCH_MICROSECONDS, default=None, return_dtype=pl.Int64)
    seen = chunk.rows.select(
        written=written,
        ahead=pl.when(ahead.is_between(-720, 840)).then(ahead),
        offset=part["4"],
        epoch=(epoch * scale).cast(pl.Datetime("us", "UTC")),
    )
    given, parsed = chunk.rows[column].is_not_null(), seen["epoch"].is_not_null() | seen["written"].is_not_null()
    sound = parsed & (seen["offset"].is_null() | seen["ahead"].is_not_null())
    refuse(chunk, given & ~sound, column, "is no time: write it as 2026-11-01T12:00:00+01:00.")
    local = pl.col("offset").is_null()
    if tz is None:
        naive = seen["written"].is_not_null() & seen["offset"].is_null()
        refuse(chunk, naive, column, "has no zone: write its offset (+01:00, Z) or give --tz ZONE.")
    return seen.select(
        instant=pl.coalesce("epoch", (pl.col("written") - pl.duration(minutes="ahead")).dt.replace_time_zone("UTC")),
        local=pl.when(local).then("written"),
        ahead=pl.when(pl.col("epoch").is_not_null()).then(0).otherwise("ahead"),
    )


# ---------------------------------------------------------------------------------------------------------- text


def _rows(file: Path, text: TextIO, delimiter: str, width: int) -> Iterator[tuple[int, list[str]]]:
    """Each record below the header with the number of the line that it starts on; blank lines are left out."""
    reader = csv.reader(text, delimiter=delimiter, strict=True)
    next(reader)
    while True:
        line = reader.line_num + 1
        try:
            row = next(reader, None)
        except csv.Error as error:
            raise DataRefused(f"{file}, line {line}: {error}: check the quotes of that line.") from error
        if row is None:
            return
        if not row:
            continue
        if len(row) != width:
            raise DataRefused(f"{file}, line {line}: {len(row)} fields, expected {width} as in the header: correct it.")
        yield line, row


@contextmanager
def _text(file: Path) -> Iterator[TextIO]:
    """Open UTF-8 text, with or without a byte-order mark, plain or gzipped, and say what is wrong where it is not."""
    try:
        with _binary(file) as binary, TextIOWrapper(binary, encoding="utf-8-sig", newline="") as text:
            yield text
    except FileNotFoundError as error:
        raise UsageError(f"There is no file {file}: check its name.") from error
    except UnicodeDecodeError as error:
        line = _undecodable(file)
        remedy = "convert it first (iconv -f ENCODING -t UTF-8)"
        raise DataRefused(f"{file}, line {line}: not UTF-8 text: {remedy}.") from error
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataRefused(f"{file} is a damaged gzip file: copy it again.") from error
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror or error}.") from error


def _binary(file: Path) -> BufferedReader:
    with file.open("rb") as raw:
        zipped = raw.read(2) == b"\x1f\x8b"
    return cast(BufferedReader, gzip.open(file, "rb")) if zipped else file.open("rb")


def _undecodable(file: Path) -> int:
    """The number of the first line that is not UTF-8."""
    with _binary(file) as binary:
        for number, line in enumerate(binary, start=1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError:
                return number
    return number
