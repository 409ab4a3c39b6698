"""The kernel of windows against loops, and the promises of its docstring on examples."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.domains.adclicks.features import windows
from headgate.domains.adclicks.features.windows import (
    DAY,
    HISTORY,
    LATENESS,
    MINUTE,
    SECOND,
    WINDOWS,
    Window,
    counts,
    distinct,
    following,
    gap,
    timeline,
    velocity,
    window_start,
)

MIDNIGHT = 20_000 * DAY.seconds * SECOND
SMALL = Window("7s", 7, 7)

# Entity, member, seconds since the click before, delay in seconds: few values, so that ties and repeats abound.
clicks = st.lists(
    st.tuples(st.integers(0, 2), st.integers(0, 4), st.integers(0, 4), st.integers(-3, 6)), min_size=1, max_size=40
)


def one_entity(*seconds: float) -> windows.Timeline:
    """A timeline of punctual clicks of one entity."""
    times = MIDNIGHT + np.array([round(s * SECOND) for s in seconds], dtype=np.int64)
    return timeline(np.zeros(len(times), dtype=np.int64), times, times)


def held(window: Window, *seconds: float) -> list[int]:
    """How many clicks the window holds at each of one entity's."""
    return list(counts(window_start(one_entity(*seconds), window)))


@pytest.mark.parametrize("window", WINDOWS, ids=lambda window: window.name)
def test_a_window_reaches_back_between_its_length_less_a_bucket_and_its_length(window: Window) -> None:
    width, first = window.width / SECOND, 0.0
    last_of_bucket = width - 1 / SECOND
    assert held(window, first, window.seconds - 1 / SECOND) == [0, 1]
    assert held(window, first, window.seconds) == [0, 0]
    assert held(window, last_of_bucket, window.seconds - 1 / SECOND) == [0, 1]
    assert held(window, last_of_bucket, window.seconds) == [0, 0]


def test_clicks_of_one_instant_count_in_the_order_they_stand() -> None:
    assert held(MINUTE, 3, 3, 3) == [0, 1, 2]


def test_a_late_click_counts_at_the_latest_time_of_its_entity_and_only_of_its_own() -> None:
    event = MIDNIGHT + np.array([100, 40, 40]) * SECOND
    received = MIDNIGHT + np.array([100, 101, 102]) * SECOND
    line = timeline(np.array([0, 0, 1]), event, received)
    assert ((line.time - MIDNIGHT) // SECOND).tolist() == [100, 100, 40]


def test_a_clock_ahead_counts_at_its_arrival_and_one_far_behind_at_the_greatest_lateness() -> None:
    event, received = MIDNIGHT + np.array([50 * SECOND, -3 * LATENESS]), MIDNIGHT + np.array([0, 1])
    line = timeline(np.array([0, 1]), event, received)
    assert line.time.tolist() == [MIDNIGHT, MIDNIGHT + 1 - LATENESS]


def test_velocity_is_per_second_over_the_occupied_buckets() -> None:
    line = one_entity(0, 1, 2, 12, 90)
    start = window_start(line, MINUTE)  # buckets of five seconds
    assert velocity(line, MINUTE, start).tolist() == [0, 1 / 5, 2 / 5, 3 / 15, 0]


def test_gap_is_capped_by_the_longest_window_and_first_clicks_get_the_cap() -> None:
    assert gap(one_entity(0, 2.5, 2.5, 2 * DAY.seconds)).tolist() == [DAY.seconds, 2.5, 0, DAY.seconds]


def test_distinct_counts_stop_at_the_cap() -> None:
    n = windows.DISTINCT_CAP + 10
    line = one_entity(*[0.01 * i for i in range(n)])
    found = distinct(window_start(line, DAY), following(line, np.arange(n)))
    assert found.tolist() == [min(i, windows.DISTINCT_CAP) for i in range(n)]


@given(clicks)
def test_every_counter_equals_a_loop_over_earlier_clicks(rows: list[tuple[int, int, int, int]]) -> None:
    entity, member, steps, delay = (np.array(column, dtype=np.int64) for column in zip(*rows, strict=True))
    received = MIDNIGHT + np.cumsum(steps) * SECOND
    line = timeline(entity, received - delay * SECOND, received)
    start = window_start(line, SMALL)
    found = {
        "count": line.restore(counts(start)),
        "distinct": line.restore(distinct(start, following(line, member[line.order]))),
        "velocity": line.restore(velocity(line, SMALL, start)),
        "gap": line.restore(gap(line)),
        "time": line.restore(line.time),
    }
    latest: dict[int, list[tuple[int, int]]] = {0: [], 1: [], 2: []}  # second and member of an entity's clicks
    for i in range(len(rows)):
        earlier = latest[rows[i][0]]
        second = min(int(received[i]) // SECOND - rows[i][3], int(received[i]) // SECOND)
        second = max([second, *(s for s, _ in earlier)])
        inside = [(s, m) for s, m in earlier if s > second - SMALL.seconds]
        assert found["time"][i] == second * SECOND
        assert found["count"][i] == len(inside)
        assert found["distinct"][i] == len({m for _, m in inside})
        assert found["velocity"][i] == (len(inside) / (second - inside[0][0] + 1) if inside else 0)
        assert found["gap"][i] == (second - earlier[-1][0] if earlier else DAY.seconds)
        earlier.append((second, rows[i][1]))


def test_the_longest_window_reaches_a_click_that_arrived_almost_history_ago() -> None:
    received = MIDNIGHT + np.array([0, HISTORY - 1])
    line = timeline(np.array([0, 0]), received - np.array([0, LATENESS]), received)
    assert counts(window_start(line, DAY)).tolist() == [0, 1]


def test_buckets_of_a_longer_window_are_whole_buckets_of_every_shorter_one() -> None:
    assert all(longer.width % shorter.width == 0 for shorter, longer in pairwise(WINDOWS))


def test_no_clicks_are_no_trouble() -> None:
    line = one_entity()
    start = window_start(line, DAY)
    assert len(counts(start)) == len(velocity(line, DAY, start)) == len(gap(line)) == 0
    assert len(distinct(start, following(line, start))) == 0


def test_more_than_one_pass_can_hold_is_refused() -> None:
    with pytest.raises(OverflowError, match="split the rows by day"):
        timeline(np.array([0, 2**40]), np.array([0, 2**40]), np.array([0, 2**40]))
