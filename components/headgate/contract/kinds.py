"""A kind of bytes that a domain keeps in the store, each about one unit: a person, an item, an author."""

import re
from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True)
class Kind:
    """What may be kept of a unit, for how long, and how. Raises ValueError for a name that no folder could have."""

    name: str  # in references and folders: lower-case letters, digits and hyphens
    words: str  # for people
    lifetime: timedelta | None = None  # from when it was last put; None: until its unit is forgotten
    media: tuple[str, ...] = ("application/octet-stream",)  # the media types that it may have, the usual one first
    keyed: bool = False  # its bytes are encrypted with a key of their unit, which is destroyed before they are

    def __post_init__(self) -> None:
        """Refuse a name that leads elsewhere."""
        if not re.fullmatch(r"[a-z][a-z0-9-]{0,31}", self.name):
            raise ValueError(f"{self.name!r} is no name of a kind: lower-case letters, digits and hyphens, 32 at most.")
