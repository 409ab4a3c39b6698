"""Requests are due when a Poisson process of the asked shape has them."""

import numpy as np
import pytest

from headgate.errors import UsageError
from headgate.load.schedule import SHAPES, Path, Schedule


def a_second(schedule: Schedule, seed: int = 0) -> np.ndarray:
    """Requests due in each second."""
    return np.histogram(schedule.due(seed), np.arange(schedule.seconds + 1))[0]


def test_flat_is_as_many_as_were_asked_for():
    due = Schedule(250, 40).due(0)
    assert len(due) == 10_000
    assert np.all(np.diff(due) >= 0)
    assert 0 <= due[0] < due[-1] <= 40


def test_arrivals_are_as_random_as_those_of_many_people():
    counts = a_second(Schedule(100, 1000))
    assert 0.8 < counts.var() / counts.mean() < 1.2  # 1 for a Poisson process, 0 for even spacing


def test_peak_rises_from_a_third_to_the_rate_and_falls_back():
    schedule = Schedule(900, 60, "peak")
    counts = a_second(schedule)
    assert counts[:3].mean() == pytest.approx(300, rel=0.15)
    assert counts[28:32].mean() == pytest.approx(900, rel=0.1)
    assert counts[-3:].mean() == pytest.approx(300, rel=0.15)
    assert len(schedule.due(0)) == 60 * 600


def test_spike_is_at_the_rate_for_a_fifth_of_the_time():
    counts = a_second(Schedule(900, 60, "spike"))
    assert counts[:24].mean() == pytest.approx(300, rel=0.1)
    assert counts[25:35].mean() == pytest.approx(900, rel=0.1)
    assert counts[36:].mean() == pytest.approx(300, rel=0.1)


def test_a_path_of_ones_own_is_followed():
    schedule = Schedule(900, 60, Path("night", (0.0, 0.0, 1.0, 0.5)))
    counts = a_second(schedule)
    assert counts[:20].sum() == 0
    assert counts[20:40].mean() == pytest.approx(450, rel=0.05)
    assert counts[38:42].mean() == pytest.approx(870, rel=0.1)
    assert counts[-2:].mean() == pytest.approx(460, rel=0.15)
    with pytest.raises(ValueError, match="its highest is 1"):
        Path("flat", (0.5, 0.5))


@pytest.mark.parametrize("shape", SHAPES)
def test_the_same_seed_asks_at_the_same_instants(shape: str):
    schedule = Schedule(300, 5, shape)
    assert np.array_equal(schedule.due(7), schedule.due(7))
    assert not np.array_equal(schedule.due(7), schedule.due(8))


def test_what_no_run_can_be_is_refused():
    with pytest.raises(UsageError, match="Choose one of"):
        Schedule(100, 1, "square")
    with pytest.raises(UsageError, match="above zero"):
        Schedule(0, 1)
    with pytest.raises(UsageError, match="lower the rate or the time"):
        Schedule(1e6, 3600)
