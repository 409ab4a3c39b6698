"""The minutes of a game day as masks of the series that saw it, from before its first request."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from pathlib import Path

from headgate.domains.capacity.companions import local_time
from headgate.domains.capacity.companions.calendar import Mask
from headgate.domains.capacity.companions.edit import Signature, revise
from headgate.domains.capacity.data.raw import read_series
from headgate.errors import UsageError

#: What the ids of these masks begin with.
ID = "gameday-"

MINUTE = timedelta(minutes=1)


def source(given: Path | str | None) -> Path:
    """The folder of a source of load whose masks are told. Raises UsageError where it is none."""
    if given is None:
        raise UsageError(
            "Say which source is to mask these minutes: --in DIR with its masks.csv, or --no-mask where no series sees "
            "this traffic."
        )
    found = Path(given).expanduser()
    if not (found / "series.csv").is_file():
        raise UsageError(f"{found} is no source of load, with a series.csv: check --in, or HEADGATE_CALENDAR.")
    return found


@contextmanager
def mask_minutes(
    folder: Path, event: str, where: Mapping[str, list[str]], planned: timedelta, by: Signature
) -> Iterator[list[str]]:
    """Mask the services of each region in `where` for the block; yields the ids of the masks.

    They are written with the planned end and corrected to the true one, so that a game day that is killed has masked
    too much, and not nothing. Raises what `calendar_edit.revise` raises.
    """
    start = _minute(datetime.now(UTC))
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


def places(folder: Path, series: Sequence[str]) -> dict[str, list[str]]:
    """The services of each region among `series`. Raises UsageError for one that the source in `folder` has not."""
    known = read_series(folder)
    found: dict[str, list[str]] = {}
    for name in series:
        if name not in known:
            near = ", ".join(get_close_matches(name, known, n=3, cutoff=0) or "none")
            raise UsageError(f"{folder} has no series {name}: name one that it has by --mask-series, such as {near}.")
        region, service, _ = name.split("/")
        services = found.setdefault(region, [])
        services += [service] if service not in services else []
    return found


def _minute(instant: datetime) -> datetime:
    return instant.replace(second=0, microsecond=0)
