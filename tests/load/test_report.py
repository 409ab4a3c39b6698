"""Quantiles are those of what was measured; the server's own time is told by the bounds of its buckets."""

import numpy as np
import pytest

from headgate.contract.requests import Target
from headgate.load.measured import Measured
from headgate.load.report import quantiles as measured_quantiles
from headgate.load.report import report
from headgate.load.schedule import Schedule
from headgate.load.server_time import Bounds, buckets, quantiles

TEXT = """
# TYPE headgate_request_seconds histogram
headgate_request_seconds_bucket{le="0.001",path="/v1/rooms/decisions",status="200"} 90.0
headgate_request_seconds_bucket{le="0.01",path="/v1/rooms/decisions",status="200"} 98.0
headgate_request_seconds_bucket{le="+Inf",path="/v1/rooms/decisions",status="200"} 98.0
headgate_request_seconds_bucket{le="0.001",path="/v1/rooms/decisions",status="503"} 0.0
headgate_request_seconds_bucket{le="0.01",path="/v1/rooms/decisions",status="503"} 1.0
headgate_request_seconds_bucket{le="+Inf",path="/v1/rooms/decisions",status="503"} 2.0
headgate_request_seconds_bucket{le="0.001",path="/metrics",status="200"} 5.0
"""


def test_quantiles_are_latencies_that_were_measured():
    random = np.random.default_rng(0)
    latency = random.permutation(np.arange(1, 1001)).astype(np.float32) / 1000
    found = measured_quantiles(latency)
    assert found == pytest.approx({"p50": 501, "p90": 901, "p99": 991, "p99.9": 1000, "max": 1000}, abs=1e-3)


def test_the_servers_own_time_lies_between_bounds_of_its_buckets():
    after = buckets(TEXT, "/v1/rooms/decisions")
    assert after == {0.001: 90, 0.01: 99, float("inf"): 100}
    p50, p99, most = quantiles({}, after, [0.5, 0.99, 1.0])
    assert p50 == Bounds(0.0, 0.001, pytest.approx(0.001 * 50 / 90))
    assert p99 == Bounds(0.001, 0.01, pytest.approx(0.01))
    assert (most.low, most.high) == (0.01, float("inf"))


def test_what_was_there_before_the_load_does_not_count():
    after = buckets(TEXT, "/v1/rooms/decisions")
    before = {0.001: 90.0, 0.01: 90.0, float("inf"): 90.0}
    (p50,) = quantiles(before, after, [0.5])
    assert (p50.low, p50.high) == (0.001, 0.01)


@pytest.mark.parametrize("after", [{}, {0.001: 5.0, float("inf"): 9.0}])
def test_a_server_that_was_started_anew_meanwhile_tells_nothing(after):
    assert quantiles({0.001: 90.0, float("inf"): 90.0}, after, [0.5]) is None


def test_a_run_in_which_everything_failed_can_be_told():
    measured = Measured.nothing(np.linspace(0, 1, 10))
    measured.status[:] = 401
    told = report(
        measured,
        Schedule(10, 1),
        Target("http://127.0.0.1:1", "/v1/rooms/decisions"),
        batch=None,
        seed=0,
        inside=None,
    )
    assert told.failed == 10
    assert "HEADGATE_TOKEN" in told.words()
    assert told.plain()["latency"]["p99"] is None
