"""Turn other people's click logs into a source of the raw schema: `headgate import adclicks --format F FILE --out DIR`.

Two formats. `talkingdata` is the public log of an ad network (TalkingData AdTracking). `csv` is any delimited text
with one click a line: `--map column=header` says which header holds a column, and what has no header gets a documented
default. Both are read in chunks and sorted a day at a time, so memory grows with the busiest day, not with the file.
"""

import csv
import gzip
import tempfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from difflib import get_close_matches
from functools import partial
from io import BufferedReader, TextIOWrapper
from itertools import islice
from pathlib import Path
from typing import TextIO, cast

import polars as pl

from headgate.domains.adclicks.raw import publishing, write_day
from headgate.domains.adclicks.schema import ARRIVAL, CLICKS, DEVICES, PURCHASES, UTC
from headgate.errors import DataRefused, UsageError

FORMATS = ("talkingdata", "csv")

#: What `--map` can name: the columns of a click, and those of the purchase that it led to.
MAPPABLE = (*CLICKS, "purchased_at", "known_at", "amount")
REQUIRED = ("click_id", "event_time", "user_id", "ip")

#: How long after a click its purchase may still become known.
MATURITY = timedelta(hours=24)

_TALKINGDATA = ("ip", "app", "device", "os", "channel", "click_time", "attributed_time")
_CHINA_MIN = 8 * 60  # UTC+8, the one zone of China, in minutes
_CHUNK_ROWS = 100_000
_EPOCH_MICROSECONDS = {10: 1_000_000, 13: 1_000, 16: 1}  # by the number of digits: seconds, milliseconds, microseconds
_TIME = r"^(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d(?::\d\d)?)(?:[.,](\d{1,9}))? ?(Z|UTC|[+-]\d\d(?::?\d\d)?)?$"
_TRUE, _FALSE = ("true", "t", "yes", "y", "1", "1.0"), ("false", "f", "no", "n", "0", "0.0")


@dataclass(frozen=True)
class ImportReport:
    """What an import has written, and which as-of to train with."""

    clicks: int
    purchases: int
    days: tuple[str, ...]  # UTC days of arrival that have clicks
    first_click: datetime  # event times, UTC
    last_click: datetime
    three_quarters: datetime  # the event time that three quarters of the clicks lie before or at
    in_order: bool  # whether the file lay in order of arrival; where not, its clicks were sorted by arrival, then id
    ignored: tuple[str, ...]  # headers of the file that no column was taken from

    @property
    def as_of(self) -> datetime:
        """The earliest as-of at which every label of the file is mature: MATURITY after the last click."""
        return self.last_click + MATURITY

    @property
    def hint(self) -> str:
        """One sentence on what to do next."""
        return (
            f"Labels mature {MATURITY.total_seconds() / 3600:.0f} h after a click: train with --as-of "
            f"{self.as_of:%Y-%m-%dT%H:%M:%SZ} or later, and evaluate the last quarter of the clicks with --from "
            f"{self.three_quarters:%Y-%m-%dT%H:%M:%SZ}."
        )


@dataclass(frozen=True)
class _Chunk:
    """Consecutive rows of a file as text: a String column for each of MAPPABLE (or of the format), and `line`."""

    file: Path
    headers: Mapping[str, str]  # column → the header it was read from
    first: int  # rows of the file before this chunk
    rows: pl.DataFrame


def import_clicks(
    file: Path, *, format: str, out: Path, mapping: Mapping[str, str] | None = None, tz: str | None = None
) -> ImportReport:
    """Write the clicks of `file` (plain or gzipped) to `out/clicks` and their purchases to `out/purchases`.

    `mapping` (column → header; an empty header leaves the column at its default) and `tz` (the IANA zone of times
    written without an offset) go with the format `csv`. Importing the same file again changes nothing.

    Raises UsageError for a request that cannot be met, and DataRefused naming the line for rows that cannot be read; in
    both cases `out` is left as it was.
    """
    header, delimiter = _header(file)
    if format == "csv":
        headers = _resolve(file, header, mapping or {})
        convert: Callable[[_Chunk], tuple[pl.DataFrame, pl.DataFrame]] = partial(_from_csv, tz=_zone(tz))
        columns: tuple[str, ...] = MAPPABLE
    elif format == "talkingdata":
        if mapping or tz:
            raise UsageError("--map and --tz go with --format csv: the columns of talkingdata are known.")
        headers = {column: column for column in _TALKINGDATA}
        if missing := [column for column in _TALKINGDATA if column not in header]:
            raise DataRefused(
                f"{file} lacks the column {', '.join(missing)} of talkingdata: use --format csv with --map."
            )
        convert, columns = _from_talkingdata, _TALKINGDATA
    else:
        raise UsageError(f"There is no format {format!r}: choose one of {', '.join(FORMATS)}.")

    ignored = () if format == "talkingdata" else tuple(name for name in header if name and name not in headers.values())
    with publishing(out) as draft:
        with tempfile.TemporaryDirectory(dir=draft) as scratch:
            chunks = _chunks(file, delimiter, header, headers, columns)
            in_order = _spill(map(convert, chunks), Path(scratch))
            for day in Path(scratch).glob("*/*"):
                rows = pl.concat(pl.read_parquet(part, glob=False) for part in sorted(day.iterdir()))
                write_day(rows, day.parent.name, draft / day.parent.name / f"{day.name}.parquet")
        if not (draft / "clicks").exists():
            raise DataRefused(f"{file} holds a header and no clicks: export it again.")
        return _report(draft, in_order, ignored)


