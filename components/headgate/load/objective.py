"""The latency objective of a service, and whether a load kept it."""

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from headgate.errors import UsageError
from headgate.load.measured import UNSENT, Measured

#: A generator that takes more of a core than this is late by itself.
BUSY = 0.85

#: Requests beyond a quantile that it takes to tell the quantile.
BEYOND = 10


@dataclass(frozen=True)
class Objective:
    """So many of the requests are answered within a time; and few fail, and few decisions are given by default."""

    name: str = "p99"
    quantile: float = 0.99
    seconds: float = 0.05
    failures: float = 0.001  # the share of requests that may fail
    by_default: float = 0.05  # the share of decisions that may be given without counters

    def __str__(self) -> str:
        """As people say it."""
        return f"{self.name} ≤ {1000 * self.seconds:g} ms"

    @property
    def least(self) -> int:
        """How many requests tell the quantile."""
        return round(BEYOND / (1 - self.quantile))


def read_objective(text: str, failures: float, by_default: float) -> Objective:
    """The objective that is written as p99=50ms. Raises UsageError for what is none."""
    found = re.fullmatch(r"p(\d{1,2}(?:\.\d{1,2})?) *(?:=|<=|≤) *(\d+(?:\.\d+)?) *(ms|s)", text.strip(), re.ASCII)
    quantile, seconds = (
        (float(found[1]) / 100, float(found[2]) / (1000 if found[3] == "ms" else 1)) if found else (0, 0)
    )
    if not found or not 0 < quantile < 1 or not seconds:
        raise UsageError(f"{text!r} is no objective: write p99=50ms, p99.9=200ms or p50=5ms.")
    for name, share in (("failures", failures), ("by-default", by_default)):
        if not 0 <= share < 1:
            raise UsageError(f"--{name} {share:g} is no share: give one from 0 to below 1, for example 0.001.")
    return Objective(f"p{found[1]}", quantile, seconds, failures, by_default)


@dataclass(frozen=True)
class Judged:
    """What a load showed; latency in seconds, infinite where too few were answered to know it."""

    requests: int  # that fell due
    latency: float  # the objective's quantile, from due to answered
    failed: float  # share
    by_default: float  # share
    generator: float  # what the generator took of one core
    why: str  # what broke the objective: latency, failures, by default; empty where it was kept
    ours: bool  # it broke because requests were sent late, and not because they were answered late


def judge_load(measured: Measured, objective: Objective) -> Judged:
    """Whether `measured`, of one click a request, kept the objective."""
    sent = measured.status != UNSENT
    number = int(sent.sum())
    if not number:
        return Judged(0, float("nan"), 0.0, 0.0, 0.0, "", False)
    total = _quantile(measured.latency[sent], objective.quantile)
    started = np.isfinite(measured.waited)
    served = _quantile((measured.latency - measured.waited)[started], objective.quantile)
    failed, by_default = measured.failed / number, float(measured.pending[sent].sum()) / number
    share = measured.cpu / measured.seconds if measured.seconds else 0.0
    why = "latency" if total > objective.seconds else ""
    why = why or ("failures" if failed > objective.failures else "")
    why = why or ("by default" if by_default > objective.by_default else "")
    ours = bool(why) and why != "by default" and (share > BUSY or served <= objective.seconds < total)
    return Judged(number, total, failed, by_default, share, why, ours)


def _quantile(latency: NDArray[np.float32], quantile: float) -> float:
    """Of `latency` [n] in seconds; what has none was not answered, and is later than all others."""
    if not len(latency):
        return float("inf")
    found = np.nan_to_num(latency.astype(np.float64), nan=np.inf)
    return float(np.quantile(found, quantile, method="inverted_cdf"))
