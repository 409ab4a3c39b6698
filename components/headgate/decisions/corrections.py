"""What was decided again: written here, read by `reading.effective`.

::

    corrections/DOMAIN/REPLAY/PART.parquet   one file for each part of the log in which a replay changes something

These files below the state folder are the record, with what people ruled (`rulings`), which no replay overturns:
nothing but the two says which decision holds now. `deliver` copies a replay's files to wherever else they are wanted. A
replay that is run again after another has changed its decisions publishes anew, in REPLAY-2, REPLAY-3 and so on, so
that no file is ever written twice.
"""

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import count, takewhile
from pathlib import Path

import polars as pl

from headgate.contract.live import DecisionLog
from headgate.contract.row import INSTANT
from headgate.data import sources
from headgate.decisions.layout import claim, corrections_folder
from headgate.errors import HeadgateError, UsageError
from headgate.files import atomic_file, sweep
from headgate.settings import Settings

#: The columns of a correction; what else the domain decides (`DecisionLog.decided`) follows.
CORRECTION: dict[str, pl.DataType] = {
    "decision_id": pl.String(),
    "corrected_at": INSTANT,  # of two corrections of one decision the newer holds
    "version": pl.Int32(),  # what decided it again
    "bundle": pl.String(),
    "mode": pl.String(),  # logged: on the vector as served; recompute: on one rebuilt in event time
    "slice": pl.String(),
    "outcome": pl.String(),
    "before": pl.String(),  # the outcome that held and that this changes
}


def publish(settings: Settings, log: DecisionLog, replay: str, part: str, changed: pl.DataFrame) -> None:
    """Write `changed` (`columns` without `corrected_at`), rows of one part of the log, as one atomic file.

    They are newer than all that was published about the part before, even where the clock was set back.
    """
    home = corrections_folder(settings, log.name)
    claim(home)
    before = [
        pl.scan_parquet(path, glob=False).select(pl.col("corrected_at").max()).collect().item()
        for path in home.glob(f"*/{part}.parquet")
    ]
    at = max([datetime.now(UTC), *(last + timedelta(microseconds=1) for last in before)])
    target = next(path for path in (f / f"{part}.parquet" for f in _rounds(home, replay)) if not path.exists())
    with atomic_file(target) as draft:
        rows = changed.with_columns(pl.lit(at).cast(INSTANT).alias("corrected_at"))
        rows.select(pl.col(name).cast(dtype) for name, dtype in columns(log).items()).write_parquet(draft)


def columns(log: DecisionLog) -> dict[str, pl.DataType]:
    """The columns of a correction of a decision in `log`."""
    return CORRECTION | {name: log.own[name] for name in log.decided}


def published(settings: Settings, domain: str, replay: str) -> int:
    """How many corrections `replay` has published up to now, whichever process did."""
    files = files_of(settings, domain, replay)
    return int(pl.scan_parquet(files, glob=False).select(pl.len()).collect().item()) if files else 0


def files_of(settings: Settings, domain: str, replay: str) -> list[Path]:
    """The files of `replay`, all its rounds, in the order in which it published them."""
    home = corrections_folder(settings, domain)
    folders = takewhile(Path.is_dir, _rounds(home, replay))
    return [path for folder in folders for path in sorted(folder.glob("[!.]*.parquet"))]


def tidy(settings: Settings, domain: str) -> None:
    """Remove what killed replays left half-written. The caller is the only one that publishes."""
    for folder in corrections_folder(settings, domain).glob("*/"):
        sweep(folder)


def deliver(settings: Settings, domain: str, replay: str, out: str) -> int:
    """Copy the files of `replay` that `out` does not have to `out/DOMAIN/REPLAY/PART.parquet`; how many those were.

    `out` is a folder, or a prefix as s3://bucket/prefix; it is looked at even where there is nothing to copy. Every
    file appears whole or not at all. Raises UsageError where `out` can be neither.
    """
    home = corrections_folder(settings, domain).parent
    files = {path.relative_to(home).as_posix(): path for path in files_of(settings, domain, replay)}
    if out.startswith("s3://"):
        return _upload(out, f"{domain}/{replay}", files)
    if "://" in out or Path(out).is_file():
        raise UsageError(f"Corrections cannot be written to {out}: give --out a folder, or s3://bucket/prefix.")
    missing = {name: path for name, path in files.items() if not (Path(out) / name).is_file()}
    for name, path in missing.items():
        with atomic_file(Path(out) / name) as draft:
            shutil.copyfile(path, draft)
    return len(missing)


def _upload(out: str, below: str, files: Mapping[str, Path]) -> int:
    """Put those of `files` that are not there to `out`; all their names begin with `below`."""
    bucket, prefix = sources.bucket_and_prefix(out)
    client = sources.s3_client(out)
    with sources.in_plain_words(out):
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix + below)
        there = {item["Key"].removeprefix(prefix) for page in pages for item in page.get("Contents", ())}
    missing = {name: path for name, path in files.items() if name not in there}
    for name, path in missing.items():
        with _writing(out), sources.in_plain_words(out):
            client.put_object(Bucket=bucket, Key=prefix + name, Body=path.read_bytes())
    return len(missing)


@contextmanager
def _writing(out: str) -> Iterator[None]:
    """Say of a write that was denied what would allow it."""
    from botocore.exceptions import ClientError

    try:
        yield
    except HeadgateError as error:
        cause = error.__cause__
        if isinstance(cause, ClientError) and cause.response["Error"].get("Code") in ("AccessDenied", "403"):
            text = (
                f"Writing to {out} is denied: allow s3:PutObject. The corrections hold; run it again to deliver them."
            )
            raise HeadgateError(text) from error
        raise


def _rounds(home: Path, replay: str) -> Iterator[Path]:
    """The folders that `replay` publishes in: the first, and one more each time that others came in between."""
    yield home / replay
    for n in count(2):
        yield home / f"{replay}-{n}"
