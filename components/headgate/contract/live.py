"""What a domain supplies of its live decisions. The log, the watch, the shadow and replays are made of it.

Every part beyond the log's columns is optional: what a domain has not, it leaves out, and who asks for it is told so.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

import polars as pl

from headgate.contract.observations import Observe
from headgate.settings import Settings

#: A part of the decision log: its id, and rows of it in the order in which they were decided.
Part = tuple[str, pl.DataFrame]

#: Reads the logged parts of [since, until).
Read = Callable[[datetime, datetime], Iterator[Part]]


class Exported(Protocol):
    """What was written of the decision log in the raw schema; a dataclass, so that a program can read it."""

    def words(self) -> str:
        """What is there now."""
        ...


class Redecide(Protocol):
    """Decides logged rows again on what is logged of their inputs."""

    def __call__(self, predictor: Any, rows: pl.DataFrame, companions: Mapping[str, Any]) -> pl.DataFrame:
        """`slice`, `outcome` (null: cannot be decided) and `DecisionLog.decided` of `rows`, in their order.

        All of `rows` name the same companions: the values of those that can be recalled are given by name.
        """
        ...


class Recompute(Protocol):
    """Rebuilds the inputs of logged rows in event time."""

    def __call__(self, read: Read, since: datetime, until: datetime) -> Iterator[Part]:
        """The logged parts of [since, until), their inputs rebuilt."""
        ...


class Export(Protocol):
    """Turns the log into a source of the raw schema, to be learned from."""

    def __call__(self, settings: Settings, out: Path, outcomes: str | None) -> Exported:
        """Bring `out` up to date with the log, and with the `outcomes` that a source has of it."""
        ...


@dataclass(frozen=True)
class DecisionLog:
    """The decision log of a domain: what it holds of a decision beside what every domain logs, and how it is kept."""

    name: str  # of the domain, and of the folder
    own: Mapping[str, pl.DataType]  # the columns that follow `row.COMMON`
    decided: tuple[str, ...] = ()  # of those, what deciding again sets anew beside slice and outcome
    hidden: tuple[str, ...] = ()  # of those, what no trace shows: it may tell who somebody is, or what they wrote
    unit: str | None = None  # of those, the pseudonym of whom a row is about: when they are forgotten, `hidden` is null
    days: int | None = None  # a day of the log goes after so many; None: when `headgate gc` is told
    rehearsed: pl.Expr | None = None  # which rows a game day made; None: none ever does

    @property
    def personal(self) -> tuple[str, ...]:
        """The columns that are null once their unit is forgotten."""
        return tuple(name for name in self.hidden if name != self.unit)


@dataclass(frozen=True)
class Live:
    """The live decisions of a domain, in parts."""

    log: DecisionLog
    observe: Observe | None = None  # None: nothing is known of what decisions do; there is no watch
    redecide: Redecide | None = None  # None: nothing to decide by is logged; there are no replays and no shadows
    recompute: Recompute | None = None  # None: inputs are what came with the request
    export: Export | None = None  # None: it does not learn from its log
