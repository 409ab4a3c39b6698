"""A row of the decision log: what every domain logs of a decision, and who takes it down."""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal, Protocol

import msgspec
import polars as pl

Role = Literal["champion", "canary", "default"]


class Row(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What every domain logs of a decision (`COMMON`); its own columns follow in a subclass."""

    decision_id: str
    decided_at: int  # µs since 1970
    version: int  # 0 where nothing could decide
    bundle: str
    companions: str
    role: Role
    slice: str
    outcome: str  # one of the domain's `Outcomes`


class Recorder(Protocol):
    """What the routes of a domain tell their decisions to."""

    def ids(self, n: int, at: datetime) -> list[str]:
        """New ids [n] for what is decided at an instant (UTC): they tell its day, so that `trace` finds it."""

    def record(self, domain: str, rows: Sequence[Row]) -> None:
        """Write `rows`, all of one type. Never raises: what cannot be written is counted."""


INSTANT = pl.Datetime("us", "UTC")


#: What every domain logs of a decision; its own columns follow.
COMMON: dict[str, pl.DataType] = {
    "decision_id": pl.String(),  # unique
    "decided_at": INSTANT,
    "version": pl.Int32(),  # 0 where nothing could decide
    "bundle": pl.String(),
    "companions": pl.String(),  # ids of mutable inputs that were used; "" if none
    "role": pl.String(),  # champion, canary, or default: answered by default because nothing could decide
    "slice": pl.String(),
    "outcome": pl.String(),  # one of the domain's `Outcomes`
}
