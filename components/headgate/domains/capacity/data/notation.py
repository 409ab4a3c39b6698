"""How people write steps, instants and quantiles, on the command line, in the API and in the console alike."""

from datetime import UTC, datetime

from headgate.domains.capacity.data.schema import DAY, WEEK

#: The steps that a forecast is asked for in, in seconds.
STEPS = {"1min": 60, "5min": 300, "15min": 900, "1h": 3600, "1d": DAY, "1w": WEEK}


def instant(text: str) -> datetime:
    """A date or a time as an instant, UTC where it names no offset. Raises ValueError for anything else."""
    try:
        found = datetime.fromisoformat(text)
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except OverflowError as error:  # the year 1, moved to UTC
        raise ValueError(text) from error


def quantiles(text: str) -> list[float]:
    """Numbers between 0 and 1 with commas. Raises ValueError for anything else, and for none."""
    levels = [float(part) for part in text.split(",")]
    if not all(0 < level < 1 for level in levels):
        raise ValueError(text)
    return levels
