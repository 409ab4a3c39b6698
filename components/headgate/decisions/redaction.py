"""Forget a unit in the decision log: its rows stay, with their ids and outcomes, and what is personal in them is null.

What is folded is written anew, part by part, each by one rename; what is folded later is written without it at once
(`compaction`). A segment that a serving process still writes is left to it for the minute until it is folded.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import polars as pl

from headgate.contract.live import DecisionLog
from headgate.contract.row import INSTANT
from headgate.data import datasets
from headgate.decisions import corrections, segment_format
from headgate.decisions.layout import SUFFIX, corrections_folder, log_folder, open_folder
from headgate.files import atomic_file
from headgate.settings import Settings

#: Seconds that a replay is waited for, which writes corrections.
REPLAY_SECONDS = 600.0

#: Parts that are looked through at once: a quarter of the price of one by one.
AT_ONCE = 250


@dataclass(frozen=True)
class Redacted:
    """What was done, and which parts are still written to: they must be looked at again."""

    rows: int
    files: int
    still_open: tuple[str, ...]


def redacted(log: DecisionLog, rows: pl.DataFrame, units: Mapping[str, datetime]) -> pl.DataFrame:
    """`rows` with nothing personal of `units`, which are forgotten each up to an instant."""
    if log.unit is None or log.unit not in rows.columns or not units:
        return rows
    until = pl.col(log.unit).replace_strict(dict(units), default=None, return_dtype=INSTANT)
    return rows.with_columns(_nulled(log.personal, rows, pl.col("decided_at") <= until))


def held(settings: Settings, log: DecisionLog, unit: str, until: datetime) -> int:
    """In how many rows of the log something personal of `unit` stands."""
    counted = 0
    for path in segments(settings, log):
        rows = _rows(path, log)
        counted += len(rows.filter(_personal(log, rows, unit, until)))
    return counted + sum(_hits(settings, log, unit, until).values())


def redact(settings: Settings, log: DecisionLog, unit: str, until: datetime) -> Redacted:
    """Let nothing personal of `unit` stand in rows decided up to an instant; the caller has folded what is closed.

    Nobody else redacts this log meanwhile. It can be cut off anywhere and done again.
    """
    still = tuple(path.stem for path in segments(settings, log) if _is_in(path, log, unit, until))
    _sweep(settings, log)
    rows, files, corrected = 0, 0, [name for name in log.personal if name in log.decided]
    if corrected:
        with _no_replay(settings, log):
            corrections.tidy(settings, log.name)
    for path, found in _hits(settings, log, unit, until).items():
        if corrected:
            files += _correct(settings, log, path, unit, until, corrected)
        whole = pl.read_parquet(path, glob=False)
        with atomic_file(path) as draft:
            redacted(log, whole, {unit: until}).write_parquet(draft, compression="zstd", statistics=True)
        rows, files = rows + found, files + 1
    return Redacted(rows, files, still)


def segments(settings: Settings, log: DecisionLog) -> list[Path]:
    """The segments of a log that are not folded yet."""
    return sorted(open_folder(settings, log.name).glob(f"[!.]*{SUFFIX}"))


def _folded(settings: Settings, log: DecisionLog) -> list[Path]:
    return sorted(log_folder(settings, log.name).glob("????-??-??/[!.]*.parquet"))


def _is_in(path: Path, log: DecisionLog, unit: str, until: datetime) -> bool:
    rows = _rows(path, log)
    return bool(rows.select(_personal(log, rows, unit, until).any()).item()) if len(rows) else False


def _rows(path: Path, log: DecisionLog) -> pl.DataFrame:
    """What a segment holds by now of the columns that are asked for; none where it was folded meanwhile."""
    wanted = {"decided_at": INSTANT} | {name: log.own[name] for name in (log.unit, *log.personal) if name}
    with suppress(FileNotFoundError):
        return segment_format.table(segment_format.read(path), wanted)
    return pl.DataFrame(schema=wanted)


def _about(log: DecisionLog, unit: str, until: datetime) -> pl.Expr:
    return (pl.col(str(log.unit)) == unit) & (pl.col("decided_at") <= until)


def _batched(paths: list[Path], n: int) -> Iterator[list[Path]]:
    for first in range(0, len(paths), n):
        yield paths[first : first + n]


def _personal(log: DecisionLog, rows: pl.DataFrame | pl.LazyFrame, unit: str, until: datetime) -> pl.Expr:
    """Which rows are about `unit` and still hold something personal."""
    there = rows.collect_schema().names()
    kept = [pl.col(name).is_not_null() for name in log.personal if name in there]
    if log.unit not in there or not kept:
        return pl.lit(False)
    return (_about(log, unit, until) & pl.any_horizontal(kept)).fill_null(False)


def _hits(settings: Settings, log: DecisionLog, unit: str, until: datetime) -> dict[Path, int]:
    """The folded parts in which something personal of `unit` stands, and in how many rows of each."""
    found: dict[Path, int] = {}
    for some in _batched(_folded(settings, log), AT_ONCE):
        try:
            found |= _count(some, log, unit, until)
        except (OSError, pl.exceptions.PolarsError):  # `headgate gc` takes days; parts may be of older columns
            for path in some:
                with suppress(FileNotFoundError):
                    found |= _count([path], log, unit, until)
    return found


def _count(paths: Sequence[Path], log: DecisionLog, unit: str, until: datetime) -> dict[Path, int]:
    scan = pl.scan_parquet(list(paths), glob=False, include_file_paths="_path", missing_columns="insert")
    rows = scan.filter(_personal(log, scan, unit, until)).group_by("_path").len().collect()
    return {Path(path): count for path, count in rows.sort("_path").iter_rows()}


def _nulled(columns: tuple[str, ...] | list[str], rows: pl.DataFrame, gone: pl.Expr) -> list[pl.Expr]:
    return [
        pl.when(gone.fill_null(False)).then(None).otherwise(pl.col(name)).alias(name)
        for name in columns
        if name in rows.columns
    ]


def _correct(settings: Settings, log: DecisionLog, part: Path, unit: str, until: datetime, columns: list[str]) -> int:
    """Let nothing personal stand in what replays decided of these rows; how many files were written anew."""
    about = pl.scan_parquet(part, glob=False).filter(_about(log, unit, until))
    ids = about.select("decision_id").collect()["decision_id"]
    written = 0
    with _no_replay(settings, log):
        for path in corrections_folder(settings, log.name).glob(f"[!.]*/{part.name}"):
            rows = pl.read_parquet(path, glob=False)
            if not rows["decision_id"].is_in(ids.implode()).any():
                continue
            with atomic_file(path) as draft:
                gone = pl.col("decision_id").is_in(ids.implode())
                rows.with_columns(_nulled(columns, rows, gone)).write_parquet(draft)
            written += 1
    return written


def _sweep(settings: Settings, log: DecisionLog) -> None:
    """Remove the drafts of parts that killed processes left: they hold rows. One that is being folded has a segment."""
    drafts = list(log_folder(settings, log.name).glob("????-??-??/.tmp-*.parquet"))  # before the segments
    opened = {path.stem for path in segments(settings, log)}
    for draft in drafts:
        part = draft.name.removeprefix(".tmp-").partition("-")[2].removesuffix(".parquet")
        if part not in opened:
            draft.unlink(missing_ok=True)


def _no_replay(settings: Settings, log: DecisionLog) -> AbstractContextManager[None]:
    """Nothing is corrected for the block."""
    return datasets.exclusively(settings, log.name, suffix="replay.lock", wait=REPLAY_SECONDS)
