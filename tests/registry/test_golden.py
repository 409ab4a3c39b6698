from pathlib import Path

import polars as pl
import pytest

from headgate.errors import HeadgateError
from headgate.registry.golden import GOLDEN, agrees

GOOD = {"score": [0.25, 0.5, None], "invalid": [False, True, None], "slice": ["a", "b", None]}


class Fixed:
    """A predictor that knows one answer, and keeps what it was asked."""

    def __init__(self, answer):
        self.answer = pl.DataFrame(answer)

    def decide(self, batch):
        self.batch = batch
        return self.answer


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    expected = {f"expected_{name}": values for name, values in GOOD.items()}
    pl.DataFrame({"x": [1.0, 2.0, 3.0], "device": ["mobile"] * 3} | expected).write_parquet(tmp_path / GOLDEN)
    return tmp_path


def test_the_same_answers_agree_and_the_expected_columns_are_not_shown(bundle):
    predictor = Fixed(GOOD)
    assert agrees(bundle, predictor) == 3
    assert predictor.batch.columns == ["x", "device"]


def test_floats_may_differ_by_rounding(bundle):
    agrees(bundle, Fixed(GOOD | {"score": [0.250009, 0.5, None]}))


@pytest.mark.parametrize(
    "change",
    [
        {"score": [0.25002, 0.5, None]},
        {"score": [0.25, 0.5, 0.0]},
        {"score": [0.25, float("nan"), None]},
        {"score": [0.25, float("inf"), None]},
        {"score": ["0.25", "0.5", None]},
        {"invalid": [False, False, None]},
        {"invalid": [False, True, False]},
        {"slice": ["a", "c", None]},
        {"slice": [1, 2, None]},
    ],
)
def test_another_answer_is_named(bundle, change):
    (column,) = change
    with pytest.raises(HeadgateError, match=f"{column} of row"):
        agrees(bundle, Fixed(GOOD | change))


def test_large_floats_may_differ_in_proportion(tmp_path):
    values = [1e9, float("inf"), -float("inf"), float("nan")]
    pl.DataFrame({"x": [0] * 4, "expected_load": values}).write_parquet(tmp_path / GOLDEN)
    agrees(tmp_path, Fixed({"load": [1e9 + 1, *values[1:]]}))
    with pytest.raises(HeadgateError, match="1 of 4"):
        agrees(tmp_path, Fixed({"load": [1e9 + 1e5, *values[1:]]}))


@pytest.mark.parametrize("answer", [{"score": [0.25], "invalid": [False], "slice": ["a"]}, {"score": GOOD["score"]}])
def test_missing_rows_and_columns_do_not_agree(bundle, answer):
    with pytest.raises(HeadgateError):
        agrees(bundle, Fixed(answer))


@pytest.mark.parametrize("golden", [None, {"x": [1.0]}, {"x": [], "expected_score": []}])
def test_a_bundle_that_expects_nothing_does_not_pass(tmp_path, golden):
    if golden is not None:
        pl.DataFrame(golden).write_parquet(tmp_path / GOLDEN)
    with pytest.raises(HeadgateError, match="golden"):
        agrees(tmp_path, Fixed({"score": []}))
