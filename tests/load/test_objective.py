"""Whether a load kept its objective, and whose fault it was where it did not."""

import numpy as np
import pytest

from headgate.errors import UsageError
from headgate.load.measured import DROPPED, LATE, UNSENT, Measured
from headgate.load.objective import Judged, judge_load, read_objective

AIM = read_objective("p99=50ms", 0.001, 0.05)


def measured(latency: float = 0.01, waited: float = 0.0, cpu: float = 0.1, n: int = 1000) -> Measured:
    one = Measured.nothing(np.linspace(0, 1, n))
    one.latency[:], one.waited[:], one.status[:] = latency, waited, 200
    one.seconds, one.cpu = 1.0, cpu
    return one


def test_objectives_are_read_as_people_write_them() -> None:
    assert str(AIM) == "p99 ≤ 50 ms"
    assert read_objective("p99.9 = 0.2s", 0, 0).seconds == pytest.approx(0.2)
    assert AIM.least == 1000
    for text in ("99=50ms", "p99=50", "p0=5ms", "p99=0ms", "fast"):
        with pytest.raises(UsageError, match="write p99=50ms"):
            read_objective(text, 0, 0)
    with pytest.raises(UsageError, match="--failures 1"):
        read_objective("p99=50ms", 1, 0)


def why(one: Measured) -> tuple[str, bool]:
    found: Judged = judge_load(one, AIM)
    return found.why, found.ours


def test_a_hundredth_may_be_late_and_no_more() -> None:
    one = measured()
    one.latency[:10] = 1.0
    assert why(one) == ("", False)
    one.latency[:11] = 1.0
    assert why(one) == ("latency", False)


def test_what_was_not_answered_is_later_than_all_and_what_was_not_due_is_not_there() -> None:
    one = measured()
    one.latency[:20], one.status[:20] = np.nan, LATE
    assert judge_load(one, AIM).latency == np.inf
    assert why(one) == ("latency", False)
    one.status[:20] = UNSENT
    assert why(one) == ("", False)
    assert judge_load(one, AIM).requests == 980


def test_failures_and_decisions_by_default_break_it_however_quick_they_are() -> None:
    one = measured()
    one.status[:2] = 500
    assert why(one) == ("failures", False)
    one = measured()
    one.pending[:51] = 1
    assert why(one) == ("by default", False)


def test_requests_that_were_sent_late_are_the_generators_fault() -> None:
    assert why(measured(latency=0.2, waited=0.18)) == ("latency", True)
    assert why(measured(latency=0.2, waited=0.1)) == ("latency", False)
    assert why(measured(latency=0.2, cpu=0.95)) == ("latency", True)
    one = measured()
    one.latency[:20], one.waited[:20], one.status[:20] = np.nan, np.nan, DROPPED
    assert why(one) == ("latency", True)
