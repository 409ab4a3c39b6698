"""The calendar and the masks: what people know of the load and the series cannot tell. Both change after the model.

A source holds them as append-only text, `calendar.csv` and `masks.csv`. Every change is one more revision with its
author, its reason and the instant since which it is known, so that what was known at any instant can be told again:
a back-test that asks `as_of` does not cheat. `calendar_edit` makes the changes.
"""

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from pathlib import Path
from typing import ClassVar, TypeVar

from headgate.domains.capacity.companions import local_time
from headgate.domains.capacity.companions.text import ALL, Misfit, either, records, value
from headgate.errors import DataRefused, HeadgateError

#: The kind of event that declares a break in the slope, at its start.
BREAK = "break"


class _Span:
    """What events and masks share: where they apply, and when."""

    region: str
    services: tuple[str, ...]
    start: str
    end: str

    def applies(self, region: str, service: str) -> bool:
        """Whether a series of `service` in `region` is meant."""
        return self.region in (ALL, region) and (ALL in self.services or service in self.services)

    def span(self, zone: str) -> tuple[datetime, datetime]:
        """Start and end (exclusive) as UTC instants, for a series in `zone`, an IANA name.

        Of a local time that the clock shows twice the first counts; one that it skips is moved forward, so that what
        lies wholly in a skipped hour is empty.
        """
        start, end = (local_time.resolve(local_time.parse(text), zone) for text in (self.start, self.end))
        return start, max(start, end)

    @property
    def is_local(self) -> bool:
        """Whether start and end are local times, each series' own, rather than instants."""
        return local_time.parse(self.start).tzinfo is None

    @property
    def length(self) -> timedelta:
        """From start to end; for local times what the clock shows, whatever daylight saving adds to it."""
        return local_time.parse(self.end) - local_time.parse(self.start)


@dataclass(frozen=True)
class Event(_Span):
    """One revision of an event: a sale, a match, a holiday, a launch, a declared break of the slope."""

    FILE: ClassVar[str] = "calendar.csv"
    STATUSES: ClassVar[tuple[str, str]] = ("planned", "cancelled")

    event: str
    revision: int
    kind: str
    name: str
    region: str
    services: tuple[str, ...]
    start: str
    end: str
    intensity: float
    known_since: datetime
    status: str
    author: str
    reason: str

    @property
    def id(self) -> str:
        """What its revisions have in common."""
        return self.event


@dataclass(frozen=True)
class Mask(_Span):
    """One revision of a mask: minutes not to learn from, or (`keep`) to learn from whatever the detector says."""

    FILE: ClassVar[str] = "masks.csv"
    STATUSES: ClassVar[tuple[str, str]] = ("active", "withdrawn")

    mask: str
    revision: int
    region: str
    services: tuple[str, ...]
    start: str
    end: str
    effect: str
    known_since: datetime
    status: str
    author: str
    reason: str

    @property
    def id(self) -> str:
        """What its revisions have in common."""
        return self.mask


Row = TypeVar("Row", Event, Mask)


def read_calendar(folder: Path) -> tuple[Event, ...]:
    """Every revision of `folder/calendar.csv` in the file's order; none where there is no file.

    Raises DataRefused naming file, line and column for anything that does not follow the schema.
    """
    return parse(read_bytes(folder / Event.FILE), folder / Event.FILE, Event)


def read_masks(folder: Path) -> tuple[Mask, ...]:
    """Every revision of `folder/masks.csv`, as `read_calendar` does."""
    return parse(read_bytes(folder / Mask.FILE), folder / Mask.FILE, Mask)


def latest(rows: Iterable[Row], instant: datetime) -> tuple[Row, ...]:
    """The last revision of each id that was known at `instant` (with a zone), by id, whatever its status."""
    found: dict[str, Row] = {}
    for row in rows:
        if row.known_since <= instant and (row.id not in found or found[row.id].revision < row.revision):
            found[row.id] = row
    return tuple(found[name] for name in sorted(found))


