"""The values that decisions of a domain can take, in words, and which are adverse to whom they are about."""

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl


@dataclass(frozen=True)
class Outcomes:
    """What a decision can be. The log, corrections and rulings hold one of `words` in their column `outcome`.

    `adverse` names those that may wrong somebody: a click not billed, a message not published. The watch, the shadow
    and the gate count these.
    """

    words: Mapping[str, str]  # outcome → what such a row is, in words: invalid, outside its 90 % band
    adverse: tuple[str, ...]

    def __post_init__(self) -> None:
        """Raise ValueError where an adverse outcome has no words."""
        if strange := set(self.adverse) - set(self.words):
            raise ValueError(f"adverse outcomes without words: {', '.join(sorted(strange))}")

    def is_adverse(self, column: str = "outcome") -> pl.Expr:
        """Whether the outcome in `column` is adverse; null where there is none."""
        return pl.col(column).is_in(self.adverse)

    @property
    def adverse_words(self) -> str:
        """What an adverse row is, in words: "invalid", or "held or refused"."""
        return " or ".join(self.words[one] for one in self.adverse)

    def told(self, outcome: str | None) -> str:
        """An outcome in words; as it is where a version of before knew one more."""
        return self.words.get(outcome, outcome) if outcome else "not decided"
