"""The feature vectors against the click-by-click reference, and that none of them sees the future."""

from collections.abc import Callable
from datetime import datetime

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.domains.adclicks.features import windows
from headgate.domains.adclicks.features.addresses import ip_key
from headgate.domains.adclicks.features.kernel import COLUMNS, FEATURES, features, in_order_of_arrival
from headgate.domains.adclicks.features.windows import HISTORY, LATENESS

from ....shared import TALKINGDATA, needs
from .reference import at, frame, logs, real_clicks, reference

Vectors = Callable[[pl.DataFrame], np.ndarray]


def vectors(clicks: pl.DataFrame) -> np.ndarray:
    return features(in_order_of_arrival(clicks))


def leaky(clicks: pl.DataFrame) -> np.ndarray:
    """What must not be: beside the features, how often the user clicks in all."""
    clicks = in_order_of_arrival(clicks)
    return np.column_stack([features(clicks), clicks.select(pl.len().over("user_id"))])


def sees_the_future(of: Vectors, clicks: pl.DataFrame, cut: datetime) -> bool:
    """Whether leaving out what arrived after `cut` changes anything at or before it."""
    before = of(clicks.filter(pl.col("received_at") <= cut))
    return not np.array_equal(before, of(clicks)[: len(before)])


@given(logs())
def test_features_equal_the_reference(clicks: pl.DataFrame) -> None:
    assert np.array_equal(vectors(clicks), reference(clicks))


@given(logs(), st.integers(1, 3))
def test_distinct_counts_that_saturate_equal_the_reference(clicks: pl.DataFrame, cap: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(windows, "DISTINCT_CAP", cap)
        assert np.array_equal(vectors(clicks), reference(clicks, cap))


@needs(TALKINGDATA)
@pytest.mark.nightly
def test_features_equal_the_reference_on_real_clicks() -> None:
    clicks = real_clicks(50_000)
    found, expected = vectors(clicks), reference(clicks)
    differing = (found != expected).any(axis=0)
    assert not differing.any(), [name for name, differs in zip(FEATURES, differing, strict=True) if differs]


@given(logs(), st.data())
def test_what_arrives_later_changes_no_feature(clicks: pl.DataFrame, data: st.DataObject) -> None:
    cut = data.draw(st.sampled_from([at(0), *clicks["received_at"]]))
    assert not sees_the_future(vectors, clicks, cut)


@needs(TALKINGDATA)
@pytest.mark.nightly
def test_what_arrives_later_changes_no_feature_of_real_clicks() -> None:
    clicks = real_clicks()
    for quantile in (0.01, 0.3, 0.6, 0.99):
        cut = clicks["received_at"].quantile(quantile)
        assert not sees_the_future(vectors, clicks, cut)
        assert sees_the_future(leaky, clicks, cut)


def test_a_feature_that_sees_the_future_is_found_out() -> None:
    clicks = frame([{"click_id": str(i), "event_time": at(i), "received_at": at(i)} for i in range(3)])
    assert sees_the_future(leaky, clicks, at(1))
    assert not sees_the_future(vectors, clicks, at(1))


@given(logs(), st.data())
def test_a_day_with_its_history_has_the_features_of_the_whole_log(clicks: pl.DataFrame, data: st.DataObject) -> None:
    clicks = in_order_of_arrival(clicks)
    day = data.draw(st.sampled_from([at(0), *clicks["received_at"]]))
    history = clicks.filter(pl.col("received_at") >= day - pl.duration(microseconds=HISTORY))
    today = len(clicks.filter(pl.col("received_at") >= day))
    assert np.array_equal(features(history)[-today:], features(clicks)[-today:])


def test_less_than_history_would_not_do() -> None:
    late = HISTORY / windows.SECOND - 1
    clicks = frame(
        [
            {"click_id": "0", "event_time": at(0), "received_at": at(0)},
            {"click_id": "1", "event_time": at(late - LATENESS / windows.SECOND), "received_at": at(late)},
        ]
    )
    assert features(clicks)[-1, FEATURES.index("user_clicks_1d")] == 1
    assert features(clicks[1:])[-1, FEATURES.index("user_clicks_1d")] == 0


def test_a_repeated_id_counts_once_as_its_first_arrival() -> None:
    clicks = frame(
        [
            {"click_id": "a", "event_time": at(0), "received_at": at(2), "user_id": "later"},
            {"click_id": "a", "event_time": at(0), "received_at": at(1), "user_id": "first"},
            {"click_id": "b", "event_time": at(3), "received_at": at(3), "user_id": "first"},
        ]
    )
    assert in_order_of_arrival(clicks)["user_id"].to_list() == ["first", "first"]


def test_of_copies_that_arrive_in_one_instant_the_first_in_the_log_counts() -> None:
    rows = [{"click_id": str(i % 50), "event_time": at(0), "received_at": at(0), "user_id": str(i)} for i in range(500)]
    kept = in_order_of_arrival(frame(rows))
    assert dict(zip(kept["click_id"], kept["user_id"], strict=True)) == {str(i): str(i) for i in range(50)}


@pytest.mark.parametrize(
    ("ip", "key"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8::1", "2001:db8::/64"),
        ("2001:DB8:0:0:ffff::1", "2001:db8::/64"),
        ("2001:db8:0:1::", "2001:db8:0:1::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("9f2c", "9f2c"),
        ("not:an:address", "not:an:address"),
    ],
)
def test_an_ip_counts_for_its_network(ip: str, key: str) -> None:
    assert ip_key(ip) == key


def test_an_empty_log_has_no_vectors() -> None:
    assert features(frame([])).shape == (0, len(FEATURES))


def test_only_the_named_columns_are_needed() -> None:
    clicks = frame([{"click_id": "0", "event_time": at(0), "received_at": at(0)}])
    assert set(clicks.columns) == set(COLUMNS)
    assert np.isfinite(features(clicks)).all()
