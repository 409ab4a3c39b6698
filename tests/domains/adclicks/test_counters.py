"""The online counters answer what the batch features answer, to the last digit, in bounded memory."""

import typing
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import msgspec
import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.domains.adclicks import windows
from headgate.domains.adclicks.counters import Counters, MemoryCounters
from headgate.domains.adclicks.events import Click, micros
from headgate.domains.adclicks.features import FEATURES, features, in_order_of_arrival
from headgate.domains.adclicks.schema import CLICKS, DEVICES
from headgate.domains.adclicks.windows import HISTORY

from .reference import at, logs, real_clicks

WIRE = {
    "click_id": "c1",
    "event_time": "2026-01-01T09:00:00.000001+09:00",
    "received_at": "2026-01-01T00:00:01Z",
    "utc_offset_min": 540,
    "user_id": "u",
    "session_id": "s",
    "ip": "192.0.2.7",
    "device": "mobile",
    "logged_in": True,
}


def arriving(clicks: pl.DataFrame) -> list[Click]:
    """The clicks of a log as they come, repeated ones as well."""
    ordered = clicks.sort("received_at", "click_id", maintain_order=True)
    return [Click(**row, device="mobile") for row in ordered.to_dicts()]


def click(click_id: str, seconds: float, user_id: str = "u", ip: str = "10.0.0.1") -> Click:
    """A punctual click."""
    time = at(seconds)
    return Click(click_id, time, 0, user_id, "s", ip, "mobile", logged_in=False, received_at=time)


def feature(vector: np.ndarray, name: str) -> float:
    return float(vector[FEATURES.index(name)])


def answers(counters: Counters, clicks: list[Click]) -> dict[str, np.ndarray]:
    """The vector of each id; one that repeats must be answered as the first time."""
    found: dict[str, np.ndarray] = {}
    for one in clicks:
        vector = counters.observe(one)
        assert np.array_equal(vector, found.setdefault(one.click_id, vector))
    return found


def without_repeats_beyond_history(clicks: pl.DataFrame) -> pl.DataFrame:
    """An online store forgets an id after `HISTORY`, a log does not."""
    since_first = pl.col("received_at") - pl.col("received_at").min().over("click_id")
    return clicks.filter(since_first <= pl.duration(microseconds=HISTORY))


@given(logs(), st.sampled_from([1, 2, 3, 256]))
def test_counters_equal_the_features(clicks: pl.DataFrame, cap: int) -> None:
    clicks = without_repeats_beyond_history(clicks)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(windows, "DISTINCT_CAP", cap)
        found = answers(MemoryCounters(), arriving(clicks))
        expected = features(in_order_of_arrival(clicks))
    assert np.array_equal(np.array(list(found.values()), dtype=np.float32).reshape(-1, len(FEATURES)), expected)


def test_counters_equal_the_features_on_real_clicks() -> None:
    clicks = in_order_of_arrival(real_clicks(20_000))
    found = MemoryCounters().observe_many(arriving(clicks))
    assert found.dtype == np.float32
    assert np.array_equal(found, features(clicks))


@given(logs(size=12))
def test_warming_from_a_log_is_observing_each_of_its_clicks(clicks: pl.DataFrame) -> None:
    observed, warmed = MemoryCounters(), MemoryCounters()
    observed.observe_many(arriving(clicks))
    warmed.warm(clicks)
    end = max([at(0), *clicks["received_at"]]) - at(0)
    after = end.total_seconds() + 180
    probes = [click(user + ip, after, user, ip) for user in "abc" for ip in ("10.0.0.1", "10.0.0.2", "x")]
    assert np.array_equal(observed.observe_many(probes), warmed.observe_many(probes))
    assert observed.sizes == warmed.sizes


def test_a_batch_is_observed_one_after_the_other() -> None:
    counters = MemoryCounters()
    vectors = counters.observe_many([click(str(i), i) for i in range(3)])
    assert [feature(vector, "user_clicks_1m") for vector in vectors] == [0, 1, 2]
    assert counters.observe_many([]).shape == (0, len(FEATURES))


