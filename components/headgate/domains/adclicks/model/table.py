"""The table that models are fitted, calibrated and judged on: one row a click, with its vector, role and label.

It is worked out day by day, each day with the 25 hours before it, so a day of five million clicks bounds the memory.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from headgate.domains.adclicks.data import snapshots
from headgate.domains.adclicks.data.snapshots import Snapshot
from headgate.domains.adclicks.features.kernel import COLUMNS, FEATURES, features, in_order_of_arrival
from headgate.domains.adclicks.features.slices import device_codes, leaf
from headgate.domains.adclicks.features.windows import HISTORY, HOUR, counts, timeline, window_start
from headgate.files import atomic_file

#: A session with more ad clicks than this within an hour is robotic to the heuristic that coverage is measured by.
HEAVY_SESSION = 20


@dataclass(frozen=True)
class Rows:
    """n clicks: vectors x [n, d], device codes, leaf slices, labels, users.

    `bought`: led to a purchase that was kept. `human`: that, or an account of high RFM. `heavy`: of a session that the
    heuristic holds for a robot. `cell`: hour of the week on the clicker's clock. `user`: a hash.
    """

    click_id: pl.Series
    x: NDArray[np.float32]
    device: NDArray[np.int64]
    leaf: NDArray[np.int64]
    bought: NDArray[np.bool_]
    human: NDArray[np.bool_]
    heavy: NDArray[np.bool_]
    cell: NDArray[np.int64]
    user: NDArray[np.uint64]
    received_at: pl.Series

    def __len__(self) -> int:
        """Number of clicks."""
        return len(self.x)

    def __getitem__(self, keep: NDArray[np.bool_]) -> "Rows":
        """The clicks where `keep` [n] is true."""
        chosen = np.flatnonzero(keep)
        return Rows(*(getattr(self, field.name)[chosen] for field in fields(self)))


def build(snapshot: Snapshot, out: Path) -> None:
    """Write the clicks of each mature day that has a role, with their vectors, to `out/DAY.parquet`."""
    folder = snapshot.folder / "raw"
    for day, table in by_day(folder, snapshot.days, snapshot.start, snapshot.mature_until):
        kept = table.with_columns(role=snapshots.split(snapshot)).filter(pl.col("role").is_not_null())
        with atomic_file(out / f"{day}.parquet") as draft:
            kept.write_parquet(draft, compression="zstd", statistics=False)


def by_day(folder: Path, days: tuple[date, ...], start: datetime, end: datetime) -> Iterator[tuple[date, pl.DataFrame]]:
    """Yield the clicks received in [start, end) with their vectors, day by day of arrival."""
    history = timedelta(microseconds=HISTORY)
    for day in days:
        opens = max(datetime(day.year, day.month, day.day, tzinfo=UTC), start)
        closes = min(datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(days=1), end)
        if opens >= closes:
            continue
        near = tuple(other for other in days if day - timedelta(days=2) <= other <= day)
        clicks = (
            snapshots.scan_clicks(folder, near, closes)
            .filter(pl.col("received_at") >= opens - history)
            .select(*COLUMNS, "device", "rfm")
        )
        yield day, table_of(in_order_of_arrival(clicks).collect(), opens)


def table_of(clicks: pl.DataFrame, opens: datetime | None = None) -> pl.DataFrame:
    """The table of `clicks` (`in_order_of_arrival`) received from `opens` on; those before are history."""
    since = 0 if opens is None else int(clicks["received_at"].search_sorted(opens))
    heavy = _session_peak(clicks)[since:] > HEAVY_SESSION
    x = features(clicks, since)
    rows = clicks[since:]
    device = device_codes(rows["device"])
    minute = (
        rows["event_time"].dt.epoch("us").to_numpy() // 60_000_000 + rows["utc_offset_min"].cast(pl.Int64).to_numpy()
    )
    return pl.DataFrame(
        {
            "click_id": rows["click_id"],
            "received_at": rows["received_at"],
            "user": snapshots.user_hash(rows["user_id"]),
            "device": device.astype(np.int8),
            "leaf": leaf(device, x).astype(np.int8),
            "cell": (minute // 60 % 168).astype(np.int16),
            "high_rfm": (rows["rfm"] >= snapshots.HIGH_RFM).fill_null(False),
            "heavy": heavy,
            **{name: x[:, column] for column, name in enumerate(FEATURES)},
        }
    )


def label(table: pl.DataFrame, bought: pl.DataFrame) -> Rows:
    """The rows of a table, with the purchases that are known joined to them."""
    hit = table["click_id"].is_in(bought["click_id"].implode()).to_numpy()
    return Rows(
        click_id=table["click_id"],
        x=table.select(FEATURES).to_numpy().astype(np.float32, order="C", copy=False),
        device=table["device"].cast(pl.Int64).to_numpy(),
        leaf=table["leaf"].cast(pl.Int64).to_numpy(),
        bought=hit,
        human=hit | table["high_rfm"].to_numpy(),
        heavy=table["heavy"].to_numpy(),
        cell=table["cell"].cast(pl.Int64).to_numpy(),
        user=table["user"].to_numpy(),
        received_at=table["received_at"],
    )


def rows(work: Path, *roles: str) -> Rows:
    """The rows of `work/train/table` that have one of `roles`."""
    return rows_in(snapshots.read_snapshot(work / "snapshot"), work / "train" / "table", roles)


def rows_in(snapshot: Snapshot, folder: Path, roles: Sequence[str], *, most: int | None = None) -> Rows:
    """The rows of the tables in `folder` that have one of `roles`, labelled by what `snapshot` knows.

    With `most`, all the human ones and a random share of the others, so that they are about that many. Read day by day:
    the clicks of two weeks need not fit in memory, only those that are kept.
    """
    wanted = pl.col("role").is_in(roles)
    tables = [pl.scan_parquet(file, glob=False).filter(wanted) for file in sorted(folder.glob("*.parquet"))]
    bought = snapshots.purchasing(snapshot.folder / "raw", snapshot.as_of)
    human = pl.col("high_rfm") | pl.col("click_id").is_in(bought["click_id"].implode())
    total, people = pl.concat(tables).select(pl.len(), human.sum().alias("human")).collect(engine="streaming").row(0)
    share = 1.0 if most is None or total <= most else max(most - people, most // 2) / (total - people)
    random = np.random.default_rng(snapshot.seed)
    kept = []
    for table in tables:
        day = table.drop("role").collect()
        kept.append(day if share >= 1 else day.filter(human | pl.lit(pl.Series(random.random(len(day)) < share))))
    return label(pl.concat(kept), bought)


def _session_peak(clicks: pl.DataFrame) -> NDArray[np.int64]:
    """The most clicks [n] that the session of each click has within an hour."""
    session = clicks["session_id"].rank("dense").cast(pl.Int64).to_numpy() - 1
    event, received = (clicks[name].dt.epoch("us").to_numpy() for name in ("event_time", "received_at"))
    line = timeline(session, event, received)
    held = counts(window_start(line, HOUR)) + 1
    starts = np.flatnonzero(np.diff(line.entity, prepend=-1))
    peak = np.maximum.reduceat(held, starts) if len(starts) else held
    return line.restore(peak[line.entity])
