"""Uploads: what an endpoint takes that is no JSON, and what comes of it. `api.receiving` receives them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import msgspec

from headgate.api.media import KNOWN, UNKNOWN

#: The field that stands for a body without a form: the body is the file.
BODY: Final = ""

#: The media type of forms that can hold files.
FORM: Final = "multipart/form-data"

#: No upload may take so long, in seconds: files that are much older are left behind by a process that was killed.
LONGEST = 1800.0


@dataclass(frozen=True)
class Files:
    """The files of one field: their media types, as their first bytes say, and how many there must be."""

    media: tuple[str, ...]  # of `api.media.KNOWN`, or `UNKNOWN` where any bytes will do
    words: str = ""
    least: int = 1
    most: int = 1

    def __post_init__(self) -> None:
        """Refuse types that could never be found."""
        if strange := set(self.media) - {*KNOWN, UNKNOWN}:
            raise ValueError(f"No file is known to be {', '.join(strange)}: take {', '.join([*KNOWN, UNKNOWN])}")


@dataclass(frozen=True)
class Upload:
    """What an endpoint takes that is no JSON: files by the name of their field, and texts beside them.

    A field `BODY` is the body itself; with others beside it, both ways are open, and the request's Content-Type tells.
    """

    files: Mapping[str, Files]
    largest: int  # bytes of the whole body
    values: type[msgspec.Struct] | None = None  # the texts of a form; each comes once
    seconds: float = 60.0  # in which all must have arrived; what our own disk takes is not counted
    rate: float = 16_384.0  # bytes a second that it must keep, once its first ten seconds are over

    def __post_init__(self) -> None:
        """Refuse what would never end."""
        if not 0 < self.seconds <= LONGEST or self.rate <= 0:
            raise ValueError(f"An upload ends within {LONGEST:g} s, and has a rate: {self.seconds} s, {self.rate} B/s")

    @property
    def form(self) -> bool:
        """Whether it can be a form."""
        return bool(self.values or set(self.files) - {BODY})


@dataclass(frozen=True)
class Received:
    """A file that has come. It lies there until the request ends; who keeps it moves it."""

    field: str
    path: Path
    size: int  # in bytes
    sha256: str  # in hex
    media: str  # as its first bytes say
    filename: str  # as its sender calls it: words to show, never a path


@dataclass(frozen=True)
class Form:
    """What an upload brought: its files in the order in which they came, and its texts as `Upload.values` has them."""

    files: list[Received] = field(default_factory=list)
    values: Any = None

    def named(self, name: str) -> list[Received]:
        """The files of one field."""
        return [one for one in self.files if one.field == name]
