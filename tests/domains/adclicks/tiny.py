"""A tiny real bundle of the domain adclicks."""

from pathlib import Path

import numpy as np
import onnx
import polars as pl
from onnx import TensorProto, helper

from headgate.domains.adclicks.features.kernel import COUNTER_SCHEMA, FEATURES
from headgate.domains.adclicks.features.slices import LEAVES
from headgate.domains.adclicks.model.predictor import Predictor
from headgate.files import write_json
from headgate.registry.bundles import seal_bundle
from headgate.registry.golden import GOLDEN


def make_bundle(parent: Path, name: str, bias: float = 0.0, golden_shift: float | None = 0.0) -> Path:
    """A bundle whose score is sigmoid(clicks of the user in a minute - 3 + bias); invalid from 0.5 on.

    `golden_shift` falsifies the golden scores; None leaves the golden answers out.
    """
    parts = parent / f"{name}-parts"
    parts.mkdir(parents=True)
    weight = np.zeros((len(FEATURES), 1), np.float32)
    weight[FEATURES.index("user_clicks_1m")] = 1.0
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["features", "weight"], ["product"]),
            helper.make_node("Add", ["product", "bias"], ["sum"]),
            helper.make_node("Sigmoid", ["sum"], ["column"]),
            helper.make_node("Squeeze", ["column", "axis"], ["score"]),
        ],
        "tiny",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["n", len(FEATURES)])],
        [helper.make_tensor_value_info("score", TensorProto.FLOAT, ["n"])],
        [
            helper.make_tensor("weight", TensorProto.FLOAT, weight.shape, weight.ravel()),
            helper.make_tensor("bias", TensorProto.FLOAT, [1], [bias - 3.0]),
            helper.make_tensor("axis", TensorProto.INT64, [1], [1]),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, str(parts / "model.onnx"))
    write_json(parts / "thresholds.json", {leaf: {"slice": leaf.split("/")[0], "threshold": 0.5} for leaf in LEAVES})
    described = {"domain": "adclicks", "counter_schema": COUNTER_SCHEMA, "features": list(FEATURES)}
    write_json(parts / "bundle.json", described)
    if golden_shift is not None:
        rng = np.random.default_rng(0)
        inputs = pl.DataFrame(rng.integers(0, 9, (20, len(FEATURES))).astype(np.float32), schema=list(FEATURES))
        inputs = inputs.with_columns(device=pl.lit("mobile"))
        expected = Predictor(parts).decide(inputs).with_columns(pl.col("score") + golden_shift)
        inputs.hstack(expected.rename(lambda column: f"expected_{column}")).write_parquet(parts / GOLDEN)
    seal_bundle([parts], parent / name)
    return parent / name
