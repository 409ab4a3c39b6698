"""THE contract: what a domain must supply. A domain is a value, not a subclass.

Every step takes folders and fills a folder, so the same function is a Prefect task, a DVC stage and a unit under test.
A step fills `out`, an empty folder that takes its place in `work` when the step ends well; it may read what stands in
`work` from the steps before it (``work/"snapshot"`` and so on) and nothing else.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, Protocol

import polars as pl

from headgate.data.profile import Expectation, Profile
from headgate.gate.checks import Check
from headgate.serving.host import Host
from headgate.settings import Settings


@dataclass(frozen=True)
class Request:
    """What a run is asked for: all that was known at `as_of`, from `source`; with `base`, that bundle's model again."""

    source: str
    as_of: datetime
    base: str | None = None
    seed: int = 0

    def recalibrating(self, bundle: Path) -> "Request":
        """The same request for the model of `bundle`, to be calibrated again and not trained."""
        return replace(self, base=str(bundle))


@dataclass(frozen=True)
class Metric:
    """A ratio of sums over units: ``Σ numerator / Σ denominator``.

    `direction` is +1 where more is better and -1 where less is. `unit` is what observations are paired by. Its truth
    comes late by `maturity_hours`.
    """

    name: str
    title: str
    direction: Literal[1, -1]
    unit: str
    maturity_hours: float


class Predictor(Protocol):
    """A loaded version: it decides clicks, or forecasts load. Serving, batches, replay and evaluation all ask it."""

    def decide(self, batch: pl.DataFrame) -> pl.DataFrame:
        """Decide every row of `batch`; rows come back in the same order."""
        ...


#: A part of the decision log: its id, and rows of it in the order in which they were decided.
Part = tuple[str, pl.DataFrame]

#: Reads the logged parts of [since, until).
Read = Callable[[datetime, datetime], Iterator[Part]]


class Imported(Protocol):
    """What an import wrote; a dataclass, so that a program can read it."""

    def words(self, out: Path) -> str:
        """What is in `out` now, and what to do next."""
        ...


class Exported(Protocol):
    """What was written of the decision log in the raw schema; a dataclass, so that a program can read it."""

    def words(self) -> str:
        """What is there now."""
        ...


@dataclass(frozen=True)
class Comparison:
    """Limits on a metric against the champion on the same units."""

    metric: str
    margin: float  # non-inferiority overall: the lower end of the paired interval must lie above -margin
    slice_margin: float  # harm in one slice smaller than this is not refused even where it is shown


@dataclass(frozen=True)
class Watch:
    """What the watch rolls back for: shares of the units known to be good, in a slice, on a UTC day."""

    units: str  # what they are, in words: users known to be good
    wronged: float  # at most this share may be wronged by the champion …
    newly: float  # … and this share wronged where the version before it would not have
    after: int = 1  # decisions against it that wrong a unit
    slices: int = 16  # slices that are tested on their own, the first ones of a day; the others count in all traffic
    alpha: float = 1 / 1000  # false rollbacks a day, over all slices and tests
    drifting: tuple[str, ...] = ()  # logged numbers whose distribution is followed; drift only alerts


@dataclass(frozen=True)
class Limits:
    """What the gate demands of a candidate, in one place for each domain."""

    comparisons: tuple[Comparison, ...]
    latency_ratio: float  # against the champion in the same process
    confidence: float = 0.95
    slice_alpha: float = 0.01  # family-wise level of all slice tests, by Holm
    shadow_decisions: int = 0  # live decisions that a candidate must have been held against in the shadow first
    watch: Watch | None = None  # None: nothing rolls back by itself


@dataclass(frozen=True)
class Live:
    """What a domain supplies of its live decisions. The log, the watch, the shadow and replays are made of it."""

    logged: Mapping[str, pl.DataType]  # the domain's own columns of a row of the decision log
    export: Callable[[Settings, Path, str | None], Exported]  # (…, out, outcomes): the log → the raw schema
    redecide: Callable[[Any, pl.DataFrame], pl.DataFrame]  # (predictor, logged rows) → slice, score, threshold, against
    recompute: Callable[[Read, datetime, datetime], Iterator[Part]]  # the parts of [since, until), their inputs rebuilt
    watched: Callable[[pl.DataFrame], pl.DataFrame]  # logged rows → unit, slice, good (null: not known), against
    rehearsed: pl.Expr | None = None  # which logged rows a game day made; None: none ever does


@dataclass(frozen=True)
class Domain:
    """Everything that differs between domains, and nothing else."""

    name: str
    title: str
    snapshot: Callable[[Request, Path], None]
    profile: Callable[[Path], Profile]
    expectations: Sequence[Expectation]
    train: Callable[[Path, Path], None]
    calibrate: Callable[[Path, Path], None]
    evaluate: Callable[[Path, Path, Path], None]  # (bundle, work, out): any version on the test rows, its lines first
    judge: Callable[[Path, Path | None], list[Check]]  # the domain's own checks: (work, champion's evaluation or None)
    plots: Callable[[Path, Path], None]  # (work, out): the pictures a reviewer wants
    metrics: tuple[Metric, ...]
    limits: Limits
    load: Callable[[Path], Predictor]
    decide: Callable[[Path, Path, Path], tuple[int, int]]  # (bundle, raw files, out file) → rows, and of them noticed
    noticed: str  # what a noticed row is, in words: invalid, outside its band
    score: Callable[[Path, Path, datetime | None], tuple[int, list[dict[str, Any]], dict[str, Any]]]
    routes: Callable[[Host], list[Any]]  # they tell its recorder every decision before it is answered
    simulate: Callable[..., None]  # (out, *, days, scenario, seed, start, on_day, and the sizes that `demo` shows)
    scenarios: Mapping[str, str]  # what `simulate` can play, by name, each in a line
    demo: Mapping[str, int]  # days and sizes of the demonstration
    bring_in: Callable[..., Imported]  # (source, out, *, format, mapping, tz, facts): foreign files → the raw schema
    live: Live | None = None  # None: it answers nothing that is logged
    promotion: Literal["auto", "review"] = "auto"


def late(place: str) -> Callable[..., Any]:
    """The function at `place` ("package.module:name"), imported when it is first called.

    Naming a domain must load no model library: `headgate --help` answers at once.
    """
    module, _, name = place.partition(":")

    def call(*arguments: Any, **named: Any) -> Any:
        return getattr(import_module(module), name)(*arguments, **named)

    return call