def _spill(tables: Iterator[tuple[pl.DataFrame, pl.DataFrame]], scratch: Path) -> bool:
    """Write each chunk's rows to `scratch/TABLE/DAY/CHUNK.parquet`; whether clicks came in order of arrival."""
    in_order, latest = True, None
    for number, (clicks, purchases) in enumerate(tables):
        arrivals = clicks["received_at"]
        in_order = in_order and arrivals.is_sorted() and (latest is None or arrivals[0] >= latest)
        latest = arrivals[-1]
        for table, rows in (("clicks", clicks), ("purchases", purchases)):
            days = rows.with_columns(day=pl.col(ARRIVAL[table]).dt.date())
            for (day,), part in days.partition_by("day", as_dict=True, include_key=False).items():
                write_day(part, table, scratch / table / f"{day}" / f"{number:08}.parquet")
    return in_order


def _report(draft: Path, in_order: bool, ignored: tuple[str, ...]) -> ImportReport:
    times = pl.scan_parquet(draft / "clicks" / "*.parquet").select("event_time").collect()["event_time"]
    purchases = (draft / "purchases").glob("*.parquet")
    return ImportReport(
        clicks=len(times),
        purchases=sum(pl.scan_parquet(path).select(pl.len()).collect().item() for path in purchases),
        days=tuple(sorted(path.stem for path in (draft / "clicks").iterdir())),
        first_click=cast(datetime, times.min()),
        last_click=cast(datetime, times.max()),
        three_quarters=cast(datetime, times.to_frame().select(pl.all().quantile(0.75, "higher")).item()),
        in_order=in_order,
        ignored=ignored,
    )


# ------------------------------------------------------------------------------------------------ the two formats


