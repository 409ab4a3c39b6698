"""What the net must be worth: logistic regression, LightGBM and a velocity rule on the same rows and weights.

They are kept in the bundle as JSON and LightGBM's own text, and are in every scorecard.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headgate.domains.adclicks.features.kernel import FEATURES
from headgate.domains.adclicks.model.sample import Sample, logs
from headgate.files import read_json, write_json

#: Models of a scorecard, the served one first.
NAMES = ("net", "lightgbm", "logistic", "rule")

LIGHTGBM = {
    "objective": "binary",
    "learning_rate": 0.05,
    "num_leaves": 31,
    "min_data_in_leaf": 50,
    "lambda_l2": 1.0,
    "feature_fraction": 0.8,
    "bagging_fraction": 0.8,
    "bagging_freq": 1,
    "verbosity": -1,
    "deterministic": True,
    "force_row_wise": True,
    "num_threads": 1,  # the same trees on any number of cores
}
LIGHTGBM_ROUNDS = 400
LIGHTGBM_PATIENCE = 30

#: The inverse strengths of the L2 of the logistic regression that are tried.
STRENGTHS = (0.01, 1.0)

#: The rule scores by one of these counts: the one that ranks the clicks best that stop the training.
RULES = tuple(name for name in FEATURES if name.startswith(("user_clicks_", "user_velocity_")))


def train(fit: Sample, parts: Sequence[tuple[Sample, Sample]], out: Path, *, seed: int) -> None:
    """Fit the baselines on `fit`, settle their one setting on `parts`, and write them to `out`.

    A part is what to fit on and what to hold that against. Several of them settle it by the mean (cross-validation).
    """
    import lightgbm
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score

    out.mkdir(parents=True)
    x = logs(fit.x)
    mean, scale = x.mean(axis=0), np.maximum(x.std(axis=0), 1e-3)

    def scaled(sample: Sample) -> NDArray[np.float32]:
        return np.asarray((logs(sample.x) - mean) / scale)

    def regression(strength: float, sample: Sample) -> LogisticRegression:
        model = LogisticRegression(C=strength, max_iter=500)
        return model.fit(scaled(sample), sample.target, sample_weight=sample.weight)

    def quality(score: NDArray[np.floating], held: Sample) -> float:
        return float(roc_auc_score(held.target, score, sample_weight=held.weight))

    tried = {strength: [regression(strength, part) for part, _ in parts] for strength in STRENGTHS}

    def merit(strength: float) -> float:
        return _mean(
            quality(model.decision_function(scaled(held)), held)
            for model, (_, held) in zip(tried[strength], parts, strict=True)
        )

    strength = max(STRENGTHS, key=merit)
    logistic = tried[strength][0] if len(parts) == 1 else regression(strength, fit)
    write_json(
        out / "logistic.json",
        {
            "mean": mean.tolist(),
            "scale": scale.tolist(),
            "coefficients": logistic.coef_[0].tolist(),
            "intercept": float(logistic.intercept_[0]),
        },
    )

    def trees(sample: Sample, rounds: int, held: Sample | None = None) -> lightgbm.Booster:
        data = lightgbm.Dataset(sample.x, sample.target, weight=sample.weight, feature_name=list(FEATURES))
        valid = [data.create_valid(held.x, held.target, weight=held.weight)] if held else []
        stop: list[Any] = [lightgbm.early_stopping(LIGHTGBM_PATIENCE, verbose=False)] if held else []
        return lightgbm.train(LIGHTGBM | {"seed": seed}, data, rounds, valid_sets=valid, callbacks=stop)

    stopped = [trees(part, LIGHTGBM_ROUNDS, held) for part, held in parts]
    rounds = round(_mean(booster.best_iteration for booster in stopped))
    booster = stopped[0] if len(parts) == 1 else trees(fit, rounds)
    (out / "lightgbm.txt").write_text(booster.model_to_string(num_iteration=rounds), encoding="utf-8")

    def ranking(name: str) -> float:
        return _mean(quality(held.x[:, FEATURES.index(name)], held) for _, held in parts)

    best = max(RULES, key=ranking)
    top = float(np.log1p(fit.x[:, FEATURES.index(best)]).max())
    write_json(out / "rule.json", {"feature": best, "top": top})


def scores(folder: Path, x: NDArray[np.float32]) -> Mapping[str, NDArray[np.float32]]:
    """Scores [n] in [0, 1] of vectors [n, d] by each baseline in `folder`."""
    import lightgbm

    logistic, rule = read_json(folder / "logistic.json"), read_json(folder / "rule.json")
    trees = lightgbm.Booster(model_str=(folder / "lightgbm.txt").read_text(encoding="utf-8"))
    count = np.log1p(x[:, FEATURES.index(rule["feature"])])
    found: dict[str, Any] = {
        "lightgbm": trees.predict(x) if len(x) else np.empty(0),
        "logistic": _logistic(logistic, x),
        "rule": np.clip(count / max(rule["top"], 1e-9), 0, 1),
    }
    return {name: np.asarray(found[name], dtype=np.float32) for name in NAMES[1:]}


def _logistic(model: dict[str, Any], x: NDArray[np.float32]) -> NDArray[np.float64]:
    scaled = (logs(x) - np.array(model["mean"])) / np.array(model["scale"])
    margin: NDArray[np.float64] = scaled @ np.array(model["coefficients"]) + model["intercept"]
    return 1 / (1 + np.exp(-margin))


def _mean(values: Iterable[float]) -> float:
    return float(np.mean(list(values)))
