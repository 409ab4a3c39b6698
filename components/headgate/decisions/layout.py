"""Where the decision log lies: its folders, its parts and their names, in one place for writers and readers."""

from datetime import UTC, date, datetime
from pathlib import Path

from headgate.errors import DataRefused
from headgate.files import atomic_file
from headgate.settings import Settings

#: Endings of names: of a segment, and of what is told to be missing from a part.
SUFFIX, GAPS = ".seg", ".gaps.json"


_STAMP = "%Y%m%dT%H%M%S%f"


#: What is read and written here. The file of that name in a log's folder says what lies in it; before there was one,
#: decisions were one bit each.
FORMAT, FORMAT_FILE = "2", "format"


def check(folder: Path) -> None:
    """Raise DataRefused where `folder`, of a log or of corrections, holds what another Headgate wrote otherwise."""
    try:
        found = (folder / FORMAT_FILE).read_text(encoding="ascii").strip()
    except (FileNotFoundError, NotADirectoryError):  # who writes is told of a file in its place
        others = (path.name for path in folder.iterdir()) if folder.is_dir() else ()
        found = FORMAT if all(name == "raw" or name.startswith(".") for name in others) else "1"
    if found != FORMAT:
        raise DataRefused(
            f"{folder} was written by another Headgate, whose decisions this one cannot read (format {found}, not "
            f"{FORMAT}). Move log/{folder.name} and corrections/{folder.name} away together, or set HEADGATE_HOME to "
            "another folder; the Headgate that wrote them still reads them."
        )


def claim(folder: Path) -> None:
    """Let `folder`, of a log or of corrections, be one that is written here. Raises DataRefused as `check` does."""
    check(folder)
    if not (folder / FORMAT_FILE).is_file():
        with atomic_file(folder / FORMAT_FILE) as draft:
            draft.write_text(FORMAT + "\n", encoding="ascii")


def log_folder(settings: Settings, domain: str) -> Path:
    """Where the log of `domain` lies."""
    return settings.home / "log" / domain


def open_folder(settings: Settings, domain: str) -> Path:
    """Where segments lie until they are folded."""
    return log_folder(settings, domain) / "open"


def corrections_folder(settings: Settings, domain: str) -> Path:
    """Where what was decided again lies: REPLAY/PART.parquet."""
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
