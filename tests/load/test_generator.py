"""What happens to requests is measured from when they were due, and nothing that fails is lost sight of."""

import os
import signal
import time

import numpy as np
import pytest

from headgate.contract.requests import Target
from headgate.errors import HeadgateError, UsageError
from headgate.load.generator import Limits, run
from headgate.load.measured import Measured

from .servers import Queue, answering, ok

FEW = Limits(connections=2, patience=10)


def asked(address: str, due: np.ndarray, limits: Limits = FEW, **told) -> Measured:
    target = Target(address, "/v1/rooms/decisions")
    return run(
        target, due, lambda number, wall: target.whole(b"%d" % number), limits, by_default=b'"pending":true', **told
    )


def test_every_request_is_answered_when_it_is_due():
    due = np.linspace(0, 0.2, 100)
    with answering(lambda number: ok()) as address:
        measured = asked(address, due)
    assert measured.failed == 0
    assert measured.good.all()
    assert (measured.latency >= measured.waited).all()
    assert (measured.waited >= 0).all()
    assert measured.seconds >= 0.2
    assert measured.connections == 2
    assert measured.bytes_received == 100 * len(ok())


def test_a_stall_shows_in_every_request_that_fell_due_meanwhile():
    stall, began = 0.4, []

    def answer(number: int) -> bytes:
        if number == 20:
            began.append(time.time())
            time.sleep(stall)
        return ok()

    with answering(answer) as address:
        measured = asked(address, np.linspace(0, 1, 200))
    assert measured.failed == 0
    assert measured.latency.max() >= stall
    since = measured.due + measured.started - began[0]
    meanwhile = (since > 0) & (since < stall / 2)
    assert meanwhile.sum() > 20
    # Two connections: all but two waited for theirs, and a clock that starts when they are sent would not show it.
    assert (measured.latency[meanwhile] > stall / 2 - 0.01).all()
    assert (measured.waited[meanwhile] > stall / 2 - 0.01).sum() >= meanwhile.sum() - 2


def test_a_connection_that_is_lost_costs_one_request_and_is_opened_anew():
    with answering(lambda number: None if number == 10 else ok()) as address:
        measured = asked(address, np.linspace(0, 0.2, 50))
    assert measured.failures() == {"connection lost before the answer": 1}
    assert measured.good.sum() == 49
    assert measured.connections == 3


def test_a_server_that_closes_after_every_answer_loses_none():
    closing = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"
    with answering(lambda number: closing) as address:
        measured = asked(address, np.linspace(0, 0.2, 20))
    assert measured.failed == 0
    assert measured.connections >= 20


def test_an_answer_in_parts_is_one_answer():
    parts = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n[1\r\n3\r\n,2]\r\n0\r\n\r\n"
    heard = []
    with answering(lambda number: parts) as address:
        asked(address, np.zeros(3), heard=lambda number, status, body: heard.append((number, status, body)))
    assert sorted(heard) == [(n, 200, b"[1,2]") for n in range(3)]


def test_statuses_garbage_and_answers_by_default_are_counted():
    answers = {
        0: ok(status="503 Service Unavailable"),
        1: b"SSH-2.0-OpenSSH_9.2\r\n",
        2: ok(b'{"pending":true}'),
        3: ok(b'[{"pending":true},{"pending":true},{}]'),
    }
    with answering(lambda number: answers.get(number, ok())) as address:
        measured = asked(address, np.linspace(0, 0.1, 10), Limits(connections=1))
    assert measured.failures() == {"an answer that is not HTTP": 1, "HTTP 503": 1}
    assert measured.pending.sum() == 3


def test_what_is_not_answered_in_time_is_given_up():
    with answering(lambda number: ok() if number else b"") as address:
        measured = asked(address, np.linspace(0, 0.5, 11), Limits(connections=1, patience=0.2))
    assert measured.status[0] == -2
    assert measured.failures()["no answer in time"] >= 1
    assert measured.status[-1] == 200


def test_no_more_requests_wait_than_may():
    with answering(lambda number: b"") as address:
        measured = asked(address, np.linspace(0, 0.2, 100), Limits(connections=1, queue=10, patience=0.4))
    dropped, late = (
        measured.failures()[why] for why in ("dropped, since too many waited for a connection", "no answer in time")
    )
    assert (dropped, late) == (89, 11)


def test_all_at_once_keeps_the_connections_busy_until_it_is_stopped():
    with answering(lambda number: ok()) as address:
        measured = asked(address, np.zeros(1_000_000), Limits(connections=3, queue=None, patience=60, stop=0.2))
    assert measured.failed == 0
    assert 100 < measured.good.sum() < 1_000_000


def test_ctrl_c_ends_it_with_what_there_is():
    def heard(number: int, status: int, body: bytes) -> None:
        if number == 5:
            os.kill(os.getpid(), signal.SIGINT)

    with answering(lambda number: ok()) as address:
        measured = asked(address, np.linspace(0, 60, 6000), heard=heard)
    assert measured.interrupted
    assert measured.failed == 0
    assert 6 <= measured.good.sum() < 3000


def test_where_nothing_listens_it_says_what_to_start():
    with pytest.raises(HeadgateError, match="start it with `headgate serve`"):
        asked("http://127.0.0.1:9", np.zeros(1))


@pytest.mark.parametrize("address", ["127.0.0.1:8000", "https://example.org", "http://127.0.0.1:8000/v1", "http://a:b"])
def test_what_is_no_address_is_refused(address: str):
    with pytest.raises(UsageError, match="write it as http"):
        asked(address, np.zeros(1))


@pytest.mark.parametrize(("limit", "what"), [({"drowned": 50}, "slow"), ({"failures": 5}, "failing")])
def test_a_load_that_is_lost_ends_early_and_what_was_due_is_told(limit: dict[str, int], what: str):
    """Of what was not due by then there is nothing; nothing that was due is lost sight of."""
    queue = Queue(100) if what == "slow" else None
    with answering(lambda number: ok(status="500 Fault" if what == "failing" else "200 OK"), queue) as address:
        measured = asked(address, np.linspace(0, 20, 20_000), Limits(connections=20, queue=None, **limit))
    assert measured.ended_early
    assert not measured.interrupted
    due = int((measured.status != 0).sum())
    assert due < 2_000
    assert (measured.status[:due] != 0).all()
    assert measured.good.sum() + measured.failed == due
    assert measured.failed >= 5