def _from_talkingdata(chunk: _Chunk) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Clicks and purchases of the TalkingData log, whose times are UTC at one-second resolution.

    What it has no word for is filled in so that nothing is claimed: nobody is logged in, no account has an RFM, and a
    click arrives when it happens. All clicks come from phones of China (`device` is a model), hence `mobile` and
    UTC+8. It has no user either: address, model and system version together stand for one, and for its session. An
    install is the purchase, known when it is attributed, and has no price. Rows that are equal in every column are kept
    as the clicks of one second that they are; ids number the rows, so that they keep the file's order.
    """
    rows = chunk.rows
    for column in ("ip", "app", "device", "os", "channel", "click_time"):
        _refuse(chunk, rows[column].is_null(), column, "is empty: fill it or drop the row.")
    clicked, _ = _instants(chunk, "click_time", "UTC")
    attributed, _ = _instants(chunk, "attributed_time", "UTC")
    number = pl.int_range(chunk.first + 1, chunk.first + 1 + pl.len())
    user = pl.concat_str("ip", "device", "os", separator="-")
    clicks = rows.select(
        click_id=pl.format("td-{}", number.cast(pl.String).str.zfill(9)),
        event_time=clicked,
        utc_offset_min=pl.lit(_CHINA_MIN, pl.Int16),
        received_at=clicked,
        user_id=user,
        session_id=user,
        ip="ip",
        device=pl.lit("mobile"),
        logged_in=pl.lit(False),
        campaign=pl.concat_str("app", "channel", separator="-"),
        rfm=pl.lit(None, pl.Int8),
    )
    return clicks, _purchases(clicks["click_id"], attributed, attributed, pl.zeros(len(rows), eager=True))


def _from_csv(chunk: _Chunk, tz: str | None) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Clicks and purchases of a mapped file.

    Defaults of what is not mapped or empty: `received_at` is the event time, `utc_offset_min` the offset that the event
    time is written with (0 for an epoch), `session_id` the user, `device` other, `logged_in` false, `campaign` empty,
    `rfm` null; a purchase exists where `purchased_at` is filled, is known at that time and has the amount 0.
    """
    rows = chunk.rows
    for column in REQUIRED:
        _refuse(chunk, rows[column].is_null(), column, "is empty: fill it or drop the row.")
    event, offset = _instants(chunk, "event_time", tz)
    purchased, _ = _instants(chunk, "purchased_at", tz)
    device = rows["device"].str.to_lowercase()
    _refuse(chunk, ~device.is_in(DEVICES), "device", f"must be one of {', '.join(DEVICES)}.")
    word = rows["logged_in"].str.to_lowercase()
    _refuse(chunk, ~word.is_in(_TRUE + _FALSE), "logged_in", "must be true or false.")
    amount = rows["amount"].cast(pl.Float64, strict=False)
    _refuse(chunk, rows["amount"].is_not_null() & ~amount.is_finite().fill_null(False), "amount", "must be a number.")
    clicks = rows.select(
        "click_id",
        event_time=event,
        utc_offset_min=_whole_number(chunk, "utc_offset_min", -720, 840).fill_null(offset).cast(pl.Int16),
        received_at=_instants(chunk, "received_at", tz)[0].fill_null(event),
        user_id="user_id",
        session_id=pl.coalesce("session_id", "user_id"),
        ip="ip",
        device=device.fill_null("other"),
        logged_in=word.is_in(_TRUE).fill_null(False),
        campaign=pl.col("campaign").fill_null(""),
        rfm=_whole_number(chunk, "rfm", 3, 15).cast(pl.Int8),
    )
    known = _instants(chunk, "known_at", tz)[0].fill_null(purchased)
    return clicks, _purchases(rows["click_id"], purchased, known, amount.fill_null(0.0))


def _purchases(click_id: pl.Series, purchased_at: pl.Series, known_at: pl.Series, amount: pl.Series) -> pl.DataFrame:
    """The purchase of each click that has one, named after the click."""
    values = ["p-" + click_id, click_id, purchased_at, known_at, amount]
    return pl.DataFrame(dict(zip(PURCHASES, values, strict=True)), schema=PURCHASES).filter(purchased_at.is_not_null())


# ------------------------------------------------------------------------------------------------ cells of text


def _instants(chunk: _Chunk, column: str, tz: str | None) -> tuple[pl.Series, pl.Series]:
    """The times of a column as UTC instants, and the minutes by which each was written ahead of UTC; null where empty.

    Understands ISO 8601 dates with time (T or a space between, to the microsecond) and Unix epochs in seconds,
    milliseconds or microseconds. A time without an offset is one of the zone `tz`; it is refused where no zone is
    given, and where clocks were set so that it came twice or never.
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
        epoch=(epoch * scale).cast(UTC),
    )
    given, parsed = chunk.rows[column].is_not_null(), seen["epoch"].is_not_null() | seen["written"].is_not_null()
    sound = parsed & (seen["offset"].is_null() | seen["ahead"].is_not_null())
    _refuse(chunk, given & ~sound, column, "is no time: write it as 2026-11-01T12:00:00+01:00.")
    local = seen["written"].is_not_null() & seen["offset"].is_null()
    if tz is None:
        _refuse(chunk, local, column, "has no zone: write its offset (+01:00, Z) or give --tz ZONE.")
    zoned = pl.col("written").dt.replace_time_zone(tz or "UTC", ambiguous="null", non_existent="null")
    _refuse(
        chunk,
        local & seen.select(zoned).to_series().is_null(),
        column,
        f"comes twice or never in {tz}, where clocks were set: write its UTC offset.",
    )
    shift = zoned.dt.base_utc_offset() + zoned.dt.dst_offset()
    by_offset = (pl.col("written") - pl.duration(minutes="ahead")).dt.replace_time_zone("UTC")
    both = seen.select(
        instant=pl.coalesce("epoch", by_offset, zoned.dt.convert_time_zone("UTC")).cast(UTC),
        ahead=pl.when(pl.col("epoch").is_not_null()).then(0).otherwise(pl.coalesce("ahead", shift.dt.total_minutes())),
    )
    return both["instant"], both["ahead"]


def _whole_number(chunk: _Chunk, column: str, low: int, high: int) -> pl.Series:
    """A column's whole numbers, also where written with a decimal point (7.0); null where empty."""
    text = chunk.rows[column]
    value = text.cast(pl.Float64, strict=False)
    sound = (value.is_between(low, high) & (value == value.floor())).fill_null(False)
    _refuse(chunk, text.is_not_null() & ~sound, column, f"must be a whole number from {low} to {high}, or empty.")
    return value.cast(pl.Int32)