def test_a_repeated_click_is_answered_as_the_first_time_and_not_counted_again() -> None:
    counters = MemoryCounters()
    counters.observe(click("a", 0))
    first = counters.observe(click("b", 1))
    assert np.array_equal(counters.observe(click("b", 30, user_id="another")), first)
    assert counters.repeated == 1
    assert feature(counters.observe(click("c", 31)), "user_clicks_1m") == 2


def test_an_id_is_remembered_for_history() -> None:
    counters, history = MemoryCounters(), HISTORY / windows.SECOND
    counters.observe_many([click("a", 0), click("a", history)])
    assert counters.repeated == 1
    counters.observe(click("a", history + 1))
    assert counters.repeated == 1
    counters.observe(click("a", history + 2))
    assert counters.repeated == 2


def test_an_id_that_counts_again_does_not_keep_older_ones() -> None:
    counters, history = MemoryCounters(), HISTORY / windows.SECOND
    counters.observe_many([click("a", 0), click("b", 1), click("a", history + 0.5), click("c", history + 2)])
    assert counters.sizes["ids"] == 2


def test_ids_beyond_the_maximum_are_forgotten_oldest_first() -> None:
    counters = MemoryCounters(max_ids=2)
    counters.observe_many([click(name, i) for i, name in enumerate("abc")])
    assert (counters.sizes["ids"], counters.forgotten) == (2, 1)
    counters.observe_many([click("b", 4), click("a", 5)])
    assert (counters.repeated, counters.forgotten) == (1, 2)


def test_entities_beyond_the_maximum_are_evicted_least_recently_seen_first() -> None:
    counters = MemoryCounters(max_entities=2)
    counters.observe_many([click(str(i), i, user_id=user) for i, user in enumerate("abac")])
    assert counters.sizes["users"] == 2
    assert counters.evicted == 1
    assert feature(counters.observe(click("4", 4, user_id="a")), "user_clicks_1m") == 2
    assert feature(counters.observe(click("5", 5, user_id="b")), "user_clicks_1m") == 0


def test_idle_entities_and_old_ids_are_dropped_as_clicks_arrive() -> None:
    counters = MemoryCounters()
    counters.observe_many([click(f"old{i}", 0, user_id=f"old{i}", ip=f"10.0.1.{i}") for i in range(20)])
    later = HISTORY / windows.SECOND + 1
    for i in range(20):
        counters.observe(click(f"new{i}", later, user_id="new"))
        assert counters.sizes["users"] >= 1 + 20 - 2 * (i + 1)
    assert counters.sizes == {"users": 1, "ips": 1, "ids": 20}
    assert counters.evicted == counters.forgotten == 0


def test_threads_lose_no_click() -> None:
    counters = MemoryCounters()
    with ThreadPoolExecutor(4) as pool:
        vectors = list(pool.map(counters.observe, [click(str(i), 0) for i in range(2000)]))
    assert sorted(feature(vector, "user_clicks_1m") for vector in vectors) == list(range(2000))


def test_an_answer_cannot_be_changed_by_who_receives_it() -> None:
    with pytest.raises(ValueError, match="read-only"):
        MemoryCounters().observe(click("a", 0))[0] = 1


def test_a_click_is_parsed_to_the_microsecond_whatever_its_zone() -> None:
    parsed = msgspec.json.decode(msgspec.json.encode(WIRE), type=Click)
    assert micros(parsed.received_at) - micros(parsed.event_time) == 999_999
    assert micros(parsed.event_time) == 1_767_225_600_000_001


def test_a_click_without_arrival_arrives_now() -> None:
    before = datetime.now(UTC)
    parsed = msgspec.convert({k: v for k, v in WIRE.items() if k != "received_at"}, Click)
    assert before <= parsed.received_at <= datetime.now(UTC)


@pytest.mark.parametrize(
    "wrong",
    [
        {"event_time": "2026-01-01T00:00:00"},
        {"user_id": ""},
        {"ip": "x" * 257},
        {"device": "toaster"},
        {"utc_offset_min": 900},
        {"rfm": 2},
        {"refm": 3},
    ],
)
def test_a_click_that_breaks_the_schema_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(WIRE | wrong, Click)


def test_a_click_has_the_columns_and_devices_of_the_schema() -> None:
    assert set(Click.__struct_fields__) == set(CLICKS)
    assert typing.get_args(Click.__annotations__["device"]) == DEVICES
