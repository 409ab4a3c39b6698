"""The search finds the rate at which a server of known capacity breaks its objective, whatever else disturbs it."""

from collections.abc import Callable
from functools import cache

import numpy as np
import pytest

from headgate.errors import HeadgateError
from headgate.load.limit import Found, Over, search
from headgate.load.measured import Measured
from headgate.load.objective import Judged, Objective, judge_load
from headgate.load.schedule import Schedule

SECONDS, AIM = 5.0, Objective()


def served(rate: float, capacity: float, seed: int, stall: float = 0.0) -> Judged:
    """A flat load on one who serves `capacity` a second, each in the same time; after two it stalls for a while."""
    seconds = max(SECONDS, AIM.least / rate)
    due = Schedule(rate, seconds).due(seed)
    ready = np.where((due > 2) & (due < 2 + stall), 2 + stall, due)
    turn = np.arange(len(due)) / capacity
    done = turn + np.maximum.accumulate(ready - turn) + 1 / capacity  # Lindley's recursion
    measured = Measured.nothing(due)
    measured.latency[:], measured.waited[:], measured.status[:] = done - due, 0.0, 200
    measured.seconds = seconds
    return judge_load(measured, AIM)


@cache
def true_limit(capacity: float) -> float:
    """The rate at which steps break, on average over many (Spearman and Kärber's estimate)."""
    rates, width = np.linspace(0.5 * capacity, 1.05 * capacity, 56, retstep=True)
    broke = [[bool(served(rate, capacity, 10_000 + seed).why) for seed in range(60)] for rate in rates]
    return float(rates[0] + (1 - np.mean(broke, axis=1)).sum() * width)


def found(attempt: Callable[[float], Judged], first: float = 50, most: float = 20_000) -> Found:
    return search(attempt, first=first, most=most)


def on_a_queue(capacity: float, seed: int, disturbed: float = 0.0) -> Found:
    """A search on a server that a share of the steps finds stalled for a fifth of a second."""
    random, number = np.random.default_rng(seed), iter(range(100_000 * seed, 100_000 * (seed + 1)))
    return found(lambda rate: served(rate, capacity, next(number), 0.2 if random.random() < disturbed else 0.0))


@pytest.mark.parametrize("capacity", [120, 700, pytest.param(3_000, marks=pytest.mark.nightly)])
def test_the_limit_is_found_within_a_few_percent(capacity: float) -> None:
    ratios = np.array([on_a_queue(capacity, seed).rate for seed in range(6)]) / true_limit(capacity)
    assert ratios == pytest.approx(1, abs=0.08)


def test_a_machine_that_pauses_now_and_then_is_not_taken_for_the_limit() -> None:
    """Every tenth step breaks by itself, at any rate."""
    ratios = np.array([on_a_queue(700, seed, 0.1).rate for seed in range(12)]) / true_limit(700)
    assert ratios == pytest.approx(1, abs=0.1)


def verdict(why: str = "", *, ours: bool = False) -> Judged:
    return Judged(1000, 0.1 if why else 0.01, 0.0, 0.0, 0.1, why, ours)


def steep(limit: float, **told: bool) -> Callable[[float], Judged]:
    return lambda rate: verdict("latency" if rate > limit else "", **told)


def test_a_limit_below_the_first_rate_is_found_too() -> None:
    assert found(steep(37), first=500).rate == pytest.approx(37, rel=0.03)


def test_one_that_never_breaks_is_no_limit() -> None:
    one = found(steep(1e9), most=3_000)
    assert (one.limited, one.rate, one.high) == ("most", 3_000, 3_000)


def test_a_generator_that_is_late_is_named_and_not_the_target() -> None:
    assert found(steep(800)).limited == "target"
    assert found(steep(800, ours=True)).limited == "generator"


@pytest.mark.parametrize(("end", "limited"), [(Over, "time"), (KeyboardInterrupt, "interrupted")])
def test_what_ends_early_keeps_what_was_tried(end: type[BaseException], limited: str) -> None:
    tried = []

    def attempt(rate: float) -> Judged:
        if len(tried) == 8:
            raise end
        tried.append(rate)
        return steep(800)(rate)

    one = found(attempt)
    assert (one.limited, len(one.steps)) == (limited, 8)
    assert one.rate == pytest.approx(800, rel=0.3)


def test_what_ends_early_is_not_fooled_by_pauses_at_low_rates() -> None:
    paused, kept, broken = [True, False, False], [False], [True, True]
    outcomes = iter([*paused, *paused, *kept, *kept, *broken])  # at 100, 200, 400, 800 and 1600

    def attempt(rate: float) -> Judged:
        broke = next(outcomes, None)
        if broke is None:
            raise Over
        return verdict("latency" if broke else "")

    one = found(attempt, first=100)
    assert (one.limited, one.rate) == ("time", pytest.approx(np.sqrt(800 * 1600)))


def test_a_target_that_dies_ends_it_with_the_reason_and_one_that_never_lived_is_an_error() -> None:
    def dies(rate: float) -> Judged:
        if rate > 300:
            raise HeadgateError("it is gone")
        return verdict()

    one = found(dies)
    assert (one.limited, one.failed, one.high) == ("failed", "it is gone", 200)
    with pytest.raises(HeadgateError, match="it is gone"):
        found(dies, first=400)
    assert "Even 1 request" in found(steep(0)).failed
