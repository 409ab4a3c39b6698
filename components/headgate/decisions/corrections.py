"""What was decided again, and what people ruled: written here, read by `reading.effective`.

::

    corrections/DOMAIN/REPLAY/PART.parquet   one file for each part of the log in which a replay changes something
    corrections/DOMAIN/rulings/TIME.parquet  what people decided by hand; no replay overturns it

These files below the state folder are the record: nothing but them says which decision holds now. `deliver` copies a
replay's files to wherever else they are wanted. A replay that is run again after another has changed its decisions
publishes anew, in REPLAY-2, REPLAY-3 and so on, so that no file is ever written twice.
"""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count, takewhile
from pathlib import Path

import polars as pl

from headgate.data import sources
from headgate.decisions.reading import INSTANT, RULINGS, corrections_folder
from headgate.errors import HeadgateError, UsageError
from headgate.files import atomic_file, sweep
from headgate.settings import Settings

#: The columns of a correction.
CORRECTION: dict[str, pl.DataType] = {
    "decision_id": pl.String(),
    "corrected_at": INSTANT,  # of two corrections of one decision the newer holds
    "version": pl.Int32(),  # what decided it again
    "bundle": pl.String(),
    "mode": pl.String(),  # logged: on the vector as served; recompute: on one rebuilt in event time
    "slice": pl.String(),
    "score": pl.Float32(),
    "threshold": pl.Float32(),  # null: never
    "against": pl.Boolean(),
    "before": pl.Boolean(),  # the effective `against` that this changes
}

#: The columns of a ruling.
RULING: dict[str, pl.DataType] = {
    "decision_id": pl.String(),
    "against": pl.Boolean(),
    "who": pl.String(),
    "why": pl.String(),
}


@dataclass(frozen=True)
class Published:
    """How many corrections a replay has published in all, and which way they changed a decision."""

    newly_against: int
    newly_not: int

    @property
    def rows(self) -> int:
        """All of them."""
        return self.newly_against + self.newly_not


def publish(settings: Settings, domain: str, replay: str, part: str, changed: pl.DataFrame) -> None:
    """Write `changed` (`CORRECTION` without `corrected_at`), rows of one part of the log, as one atomic file.

    They are newer than all that was published about the part before, even where the clock was set back.
    """
    home = corrections_folder(settings, domain)
    before = [
        pl.scan_parquet(path, glob=False).select(pl.col("corrected_at").max()).collect().item()
        for path in home.glob(f"*/{part}.parquet")
    ]
    at = max([datetime.now(UTC), *(last + timedelta(microseconds=1) for last in before)])
    target = next(path for path in (f / f"{part}.parquet" for f in _rounds(home, replay)) if not path.exists())
    with atomic_file(target) as draft:
        rows = changed.with_columns(pl.lit(at).cast(INSTANT).alias("corrected_at"))
        rows.select(pl.col(name).cast(dtype) for name, dtype in CORRECTION.items()).write_parquet(draft)


def published(settings: Settings, domain: str, replay: str) -> Published:
    """What `replay` has published up to now, whichever process did."""
    files = files_of(settings, domain, replay)
    if not files:
        return Published(0, 0)
    against = pl.col("against")
    told = pl.scan_parquet(files, glob=False).select(against.sum().alias("on"), (~against).sum().alias("off"))
    return Published(*told.collect(engine="streaming").row(0))


def files_of(settings: Settings, domain: str, replay: str) -> list[Path]:
    """The files of `replay`, all its rounds, in the order in which it published them."""
    home = corrections_folder(settings, domain)
    folders = takewhile(Path.is_dir, _rounds(home, replay))
    return [path for folder in folders for path in sorted(folder.glob("[!.]*.parquet"))]


def tidy(settings: Settings, domain: str) -> None:
    """Remove what killed replays left half-written. The caller is the only one that publishes."""
    for folder in corrections_folder(settings, domain).glob("*/"):
        sweep(folder)


def rule(settings: Settings, domain: str, decisions: Sequence[str], *, against: bool, who: str, why: str) -> Path:
    """Note a person's ruling on `decisions`: it holds from now on, whatever is replayed. The newest ruling counts."""
    folder = corrections_folder(settings, domain) / RULINGS
    names = (f"{datetime.now(UTC) + timedelta(microseconds=n):%Y%m%dT%H%M%S%f}.parquet" for n in count())
    target = next(folder / name for name in names if not (folder / name).exists())
    rows = [{"decision_id": one, "against": against, "who": who, "why": why} for one in decisions]
    with atomic_file(target) as draft:
        pl.DataFrame(rows, schema=RULING).write_parquet(draft)
    return target


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
