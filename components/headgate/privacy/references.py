"""References to what lies in the store: safe in logs, rows and URLs, and silent about whom and what they lead to.

``rooms.picture.3f0c…(24).9a41…(32)``: domain, kind, the pseudonym of the unit, and a name that is made of the bytes
with a secret, so that nobody can try out what they might have been.
"""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from headgate.errors import HeadgateError, UsageError

_FORM = re.compile(r"([a-z][a-z0-9_-]*)\.([a-z][a-z0-9-]*)\.([0-9a-f]{24})\.([0-9a-f]{32})")


class Gone(HeadgateError):
    """What a reference led to is not there any more."""

    word: ClassVar[str] = "gone"

    def __init__(self, reference: "Reference", at: datetime) -> None:
        """`at` is when it went, or when its time was over."""
        super().__init__(f"{reference.kind} {reference.name[:12]} of {reference.domain}: {self.word} on {_on(at)}.")
        self.reference, self.at = reference, at


class Forgotten(Gone):
    """Its unit was forgotten: nobody can bring it back."""

    word = "forgotten"


class Expired(Gone):
    """Its lifetime is over."""

    word = "expired"


class BeingForgotten(HeadgateError):
    """The unit is being forgotten at this moment: nothing can be put until that is done."""


@dataclass(frozen=True)
class Reference:
    """Where bytes of a unit lie in the store."""

    domain: str
    kind: str
    unit: str  # its pseudonym, 24 hexadecimal digits
    name: str  # 32 hexadecimal digits

    def __str__(self) -> str:
        """As `parse` takes it."""
        return f"{self.domain}.{self.kind}.{self.unit}.{self.name}"


def parse(text: str) -> Reference:
    """The reference that `text` is; UsageError where it is none."""
    found = _FORM.fullmatch(text)
    if found is None:
        raise UsageError(f"{text[:120]!r} is no reference to the store: it reads DOMAIN.KIND.UNIT.NAME.")
    return Reference(*found.groups())


def is_reference(value: object, domain: str) -> bool:
    """Whether `value` is a reference to something of `domain`."""
    return isinstance(value, str) and value.startswith(f"{domain}.") and _FORM.fullmatch(value) is not None


def _on(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"
