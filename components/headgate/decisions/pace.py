"""How many decisions are made a minute, and how many of them are adverse: the last hour, cheap to ask again.

What a part of the log holds is counted once, as it is folded, and remembered; only parts that are still open are read
again. Where there is more than a look has time for, the newest minutes come first and the rest with the next look.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from threading import Lock

import polars as pl

from headgate.contract.row import COMMON
from headgate.decisions.layout import SUFFIX, began, open_folder, part_file
from headgate.decisions.reading import listed, read_part, real
from headgate.domain import Domain
from headgate.settings import Settings

#: Minutes that are shown.
MINUTES = 60

#: Seconds for which an answer is given again, and that a look at the log may take.
FRESH, LOOK = 4.0, 1.5

#: Bytes of an open segment that is counted before it is folded, a minute later.
LARGEST = 4 << 20

_MINUTE = timedelta(minutes=1)
_COLUMNS = {name: COMMON[name] for name in ("decided_at", "outcome")}

#: Decisions, and adverse ones among them, by minute.
Counts = Mapping[datetime, tuple[int, int]]


@dataclass(frozen=True)
class Pace:
    """The last minutes, oldest first; the one that runs is the last."""

    until: datetime  # the minute that runs
    decisions: tuple[int, ...]
    adverse: tuple[int, ...]
    judges: bool  # whether decisions of this domain can be adverse
    whole: bool  # False where there was more than a look has time for

    @property
    def last(self) -> int:
        """Decisions of the last whole minute."""
        return self.decisions[-2]

    @property
    def total(self) -> int:
        """Decisions of all these minutes."""
        return sum(self.decisions)

    @property
    def share(self) -> float | None:
        """The adverse share of them; None where there is none, or none can be."""
        return sum(self.adverse) / self.total if self.judges and self.total else None


class Paces:
    """Knows the pace of domains. Safe to ask from several threads; who asks while another looks gets what was known."""

    def __init__(self, settings: Settings) -> None:
        """Nothing was looked at yet."""
        self._settings = settings
        self._counted: dict[str, dict[str, Counts]] = {}  # by domain, what folded parts hold
        self._known: dict[str, tuple[float, Pace]] = {}
        self._locks: dict[str, Lock] = {}

    def of(self, domain: Domain, now: datetime | None = None) -> Pace | None:
        """The pace of `domain`; None where it logs nothing, or is looked at for the first time this very moment."""
        if domain.live is None:
            return None
        at, known = time.monotonic(), self._known.get(domain.name)
        if known and at - known[0] < FRESH:
            return known[1]
        lock = self._locks.setdefault(domain.name, Lock())
        if not lock.acquire(blocking=False):
            return known[1] if known else None
        try:
            found = self._look(domain, now or datetime.now(UTC))
            self._known[domain.name] = (time.monotonic(), found)
            return found
        finally:
            lock.release()

    def _look(self, domain: Domain, now: datetime) -> Pace:
        until = now.replace(second=0, microsecond=0)
        first, over = until - (MINUTES - 1) * _MINUTE, time.monotonic() + LOOK
        before, counted = self._counted.get(domain.name, {}), dict[str, Counts]()
        held, whole = list[Counts](), True
        for part in reversed(listed(self._settings, domain.name, first)):
            if began(part) < first - timedelta(minutes=5):  # a part lasts a minute
                break
            if part in before:
                counted[part] = before[part]
            elif time.monotonic() > over or self._is_large(domain, part):
                whole = False
                continue
            else:
                folded = part_file(self._settings, domain.name, part).is_file()
                found = self._count(domain, part, first)
                if folded:
                    counted[part] = found
                else:
                    held.append(found)
        self._counted[domain.name] = counted
        held += counted.values()
        minutes = [first + number * _MINUTE for number in range(MINUTES)]
        sums = [[sum(one.get(minute, (0, 0))[place] for one in held) for minute in minutes] for place in (0, 1)]
        judges = bool(domain.outcomes and domain.outcomes.adverse)
        return Pace(until, tuple(sums[0]), tuple(sums[1]), judges, whole)

    def _is_large(self, domain: Domain, part: str) -> bool:
        try:
            return (open_folder(self._settings, domain.name) / f"{part}{SUFFIX}").stat().st_size > LARGEST
        except OSError:  # it is folded
            return False

    def _count(self, domain: Domain, part: str, since: datetime) -> Counts:
        inside = real(domain.logs.log) & (pl.col("decided_at") >= since)
        rows = read_part(self._settings, domain.logs.log, part, inside, _COLUMNS)
        adverse = domain.outcomes.is_adverse() if domain.outcomes else pl.lit(False)
        minutes = rows.group_by(minute=pl.col("decided_at").dt.truncate("1m")).agg(
            pl.len(), adverse=adverse.fill_null(False).cast(pl.Int64).sum()
        )
        return {minute: (count, bad) for minute, count, bad in minutes.iter_rows()}
