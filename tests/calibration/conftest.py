"""Small made-up rows for every test of calibration."""

from collections.abc import Callable

import numpy as np
import pytest

from headgate.calibration.curves import Rows

Make = Callable[..., Rows]


@pytest.fixture
def make() -> Make:
    """Rows of three unlike slices with tied scores: `make(rows, seed, users=…)`."""

    def rows(count: int = 4000, seed: int = 0, first_user: int = 0, clicks_a_user: int = 2) -> Rows:
        rng = np.random.default_rng(seed)
        slice = rng.choice(3, count, p=(0.5, 0.3, 0.2))
        robot = rng.random(count) < np.array((0.05, 0.2, 0.5))[slice]
        good = ~robot & (rng.random(count) < np.array((0.3, 0.2, 0.1))[slice])
        logit = rng.normal(np.where(robot, 2.5, 0) + 0.4 * slice)
        return Rows.of(
            score=np.round(1 / (1 + np.exp(1 - logit)), 3),
            slice=slice,
            good=good,
            user=first_user + np.arange(count) // clicks_a_user,
            unit=np.arange(count),
            caught=robot & (rng.random(count) < 0.5),
        )

    return rows