def as_of(rows: Iterable[Row], instant: datetime) -> tuple[Row, ...]:
    """What was planned, or masked, as known at `instant`: `latest` without what was cancelled or withdrawn by then."""
    return tuple(row for row in latest(rows, instant) if row.status == row.STATUSES[0])


def companion_id(rows: Iterable[Row]) -> str:
    """12 hex digits that say which rows these are: SHA-256 of their canonical cells; their order does not matter."""
    canonical = sorted(json.dumps(cells(build(type(row), cells(row))), sort_keys=True) for row in rows)
    return hashlib.sha256("\n".join(canonical).encode()).hexdigest()[:12]


def columns(table: type[Event] | type[Mask]) -> tuple[str, ...]:
    """The columns of `table`, in order."""
    return tuple(field.name for field in fields(table))


def cells(row: Event | Mask) -> dict[str, str]:
    """A row as the text that `build` reads back."""
    texts = {column: str(getattr(row, column)) for column in columns(type(row))}
    texts |= {"services": "|".join(row.services), "known_since": local_time.write(row.known_since)}
    return texts


def build(table: type[Row], texts: Mapping[str, str]) -> Row:
    """The row that the cells `texts` make: instants in UTC, services in order. Raises Misfit for what does not fit."""
    row = table(**{column: value(column, texts[column]) for column in columns(table)})
    if row.status not in table.STATUSES:
        raise Misfit("status", either(row.status, table.STATUSES))
    start, end = (local_time.parse(text) for text in (row.start, row.end))
    if (start.tzinfo is None) != (end.tzinfo is None):
        raise Misfit("end", "start and end mix a local time and an instant: write both with an offset, or neither")
    if end < start:
        raise Misfit("end", f"{row.end} lies before the start {row.start}: exchange or correct them")
    if end == start and getattr(row, "kind", "") != BREAK:
        raise Misfit("end", f"it is the start {row.start}, and the end is exclusive: write when it is over")
    return row


def parse(data: bytes | None, path: Path, table: type[Row]) -> tuple[Row, ...]:
    """The rows of a file's bytes, None for no file; `path` is what errors call it. Raises DataRefused."""
    if data is None:
        return ()
    rows: list[tuple[int, Row]] = []
    for line, texts in records(data, path, columns(table)):
        try:
            rows.append((line, build(table, texts)))
        except Misfit as error:
            column, said = error.args
            raise DataRefused(f"{path}, line {line}, column {column}: {said}.") from None
    _check_revisions(rows, path)
    return tuple(row for _, row in rows)


def read_bytes(path: Path) -> bytes | None:
    """What `parse` takes: a file's bytes, or None where there is no file."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise HeadgateError(f"{path} cannot be read ({error.strerror}): check its permissions.") from error


def _check_revisions(rows: Iterable[tuple[int, Row]], path: Path) -> None:
    """An id's revisions are 1, 2, 3 …, each known no earlier than the one before; their order in the file is free."""
    histories: dict[str, list[tuple[int, Row]]] = defaultdict(list)
    for line, row in rows:
        histories[row.id].append((line, row))
    for name, history in histories.items():
        history.sort(key=lambda entry: entry[1].revision)
        for number, (line, row) in enumerate(history, start=1):
            before = history[number - 2][1] if number > 1 else None
            if before and row.revision == before.revision:
                said = f"{name} has revision {row.revision} twice: number the later one {number}"
                raise DataRefused(f"{path}, line {line}, column revision: {said}.")
            if row.revision != number:
                said = f"{name} has no revision {number} before this {row.revision}: restore it, or number on from it"
                raise DataRefused(f"{path}, line {line}, column revision: {said}.")
            if before and row.known_since < before.known_since:
                said = f"{name} was known earlier than in its revision {before.revision}: correct one of both"
                raise DataRefused(f"{path}, line {line}, column known_since: {said}.")
