"""What drills need of a domain: small data, bundles that are worse or merely other, and a day of traffic."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl

#: Makes a bundle like another at a path, sound in itself and with answers of its own.
Variant = Callable[[Path, Path], Path]


@dataclass(frozen=True)
class Rehearsal:
    """The material of a domain's drills. All of it is simulated."""

    seed: int  # of the small simulation
    start: datetime  # midnight UTC of the first day; the last day is kept for the traffic
    wronging: Variant  # wrongs many in one slice
    lenient: Variant  # lets pass what the sound one stops
    stricter: Variant  # a sound one that decides a little otherwise
    looser: Callable[[Path, Path, int], Path]  # wrongs a few more with every step
    traffic: Callable[[Path, datetime], pl.DataFrame]  # (raw files, midnight UTC) → the events of that day
    decided: Callable[
        [Any, pl.DataFrame], pl.DataFrame
    ]  # (predictor, events) → slice, outcome and the log's own columns
    poisoned: Callable[[Path, Path], Path]  # (raw files, out) → labels as who poisons them would leave them
    outage: str  # the scenario in which labels of some hours are lost, two days before the last
    surge: str  # the scenario in which adverse decisions are rightly many more, on the day before the last
