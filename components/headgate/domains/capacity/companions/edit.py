"""Changes of the calendar and the masks: each appends one revision, and nothing is ever deleted.

Every function takes the folder that holds `calendar.csv` or `masks.csv` and returns the row before (None where there
was none) and after. The file is locked while it is read and replaced as a whole, so planners who edit at once lose
nothing, and a killed edit leaves what was there. What changes nothing writes nothing: the row is returned twice.
All raise UsageError for what cannot be done as asked, and DataRefused where the file itself is not right.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from pathlib import Path

from headgate.domains.capacity.companions import local_time
from headgate.domains.capacity.companions.calendar import Event, Mask, Row, build, cells, columns, parse, read_bytes
from headgate.domains.capacity.companions.file import append, locked
from headgate.domains.capacity.companions.text import ALL, Misfit
from headgate.errors import UsageError


@dataclass(frozen=True)
class Signature:
    """Who changes a row, why, and since when that is known (now if None); with `dry_run` nothing is written."""

    author: str
    reason: str = ""  # only a new event needs none
    known_since: datetime | None = None
    dry_run: bool = False


#: New cells of a row, by column.
Changes = Mapping[str, str]


def add(
    folder: Path,
    event: str,
    by: Signature,
    *,
    kind: str,
    start: str,
    end: str,
    name: str = "",
    region: str = ALL,
    services: Sequence[str] = (ALL,),
    intensity: float = 1.0,
) -> tuple[Event | None, Event]:
    """Plan an event; one that was cancelled is planned again. Only a break may end as it starts."""
    new = {"event": event, "kind": kind, "name": name, "region": region, "services": "|".join(services)}
    new |= {"start": start, "end": end, "intensity": str(intensity), "status": "planned"}
    return _create(folder, Event, event, by, new)


def move(
    folder: Path, event: str, by: Signature, *, start: str | None = None, delta: timedelta | None = None
) -> tuple[Event, Event]:
    """Let an event begin at `start`, or later by `delta`; its length stays. Local times move by the clock they show."""

    def change(row: Event) -> Changes:
        begins = _one_of(row, start, local_time.parse(row.start), delta, "--start TIME or --by LENGTH")
        return {"start": local_time.write(begins), "end": local_time.write(begins + row.length)}

    return _amend(folder, Event, event, by, change)


def stretch(
    folder: Path, event: str, by: Signature, *, end: str | None = None, length: timedelta | None = None
) -> tuple[Event, Event]:
    """Let an event end at `end`, or last `length`, be it longer or shorter; its start stays."""

    def change(row: Event) -> Changes:
        over = _one_of(row, end, local_time.parse(row.start), length, "--end TIME or --to LENGTH")
        return {"end": local_time.write(over)}

    return _amend(folder, Event, event, by, change)


def change(
    folder: Path,
    event: str,
    by: Signature,
    *,
    start: str | None = None,
    end: str | None = None,
    intensity: float | None = None,
    seen: int | None = None,
) -> tuple[Event, Event]:
    """Let an event have other times or another intensity, all in one revision.

    `seen` is the revision that the change was made upon: where there is a later one, nothing is written.
    """
    new = {"start": start, "end": end, "intensity": None if intensity is None else str(intensity)}

    def amended(row: Event) -> Changes:
        if seen is not None and row.revision != seen:
            said = f"{row.start} to {row.end}" if row.status == "planned" else row.status
            raise UsageError(
                f"{row.author} changed {row.event} meanwhile: it is now {said} (revision {row.revision}, "
                f"{row.reason!r}). Nothing was written: look at it again."
            )
        return {column: text for column, text in new.items() if text is not None}

    return _amend(folder, Event, event, by, amended)


def cancel(folder: Path, event: str, by: Signature) -> tuple[Event, Event]:
    """Plan an event no longer."""
    return _amend(folder, Event, event, by, lambda row: {"status": "cancelled"})


def add_mask(
    folder: Path,
    mask: str,
    by: Signature,
    *,
    effect: str,
    start: str,
    end: str,
    region: str = ALL,
    services: Sequence[str] = (ALL,),
) -> tuple[Mask | None, Mask]:
    """Mask minutes; a mask that was withdrawn is active again."""
    new = {"mask": mask, "region": region, "services": "|".join(services), "start": start, "end": end}
    return _create(folder, Mask, mask, by, new | {"effect": effect, "status": "active"})


def withdraw(folder: Path, mask: str, by: Signature) -> tuple[Mask, Mask]:
    """Let a mask count no longer."""
    return _amend(folder, Mask, mask, by, lambda row: {"status": "withdrawn"})


def revise(
    folder: Path, table: type[Row], by: Signature, plan: Callable[[Mapping[str, Row]], Mapping[str, Changes]]
) -> list[tuple[Row | None, Row]]:
    """Append, in one write, the changes that `plan` returns by id, given the last revision of every id."""
    if not by.author.strip():
        raise UsageError("Say who makes the change: give --author.")
    if not folder.is_dir():
        raise UsageError(f"There is no folder {folder}: check --in.")
    path, now = folder / table.FILE, datetime.now(UTC)
    with nullcontext() if by.dry_run else locked(path):
        data = read_bytes(path)
        last = {row.id: row for row in sorted(parse(data, path, table), key=lambda row: row.revision)}
        pairs = [(last.get(name), _next(table, last.get(name), new, by, now)) for name, new in plan(last).items()]
        if not by.dry_run:
            append(path, data, [cells(after) for before, after in pairs if after is not before], columns(table))
    return pairs


def _create(folder: Path, table: type[Row], name: str, by: Signature, new: Changes) -> tuple[Row | None, Row]:
    """Append an id's first revision, or bring one back that is no longer in force."""

    def plan(last: Mapping[str, Row]) -> dict[str, Changes]:
        row = last.get(name)
        if row and row.status == table.STATUSES[0] and _checked(table, {**cells(row), **new}) != row:
            remedy = "change that one, or choose another id"
            raise UsageError(f"There is {name} in {folder / table.FILE} already, and it says something else: {remedy}.")
        return {name: new}

    (pair,) = revise(folder, table, by, plan)
    return pair


