"""Drift: what is distributed as ever is not mentioned, what moved is named."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import polars as pl
import pytest

from headgate.decisions.drift import LEAST, drifted, psi
from headgate.settings import Settings

from .made import LOG, SLICES, START, make_rows, write_part

#: A log that has a vector too.
OF_BOTH = replace(LOG, own={**LOG.own, "vector": pl.Array(pl.Float32, 4)})
COLUMNS = ("degrees", "vector[3]")

HOTTER = {"degrees": pl.when(pl.col("slice") == "cellar").then(pl.col("degrees") + 9).otherwise("degrees")}


def log_day(settings: Settings, number: int, n: int = 4_000, **moved: pl.Expr) -> None:
    """A day of readings, with columns as in `moved`; the numbers of the vector are the degrees as they were."""
    rows = make_rows(n, seed=number, start=START + timedelta(days=number))
    rows = rows.with_columns(vector=pl.concat_arr("degrees", "degrees", "degrees", "degrees"))
    write_part(settings, rows.with_columns(**moved), OF_BOTH)


def since_day(settings: Settings, day: int) -> list[tuple[str, str]]:
    """What moved on a day; the version decides from the evening before the first one on."""
    began, when = START - timedelta(hours=6), (START + timedelta(days=day)).date()
    return [(one.slice, one.column) for one in drifted(settings, OF_BOTH, 1, began, COLUMNS, when)]


def test_days_alike_have_not_drifted(settings: Settings) -> None:
    for number in range(3):
        log_day(settings, number)
    assert since_day(settings, 2) == []


def test_what_moved_in_a_slice_is_named(settings: Settings) -> None:
    log_day(settings, 0)
    log_day(settings, 2, **HOTTER)
    assert since_day(settings, 2) == [("cellar", "degrees")]


def test_a_number_of_a_vector_that_moved_is_named_by_its_place(settings: Settings) -> None:
    log_day(settings, 0)
    log_day(settings, 2, vector=pl.concat_arr("degrees", "degrees", "degrees", pl.col("degrees") + 9))
    assert sorted(since_day(settings, 2)) == [(name, "vector[3]") for name in SLICES]


def test_a_version_is_not_held_against_its_own_first_day(settings: Settings) -> None:
    log_day(settings, 0)
    assert since_day(settings, 0) == []


def test_few_rows_show_nothing(settings: Settings) -> None:
    log_day(settings, 0, LEAST)
    log_day(settings, 1, LEAST, degrees=pl.col("degrees") + 9)
    assert since_day(settings, 1) == []


def test_the_index_is_that_of_the_textbook() -> None:
    random = np.random.default_rng(1)
    reference, same = random.normal(size=(2, 50_000)).astype(np.float32)
    assert psi(reference, same) < 0.01
    assert psi(reference, same + 1) > 0.25
    halves = np.repeat([0.0, 1.0], 500).astype(np.float32)
    tilted = np.repeat([0.0, 1.0], [250, 750]).astype(np.float32)
    assert psi(halves, tilted) == pytest.approx(0.25 * np.log(1.5) + 0.25 * np.log(2))
