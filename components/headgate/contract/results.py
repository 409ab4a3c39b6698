"""What the functions of a domain return to commands, typed, so that a program can read it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol


@dataclass(frozen=True)
class Decided:
    """A folder of events that was decided."""

    rows: int
    outcomes: Mapping[str, int]  # how many of each, by the names of `Domain.outcomes`


@dataclass(frozen=True)
class Gap:
    """A paired difference of two models with its interval."""

    metric: str
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Scored:
    """A version on a folder of events: lines of model × metric × slice, and paired differences, by what is compared."""

    rows: int
    scorecard: Sequence[Mapping[str, Any]]
    differences: Mapping[str, Gap] = field(default_factory=dict)


class Imported(Protocol):
    """What an import wrote; a dataclass."""

    def words(self, out: Path) -> str:
        """What is in `out` now, and what to do next."""
        ...
