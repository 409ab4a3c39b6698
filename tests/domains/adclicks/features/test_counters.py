"""The online counters answer what the batch features answer, to the last digit, in memory and in Redis alike."""

import typing
from datetime import UTC, datetime, timedelta

import msgspec
import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headgate.domains.adclicks.data.schema import CLICKS, DEVICES
from headgate.domains.adclicks.features import windows
from headgate.domains.adclicks.features.click import Click, micros
from headgate.domains.adclicks.features.kernel import FEATURES, features, in_order_of_arrival
from headgate.domains.adclicks.features.windows import HISTORY

from ....shared import TALKINGDATA, needs
from .reference import at, logs, network, real_clicks
from .stores import Store, arriving, click, feature, memory, stores

__all__ = ["stores"]

BOTH = pytest.mark.parametrize("kind", ["memory", "redis"])

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


def as_an_online_store_sees_it(clicks: pl.DataFrame) -> pl.DataFrame:
    """Without what it cannot know: an id from more than `HISTORY` ago, or one that another user or IP repeats."""
    ordered = clicks.sort("received_at", "click_id", maintain_order=True)
    network_of = pl.col("ip").map_elements(network, return_dtype=pl.String)
    same = [value == value.first().over("click_id") for value in (pl.col("user_id"), network_of)]
    since_first = pl.col("received_at") - pl.col("received_at").min().over("click_id")
    return ordered.filter(*same, since_first <= pl.duration(microseconds=HISTORY))


@BOTH
@given(logs(), st.sampled_from([1, 2, 3, 256]))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_counters_equal_the_features(stores: typing.Any, kind: str, clicks: pl.DataFrame, cap: int) -> None:
    clicks = as_an_online_store_sees_it(clicks)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(windows, "DISTINCT_CAP", cap)
        store: Store = stores(kind)
        posted = arriving(clicks)
        found: dict[str, np.ndarray] = {}
        for one, vector in zip(posted, store.observe(posted), strict=True):
            first = found.setdefault(one.click_id, vector)
            assert np.array_equal(vector[: feature_of_time()], first[: feature_of_time()])
        expected = features(in_order_of_arrival(clicks))
    assert np.array_equal(np.array(list(found.values()), dtype=np.float32).reshape(-1, len(FEATURES)), expected)


def feature_of_time() -> int:
    """Where the features begin that no counter tells."""
    return FEATURES.index("hour_sin")


@given(logs())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_redis_answers_what_memory_answers_whatever_ids_repeat(stores: typing.Any, clicks: pl.DataFrame) -> None:
    posted = arriving(clicks)
    assert np.array_equal(stores("redis").observe(posted), stores("memory").observe(posted))


@needs(TALKINGDATA)
@BOTH
def test_counters_equal_the_features_on_real_clicks(stores: typing.Any, kind: str) -> None:
    clicks = in_order_of_arrival(real_clicks(20_000))
    found = stores(kind).observe(arriving(clicks))
    assert found.dtype == np.float32
    assert np.array_equal(found, features(clicks))


@BOTH
def test_a_batch_is_observed_one_after_the_other(stores: typing.Any, kind: str) -> None:
    store = stores(kind)
    vectors = store.observe([click(str(i), i) for i in range(3)])
    assert [feature(vector, "user_clicks_1m") for vector in vectors] == [0, 1, 2]
    assert store.observe([]).shape == (0, len(FEATURES))


@BOTH
def test_a_repeated_click_is_answered_as_the_first_time_and_not_counted_again(stores: typing.Any, kind: str) -> None:
    store = stores(kind)
    store.observe([click("a", 0)])
    (first,) = store.observe([click("b", 1)])
    (again,) = store.observe([click("b", 30)])
    assert np.array_equal(again[: feature_of_time()], first[: feature_of_time()])
    (after,) = store.observe([click("c", 31)])
    assert feature(after, "user_clicks_1m") == feature(after, "ip_clicks_1m") == 2


