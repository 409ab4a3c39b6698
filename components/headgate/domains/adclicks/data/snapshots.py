"""The snapshot: all that was known of clicks at one as-of instant, verbatim, and how it is split.

It holds the source's own files (an unchanged day is the same bytes every day, so DVC keeps it once), and says which
rows count: what had arrived by the as-of, labelled by what was known by then. A click's label is mature 24 h later;
younger clicks are history for the counters and nothing else.

The split is by user and by time. A user belongs for ever to one group, by a hash of the id: the users that a champion
was certified and compared on are those it never learned from. In time, the newest clicks certify and test::

                 older clicks            newer           newest
    learn users  fit                     tune            –
    certify      –                       –               certify
    test         –                       –               test
"""

import hashlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from headgate.data.sources import fetch, list_files, told_of
from headgate.domain import Request
from headgate.domains.adclicks.data import raw
from headgate.domains.adclicks.data.schema import TABLES
from headgate.errors import DataRefused, UsageError
from headgate.files import read_json, write_json

#: Days of mature clicks that a run learns from and is judged on: two full weeks.
DAYS = 14

#: All conversions that will come are known after a day (research note: 53 % after one hour, 60 % after six).
MATURITY = timedelta(hours=24)

#: Shares of the mature clicks, by time: the first fits, the next tunes, the newest certifies and tests.
FIT, TUNE = 9 / 14, 2 / 14

#: Shares of the users: the first learn, the next certify, the rest test.
LEARN, CERTIFY = 0.60, 0.25

#: The learners whose newer clicks stop the training early; they are not fitted.
STOP = 0.12

#: An account with this RFM score or more is human: the best two of the thirteen.
HIGH_RFM = 14


@dataclass(frozen=True)
class Snapshot:
    """A snapshot on disk."""

    folder: Path
    as_of: datetime
    start: datetime  # clicks received from here on are learned from; those before are history
    tune_from: datetime
    certify_from: datetime
    mature_until: datetime
    seed: int
    days: tuple[date, ...]  # the days that have click files, history included

    @property
    def base(self) -> Path | None:
        """The bundle whose model is to be calibrated again, if this run trains none."""
        folder = self.folder / "base"
        return folder if folder.is_dir() else None


def take_snapshot(request: Request, out: Path) -> None:
    """Fill `out` with what `request.source` held at `request.as_of`."""
    as_of = request.as_of.astimezone(UTC)
    start = as_of - MATURITY - timedelta(days=DAYS)
    first = start.date() - timedelta(days=2)  # the counters look back 25 hours, and late clicks arrive a day on
    names = []
    for file in list_files(request.source):
        if file.name.partition("/")[0] not in TABLES:
            continue
        with told_of(request.source, out):
            day = raw.day_of(out / file.name)
        # An outcome may have become known long after its click, never before it.
        if first <= day <= as_of.date():
            names.append(file.name)
    if not any(name.startswith("clicks/") for name in names):
        raise DataRefused(
            f"{request.source} has no clicks from {first} to {as_of.date()}: "
            "check --source and --as-of, or import the missing days."
        )
    sums = fetch(request.source, names, out / "raw")
    with told_of(request.source, out / "raw"):
        for name in names:
            raw.check_file(out / "raw" / name, name.partition("/")[0])
    if request.base:
        base = Path(request.base)
        if not (base / "manifest.json").is_file():
            raise UsageError(f"There is no bundle in {base} to calibrate again.")
        shutil.copytree(base, out / "base")
    days = sorted(date.fromisoformat(Path(name).stem) for name in names if name.startswith("clicks/"))
    tune_from, certify_from = _boundaries(out, days, start, as_of - MATURITY)
    write_json(
        out / "snapshot.json",
        {
            "as_of": as_of.isoformat(),
            "start": start.isoformat(),
            "tune_from": tune_from.isoformat(),
            "certify_from": certify_from.isoformat(),
            "mature_until": (as_of - MATURITY).isoformat(),
            "seed": request.seed,
            "files": sums,
        },
    )