def _amend(
    folder: Path, table: type[Row], name: str, by: Signature, change: Callable[[Row], Changes]
) -> tuple[Row, Row]:
    """Append the revision that `change` makes of an id's last one."""

    def plan(last: Mapping[str, Row]) -> dict[str, Changes]:
        if name not in last:
            near = get_close_matches(name, last, n=1)
            hint = f"perhaps {near[0]}?" if near else "list them to see what there is."
            raise UsageError(f"There is no {columns(table)[0]} {name!r} in {folder / table.FILE}: {hint}")
        return {name: change(last[name])}

    ((before, after),) = revise(folder, table, by, plan)
    assert before is not None  # `plan` saw to it
    return before, after


def _one_of(row: Event, text: str | None, since: datetime, length: timedelta | None, options: str) -> datetime:
    """The time that one of two options gives: `text`, on the clock that `row` is on, or `length` later than `since`."""
    if row.status == "cancelled":
        raise UsageError(f"{row.event} is cancelled: add it again, with the times that it has now.")
    if (text is None) == (length is None):
        raise UsageError(f"Give one of both: {options}.")
    if text is None:
        assert length is not None
        return since + length
    try:
        found = local_time.parse(text)
    except ValueError as error:
        raise UsageError(f"{error}.") from None
    if (found.tzinfo is None) != row.is_local:
        example = "a local time, such as 2026-11-27T18:00" if row.is_local else "an offset, as in 2026-11-27T18:00Z"
        raise UsageError(f"{row.event} starts at {row.start}: write {text!r} likewise, with {example}.")
    return found


def _next(table: type[Row], before: Row | None, new: Changes, by: Signature, now: datetime) -> Row:
    """The revision after `before` with the cells `new`, signed; `before` itself where they change nothing."""
    old = cells(before) if before else {}
    if before and _checked(table, {**old, **new}) == before:
        return before
    if (before or table is Mask) and not by.reason.strip():
        raise UsageError("Say why: give --reason.")
    known = by.known_since or now
    if before and known < before.known_since:
        if by.known_since:
            since = local_time.write(before.known_since)
            raise UsageError(f"{before.id} was changed last at {since}: a later change cannot be known before that.")
        known = before.known_since  # another machine's clock runs ahead
    signature = {"revision": str(before.revision + 1 if before else 1), "known_since": local_time.write(known)}
    return _checked(table, {**old, **new, **signature, "author": by.author, "reason": by.reason})


def _checked(table: type[Row], texts: Mapping[str, str]) -> Row:
    """The row that `texts` make; what the file would refuse is refused here, before it is there."""
    try:
        return build(table, texts)
    except Misfit as error:
        column, said = error.args
        raise UsageError(f"{column}: {said}.") from None
