"""A target on trial: flat loads at one rate after another, each on a target that has recovered from the one before."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headgate.contract.requests import Population, Requests, Target
from headgate.errors import HeadgateError
from headgate.load.generator import Heard, Limits, Progress, run
from headgate.load.limit import Over
from headgate.load.measured import FAILURES, LATE, Measured
from headgate.load.objective import Judged, Objective, judge_load
from headgate.load.report import ADVICE
from headgate.load.schedule import Schedule

#: Answers that are no sign of load: going on would tell nothing.
REFUSED = ("HTTP 401", "HTTP 403", "HTTP 404", "HTTP 429")

#: A step lasts at most so many times what was asked for, where few requests make it longer.
STRETCH = 4.0

#: Connections, at least and at most.
FEWEST, MOST_CONNECTIONS = 8, 512

#: Of a probe: requests, seconds between two, and seconds for the target to recover in.
PROBES, BETWEEN, RECOVERY = 5, 0.03, 30.0

#: Times the objective, but at least so many seconds, that an answer is waited for.
PATIENCE, LONG = 40.0, 2.0

#: A target drowns when it is behind by this many times the objective, but at least by so many seconds.
DROWNS, BEHIND = 8.0, 0.5

#: The share of failures at which a step is given up.
GIVEN_UP = 0.05


@dataclass
class Trial:
    """Loads of a domain's tagged requests on one target."""

    requests: Requests
    target: Target
    objective: Objective
    seconds: float = 5.0  # of a step
    tag: str = ""
    seed: int = 0
    until: float = math.inf  # of `time.monotonic`: no step begins later
    told: Callable[[str], None] = lambda _: None  # of what is under way
    _loads: int = field(default=0, repr=False)

    def attempt(self, rate: float) -> Judged:
        """A flat step at `rate` requests a second, once the target has recovered.

        Raises `Over` when the time is over, KeyboardInterrupt where it was interrupted, HeadgateError where the target
        refuses the requests or does not recover.
        """
        if time.monotonic() >= self.until:
            raise Over
        self.recover()
        seconds = min(max(self.seconds, self.objective.least / rate), STRETCH * self.seconds)
        self.told(f"{rate:,.0f}/s for {seconds:.0f} s")
        measured = self.load(Schedule(rate, seconds))
        judged = judge_load(measured, self.objective)
        ended = f"broke: {judged.why}" if judged.why else "kept"
        self.told(f"{rate:,.0f}/s: {self.objective.name} {1000 * judged.latency:,.1f} ms, {ended}")
        return judged

    def load(self, schedule: Schedule, progress: Progress | None = None, *, to_the_end: bool = False) -> Measured:
        """What came of a load; unless `to_the_end`, it ends where the target drowns. Ctrl-C is KeyboardInterrupt."""
        self._loads += 1
        due = schedule.due(self.seed + self._loads)
        population = self.requests.draw(len(due), self.target, seed=self.seed, tag=self.tag)
        rate, objective = schedule.rate, self.objective.seconds
        # Twice as many as are busy when answers take as long as they may: a target that keeps up is never waited for.
        connections = min(max(FEWEST, math.ceil(2 * rate * objective)), MOST_CONNECTIONS)
        limits = Limits(
            connections,
            queue=None,
            patience=max(PATIENCE * objective, LONG),
            drowned=None if to_the_end else max(connections, math.ceil(rate * max(DROWNS * objective, BEHIND))),
            failures=None if to_the_end else math.ceil(10 + max(GIVEN_UP, 2 * self.objective.failures) * len(due)),
        )
        measured = self._run(due, population, limits, progress=progress)
        _refuse(measured)
        if measured.interrupted:
            raise KeyboardInterrupt
        return measured

    def greet(self) -> None:
        """Wait until the target keeps the objective. Raises HeadgateError at once where it is no Headgate."""
        bodies: list[bytes] = []
        failures = self._probe(lambda _number, _status, body: bodies.append(body)).failures()
        if not any(self.requests.decided in body for body in bodies) and FAILURES[LATE] not in failures:
            why = ", ".join(failures) or "its answers hold no decision"
            advice = ADVICE.get(next(iter(failures), ""), ADVICE["HTTP 404"])
            raise HeadgateError(
                f"No Headgate that decides on {self.requests.events} answers at {self.target.address} ({why}). {advice}"
            )
        self.recover()

    def recover(self, patience: float = RECOVERY) -> None:
        """Wait until the target answers a few requests as fast as it should."""
        deadline, why = time.monotonic() + patience, ""
        while True:
            try:
                measured = self._probe()
                good = measured.latency[measured.good]
                if len(good) > PROBES // 2 and float(np.median(good)) <= self.objective.seconds:
                    if measured.pending[measured.good].mean() < 0.5:
                        return
                    why = "its decisions are given by default: its counters are away"
                else:
                    slow = f"it takes {1000 * float(np.median(good)):,.0f} ms for one request" if len(good) else ""
                    why = slow or ", ".join(measured.failures())
            except HeadgateError as error:
                if not self._loads or isinstance(error, _Refused):
                    raise
                if isinstance(error.__cause__, ConnectionRefusedError):  # one that is only busy lets it wait
                    raise HeadgateError(
                        f"Nothing answers at {self.target.address} any more: it died, or somebody stopped it. Look at "
                        "its log before going on."
                    ) from error
                why = str(error)
            if time.monotonic() >= deadline:
                raise HeadgateError(
                    f"{self.target.address} does not keep {self.objective} with nothing else to do ({why}): the game "
                    f"day waited {patience:.0f} s. Look at it before going on."
                )

    def _probe(self, heard: Heard | None = None) -> Measured:
        due = np.linspace(0, (PROBES - 1) * BETWEEN, PROBES)
        population = self.requests.draw(PROBES, self.target, seed=self.seed, tag=self.tag)
        limits = Limits(2, queue=None, patience=max(PATIENCE * self.objective.seconds, LONG))
        measured = self._run(due, population, limits, heard=heard)
        _refuse(measured)
        if measured.interrupted:
            raise KeyboardInterrupt
        return measured

    def _run(self, due: NDArray[np.float64], population: Population, limits: Limits, **told: Any) -> Measured:
        return run(self.target, due, population.request, limits, by_default=self.requests.by_default, **told)


class _Refused(HeadgateError):
    """The target does not want these requests, however few they are."""


def _refuse(measured: Measured) -> None:
    for why, count in measured.failures().items():
        if why in REFUSED:
            raise _Refused(f"The game day is over: {count:,} requests were answered {why}. {ADVICE[why]}")
