"""A decision log of readings that nobody posted, for tests that read one."""

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl

from headgate.contract.live import DecisionLog
from headgate.decisions.layout import claim, log_folder, part_file, part_name
from headgate.decisions.reading import schema
from headgate.settings import Settings

from ..toy import ROOMS

START = datetime(2026, 1, 5, tzinfo=UTC)
SLICES = ("attic", "cellar", "hall")

LOG = ROOMS.logs.log

#: How warm every room usually is.
USUAL = 20.0


def make_log(
    settings: Settings,
    n: int,
    *,
    seed: int = 0,
    start: datetime = START,
    span: timedelta = timedelta(hours=12),
    part: int = 10_000,
    version: int = 1,
    bundle: str = "b" * 64,
    adverse: float = 0.2,
) -> list[str]:
    """Write a folded log of `n` readings that were decided evenly over `span`; the ids of its parts, oldest first.

    A share `adverse` is cold or hot, at random and whatever the degrees; a fifth of the guests say that they are
    comfortable, two fifths that they are not, the others nothing. Each part is at most `part` rows.
    """
    parts = []
    for number, first in enumerate(range(0, n, part)):
        rows = make_rows(
            min(part, n - first),
            first=first,
            seed=seed,
            start=start + span * first / n,
            every=span / n,
            version=version,
            bundle=bundle,
            adverse=adverse,
        )
        parts.append(write_part(settings, rows, worker=f"made-1-{number:010x}"))
    return parts


def write_part(
    settings: Settings, rows: pl.DataFrame, log: DecisionLog = LOG, *, worker: str = "worker-1-0000000000"
) -> str:
    """Write `rows` as a folded part that begins with the first of them; its id."""
    name = part_name(worker, rows["decided_at"].min())  # type: ignore[arg-type]
    claim(log_folder(settings, log.name))
    path = part_file(settings, log.name, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    rows.select(pl.col(column).cast(dtype) for column, dtype in schema(log).items()).write_parquet(path)
    return name


def make_rows(
    n: int,
    *,
    first: int = 0,
    seed: int = 0,
    start: datetime = START,
    every: timedelta = timedelta(seconds=1),
    version: int = 1,
    bundle: str = "b" * 64,
    adverse: float = 0.2,
) -> pl.DataFrame:
    """`n` logged readings as `parts` answers them, numbered from `first` on."""
    random = np.random.default_rng((seed, first))
    numbers = np.arange(first, first + n)
    at = pl.Series(np.arange(n) * int(every / timedelta(microseconds=1))).cast(pl.Duration("us")) + start
    room, chance = random.choice(SLICES, n), random.random(n)
    return pl.DataFrame(
        {
            "decision_id": [f"{start:%Y%m%d}-made000000-{number:x}" for number in numbers],
            "decided_at": at,
            "version": [version] * n,
            "bundle": [bundle] * n,
            "companions": [""] * n,
            "role": ["champion"] * n,
            "slice": room,
            "outcome": np.where(chance < adverse / 2, "cold", np.where(chance < adverse, "hot", "fine")),
            "usual": [USUAL] * n,
            "room": room,
            "degrees": random.integers(10, 31, n),
            "guest": [f"guest {number}" for number in random.integers(0, 1 + n // 10, n)],
            "comfortable": pl.Series(random.choice([1, 0, 0, None, None], n).tolist(), dtype=pl.Int8).cast(pl.Boolean),
        }
    ).cast(schema(LOG))  # type: ignore[arg-type]
