"""What the net must be worth: logistic regression, LightGBM and a velocity rule on the same rows and weights.

They are kept in the bundle as JSON and LightGBM's own text, and are in every scorecard.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headgate.domains.adclicks.features import FEATURES
from headgate.domains.adclicks.net import Sample, logs
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

#: The rule scores by one of these counts: the one that ranks the clicks best that stop the training.
RULES = tuple(name for name in FEATURES if name.startswith(("user_clicks_", "user_velocity_")))


def train(fit: Sample, stop: Sample, out: Path, *, seed: int) -> None:
    """Fit the baselines on `fit`, settle their one setting on `stop`, and write them to `out`."""
    import lightgbm
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score

    out.mkdir(parents=True)
    x = logs(fit.x)
    mean, scale = x.mean(axis=0), np.maximum(x.std(axis=0), 1e-3)
    scaled, stopped = (x - mean) / scale, (logs(stop.x) - mean) / scale

    def ranks(strength: float) -> tuple[float, LogisticRegression]:
        model = LogisticRegression(C=strength, max_iter=500).fit(scaled, fit.target, sample_weight=fit.weight)
        return roc_auc_score(stop.target, model.decision_function(stopped), sample_weight=stop.weight), model

    _, logistic = max((ranks(strength) for strength in (0.01, 1.0)), key=lambda found: found[0])
    write_json(
        out / "logistic.json",
        {
            "mean": mean.tolist(),
            "scale": scale.tolist(),
            "coefficients": logistic.coef_[0].tolist(),
            "intercept": float(logistic.intercept_[0]),
        },
    )
    names = list(FEATURES)
    data = lightgbm.Dataset(fit.x, fit.target, weight=fit.weight, feature_name=names, free_raw_data=False)
    held = data.create_valid(stop.x, stop.target, weight=stop.weight)
    trees = lightgbm.train(
        LIGHTGBM | {"seed": seed},
        data,
        LIGHTGBM_ROUNDS,
        valid_sets=[held],
        callbacks=[lightgbm.early_stopping(LIGHTGBM_PATIENCE, verbose=False)],
    )
    (out / "lightgbm.txt").write_text(trees.model_to_string(num_iteration=trees.best_iteration), encoding="utf-8")
    quality = {
        name: roc_auc_score(stop.target, stop.x[:, FEATURES.index(name)], sample_weight=stop.weight) for name in RULES
    }
    best = max(quality, key=lambda name: quality[name])
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
