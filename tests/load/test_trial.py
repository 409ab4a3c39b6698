"""A trial on a real server whose capacity is set by a clock: what it finds, when it gives up, and what it waits for."""

import re
import time
from dataclasses import dataclass

import pytest

from headgate.contract.requests import Requests, Target
from headgate.errors import HeadgateError
from headgate.load.limit import Over, search
from headgate.load.objective import Objective
from headgate.load.trial import Trial

from ..rooms import DECIDE
from .servers import Queue, answering, ok


@dataclass(frozen=True)
class Readings:
    """Whoever posts readings; all say the same."""

    n: int
    target: Target
    batch: int | None = None
    seed: int = 0
    tag: str = ""

    def request(self, number: int, wall: float) -> bytes:
        return self.target.whole(b'{"room": "a", "degrees": 20.0, "guest": "%s%d"}' % (self.tag.encode(), number))


REQUESTS = Requests(DECIDE, "readings", Readings, decided=b'"decision_id":', by_default=b'"pending":true')

#: Wide of the pauses of this machine.
AIM = Objective("p90", 0.9, 0.15)


def trial(address: str, **told: object) -> Trial:
    return Trial(REQUESTS, Target(address, REQUESTS.path), AIM, **{"seconds": 1.0, "tag": "gameday:test/"} | told)  # type: ignore[arg-type]


@pytest.mark.nightly
def test_the_capacity_of_a_server_is_found_within_a_tenth() -> None:
    """Beyond what is served the queue grows: at 20 % more its wait passes the objective before the step is over."""
    with answering(lambda number: ok(), Queue(200)) as address:
        on = trial(address, seconds=1.5)
        on.until = time.monotonic() + 60
        found = search(on.attempt, first=160, most=2000)
    assert found.limited in ("target", "time")
    assert found.rate == pytest.approx(220, rel=0.15)


def test_a_target_that_drowns_is_let_go_early_and_waited_for() -> None:
    queue = Queue(200)
    with answering(lambda number: ok(), queue) as address:
        on = trial(address, seconds=20.0)
        judged = on.attempt(800)
        assert judged.why == "latency"
        assert queue.served < 1000, "of 16,000 that were planned"
        on.recover()
        assert queue.free - time.monotonic() < AIM.seconds


@pytest.mark.parametrize(
    ("status", "advice"),
    [("401 Unauthorized", "Name a token"), ("403 Forbidden", "lacks the scope"), ("429 Too Many", "raise its limit")],
)
def test_a_refusal_ends_it_at_once_with_advice(status: str, advice: str) -> None:
    seen = []

    def answer(number: int) -> bytes:
        seen.append(number)
        return ok(status=status)

    with answering(answer) as address, pytest.raises(HeadgateError, match=advice):
        trial(address).attempt(1000)
    assert len(seen) <= 5


def test_a_limit_on_the_rate_that_shows_under_load_only_is_no_limit_of_the_target() -> None:
    with answering(lambda number: ok() if number < 180 else ok(status="429 Too Many")) as address:
        found = search(trial(address, seconds=0.3).attempt, first=200, most=2000)
    assert found.limited == "failed"
    assert "raise its limit" in found.failed


def test_no_step_begins_when_the_time_is_over() -> None:
    with answering(lambda number: ok()) as address, pytest.raises(Over):
        trial(address, until=time.monotonic()).attempt(100)


def test_one_that_is_gone_is_said_at_once_to_be_gone_and_not_slow() -> None:
    with answering(lambda number: ok()) as address:
        on = trial(address, seconds=0.2)
        on.attempt(50)
    with pytest.raises(HeadgateError, match=r"Nothing answers at .* any more"):
        on.attempt(100)


def test_one_that_does_not_recover_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("headgate.load.trial.PROBES", 1)
    said = pytest.raises(
        HeadgateError, match=r"does not keep p90 ≤ 150 ms with nothing else to do \(it takes [\d,]+ ms"
    )
    with answering(lambda number: ok(), Queue(2)) as address, said as told:
        trial(address).recover(0.1)
    (took,) = re.findall(r"it takes ([\d,]+) ms", str(told.value))
    assert int(took.replace(",", "")) >= 500, "half a second in the queue, and what the machine adds"
