"""The evaluate step: any version on the test rows, as a scorecard metric × slice × model and the values behind it."""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from headgate.calibration.curves import curve
from headgate.contract.observations import ALL, observations, units_of
from headgate.contract.results import Gap
from headgate.domains.adclicks.data.schema import DEVICES
from headgate.domains.adclicks.features.kernel import FEATURES
from headgate.domains.adclicks.features.slices import LEAVES
from headgate.domains.adclicks.limits import ALPHA
from headgate.domains.adclicks.model import baselines, table
from headgate.domains.adclicks.model.measures import measure
from headgate.domains.adclicks.model.predictor import Predictor
from headgate.domains.adclicks.model.table import Rows
from headgate.domains.adclicks.stages.train import BASELINES
from headgate.errors import DataRefused
from headgate.files import read_json, write_json
from headgate.gate.change import ROWS
from headgate.gate.compare import UNITS
from headgate.gate.ratios import ratio

#: Rows whose answers a fresh process must reproduce before the bundle serves.
GOLDEN_ROWS = 256

#: Rows × resamples that the bootstrap of the AUCs may cost.
BOOTSTRAP_WORK = 20_000_000


def step(bundle: Path, work: Path, out: Path) -> None:
    """Evaluate `bundle` on the test rows of `work`: scorecard, units, rows and golden answers in `out`."""
    rows = table.rows(work, "test")
    if not rows.bought.any() or len(rows) < 2:
        raise DataRefused(
            f"The test rows hold {len(rows):,} clicks and {int(rows.bought.sum()):,} purchasing ones, "
            "so nothing can be judged on them: give more days, or check the feed of purchases."
        )
    evaluate(bundle, rows, out)


def evaluate(bundle: Path, rows: Rows, out: Path) -> list[dict[str, Any]]:
    """Write the scorecard of the version in `bundle` and of its baselines on `rows` to `out`, and return it."""
    predictor = Predictor(bundle)
    decided = predictor.decide_vectors(rows.x, rows.device)
    scores = {"net": decided.score} | dict(baselines.scores(bundle / BASELINES, rows.x))
    limits = {"net": decided.threshold}
    for name, thresholds in read_json(bundle / BASELINES / "thresholds.json").items():
        values = [np.inf if thresholds[leaf] is None else thresholds[leaf] for leaf in LEAVES]
        limits[name] = np.array(values, dtype=np.float32)[rows.leaf]
    card: list[dict[str, Any]] = []
    for name in baselines.NAMES:
        units = _units(rows, scores[name], scores[name] >= limits[name])
        card += [{"model": name, **line} for line in _lines(units)]
        if name == "net":
            units.write_parquet(out / UNITS)
    card += _budgeted(rows, scores)
    write_json(out / "scorecard.json", card)
    write_json(out / "differences.json", _differences(rows, scores))
    pl.DataFrame(
        {
            "key": rows.click_id,
            "unit": rows.user,
            "slice": pl.Series(np.array(LEAVES, dtype=object)[rows.leaf], dtype=pl.String),
            "good": rows.bought,
            "outcome": np.where(decided.invalid, "invalid", "valid"),
            "human": rows.human,
            "heavy": rows.heavy,
            **{f"score_{name}": values for name, values in scores.items()},
        }
    ).write_parquet(out / ROWS)
    _golden(predictor, rows, out)
    return card


def _units(rows: Rows, score: NDArray[np.float32], invalid: NDArray[np.bool_]) -> pl.DataFrame:
    """Numerators and denominators of every metric by slice and user; "all" is everything."""
    leaves = pl.Series(np.array(LEAVES, dtype=object)[rows.leaf], dtype=pl.String)
    facts = {"invalid": invalid, "bought": rows.bought, "heavy": rows.heavy}
    clicks = pl.DataFrame({"user": rows.user, "slice": leaves} | facts)
    ranked = [
        _ranked(clicks.with_columns(slice=where), _placements(rows, score, within_leaf=within))
        for where, within in ((pl.col("slice"), True), (pl.lit(ALL), False))
    ]
    # AUCs are not sums over slices: the placement of a click among all others is another one than in its slice.
    auc = pl.concat(ranked).group_by("metric", "slice", "unit").agg(pl.col("numerator", "denominator").sum())
    return pl.concat([units_of(measure(clicks)), auc.filter(pl.col("denominator") > 0)]).sort("metric", "slice", "unit")


def _ranked(clicks: pl.DataFrame, placed: NDArray[np.float64]) -> pl.DataFrame:
    """The AUC's observations, from the placements [n] of the purchasing clicks."""
    place = pl.lit(pl.Series(placed)).fill_nan(0.0)
    counted = pl.col("bought") & pl.lit(pl.Series(~np.isnan(placed)))
    return observations(clicks, "auc", unit=pl.col("user"), numerator=place, denominator=counted)


