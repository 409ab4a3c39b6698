"""Drift: what is distributed as ever is not mentioned, what moved is named."""

from datetime import timedelta

import numpy as np
import polars as pl
import pytest

from headgate.decisions.drift import LEAST, drifted, psi
from headgate.decisions.layout import log_folder
from headgate.settings import Settings

from .made import START, make_log

COLUMNS = ("score", "features[3]")


@pytest.fixture
def days(settings: Settings) -> Settings:
    """The version decides from the evening before the first of three days on."""
    for number in range(3):
        make_log(settings, 4_000, seed=number, start=START + timedelta(days=number))
    return settings


def since_day(settings: Settings, day: int) -> list[tuple[str, str]]:
    found = drifted(settings, "adclicks", 1, START - timedelta(hours=6), COLUMNS, (START + timedelta(days=day)).date())
    return [(one.slice, one.column) for one in found]


def test_days_alike_have_not_drifted(days: Settings) -> None:
    assert since_day(days, 2) == []


def test_what_moved_in_a_slice_is_named(days: Settings) -> None:
    for path in (log_folder(days, "adclicks") / f"{START + timedelta(days=2):%Y-%m-%d}").glob("*.parquet"):
        rows = pl.read_parquet(path)
        higher = pl.when(pl.col("slice") == "desktop").then(pl.col("score") + 0.5).otherwise("score")
        rows.with_columns(score=higher.cast(pl.Float32)).write_parquet(path)
    assert since_day(days, 2) == [("desktop", "score")]


def test_a_version_is_not_held_against_its_own_first_day(days: Settings) -> None:
    assert since_day(days, 0) == []


def test_few_rows_show_nothing(settings: Settings) -> None:
    make_log(settings, LEAST)
    make_log(settings, LEAST, start=START + timedelta(days=1), against=0.9)
    assert since_day(settings, 1) == []


def test_the_index_is_that_of_the_textbook() -> None:
    random = np.random.default_rng(1)
    reference, same = random.normal(size=(2, 50_000)).astype(np.float32)
    assert psi(reference, same) < 0.01
    assert psi(reference, same + 1) > 0.25
    halves = np.repeat([0.0, 1.0], 500).astype(np.float32)
    tilted = np.repeat([0.0, 1.0], [250, 750]).astype(np.float32)
    assert psi(halves, tilted) == pytest.approx(0.25 * np.log(1.5) + 0.25 * np.log(2))
