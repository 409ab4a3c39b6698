"""Whether a game day was under way: what looks at latencies must not take its overload for a fault."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from headgate.files import read_json, write_json

#: Below the state folder.
FILE = "gameday-under-way.json"


@contextmanager
def noted(home: Path, planned: timedelta) -> Iterator[None]:
    """Note in the state folder that a game day is under way for the block, or as `planned` where it is killed."""
    start = datetime.now(UTC)
    _note(home, start, start + planned)
    try:
        yield
    finally:
        _note(home, start, datetime.now(UTC))


def touched(home: Path, since: datetime, until: datetime) -> bool:
    """Whether the last game day that was noted had a part of [since, until]."""
    try:
        told = read_json(home / FILE)
        start, end = (datetime.fromisoformat(told[name]) for name in ("start", "end"))
    except (OSError, ValueError, KeyError):
        return False
    return start <= until and since <= end


def _note(home: Path, start: datetime, end: datetime) -> None:
    write_json(home / FILE, {"start": start.isoformat(), "end": end.isoformat()})