def _placements(rows: Rows, score: NDArray[np.float32], *, within_leaf: bool) -> NDArray[np.float64]:
    """The share [n] of other clicks that score above each purchasing one, ties by half: its mean is the AUC."""
    place = np.full(len(rows), np.nan)
    for leaf in np.unique(rows.leaf) if within_leaf else [None]:
        mine = np.full(len(rows), True) if leaf is None else rows.leaf == leaf
        others = np.sort(score[mine & ~rows.bought])
        good = mine & rows.bought
        if len(others) and good.any():
            above = len(others) - np.searchsorted(others, score[good], side="right")
            level = len(others) - np.searchsorted(others, score[good], side="left") - above
            place[good] = (above + level / 2) / len(others)
    return place


def _lines(units: pl.DataFrame) -> list[dict[str, Any]]:
    """Scorecard lines of one model."""
    lines = []
    for (metric, name), group in units.group_by("metric", "slice", maintain_order=True):
        estimate = ratio(group["numerator"].to_numpy(), group["denominator"].to_numpy(), share=True)
        lines.append({"metric": metric, "slice": name, **asdict(estimate)})
    return lines


def _budgeted(rows: Rows, scores: Mapping[str, NDArray[np.float32]]) -> list[dict[str, Any]]:
    """What each model would invalidate at most if exactly α, or a tenth, of these purchasing clicks were wronged.

    Read off the very rows it is reported on, so it compares rankings; it is no operating point.
    """
    lines = []
    for name, score in scores.items():
        c = curve(score, rows.bought)
        for budget in (ALPHA, 0.10):
            point = int(np.searchsorted(c.h, np.floor(budget * c.h[-1] + 1e-9), side="right")) - 1
            line = {"model": name, "metric": f"ivr_at_fpr_{budget:g}", "slice": "all", "units": int(c.h[-1])}
            lines.append(line | {"value": float(c.n[point] / c.n[-1]), "low": None, "high": None})
    return lines


def _differences(rows: Rows, scores: Mapping[str, NDArray[np.float32]]) -> dict[str, dict[str, Any]]:
    """AUC of the net minus each baseline's, with the paired bootstrap interval of resampling whole users."""
    users, user = np.unique(rows.user, return_inverse=True)
    random = np.random.default_rng(0)
    aucs = {name: _weighted_auc(score, rows.bought) for name, score in scores.items()}
    resamples = int(np.clip(BOOTSTRAP_WORK / len(rows), 100, 1_000))
    values = {name: [auc(np.ones(len(rows)))] for name, auc in aucs.items()}
    while len(values["net"]) <= resamples:
        weight = np.bincount(random.integers(0, len(users), len(users)), minlength=len(users))[user].astype(float)
        if weight[rows.bought].any() and weight[~rows.bought].any():
            for name, auc in aucs.items():
                values[name].append(auc(weight))
    net = np.array(values["net"])
    found = {}
    for name in list(scores)[1:]:
        gap = net - np.array(values[name])
        low, high = np.quantile(gap[1:], (0.025, 0.975))
        found[f"net − {name}"] = asdict(Gap("auc", float(gap[0]), float(low), float(high)))
    return found


def _weighted_auc(score: NDArray[np.float32], good: NDArray[np.bool_]) -> Callable[[NDArray[np.float64]], float]:
    """The AUC of scores [n] as a function of the rows' weights [n]; sorts once."""
    order = np.argsort(score, kind="stable")
    edges = np.flatnonzero(np.diff(score[order], prepend=-np.inf))
    ranked = good[order]

    def auc(weight: NDArray[np.float64]) -> float:
        weights = weight[order]
        bought = np.add.reduceat(np.where(ranked, weights, 0), edges)
        others = np.add.reduceat(np.where(ranked, 0, weights), edges)
        below = np.cumsum(bought) - bought / 2
        return float((others * below).sum() / (others.sum() * bought.sum()))  # a BLAS product here wakes all cores

    return auc


def _golden(predictor: Predictor, rows: Rows, out: Path) -> None:
    """Inputs spread over the test rows with the answers that any process must give to them."""
    chosen = np.unique(np.linspace(0, len(rows) - 1, min(GOLDEN_ROWS, len(rows))).astype(int))
    inputs = pl.DataFrame(rows.x[chosen], schema=list(FEATURES)).with_columns(
        device=pl.Series(np.array(DEVICES, dtype=object)[rows.device[chosen]], dtype=pl.String)
    )
    answers = predictor.decide(inputs)
    answers = answers.rename({name: f"expected_{name}" for name in answers.columns})
    pl.concat([inputs, answers], how="horizontal").write_parquet(out / "golden.parquet")
