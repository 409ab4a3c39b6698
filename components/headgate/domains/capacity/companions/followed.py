"""Calendar and masks as companions: those of the folder that planners share, as they are known at this moment.

That is the folder that HEADGATE_CALENDAR names; else `calendar/` in the state folder, once it holds a calendar.

A look costs a `stat` and a count: the files are read again only where they have changed, or where a revision that was
written ahead of its time is known from now on.
"""

from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from headgate.contract.companions import Companion
from headgate.domains.capacity.companions.calendar import Event, Mask, as_of, companion_id, parse, read_bytes
from headgate.errors import DataRefused, HeadgateError, UsageError
from headgate.settings import Settings

#: The names of the companions.
CALENDAR, MASKS = "calendar", "masks"

Table = Any  # Event or Mask: what a file holds
Rows = tuple[Any, ...]

#: Where calendar and masks lie in the state folder, if no other folder is named.
FOLDER = "calendar"

_NEVER, _ALWAYS = (end.replace(tzinfo=UTC) for end in (datetime.min, datetime.max))


def shared_folder(settings: Settings) -> Path | None:
    """The folder of the calendar that counts; None where none is named and the state folder holds none."""
    if settings.calendar is not None:
        return Path(settings.calendar)
    own = settings.home / FOLDER
    return own if (own / Event.FILE).is_file() else None


def known(folder: Path, table: Table, now: datetime) -> tuple[str, Rows] | None:
    """Id and rows of what `folder` plans, or masks, as it is known at `now`; None where it has no such file."""
    path = folder / table.FILE
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise HeadgateError(f"{path} cannot be read ({error.strerror}): check its permissions.") from error
    mark = (found.st_ino, found.st_mtime_ns, found.st_size)
    count = sum(row.known_since <= now for row in _revisions(path, table, mark))
    return _first(path, table, mark, count)


@lru_cache(maxsize=8)
def _revisions(path: Path, table: Table, mark: object) -> Rows:
    """Every revision of the file that bears this `mark`, in the order in which they came to be known."""
    rows: Rows = parse(read_bytes(path), path, table)
    return tuple(sorted(rows, key=lambda row: row.known_since))


@lru_cache(maxsize=8)
def _first(path: Path, table: Table, mark: object, count: int) -> tuple[str, Rows]:
    """What the first `count` revisions come to, with its id."""
    rows: Rows = as_of(_revisions(path, table, mark)[:count], _ALWAYS)
    return companion_id(rows), rows


def _now(settings: Settings, table: Table) -> tuple[str, Rows] | None:
    """What is in force; None where there is no folder, or it masks nothing."""
    folder = shared_folder(settings)
    if folder is None:
        return None
    found = known(folder, table, datetime.now(UTC))
    if found is None and table is Event:
        raise UsageError(f"There is no {Event.FILE} in {folder}: check HEADGATE_CALENDAR.")
    return found


def _recall(table: Table, settings: Settings, identity: str, at: datetime) -> Rows:
    """What was in force under an id when something was decided at `at`: revisions are only ever added."""
    word = table.FILE.removesuffix(".csv")
    folder = shared_folder(settings)
    if folder is None:
        raise UsageError(
            f"Some were decided with the {word} {identity}, and HEADGATE_CALENDAR names no folder that tells: set it."
        )
    path = folder / table.FILE
    rows: Rows = parse(read_bytes(path), path, table)
    # What counts since less than a moment was not followed yet, so the search goes back from there.
    for instant in [at, *sorted({row.known_since for row in rows if row.known_since < at}, reverse=True), _NEVER]:
        then: Rows = as_of(rows, instant)
        if companion_id(then) == identity:
            return then
    raise DataRefused(
        f"Some were decided with the {word} {identity}, which {path} does not tell any more: revisions changed, or "
        "it is another folder. They cannot be decided again."
    )


def _companion(name: str, title: str, table: Table) -> Companion:
    def identify(settings: Settings) -> str | None:
        found = _now(settings, table)
        return found[0] if found else None

    def read(settings: Settings) -> Rows:
        found = _now(settings, table)
        return found[1] if found else ()

    def recall(settings: Settings, identity: str, at: datetime) -> Rows:
        return _recall(table, settings, identity, at)

    return Companion(name, title, identify, read, recall)


COMPANIONS = (
    _companion(CALENDAR, "calendar of events", Event),
    _companion(MASKS, "masks of minutes that are not learned from", Mask),
)
