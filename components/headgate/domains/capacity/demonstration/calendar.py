"""The calendar of the demonstration in force, with what people planned in it the day before."""

import logging
from datetime import datetime
from pathlib import Path

from headgate.contract.demonstration import Play
from headgate.domains.capacity.companions.calendar import Event, cells, columns, latest, parse, read_bytes
from headgate.domains.capacity.companions.file import append
from headgate.domains.capacity.companions.followed import FOLDER
from headgate.files import atomic_file
from headgate.settings import Settings

log = logging.getLogger(__name__)

#: Whose revisions are no person's.
SIMULATOR = "simulator"


def put_in_force(settings: Settings, play: Play, before: Path | None) -> None:
    """Let the calendar of the raw files be the one that planners share, unless the state folder has one of theirs.

    Planners change the source's own file, so that the next version learns with it. Events that they had changed in the
    raw files `before`, and that have not begun, are kept as they are.
    """
    if before is not None:
        _keep(play.source / Event.FILE, before / Event.FILE, play.as_of)
    place = settings.home / FOLDER
    if place.is_symlink() or not place.exists():
        with atomic_file(place) as draft:
            draft.symlink_to(play.source.relative_to(settings.home), target_is_directory=True)
    else:
        log.warning("%s is there already, and stays the calendar in force: the demonstration's is not", place)


def _keep(path: Path, before: Path, as_of: datetime) -> None:
    """Write to `path` the revisions in `before` of events that a person changed and that begin at or after `as_of`.

    They take the place of such an event's own in `path`.
    """
    old, new = (parse(read_bytes(file), file, Event) for file in (before, path))
    changed = {row.event for row in old if row.author != SIMULATOR}
    kept = {row.event for row in latest(old, datetime.max.replace(tzinfo=as_of.tzinfo)) if _ahead(row, as_of)} & changed
    rows = [row for row in new if row.event not in kept] + [row for row in old if row.event in kept]
    if kept:
        append(path, None, [cells(row) for row in rows], columns(Event))


def _ahead(event: Event, as_of: datetime) -> bool:
    """Whether an event begins at `as_of` or later, by the clock of UTC."""
    return event.span("UTC")[0] >= as_of
