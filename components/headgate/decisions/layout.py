"""Where the decision log lies: its folders, its parts and their names, in one place for writers and readers."""

from datetime import UTC, date, datetime
from pathlib import Path

from headgate.settings import Settings

#: Endings of names: of a segment, and of what is told to be missing from a part.
SUFFIX, GAPS = ".seg", ".gaps.json"


_STAMP = "%Y%m%dT%H%M%S%f"


def log_folder(settings: Settings, domain: str) -> Path:
    """Where the log of `domain` lies."""
    return settings.home / "log" / domain


def open_folder(settings: Settings, domain: str) -> Path:
    """Where segments lie until they are folded."""
    return log_folder(settings, domain) / "open"


def corrections_folder(settings: Settings, domain: str) -> Path:
    """Where what was decided again lies: REPLAY/PART.parquet, and rulings/."""
    return settings.home / "corrections" / domain


def part_name(worker: str, began: datetime) -> str:
    """The id of the part that `worker` began at an instant."""
    return f"{worker}-{began.astimezone(UTC):{_STAMP}}"


def began(part: str) -> datetime:
    """When a part began, by its id."""
    return datetime.strptime(part.rpartition("-")[2], _STAMP).replace(tzinfo=UTC)


def day_of(part: str) -> date:
    """The UTC day that a part is folded into."""
    return began(part).date()


def part_file(settings: Settings, domain: str, part: str) -> Path:
    """Where a part lies once it is folded."""
    return log_folder(settings, domain) / f"{day_of(part)}" / f"{part}.parquet"


def gaps_file(settings: Settings, domain: str, part: str) -> Path:
    """Where it is told what is missing from a part, if anything is."""
    return part_file(settings, domain, part).with_suffix(GAPS)