def read_snapshot(folder: Path) -> Snapshot:
    """The snapshot in `folder`."""
    value = read_json(folder / "snapshot.json")
    days = sorted(date.fromisoformat(Path(name).stem) for name in value["files"] if name.startswith("clicks/"))
    times = {
        name: datetime.fromisoformat(value[name])
        for name in ("as_of", "start", "tune_from", "certify_from", "mature_until")
    }
    return Snapshot(folder=folder, seed=value["seed"], days=tuple(days), **times)


def scan_clicks(folder: Path, days: Iterator[date] | tuple[date, ...], as_of: datetime) -> pl.LazyFrame:
    """The clicks of `days` below `folder` that had arrived by `as_of`, repeats included."""
    files = [folder / "clicks" / f"{day}.parquet" for day in days]
    frames = [raw.scan_table(file, "clicks") for file in files if file.is_file()]
    return pl.concat(frames).filter(pl.col("received_at") < as_of)


def purchasing(folder: Path, as_of: datetime) -> pl.DataFrame:
    """Purchases known by `as_of` that were not refunded by then: click_id, and how many hours it took to know."""
    purchases = _outcomes(folder, "purchases", as_of)
    returned = _outcomes(folder, "refunds", as_of)
    kept = purchases.join(returned, on="purchase_id", how="anti")
    return kept.select("click_id", hours=(pl.col("known_at") - pl.col("purchased_at")).dt.total_seconds() / 3600)


def _outcomes(folder: Path, table: str, as_of: datetime) -> pl.DataFrame:
    files = sorted((folder / table).glob("*.parquet"))
    frames = [raw.scan_table(file, table).filter(pl.col("known_at") <= as_of) for file in files]
    return pl.concat(frames).collect() if frames else pl.DataFrame(schema=TABLES[table])


def user_hash(users: pl.Series) -> NDArray[np.uint64]:
    """A stable hash [n] of user ids: the first 8 bytes of BLAKE2b, worked out once for each distinct user."""
    distinct = users.unique()
    hashes = [int.from_bytes(hashlib.blake2b(u.encode(), digest_size=8).digest(), "big") for u in distinct]
    return users.replace_strict(distinct, pl.Series(hashes, dtype=pl.UInt64)).to_numpy()


def split(snapshot: Snapshot) -> pl.Expr:
    """The role of a click by its `user` (hash) and `received_at`: fit, stop, tune, certify, test, or null for none.

    "stop" clicks are among the tuning ones; see `STOP`.
    """
    share = pl.col("user") / 2.0**64
    when = pl.col("received_at")
    older = (when >= snapshot.start) & (when < snapshot.tune_from)
    newer = (when >= snapshot.tune_from) & (when < snapshot.certify_from)
    newest = (when >= snapshot.certify_from) & (when < snapshot.mature_until)
    return (
        pl.when(older & (share >= STOP) & (share < LEARN))
        .then(pl.lit("fit"))
        .when(newer & (share < STOP))
        .then(pl.lit("stop"))
        .when(newer & (share < LEARN))
        .then(pl.lit("tune"))
        .when(newest & (share >= LEARN) & (share < LEARN + CERTIFY))
        .then(pl.lit("certify"))
        .when(newest & (share >= LEARN + CERTIFY))
        .then(pl.lit("test"))
    )


def _boundaries(out: Path, days: list[date], start: datetime, end: datetime) -> tuple[datetime, datetime]:
    """The instants that part the mature clicks by `FIT` and `TUNE`, to the second."""
    seconds = (
        scan_clicks(out / "raw", tuple(days), end)
        .filter(pl.col("received_at") >= start)
        .group_by(pl.col("received_at").dt.truncate("1s"))
        .len()
        .sort("received_at")
        .collect(engine="streaming")
    )
    if not len(seconds):
        raise DataRefused(
            f"No click from {start:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} UTC: labels mature a day after a click, "
            "so the as-of must lie a day after the clicks to learn from. Check --as-of."
        )
    passed = seconds["len"].cum_sum().to_numpy() / seconds["len"].sum()
    instants = seconds["received_at"]
    last = len(instants) - 1
    tune, certify = (min(int(np.searchsorted(passed, share)) + 1, last) for share in (FIT, FIT + TUNE))
    return instants[tune], instants[certify]
