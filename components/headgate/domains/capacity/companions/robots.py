"""Minutes full of robots: what `adclicks` decides against becomes masks, so that the load is not learned from them.

A share of the decisions is always against, robots or mistakes; that share is usual, and the seasons have it in them.
What counts is the excess over it, and that it is both too large to be chance and large enough to matter. It reads the
*effective* decisions: where a replay gives clicks back to people, asking again withdraws their mask.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from headgate.decisions import reading
from headgate.domain import Domain
from headgate.domains.capacity.companions import local_time
from headgate.domains.capacity.companions.calendar import Mask
from headgate.domains.capacity.companions.edit import Changes, Signature, revise
from headgate.errors import DataRefused, UsageError
from headgate.settings import Settings

Counts = NDArray[np.int64]

MINUTE, HOUR = 60, 3600

#: Minutes that are judged together, the fewest first: a single one has too few clicks to tell, and where clicks are few
#: it takes an hour.
WIDTHS = (5, 15, 60)
TOGETHER = WIDTHS[0]

#: Blocks with fewer minutes than this between them are one.
GAP = 15

#: How improbable an excess must be by chance, in standard deviations: one in three million.
SURE = 5.0

#: A usual share needs this many minutes with decisions.
FEWEST = 120

#: What the ids of these masks begin with.
ID = "robots-of-"


@dataclass(frozen=True)
class Counted:
    """Decisions [n] and those against [n] in each minute from `start` on."""

    start: datetime
    decisions: Counts
    against: Counts


@dataclass(frozen=True)
class Block:
    """From `start` to before `end` this many decisions were against, beyond what is usual."""

    start: datetime
    end: datetime
    decisions: int
    excess: float

    @property
    def share(self) -> float:
        """The excess, as a share of all decisions."""
        return self.excess / self.decisions


def counted(settings: Settings, domain: Domain, since: datetime, until: datetime) -> Counted:
    """What `domain` decided in each minute of [since, until), by what holds now. Answers by default are no decisions.

    Raises DataRefused where its log has nothing of that time.
    """
    since = since.replace(second=0, microsecond=0)
    length = -int((since - until) // timedelta(seconds=MINUTE))
    decisions, against = np.zeros((2, length), dtype=np.int64)
    first = int(since.timestamp()) // MINUTE
    for part, rows in reading.parts(settings, domain.logs.log, since, until):
        held = reading.effective(settings, domain.logs.log, rows.filter(pl.col("role") != "default"), part)
        minute = held["decided_at"].dt.epoch("s").to_numpy() // MINUTE - first
        decisions += np.bincount(minute, minlength=length)
        adverse = held.select(domain.decides.is_adverse()).to_series().to_numpy()
        against += np.bincount(minute[adverse], minlength=length)
    if not decisions.any():
        raise DataRefused(
            f"The decision log of {domain.name} has nothing from {since:%Y-%m-%d %H:%M} to {until:%Y-%m-%d %H:%M} UTC: "
            "check --from and --to."
        )
    return Counted(since, decisions, against)


def blocks(seen: Counted, least: float) -> list[Block]:
    """The blocks of minutes in which robots made at least the share `least` of the decisions, beyond what is usual.

    The usual share is the median over hours. Raises DataRefused where there are too few decisions to tell what is.
    """
    busy = seen.decisions > 0
    if busy.sum() < FEWEST:
        raise DataRefused(
            f"There are decisions in {busy.sum()} minutes only, and it takes {FEWEST} to know what is usual: let "
            "--from be a day or more before the robots came."
        )
    odds = _usual(seen)
    hit = np.zeros(len(busy), dtype=bool)
    for width in WIDTHS:
        decisions, against = _around(seen.decisions, width), _around(seen.against, width)
        usual = odds * (decisions - against)  # those for are people, and bring this many against with them
        # `against` is a Poisson count, and so are those for
        spread = np.sqrt(np.maximum(against, usual) + odds**2 * (decisions - against) + 1)
        large = against - usual >= least * decisions
        hit |= (against - usual > SURE * spread) & large & busy
    excess = seen.against - odds * (seen.decisions - seen.against)
    found = []
    for start, end in _runs(hit):
        # A long window also holds minutes before and after the robots.
        low, high = _densest((excess - least * seen.decisions)[start:end])
        inside = slice(start + low, start + high)
        begins, ends = (seen.start + timedelta(seconds=MINUTE * at) for at in (inside.start, inside.stop))
        if high - low >= TOGETHER:
            found.append(Block(begins, ends, int(seen.decisions[inside].sum()), float(excess[inside].sum())))
    return found


def mask(
    folder: Path,
    found: list[Block],
    window: tuple[datetime, datetime],
    by: Signature,
    *,
    domain: str,
    region: str,
    services: tuple[str, ...],
) -> list[tuple[Mask | None, Mask]]:
    """Write `found` into masks.csv in one go; each changed row before and after.

    What this wrote before of the `window`, for the same series, and is not found any more is withdrawn. Raises what
    `calendar_edit.revise` raises.
    """

    def plan(last: Mapping[str, Mask]) -> dict[str, Changes]:
        where = {"region": region, "services": "|".join(services)}
        ours = f"{ID}{domain}-{_tag(region, services)}"
        named = {f"{ours}{block.start:%Y%m%dT%H%M}": block for block in found}
        new: dict[str, Changes] = {
            name: where
            | {"mask": name, "start": local_time.write(block.start), "end": local_time.write(block.end)}
            | {"effect": "robots", "status": Mask.STATUSES[0]}
            for name, block in named.items()
        }
        gone = [
            name
            for name, row in last.items()
            if name.startswith(ours) and name not in new and row.status == Mask.STATUSES[0]
            if (row.region, row.services) == (region, services) and window[0] <= row.span("UTC")[0] < window[1]
        ]
        return new | {name: {"status": Mask.STATUSES[1]} for name in gone}

    if not by.reason.strip():
        by = Signature(by.author, f"decided against by {domain}", by.known_since, by.dry_run)
    return [(before, after) for before, after in revise(folder, Mask, by, plan) if after is not before]


def checked(since: datetime, until: datetime, least: float) -> None:
    """Raise UsageError for a window or a share that is none."""
    if since >= until:
        raise UsageError("The window ends before it begins: check --from and --to.")
    if until > datetime.now(UTC):
        raise UsageError(f"--to {until.isoformat()} is not over yet: robots are counted when they have come.")
    if not 0 < least < 1:
        raise UsageError(f"--least {least:g} is no share of the load: give one between 0 and 1, for example 0.05.")


def _around(counts: Counts, width: int) -> NDArray[np.float64]:
    """Sums [n] of so many minutes around each."""
    return np.convolve(counts, np.ones(width), "same")


def _usual(seen: Counted) -> float:
    """Decisions against for each one for, as usual: by the median hour among those with decisions."""
    edges = np.arange(0, len(seen.decisions), HOUR // MINUTE)
    decisions, against = np.add.reduceat(seen.decisions, edges), np.add.reduceat(seen.against, edges)
    kept = decisions - against > 0
    return float(np.median(against[kept] / (decisions - against)[kept])) if kept.any() else 0.0


def _runs(hit: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Runs [start, end) of what is `hit`; those less than `GAP` apart are one."""
    where = np.flatnonzero(hit)
    if not len(where):
        return []
    breaks = np.flatnonzero(np.diff(where) > GAP) + 1
    return [(int(part[0]), int(part[-1]) + 1) for part in np.split(where, breaks)]


def _densest(gain: NDArray[np.float64]) -> tuple[int, int]:
    """The run [start, end) of `gain` [n] with the largest sum (Kadane)."""
    sums = np.concatenate([[0.0], np.cumsum(gain)])
    before = np.minimum.accumulate(sums)
    end = int(np.argmax(sums - before))
    return int(np.argmin(sums[: end + 1])), end


def _tag(region: str, services: tuple[str, ...]) -> str:
    """What tells the masks of some series from those of others; nothing where all are meant."""
    parts = [part for part in (region, *services) if part != "*"]
    return "".join(f"{part}-" for part in parts)
