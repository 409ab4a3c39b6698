"""Slow requests are told of, from what a real endpoint tells Prometheus."""

from datetime import UTC, datetime

import pytest
from prometheus_client import CollectorRegistry, Histogram, generate_latest

from headgate.contract.limits import QUICK
from headgate.decisions import latency
from headgate.decisions.latency import Counted, Latency, counted
from headgate.settings import Settings, load

from ..toy import ROOMS

NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)


#: What the rooms are given: a request that takes longer than 25 ms is slow.
SLOW = ROOMS.limits.runtime.slow_seconds


def _text(*seconds: float, path: str = "/v1/rooms/decisions") -> str:
    """What an endpoint tells after requests that took so long."""
    registry = CollectorRegistry()
    histogram = Histogram("headgate_request_seconds", "…", ["path", "status"], buckets=QUICK, registry=registry)
    for value in seconds:
        histogram.labels(path, 200).observe(value)
    return generate_latest(registry).decode()


@pytest.fixture
def here(tmp_path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("HEADGATE_HOME", str(tmp_path))
    return load()


@pytest.fixture
def look(here: Settings, monkeypatch: pytest.MonkeyPatch):
    """Look at an endpoint that tells the given text."""
    watched = Latency(here, ROOMS)

    def once(text: str):
        class Answer:
            def __init__(self) -> None:
                self.text = text

            def raise_for_status(self):
                return self

        monkeypatch.setattr(latency, "running", lambda settings: {"headgate": "http://127.0.0.1:9"})
        monkeypatch.setattr(latency.httpx, "get", lambda *_, **__: Answer())
        return watched.look(NOW)

    return once


def test_only_the_domains_own_requests_count() -> None:
    assert counted(_text(*[0.001] * 8, 0.1, 2.0), "rooms", SLOW) == Counted(10, 2)
    assert counted(_text(0.1, path="/metrics"), "rooms", SLOW) == Counted(0, 0)


def test_what_is_slow_says_the_domain() -> None:
    """An image that takes 40 ms may be quick where a row of numbers is not."""
    text = _text(*[0.04] * 10)
    assert [counted(text, "rooms", seconds).slow for seconds in (0.025, 0.05)] == [10, 0]


def test_an_endpoint_that_cannot_tell_them_apart_tells_nothing() -> None:
    assert counted(_text(*[0.04] * 10), "rooms", 0.03) == Counted(0, 0)


def test_too_many_slow_requests_since_the_last_look_are_told(look) -> None:
    quick = [0.001] * 1000
    assert look(_text(*quick)) == []
    (alert,) = look(_text(*quick, *quick, *[0.1] * 30))
    assert (alert.kind, alert.key) == ("latency", "latency:2026-01-05")
    assert alert.words.startswith("30 of 1,030 requests took longer than 25 ms")


def test_a_few_more_than_may_be_are_chance(look) -> None:
    assert look(_text(*[0.001] * 496, *[0.1] * 6)) == []


def test_few_requests_tell_nothing_and_wait_for_more(look) -> None:
    assert look(_text(*[0.1] * 300)) == []
    assert len(look(_text(*[0.1] * 600))) == 1


def test_an_endpoint_that_was_started_anew_counts_from_nothing(look) -> None:
    look(_text(*[0.001] * 5000))
    assert len(look(_text(*[0.1] * 600))) == 1


def test_where_no_endpoint_is_up_there_is_nothing_to_tell(here: Settings) -> None:
    assert Latency(here, ROOMS).look(NOW) == []
