"""A loaded version: scores by ONNX Runtime, thresholds by slice. Serving, batch, replay and evaluation decide here."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from headgate.domains.adclicks.features.kernel import COUNTER_SCHEMA, FEATURES
from headgate.domains.adclicks.features.slices import LEAVES, device_codes, leaf
from headgate.errors import HeadgateError, UsageError
from headgate.files import read_json
from headgate.registry.bundles import card
from headgate.settings import load

MODEL = "model.onnx"
THRESHOLDS = "thresholds.json"

#: Rows scored in one call: bounds the memory of a batch of millions.
CHUNK = 65_536


@dataclass(frozen=True)
class Decisions:
    """Decisions of n clicks: score [n] in [0, 1], leaf [n] into `LEAVES`, threshold [n], invalid [n]."""

    score: NDArray[np.float32]
    leaf: NDArray[np.int64]
    threshold: NDArray[np.float32]
    invalid: NDArray[np.bool_]


class Predictor:
    """The net of a bundle with its thresholds. A click is invalid where its score reaches its slice's threshold."""

    def __init__(self, bundle: Path) -> None:
        """Load what `bundle` holds; it is verified by whoever fetched it."""
        import onnxruntime as ort

        described = card(bundle)
        if described["counter_schema"] != COUNTER_SCHEMA or tuple(described["features"]) != FEATURES:
            raise HeadgateError(
                f"The bundle in {bundle} was made for counters of schema {described['counter_schema']}, "
                f"this Headgate counts by schema {COUNTER_SCHEMA}: retrain, or serve it with the Headgate that made it."
            )
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self._session = ort.InferenceSession(bundle / MODEL, options, providers=_providers())
        self._outputs = [output.name for output in self._session.get_outputs()]
        thresholds = read_json(bundle / THRESHOLDS)
        #: The pooled slice of each leaf, and its threshold [len(LEAVES)]; +inf never invalidates.
        self.slices: tuple[str, ...] = tuple(thresholds[name]["slice"] for name in LEAVES)
        values = [thresholds[name]["threshold"] for name in LEAVES]
        self.thresholds = np.array([np.inf if value is None else value for value in values], dtype=np.float32)

    def score(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Scores [n] of feature vectors [n, d]."""
        if 0 < len(features) <= CHUNK:
            return self._score(features)
        parts = [self._score(features[start : start + CHUNK]) for start in range(0, len(features), CHUNK)]
        return np.concatenate(parts) if parts else np.empty(0, np.float32)

    def _score(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        scores: NDArray[np.float32] = self._session.run(self._outputs, {"features": features})[0]
        return scores

    def decide_vectors(self, features: NDArray[np.float32], device: NDArray[np.int64]) -> Decisions:
        """Decide clicks by feature vectors [n, d] and device codes [n]: the path without a data frame."""
        score = self.score(features)
        leaves = leaf(device, features)
        threshold = self.thresholds[leaves]
        return Decisions(score, leaves, threshold, score >= threshold)

    def decide(self, batch: pl.DataFrame) -> pl.DataFrame:
        """Decide rows that have the columns `FEATURES` and `device`: score, slice, threshold (null: never), invalid."""
        vectors = batch.select(FEATURES).cast(pl.Float32).to_numpy().astype(np.float32, order="C")
        decided = self.decide_vectors(vectors, device_codes(batch["device"]))
        threshold = pl.Series("threshold", decided.threshold)
        return pl.DataFrame(
            {
                "score": decided.score,
                "slice": np.array(self.slices, dtype=object)[decided.leaf],
                "threshold": threshold.set(threshold.is_infinite(), None),
                "invalid": decided.invalid,
            },
            schema_overrides={"slice": pl.String},
        )


def _providers() -> list[str]:
    """What ONNX Runtime computes on, as HEADGATE_ONNX says; raises UsageError where that is not at hand."""
    import onnxruntime as ort

    if load().onnx == "cpu":
        return ["CPUExecutionProvider"]
    if "CUDAExecutionProvider" not in ort.get_available_providers():
        raise UsageError("HEADGATE_ONNX=cuda needs a GPU and `pip install onnxruntime-gpu` in place of onnxruntime.")
    return ["CUDAExecutionProvider", "CPUExecutionProvider"]