def _refuse(chunk: _Chunk, bad: pl.Series, column: str, why: str) -> None:
    """Raise DataRefused for the first row where `bad` is true (null is not)."""
    rows = chunk.rows.select("line", column).filter(bad.fill_null(False))
    if len(rows):
        line, value = rows.row(0)
        name = chunk.headers.get(column, column)
        raise DataRefused(f"{chunk.file}, line {line}: {name} {'' if value is None else repr(value) + ' '}{why}")


# ------------------------------------------------------------------------------------------------ delimited text


def _chunks(
    file: Path, delimiter: str, header: list[str], headers: Mapping[str, str], columns: tuple[str, ...]
) -> Iterator[_Chunk]:
    """The file's rows in chunks; a column without a header is null, as is an empty cell."""
    places = {column: header.index(headers[column]) if headers.get(column) else None for column in columns}
    first = 0
    with _text(file) as text:
        rows = _rows(file, text, delimiter, len(header))
        while block := list(islice(rows, _CHUNK_ROWS)):
            cells = {
                column: [None if place is None else row[place] for _, row in block] for column, place in places.items()
            }
            trimmed = pl.all().str.strip_chars()
            filled = pl.DataFrame(cells, schema=dict.fromkeys(columns, pl.String)).select(
                pl.when(trimmed != "").then(trimmed).name.keep()
            )
            lines = pl.Series("line", [line for line, _ in block])
            yield _Chunk(file, headers, first, filled.with_columns(lines))
            first += len(block)


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


def _header(file: Path) -> tuple[list[str], str]:
    """The header's names, and the delimiter: the one of comma, semicolon, tab and bar that it holds most of."""
    with _text(file) as text:
        top = text.readline()
    if not top.strip():
        raise DataRefused(
            f"{file} {'starts with a blank line' if top else 'is empty'}: export it again, with a header."
        )
    delimiter = max(",;\t|", key=top.count)
    return [name.strip() for name in next(csv.reader([top], delimiter=delimiter))], delimiter


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


# ------------------------------------------------------------------------------------------------ the mapping


def _resolve(file: Path, header: list[str], mapping: Mapping[str, str]) -> dict[str, str]:
    """Column → header, from `mapping` and, for columns it does not name, headers that have a column's own name."""
    for column, name in mapping.items():
        if column not in MAPPABLE:
            raise UsageError(f"--map knows no column {column!r}{_perhaps(column, MAPPABLE)}: {', '.join(MAPPABLE)}.")
        if name and name not in header:
            raise UsageError(f"{file} has no header {name!r}{_perhaps(name, header)}: it has {', '.join(header)}.")
    headers = {column: mapping.get(column, column) for column in MAPPABLE}
    headers = {column: name for column, name in headers.items() if name in header and name}
    for column in REQUIRED:
        if column not in headers:
            raise UsageError(
                f"{file} has no header {column}{_perhaps(column, header)}: give --map {column}=HEADER, one of "
                f"{', '.join(header)}."
            )
    if "purchased_at" not in headers and {"known_at", "amount"} & mapping.keys():
        raise UsageError("--map names a purchase's known_at or amount without its purchased_at: map that too.")
    if twice := sorted({name for name in headers.values() if header.count(name) > 1}):
        raise DataRefused(f"{file} has the header {', '.join(twice)} more than once: rename one.")
    return headers


def _perhaps(name: str, candidates: "list[str] | tuple[str, ...]") -> str:
    close = get_close_matches(name.lower(), [candidate.lower() for candidate in candidates], n=3)
    found = [candidate for candidate in candidates if candidate.lower() in close]
    return f" (perhaps {' or '.join(found)}?)" if found else ""


def _zone(tz: str | None) -> str | None:
    """`tz`, if it is a zone that Polars knows."""
    if tz is not None:
        try:
            pl.Series([datetime(2000, 1, 1)]).dt.replace_time_zone(tz)
        except pl.exceptions.PolarsError as error:
            raise UsageError(f"There is no time zone {tz!r}: give one as Europe/Berlin or UTC.") from error
    return tz
