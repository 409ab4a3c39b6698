"""The rate at which a target breaks its objective: up by doubling, then up and down around the limit.

A machine that pauses for a moment breaks an objective at any rate. So on the way up what breaks is tried again, and two
of three count. Near the limit no single rate counts: it goes up where the objective was kept and down where it was not,
in steps that are halved whenever the direction turns and doubled again where it does not for long. What it settles
around is the rate that breaks as often as not (Dixon & Mood, 1948); the estimate is the geometric mean of the rates
that it settled on.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from headgate.errors import HeadgateError
from headgate.load.objective import Judged

#: The first step up or down around the limit, the last, and how many of the last are averaged; as logarithms.
COARSE, FINE, SETTLED = math.log(2) / 4, 0.03, 12

#: So many outcomes alike in a row, and the steps are doubled again.
ALIKE = 4

#: Around the limit no more steps than this are made, however it wanders.
LONGEST = 80

#: Where even this many requests a second break the objective, there is nothing to search.
LOWEST = 1.0

#: What ended the search; `time`: it was over before the rate settled.
Limited = Literal["target", "generator", "most", "time", "failed", "interrupted"]


@dataclass(frozen=True)
class Step:
    """A flat load at a rate, and what it showed."""

    rate: float  # requests a second
    judged: Judged

    @property
    def broke(self) -> bool:
        """Whether the objective was broken."""
        return bool(self.judged.why)


@dataclass
class Found:
    """The limit. `rate` is NaN where too little was tried to tell it; a lower bound unless `limited` by the target."""

    steps: list[Step] = field(default_factory=list)
    rate: float = math.nan  # requests a second
    low: float = math.nan  # the lowest that broke near the limit …
    high: float = math.nan  # … and the highest that kept the objective
    limited: Limited = "interrupted"
    failed: str = ""  # why it could not go on


class Over(Exception):
    """The time for the search is over; told by what tries a step."""


def search(attempt: Callable[[float], Judged], *, first: float, most: float) -> Found:
    """Find the rate from which on `attempt` breaks more often than not, between `first` and `most` a second.

    `attempt` raises `Over`, KeyboardInterrupt or HeadgateError to end the search, with what there is; what it raises
    before its first step is raised.
    """
    found = Found()

    near: list[tuple[float, bool]] = []

    def step(rate: float) -> Step:
        found.steps.append(Step(rate, attempt(rate)))
        return found.steps[-1]

    try:
        broken = _climb(step, first, most)
        if broken is None:
            found.rate, found.limited = most, "most"
        else:
            found.limited = "target"
            _settle(step, broken, most, near)
    except (Over, KeyboardInterrupt) as end:
        found.limited = "time" if isinstance(end, Over) else "interrupted"
    except HeadgateError as error:
        if not found.steps:
            raise
        found.limited, found.failed = "failed", str(error)
    _estimate(found, near)
    return found


def _climb(step: Callable[[float], Step], first: float, most: float) -> float | None:
    """Double the rate until two of three steps break; the rate that did, None where even `most` does not."""
    rate, kept = min(first, most), False
    while True:
        if _breaks(step, rate):
            if kept:
                return rate
            if rate <= LOWEST:
                raise HeadgateError(
                    f"Even {LOWEST:g} request a second breaks the objective: look at the target, or ask for less."
                )
            rate = max(rate / 2, LOWEST)  # even the first is too much: down until one is kept
        elif rate >= most:
            return None
        elif rate < first:
            return 2 * rate
        else:
            kept, rate = True, min(2 * rate, most)


def _breaks(step: Callable[[float], Step], rate: float) -> bool:
    """Whether two of three steps break; the first that keeps the objective settles it at once."""
    return step(rate).broke and (step(rate).broke or step(rate).broke)


def _settle(step: Callable[[float], Step], broken: float, most: float, near: list[tuple[float, bool]]) -> None:
    """Go up and down from below the rate that broke, until the finest steps go about as often up as down.

    `near` gets the rates of these finest steps, and whether they broke.
    """
    at, width = math.log(broken) - math.log(2) / 2, COARSE
    outcomes: list[bool] = []  # since the width was last doubled
    for _ in range(LONGEST):
        at = min(max(at, math.log(LOWEST)), math.log(most))
        rate = math.exp(at)
        broke = step(rate).broke
        if width <= FINE:
            near.append((rate, broke))
        if outcomes and outcomes[-1] != broke:
            width = max(width / 2, FINE)
        outcomes.append(broke)
        if len(near) == SETTLED and abs(sum(broke for _, broke in near) - SETTLED / 2) <= 1:
            return
        if len(near) == SETTLED or (len(outcomes) >= ALIKE and len(set(outcomes[-ALIKE:])) == 1):
            width, outcomes = min(2 * width, math.log(2)), []
            near.clear()
        at += -width if broke else width
    raise Over


def _estimate(found: Found, near: list[tuple[float, bool]]) -> None:
    """The limit from the rates that it settled on; where the search ended before, from all that was tried."""
    tried = near or [(step.rate, step.broke) for step in found.steps]
    broken, kept = ([rate for rate, broke in tried if broke is side] for side in (True, False))
    found.low, found.high = min(broken, default=math.nan), max(kept, default=math.nan)
    if near:
        found.rate = float(np.exp(np.mean([np.log(rate) for rate, _ in near])))
    elif found.limited != "most" and broken and kept:
        found.rate = _cut(tried)
    late = [step.judged.ours for step in found.steps if step.broke][-SETTLED:]
    if found.limited == "target" and sum(late) > len(late) / 2:
        found.limited = "generator"


def _cut(tried: list[tuple[float, bool]]) -> float:
    """The rate that tells those that broke from those that did not with the fewest exceptions, in the middle of all
    that do; `tried` has some of both."""
    rates = np.unique([rate for rate, _ in tried])
    cuts = np.sqrt(rates[1:] * rates[:-1]) if len(rates) > 1 else rates
    wrong = np.array([sum(broke == (rate < cut) for rate, broke in tried) for cut in cuts])
    return float(np.exp(np.mean(np.log(cuts[wrong == wrong.min()]))))
