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
    """`column` of the profile's `table` lies between `low` and `high` in every row.

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
    consequence: Consequence = "refuse"

    @property
    def demanded(self) -> str:
        """The range in a few characters."""
        if self.low is not None and self.high is not None:
            return f"{self.low:g} to {self.high:g}"
        return f"≥ {self.low:g}" if self.low is not None else f"≤ {self.high:g}"
