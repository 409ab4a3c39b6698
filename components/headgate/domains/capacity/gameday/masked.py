"""The minutes of a game day as masks of the series that saw it, from before its first request."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from headgate.domains.capacity import local_time
from headgate.domains.capacity.calendar_edit import Signature, revise
from headgate.domains.capacity.companions import Mask
from headgate.errors import UsageError

#: What the ids of these masks begin with.
ID = "gameday-"

MINUTE = timedelta(minutes=1)


@contextmanager
def masked(folder: Path, event: str, series: Sequence[str], planned: timedelta, by: Signature) -> Iterator[list[str]]:
    """Mask `series` for the block; yields the ids of the masks.

    They are written with the planned end and corrected to the true one, so that a game day that is killed has masked
    too much, and not nothing. Raises what `calendar_edit.revise` raises.
    """
    start = _minute(datetime.now(UTC))
    where = _places(series)
    stem = f"{ID}{event}-{datetime.now(UTC):%Y%m%dT%H%M%S}"
    ids = [stem if len(where) == 1 else f"{stem}-{number}" for number in range(1, len(where) + 1)]

    def until(end: datetime) -> None:
        rows = {
            name: {"mask": name, "region": region, "services": "|".join(services), "effect": "load-test"}
            | {"start": local_time.write(start), "end": local_time.write(end), "status": Mask.STATUSES[0]}
            for name, (region, services) in zip(ids, where.items(), strict=True)
        }
        revise(folder, Mask, by, lambda _: rows)

    until(_minute(start + planned) + MINUTE)
    try:
        yield ids
    finally:
        until(_minute(datetime.now(UTC)) + MINUTE)  # the end is not part of it


def _places(series: Sequence[str]) -> dict[str, list[str]]:
    """The services of each region among `series`."""
    found: dict[str, list[str]] = {}
    for name in series:
        parts = name.split("/")
        if len(parts) != 3 or not all(parts):
            raise UsageError(f"{name!r} is no series: write it as region/service/metric.")
        services = found.setdefault(parts[0], [])
        services += [parts[1]] if parts[1] not in services else []
    return found


def _minute(instant: datetime) -> datetime:
    return instant.replace(second=0, microsecond=0)
