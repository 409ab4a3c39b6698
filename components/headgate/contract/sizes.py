"""How much a domain simulates: its own frozen dataclass, whose fields are the options of `headgate simulate`."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, Protocol


def about(words: str, least: int = 1) -> dict[str, Any]:
    """The metadata of a size: what it is, for people, and the least that it can be."""
    return {"help": words, "least": least}


@dataclass(frozen=True)
class Sizes:
    """The sizes of a simulation. A domain adds its own: whole numbers with a default, and `about` them as metadata."""

    days: int = field(metadata=about("How many days."))


class Simulate(Protocol):
    """Writes raw files with a hidden truth to `out`, which is not there yet or empty, and the truth beside it.

    The same arguments give the same bytes. `on_day` is called with each day once it is written. UsageError for
    arguments that make no sense and for folders that already hold something.
    """

    def __call__(
        self,
        out: Path,
        sizes: Any,
        *,
        scenario: str = "calm",
        seed: int = 0,
        start: date | None = None,
        on_day: Callable[[date], None] | None = None,
    ) -> None:
        """Simulate `sizes`, of the domain's own dataclass, from `start` on."""
        ...
