"""A version on a folder of raw files: decisions, or a scorecard."""

import tempfile
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow.parquet as pq  # type: ignore[import-untyped]

from headgate.contract.results import Decided, Gap, Scored
from headgate.domains.adclicks.data import raw, snapshots
from headgate.domains.adclicks.data.schema import DEVICES, TABLES
from headgate.domains.adclicks.features.kernel import FEATURES
from headgate.domains.adclicks.model.predictor import Predictor
from headgate.domains.adclicks.model.table import by_day, label
from headgate.domains.adclicks.stages.evaluate import evaluate
from headgate.errors import DataRefused, UsageError
from headgate.files import atomic_file, read_json


def decide(bundle: Path, on: Path, out: Path) -> Decided:
    """Decide the clicks below `on` day by day; how many there were of each outcome.

    `out` is Parquet: click_id, score, slice, threshold (null: never invalid), invalid; in order of arrival.
    """
    predictor = Predictor(bundle)
    days = click_days(on)
    rows = invalid = 0
    with atomic_file(out) as draft:
        writer = None
        for _, table in by_day(on, days, *span(days)):
            batch = table.select(FEATURES).with_columns(device=_devices(table))
            decided = pl.concat([table.select("click_id"), predictor.decide(batch)], how="horizontal")
            rows, invalid = rows + len(decided), invalid + int(decided["invalid"].sum())
            arrow = decided.to_arrow(compat_level=pl.CompatLevel.oldest())
            writer = writer or pq.ParquetWriter(draft, arrow.schema, compression="zstd")
            writer.write_table(arrow)
        if writer is None:
            raise DataRefused(f"{on} holds no clicks.")
        writer.close()
    return Decided(rows, {"valid": rows - invalid, "invalid": invalid})


def score(bundle: Path, on: Path, since: datetime | None) -> Scored:
    """The scorecard of a bundle on the clicks below `on` from `since` on, with every purchase that is known there."""
    days = click_days(on)
    start, end = span(days)
    tables = [table for _, table in by_day(on, days, max(start, since or start), end)]
    tables = [table for table in tables if len(table)]
    if not tables:
        raise DataRefused(f"{on} holds no clicks from {since} on: check --from.")
    for path in sorted(p for name in ("purchases", "refunds") for p in (on / name).glob("*.parquet")):
        raw.check_file(path, path.parent.name)
    rows = label(pl.concat(tables), snapshots.purchasing(on, datetime.max.replace(tzinfo=UTC)))
    if not rows.bought.any() or rows.bought.all():
        raise DataRefused(
            f"{int(rows.bought.sum()):,} of the {len(rows):,} clicks led to a purchase, so nothing can be said "
            "of them: give more days, or check the purchases."
        )
    with tempfile.TemporaryDirectory() as folder:
        card = evaluate(bundle, rows, Path(folder))
        gaps = read_json(Path(folder) / "differences.json")
        return Scored(len(rows), card, {name: Gap(**gap) for name, gap in gaps.items()})


def click_days(on: Path) -> tuple[date, ...]:
    """The days that have click files below `on`, each checked."""
    files = sorted((on / "clicks").glob("*.parquet"))
    if not files:
        raise UsageError(
            f"There are no click files in {on}: it must hold {', '.join(f'{t}/DAY.parquet' for t in TABLES)}."
        )
    for path in files:
        raw.check_file(path, "clicks")
    return tuple(raw.day_of(path) for path in files)


def span(days: tuple[date, ...]) -> tuple[datetime, datetime]:
    """From the start of the first day to the end of the last."""
    first, last = (datetime(day.year, day.month, day.day, tzinfo=UTC) for day in (days[0], days[-1]))
    return first, last + timedelta(days=1)


def _devices(table: pl.DataFrame) -> pl.Series:
    names = np.array(DEVICES, dtype=object)[table["device"].to_numpy()]
    return pl.Series("device", names, dtype=pl.String)
