"""Times as people write them in a calendar: an instant, or a local time that means another instant in every zone.

`2026-06-10T15:30:00+00:00` (or `…Z`) is an instant. `2026-11-27T18:00` is a local time, and `2026-11-27` the local
midnight that the day begins with.
"""

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from headgate.errors import DataRefused

EXAMPLES = "2026-11-27, 2026-11-27T18:00 (both local) or 2026-11-27T18:00:00+00:00"

_TIME = re.compile(
    r"\d{4}-\d\d-\d\d(?:T\d\d:\d\d(?::\d\d(?:\.\d{1,6})?)?(?:Z|[+-]\d\d:\d\d)?)?", re.ASCII | re.IGNORECASE
)
_LENGTH = re.compile(r"(?P<sign>[+-]?)(?:(\d{1,6})w)?(?:(\d{1,6})d)?(?:(\d{1,6})h)?(?:(\d{1,6})m)?", re.ASCII)
_YEARS = range(1970, 2200)  # nobody plans beyond, and sums stay within what a datetime holds


@lru_cache(maxsize=4096)
def parse(text: str) -> datetime:
    """A time as written: aware if it is an instant, naive if it is local. Raises ValueError saying what to write."""
    try:
        found = datetime.fromisoformat(text.upper()) if _TIME.fullmatch(text) else None
    except ValueError:  # 30 February, 25 o'clock
        found = None
    if found is None:
        raise ValueError(f"{text!r} is no time: write {EXAMPLES}")
    if found.year not in _YEARS:
        raise ValueError(f"{text!r} lies outside the years {_YEARS[0]} to {_YEARS[-1]}: check the year")
    return found


def instant(text: str) -> datetime:
    """An instant in UTC. Raises ValueError for a local time."""
    found = parse(text)
    if found.tzinfo is None:
        raise ValueError(f"{text!r} names no zone: write it with its offset, as in 2026-11-27T18:00:00+00:00")
    return found.astimezone(UTC)


def write(time: datetime) -> str:
    """The text that `parse` reads as `time`: an instant in UTC, a local midnight as its date."""
    if time.tzinfo is not None:
        return time.astimezone(UTC).isoformat()
    if time == datetime(time.year, time.month, time.day):
        return time.date().isoformat()
    return time.isoformat() if time.second or time.microsecond else time.isoformat(timespec="minutes")


def brief(time: datetime) -> str:
    """As `write`, to the minute, for a person to read; `parse` takes it too."""
    return write(time.replace(second=0, microsecond=0)).replace(":00+00:00", "Z")


def resolve(time: datetime, zone: str) -> datetime:
    """The UTC instant that `time` means in `zone`, an IANA name.

    A local time that a clock shows twice is the first of both; one that it skips is moved forward by what is skipped,
    as Java's and JavaScript's clocks do. Raises DataRefused for an unknown zone.
    """
    if time.tzinfo is not None:
        return time.astimezone(UTC)
    try:
        place = ZoneInfo(zone)
    except (KeyError, ValueError, OSError):  # unknown, not a name, a folder of names
        raise DataRefused(f"There is no time zone {zone!r}: write an IANA name such as Europe/Berlin.") from None
    return time.replace(tzinfo=place, fold=0).astimezone(UTC)


def parse_length(text: str) -> timedelta:
    """A length such as 48h, 3d, -6h, 90m, 2w or 1d12h. Raises ValueError saying what to write."""
    found = _LENGTH.fullmatch(text.strip())
    if found is None or not any(found.groups()[1:]):
        raise ValueError(f"{text!r} is no length: write 48h, 3d, -6h, 90m, 2w or 1d12h")
    weeks, days, hours, minutes = (int(part or 0) for part in found.groups()[1:])
    length = timedelta(weeks=weeks, days=days, hours=hours, minutes=minutes)
    return -length if found["sign"] == "-" else length


def write_length(length: timedelta) -> str:
    """A length for people: `2 d`, `1 d 12 h`, `90 min` as `1 h 30 min`."""
    minutes, seconds = divmod(round(length.total_seconds()), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = [f"{n} {unit}" for n, unit in ((days, "d"), (hours, "h"), (minutes, "min"), (seconds, "s")) if n]
    return " ".join(parts) or "0 min"
