"""The predictor: what its thresholds mean, to the last digit, and which bundles it does not take."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import polars as pl
import pytest
from onnx import TensorProto, helper

from headgate.domains.adclicks.features.kernel import COUNTER_SCHEMA, FEATURES
from headgate.domains.adclicks.features.slices import LEAVES
from headgate.domains.adclicks.model import predictor as module
from headgate.domains.adclicks.model.predictor import Predictor
from headgate.errors import HeadgateError, UsageError
from headgate.files import write_json

GAP = FEATURES.index("user_gap_s")

Make = Callable[..., Path]


@pytest.fixture
def bundle(tmp_path: Path) -> Make:
    """A bundle whose score is the feature `user_gap_s` itself; `thresholds` by leaf, 0.5 unless told."""
    weight = np.zeros((len(FEATURES), 1), np.float32)
    weight[GAP] = 1
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["features", "weight"], ["column"]),
            helper.make_node("Squeeze", ["column", "axis"], ["score"]),
        ],
        "identity",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["n", len(FEATURES)])],
        [helper.make_tensor_value_info("score", TensorProto.FLOAT, ["n"])],
        [
            helper.make_tensor("weight", TensorProto.FLOAT, weight.shape, weight.ravel()),
            helper.make_tensor("axis", TensorProto.INT64, [1], [1]),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)

    def make(thresholds: dict[str, float | None] | None = None, **card: Any) -> Path:
        onnx.save(model, str(tmp_path / "model.onnx"))
        described = {"domain": "adclicks", "counter_schema": COUNTER_SCHEMA, "features": list(FEATURES)}
        write_json(tmp_path / "bundle.json", described | card)
        given = dict.fromkeys(LEAVES, 0.5) | (thresholds or {})
        write_json(
            tmp_path / "thresholds.json",
            {leaf: {"slice": leaf.split("/")[0], "threshold": value} for leaf, value in given.items()},
        )
        return tmp_path

    return make


def batch(score: list[float], device: list[str] | str = "mobile", **columns: list[float]) -> pl.DataFrame:
    """Clicks that the model of `bundle` gives these scores."""
    frame = pl.DataFrame({name: np.zeros(len(score), np.float32) for name in FEATURES})
    devices = [device] * len(score) if isinstance(device, str) else device
    values = {"user_gap_s": np.array(score, np.float32)} | {n: np.array(v, np.float32) for n, v in columns.items()}
    return frame.with_columns(
        **{name: pl.Series(value) for name, value in values.items()}, device=pl.Series(devices, dtype=pl.String)
    )


def test_a_null_threshold_never_invalidates(bundle: Make) -> None:
    decided = Predictor(bundle(dict.fromkeys(LEAVES))).decide(batch([0.0, 1.0, 3e38]))
    assert decided["invalid"].to_list() == [False, False, False]
    assert decided["threshold"].to_list() == [None, None, None]


def test_a_score_that_reaches_the_threshold_is_invalid_in_single_precision(bundle: Make) -> None:
    """0.1 is no float32; a threshold read off the scores must meet the very score that it was read off."""
    threshold = float(np.float32(0.1))
    below = np.nextafter(np.float32(0.1), np.float32(0))
    above = np.nextafter(np.float32(0.1), np.float32(1))
    for written in (threshold, 0.1):
        decided = Predictor(bundle(dict.fromkeys(LEAVES, written))).decide(batch([below, 0.1, above]))
        assert decided["invalid"].to_list() == [False, True, True]
        assert decided["score"].dtype == decided["threshold"].dtype == pl.Float32


def test_each_click_is_held_against_the_threshold_of_its_slice(bundle: Make) -> None:
    predictor = Predictor(bundle({"mobile/in/direct": 0.9, "mobile/out/gateway": None, "desktop/out/direct": 0.2}))
    decided = predictor.decide(
        batch(
            [0.6, 0.6, 0.6, 0.1],
            ["mobile", "mobile", "mobile", "desktop"],
            logged_in=[0, 1, 0, 0],
            ip_users_1d=[0, 0, 100, 0],
        )
    )
    assert decided["invalid"].to_list() == [True, False, False, False]
    assert decided["threshold"].to_list() == pytest.approx([0.5, 0.9, None, 0.2])
    assert decided["slice"].to_list() == ["mobile", "mobile", "mobile", "desktop"]


def test_a_device_that_is_not_known_counts_as_other(bundle: Make) -> None:
    predictor = Predictor(bundle({"other/out/direct": 0.1}))
    decided = predictor.decide(batch([0.3, 0.3, 0.3], ["fridge", "other", "mobile"]))
    assert decided["slice"].to_list() == ["other", "other", "mobile"]
    assert decided["invalid"].to_list() == [True, True, False]


@pytest.mark.parametrize("chunk", [1, 3, 10])
def test_chunks_give_the_same_answers(bundle: Make, monkeypatch: pytest.MonkeyPatch, chunk: int) -> None:
    rows = batch(np.random.default_rng(0).random(10).tolist(), ["mobile", "desktop"] * 5)
    predictor = Predictor(bundle())
    whole = predictor.decide(rows)
    monkeypatch.setattr(module, "CHUNK", chunk)
    assert predictor.decide(rows).equals(whole)
    assert predictor.decide(rows[3:7]).equals(whole[3:7])


def test_rows_come_back_in_order_and_no_rows_as_none(bundle: Make) -> None:
    predictor = Predictor(bundle())
    decided = predictor.decide(batch([0.7, 0.1, 0.9]))
    assert decided.columns == ["score", "slice", "threshold", "invalid"]
    assert decided["score"].to_list() == pytest.approx([0.7, 0.1, 0.9])
    nothing = predictor.decide(batch([]))
    assert nothing.schema == decided.schema
    assert nothing.is_empty()


def test_a_score_that_is_no_number_bills_nobody(bundle: Make) -> None:
    assert Predictor(bundle()).decide(batch([float("nan")]))["invalid"].to_list() == [False]


def test_vectors_and_frames_are_decided_alike(bundle: Make) -> None:
    predictor = Predictor(bundle())
    rows = batch([0.2, 0.8])
    fast = predictor.decide_vectors(rows.select(FEATURES).to_numpy().astype(np.float32), np.zeros(2, np.int64))
    assert fast.invalid.tolist() == predictor.decide(rows)["invalid"].to_list()


@pytest.mark.parametrize("card", [{"counter_schema": COUNTER_SCHEMA + 1}, {"features": list(FEATURES[:-1])}])
def test_a_bundle_of_other_counters_is_not_taken_and_says_what_to_do(bundle: Make, card: dict[str, Any]) -> None:
    with pytest.raises(HeadgateError, match="retrain, or serve it with the Headgate that made it"):
        Predictor(bundle(**card))


def test_a_gpu_that_is_not_there_is_refused_with_what_to_install(bundle: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADGATE_ONNX", "cuda")
    monkeypatch.setattr("onnxruntime.get_available_providers", lambda: ["CPUExecutionProvider"])
    with pytest.raises(UsageError, match="needs a GPU and `pip install onnxruntime-gpu`"):
        Predictor(bundle())
