"""The histogram of request times has the bounds that the served domains ask for, whichever app was built before."""

from dataclasses import replace

import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.middleware import Middleware
from starlette.testclient import TestClient

from headgate.contract.limits import QUICK, Runtime
from headgate.domain import Domain
from headgate.serving import metrics
from headgate.serving.app import build
from headgate.settings import load

from ..toy import ROOMS

#: A domain whose requests carry an image: seconds are usual.
SLOW = Runtime(slow_seconds=2.0, histogram=(0.5, 1.0, 2.0, 5.0))


def _kind(name: str, runtime: Runtime) -> Domain:
    return replace(ROOMS, name=name, limits=replace(ROOMS.limits, runtime=runtime), routes=lambda host: [])


def _bounds(*domains: Domain) -> set[float]:
    """The bounds that an app which serves `domains` tells Prometheus, after a request."""
    app = build(domains, load())
    assert any(one.cls is metrics.Timed for one in app.user_middleware if isinstance(one, Middleware))
    client = TestClient(app)  # not entered: nothing is followed
    assert client.get("/healthz").status_code == 200
    for family in text_string_to_metric_families(client.get("/metrics").text):
        if family.name == "headgate_request_seconds":
            told = [s for s in family.samples if s.labels.get("path") == "/healthz" and s.name.endswith("_bucket")]
            assert {sample.value for sample in told if sample.labels["le"] == "+Inf"} == {1.0}
            return {float(sample.labels["le"]) for sample in told} - {float("inf")}
    raise AssertionError("no request was timed")


@pytest.fixture(autouse=True)
def _home(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADGATE_HOME", str(tmp_path))


def test_what_is_served_is_timed_by_the_bounds_of_all_of_it() -> None:
    assert _bounds(_kind("rooms", Runtime())) == set(QUICK)
    assert _bounds(_kind("images", SLOW)) == set(SLOW.histogram)
    assert _bounds(_kind("rooms", Runtime()), _kind("images", SLOW)) == {*QUICK, *SLOW.histogram}


def test_a_slow_request_that_could_not_be_counted_is_refused_as_it_is_declared() -> None:
    with pytest.raises(ValueError, match="slow_seconds = 3 is none of the histogram's bounds"):
        Runtime(slow_seconds=3.0, histogram=(1.0, 2.0))
