"""Turn other people's click logs into a source of the raw schema: `headgate import adclicks --format F FILE --out DIR`.

Two formats. `talkingdata` is the public log of an ad network (TalkingData AdTracking). `csv` is any delimited text
with one click a line: `--map column=header` says which header holds a column, and what has no header gets a documented
default. Both are read in chunks and sorted a day at a time, so memory grows with the busiest day, not with the file.
"""

import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import cast

import polars as pl

from headgate.data import delimited
from headgate.data.delimited import Chunk, refuse
from headgate.data.tables import publishing
from headgate.domains.adclicks.data.raw import write_day
from headgate.domains.adclicks.data.schema import ARRIVAL, CLICKS, DEVICES, PURCHASES, UTC
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

    def words(self, out: Path) -> str:
        """What is in `out` now, and what to do next."""
        span = "1 day" if len(self.days) == 1 else f"{len(self.days)} days"
        return (
            f"{self.clicks:,} clicks and {self.purchases:,} purchases of {span} are in {out}. "
            f"Labels mature {MATURITY.total_seconds() / 3600:.0f} h after a click: train with --as-of "
            f"{self.as_of:%Y-%m-%dT%H:%M:%SZ} or later, and evaluate the last quarter of the clicks with --from "
            f"{self.three_quarters:%Y-%m-%dT%H:%M:%SZ}."
        )


def import_data(
    source: str, out: Path, *, format: str, mapping: Mapping[str, str], tz: str | None, facts: Mapping[str, str]
) -> ImportReport:
    """What `headgate import adclicks` asks: `import_clicks`, which takes no `facts` beside the file."""
    if facts:
        raise UsageError(f"--set {next(iter(facts))}=… says nothing of clicks: their file says all there is.")
    return import_clicks(Path(source), format=format, out=out, mapping=mapping, tz=tz)


def import_clicks(
    file: Path, *, format: str, out: Path, mapping: Mapping[str, str] | None = None, tz: str | None = None
) -> ImportReport:
    """Write the clicks of `file` (plain or gzipped) to `out/clicks` and their purchases to `out/purchases`.

    `mapping` (column → header; an empty header leaves the column at its default) and `tz` (the IANA zone of times
    written without an offset) go with the format `csv`. Importing the same file again changes nothing.

    Raises UsageError for a request that cannot be met, and DataRefused naming the line for rows that cannot be read; in
    both cases `out` is left as it was.
    """
    header, delimiter = delimited.header_of(file)
    if format == "csv":
        headers = _resolve(file, header, mapping or {})
        convert: Callable[[Chunk], tuple[pl.DataFrame, pl.DataFrame]] = partial(_from_csv, tz=delimited.known_zone(tz))
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
            chunks = delimited.chunks(file, delimiter, header, headers, columns, _CHUNK_ROWS)
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


def _from_talkingdata(chunk: Chunk) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Clicks and purchases of the TalkingData log, whose times are UTC at one-second resolution.

    What it has no word for is filled in so that nothing is claimed: nobody is logged in, no account has an RFM, and a
    click arrives when it happens. All clicks come from phones of China (`device` is a model), hence `mobile` and
    UTC+8. It has no user either: address, model and system version together stand for one, and for its session. An
    install is the purchase, known when it is attributed, and has no price. Rows that are equal in every column are kept
    as the clicks of one second that they are; ids number the rows, so that they keep the file's order.
    """
    rows = chunk.rows
    for column in ("ip", "app", "device", "os", "channel", "click_time"):
        refuse(chunk, rows[column].is_null(), column, "is empty: fill it or drop the row.")
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


def _from_csv(chunk: Chunk, tz: str | None) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Clicks and purchases of a mapped file.

    Defaults of what is not mapped or empty: `received_at` is the event time, `utc_offset_min` the offset that the event
    time is written with (0 for an epoch), `session_id` the user, `device` other, `logged_in` false, `campaign` empty,
    `rfm` null; a purchase exists where `purchased_at` is filled, is known at that time and has the amount 0.
    """
    rows = chunk.rows
    for column in REQUIRED:
        refuse(chunk, rows[column].is_null(), column, "is empty: fill it or drop the row.")
    event, offset = _instants(chunk, "event_time", tz)
    purchased, _ = _instants(chunk, "purchased_at", tz)
    device = rows["device"].str.to_lowercase()
    refuse(chunk, ~device.is_in(DEVICES), "device", f"must be one of {', '.join(DEVICES)}.")
    word = rows["logged_in"].str.to_lowercase()
    refuse(chunk, ~word.is_in(_TRUE + _FALSE), "logged_in", "must be true or false.")
    amount = rows["amount"].cast(pl.Float64, strict=False)
    refuse(chunk, rows["amount"].is_not_null() & ~amount.is_finite().fill_null(False), "amount", "must be a number.")
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


def _instants(chunk: Chunk, column: str, tz: str | None) -> tuple[pl.Series, pl.Series]:
    """The times of a column as UTC instants, and the minutes by which each was written ahead of UTC; null where empty.

    A time without an offset is one of the zone `tz`; it is refused where clocks were set so that it came twice or
    never. `delimited.times` says what else is understood.
    """
    seen = delimited.times(chunk, column, tz)
    zoned = pl.col("local").dt.replace_time_zone(tz or "UTC", ambiguous="null", non_existent="null")
    lost = seen["local"].is_not_null() & seen.select(zoned).to_series().is_null()
    refuse(chunk, lost, column, f"comes twice or never in {tz}, where clocks were set: write its UTC offset.")
    shift = zoned.dt.base_utc_offset() + zoned.dt.dst_offset()
    both = seen.select(
        instant=pl.coalesce("instant", zoned.dt.convert_time_zone("UTC")).cast(UTC),
        ahead=pl.coalesce("ahead", shift.dt.total_minutes()),
    )
    return both["instant"], both["ahead"]


def _whole_number(chunk: Chunk, column: str, low: int, high: int) -> pl.Series:
    """A column's whole numbers, also where written with a decimal point (7.0); null where empty."""
    text = chunk.rows[column]
    value = text.cast(pl.Float64, strict=False)
    sound = (value.is_between(low, high) & (value == value.floor())).fill_null(False)
    refuse(chunk, text.is_not_null() & ~sound, column, f"must be a whole number from {low} to {high}, or empty.")
    return value.cast(pl.Int32)


# ------------------------------------------------------------------------------------------------ the mapping


def _resolve(file: Path, header: list[str], mapping: Mapping[str, str]) -> dict[str, str]:
    """Column → header, from `mapping` and, for columns it does not name, headers that have a column's own name."""
    delimited.check_mapping(file, header, mapping, MAPPABLE)
    headers = {column: mapping.get(column, column) for column in MAPPABLE}
    headers = {column: name for column, name in headers.items() if name in header and name}
    for column in REQUIRED:
        if column not in headers:
            raise UsageError(
                f"{file} has no header {column}{delimited.perhaps(column, header)}: give --map {column}=HEADER, one of "
                f"{', '.join(header)}."
            )
    if "purchased_at" not in headers and {"known_at", "amount"} & mapping.keys():
        raise UsageError("--map names a purchase's known_at or amount without its purchased_at: map that too.")
    delimited.check_once(file, header, headers.values())
    return headers