@BOTH
def test_a_forged_id_does_not_hide_a_click(stores: typing.Any, kind: str) -> None:
    """Whoever repeats another's id from the same IP is counted as a user, though the IP has counted the id."""
    store = stores(kind)
    store.observe([click("a", 0, user_id="u"), click("a", 1, user_id="thief"), click("a", 2, user_id="thief")])
    (after,) = store.observe([click("b", 3, user_id="thief")])
    assert feature(after, "user_clicks_1m") == 1
    assert feature(after, "ip_clicks_1m") == 1


@BOTH
def test_an_id_is_remembered_for_history(stores: typing.Any, kind: str) -> None:
    store, history = stores(kind), HISTORY / windows.SECOND
    store.observe([click("a", 0), click("a", history), click("a", history + 1)])
    (after,) = store.observe([click("b", history + 1)])
    assert feature(after, "user_clicks_1d") == 1


@BOTH
def test_windows_are_complete_once_they_have_counted_for_history(stores: typing.Any, kind: str) -> None:
    store, now = stores(kind), datetime.now(UTC)
    soon, later = (now + timedelta(microseconds=n) for n in (HISTORY - 60_000_000, HISTORY + 60_000_000))
    clicks = [Click(f"c{n}", t, 0, "u", "s", "x", "mobile", False, received_at=t) for n, t in enumerate((soon, later))]
    assert [store.whole([one]) for one in (clicks[0], *clicks)] == [[False], [False], [True]]


@given(logs(size=12))
def test_warming_from_a_log_is_observing_each_of_its_clicks(clicks: pl.DataFrame) -> None:
    observed, warmed = memory(), memory()
    observed.observe(arriving(clicks))
    warmed.counters.warm(clicks, at(0))
    end = max([at(0), *clicks["received_at"]]) - at(0)
    after = end.total_seconds() + 180
    probes = [click(user + ip, after, user, ip) for user in "abc" for ip in ("10.0.0.1", "10.0.0.2", "x")]
    assert np.array_equal(observed.observe(probes), warmed.observe(probes))
    assert observed.counters.sizes == warmed.counters.sizes


def test_an_id_that_counts_again_does_not_keep_older_ones() -> None:
    store, history = memory(), HISTORY / windows.SECOND
    store.observe([click("a", 0), click("b", 1), click("a", history + 0.5), click("c", history + 2)])
    assert store.counters.sizes["ids"] == 2


def test_ids_beyond_the_maximum_are_forgotten_oldest_first() -> None:
    store = memory(max_ids=2)
    store.observe([click(name, i) for i, name in enumerate("abc")])
    assert (store.counters.sizes["ids"], store.counters.users.forgotten) == (2, 1)
    store.observe([click("b", 4), click("a", 5)])
    assert (store.counters.users.repeated, store.counters.users.forgotten) == (1, 2)


def test_entities_beyond_the_maximum_are_evicted_least_recently_seen_first() -> None:
    store = memory(max_entities=2)
    store.observe([click(str(i), i, user_id=user) for i, user in enumerate("abac")])
    assert store.counters.sizes["users"] == 2
    assert store.counters.users.evicted == 1
    assert feature(store.observe([click("4", 4, user_id="a")])[0], "user_clicks_1m") == 2
    assert feature(store.observe([click("5", 5, user_id="b")])[0], "user_clicks_1m") == 0


def test_idle_entities_and_old_ids_are_dropped_as_clicks_arrive() -> None:
    store = memory()
    store.observe([click(f"old{i}", 0, user_id=f"old{i}", ip=f"10.0.1.{i}") for i in range(20)])
    later = HISTORY / windows.SECOND + 1
    for i in range(20):
        store.observe([click(f"new{i}", later, user_id="new")])
        assert store.counters.sizes["users"] >= 1 + 20 - 2 * (i + 1)
    assert store.counters.sizes == {"users": 1, "ips": 1, "ids": 20}
    assert store.counters.users.evicted == store.counters.users.forgotten == 0


@BOTH
def test_an_answer_cannot_be_changed_by_who_receives_it(stores: typing.Any, kind: str) -> None:
    store = stores(kind)
    with pytest.raises(ValueError, match="read-only"):
        store.run(store.counters.observe([click("a", 0)])).vectors[0][0] = 1


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
