"""A profile of data, and what is expected of it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from headgate.contract.checks import Consequence

#: Small tables by name. Each has a text column `key`, and may have `why`: why a value could not be judged.
Profile = Mapping[str, pl.DataFrame]


@dataclass(frozen=True)
class Expectation:
    """What `column` of the profile's `table` must be in every row: exactly one of a range, a set and a pattern.

    A range is from `low` to `high`, one of which may be missing; a text lies `within` a set, or `matches` a regular
    expression from its beginning (`re.match`). Nulls are what the data cannot answer, and are not judged.

    `explain` words one failing row, given as a dict; `remedy` says what to do. `shown` is the column that is shown as
    measured, where that is not the judged one.
    """

    name: str
    table: str
    column: str
    explain: Callable[[dict[str, Any]], str]
    remedy: str
    low: float | None = None
    high: float | None = None
    within: tuple[str, ...] | None = None
    matches: str | None = None
    consequence: Consequence = "refuse"

    def __post_init__(self) -> None:
        """Raise ValueError where it expects nothing, or several things at once."""
        kinds = (self.low is not None or self.high is not None, self.within is not None, self.matches is not None)
        if sum(kinds) != 1:
            raise ValueError(f"{self.name!r} must expect a range, a set or a pattern, and one of them alone")

    @property
    def is_text(self) -> bool:
        """Whether texts are expected, and not numbers."""
        return self.within is not None or self.matches is not None

    @property
    def demanded(self) -> str:
        """The range, the set or the pattern in a few characters."""
        if self.within is not None:
            return f"one of {', '.join(self.within)}"
        if self.matches is not None:
            return f"like {self.matches}"
        if self.low is not None and self.high is not None:
            return f"{self.low:g} to {self.high:g}"
        return f"≥ {self.low:g}" if self.low is not None else f"≤ {self.high:g}"
