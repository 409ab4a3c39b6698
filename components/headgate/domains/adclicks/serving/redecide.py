"""Decide logged clicks again: on the vectors as they were served, or on vectors rebuilt in event time.

Rebuilding counts every click of the log by the batch kernel, in the order in which clicks arrived (`received_at`), with
as much history before the replay as any window reaches. The counters that serve are never touched.
"""

import tempfile
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import polars as pl
import pyarrow.parquet as pq  # type: ignore[import-untyped]

from headgate.contract.companions import NONE
from headgate.contract.live import Part, Read
from headgate.domains.adclicks.data.schema import CLICKS
from headgate.domains.adclicks.features.kernel import FEATURES
from headgate.domains.adclicks.features.slices import device_codes
from headgate.domains.adclicks.features.windows import HISTORY
from headgate.domains.adclicks.model.predictor import Predictor
from headgate.domains.adclicks.model.table import by_day

_HISTORY = timedelta(microseconds=HISTORY)
_VECTOR = pl.Array(pl.Float32, len(FEATURES))

#: Rows of a group in the scratch files: what is read to find the vectors of a part.
_GROUP = 16_384


def redecide(predictor: Predictor, rows: pl.DataFrame, companions: Mapping[str, Any] = NONE) -> pl.DataFrame:
    """Decide logged `rows` on their vectors: slice, outcome, score, threshold (null: never); in the same order.

    What was looked up as they were decided is in the rows: no companion is asked again.
    A row without a vector was answered before its counters were; all its answers are null.
    """
    known = rows["features"].is_not_null()
    some = rows if known.all() else rows.filter(known)
    vectors = np.ascontiguousarray(some["features"].to_numpy().reshape(-1, len(FEATURES)), dtype=np.float32)
    decided = predictor.decide_vectors(vectors, device_codes(some["device"]))
    threshold = pl.Series(decided.threshold)
    answers = pl.DataFrame(
        {
            "slice": pl.Series(predictor.slices, dtype=pl.String).gather(pl.Series(decided.leaf)),
            "outcome": np.where(decided.invalid, "invalid", "valid"),
            "score": decided.score,
            "threshold": threshold.set(threshold.is_infinite(), None),
        }
    )
    if some is rows:
        return answers
    place = pl.DataFrame({"known": known}).select(pl.when("known").then(pl.col("known").cum_sum() - 1)).to_series()
    return answers.select(pl.all().gather(place))


def recompute(read: Read, since: datetime, until: datetime) -> Iterator[Part]:
    """Yield the logged parts of [since, until) with their vectors rebuilt in event time.

    Every click arrives when `received_at` says, so clicks that were posted long after they were received count where
    they belong. A click whose id arrived before has the vector of the first time, as in serving. Needs scratch space of
    some 200 bytes a click. A row that is logged while this runs has no vector (null).
    """
    with tempfile.TemporaryDirectory(prefix="headgate-recompute-") as scratch:
        folder = Path(scratch)
        first = _spill(read, since, until, folder)
        if first is None:
            return
        _build(folder, first - _HISTORY)  # from there on, since what is repeated takes the vector of its first time
        for part, rows in read(since, until):
            vectors = _vectors(folder, rows)
            yield part, rows.drop("features").join(vectors, on="click_id", how="left", maintain_order="left")


def _spill(read: Read, since: datetime, until: datetime, folder: Path) -> datetime | None:
    """Write the clicks that count to `folder/clicks/DAY.parquet`; the first arrival to be rebuilt, or None."""
    first: datetime | None = None
    with _Days(folder / "clicks") as days:
        for _, rows in read(since, until):
            earliest = rows["received_at"].min()
            assert isinstance(earliest, datetime)  # a part has rows
            first = earliest if first is None else min(first, earliest)
            days.write(rows.select(*CLICKS))
        if first is not None:
            for _, rows in read(min(first, since) - 2 * _HISTORY, since):
                days.write(rows.select(*CLICKS))
    return first


def _build(folder: Path, first: datetime) -> None:
    """Write the vectors of the clicks received from `first` on to `folder/vectors/DAY.parquet`, in order of arrival."""
    days = tuple(sorted(date.fromisoformat(path.stem) for path in (folder / "clicks").iterdir()))
    end = datetime(days[-1].year, days[-1].month, days[-1].day, tzinfo=UTC) + timedelta(days=1)
    (folder / "vectors").mkdir()
    for day, table in by_day(folder, days, first, end):
        vectors = pl.Series("features", table.select(FEATURES).to_numpy(order="c"), dtype=_VECTOR)
        found = table.select("click_id", "received_at").with_columns(vectors)
        found.write_parquet(folder / "vectors" / f"{day}.parquet", compression="lz4", row_group_size=_GROUP)


def _vectors(folder: Path, rows: pl.DataFrame) -> pl.DataFrame:
    """The vectors of `rows`, each click_id once: found by when they arrived, or else arrived first."""
    low, high = rows["received_at"].min(), rows["received_at"].max()
    scan = pl.scan_parquet(sorted((folder / "vectors").iterdir()), glob=False)
    ids = rows["click_id"].unique()
    found = (
        scan.filter(pl.col("received_at").is_between(low, high))
        .filter(pl.col("click_id").is_in(ids.implode()))
        .collect()
    )
    repeats = ids.filter(~ids.is_in(found["click_id"].implode()))
    if len(repeats):
        assert isinstance(low, datetime)
        before = pl.col("received_at").is_between(low - _HISTORY, low, closed="left")
        earlier = scan.filter(before).filter(pl.col("click_id").is_in(repeats.implode())).collect()
        found = pl.concat([found, earlier])
    return found.sort("received_at").unique("click_id", keep="last").select("click_id", "features")


class _Days:
    """Parquet files of clicks, one a UTC day of arrival, that rows are appended to."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._folder = folder
        self._open: dict[date, pq.ParquetWriter] = {}

    def __enter__(self) -> "_Days":
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for writer in self._open.values():
            writer.close()

    def write(self, clicks: pl.DataFrame) -> None:
        for (day,), rows in clicks.group_by(pl.col("received_at").dt.date()):
            assert isinstance(day, date)
            arrow = rows.to_arrow(compat_level=pl.CompatLevel.oldest())
            if day not in self._open:
                self._open[day] = pq.ParquetWriter(self._folder / f"{day}.parquet", arrow.schema, compression="lz4")
            self._open[day].write_table(arrow)
