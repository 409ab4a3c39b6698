"""The train step: vectors of every click that has a role, then the net and its baselines, or the base's again."""

import shutil
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from headgate.domains.adclicks import snapshot as snapshots
from headgate.domains.adclicks import table
from headgate.domains.adclicks.features import COUNTER_SCHEMA, FEATURES
from headgate.domains.adclicks.predictor import MODEL
from headgate.domains.adclicks.table import Rows
from headgate.domains.adclicks.weights import cell_weights, effective_sample_size
from headgate.errors import DataRefused
from headgate.files import read_json, write_json
from headgate.registry.bundle import CARD

#: Clicks that the net and its baselines are fitted on at most: all human ones, and a sample of the rest.
MOST_ROWS = 1_000_000

#: Fewer human clicks than this cannot be learned from.
FEWEST_HUMANS = 20

BASELINES = "baselines"


def train(work: Path, out: Path) -> None:
    """Fill `out` with `table/` (clicks and vectors), `model/` (net, baselines, card) and `training.json`."""
    snapshot = snapshots.read(work / "snapshot")
    table.build(snapshot, out / "table")
    model = out / "model"
    model.mkdir()
    if snapshot.base:
        for name in (MODEL, CARD):
            shutil.copyfile(snapshot.base / name, model / name)
        shutil.copytree(snapshot.base / BASELINES, model / BASELINES, ignore=shutil.ignore_patterns("thresholds.json"))
        write_json(out / "training.json", read_json(snapshot.base / "training.json") | {"base": True})
        return

    from headgate.domains.adclicks import baselines, net

    fit, stop = (table.rows_in(snapshot, out / "table", role) for role in ("fit", "stop"))
    for name, rows in (("older", fit), ("newer", stop)):
        if rows.human.sum() < FEWEST_HUMANS or rows.human.all():
            raise DataRefused(
                f"The {name} clicks to learn from hold {int(rows.human.sum()):,} human ones of {len(rows):,}; "
                f"at least {FEWEST_HUMANS} and some others are needed. Give more days, or check the feed of purchases."
            )
    chosen, weight = _sample(fit, snapshot.seed)
    weight = weight * cell_weights(fit)[chosen]
    fitted = net.Sample(fit.x[chosen], (~fit.human[chosen]).astype(np.float32), weight / weight.mean())
    held = net.Sample(stop.x, (~stop.human).astype(np.float32), cell_weights(stop))
    trained, losses = net.train(fitted, held, seed=snapshot.seed)
    net.export(trained, model / MODEL)
    baselines.train(fitted, held, model / BASELINES, seed=snapshot.seed)
    write_json(
        model / CARD,
        {"domain": "adclicks", "counter_schema": COUNTER_SCHEMA, "features": list(FEATURES), "score": "not human"},
    )
    write_json(
        out / "training.json",
        {
            "base": False,
            "rows": len(chosen),
            "humans": int(fit.human[chosen].sum()),
            "effective_sample_size": effective_sample_size(fitted.weight),
            "losses": losses,
        },
    )


def _sample(rows: Rows, seed: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Rows to fit on, at most `MOST_ROWS`, and their weights: one over the chance that a row had."""
    other = np.flatnonzero(~rows.human)
    room = max(MOST_ROWS - int(rows.human.sum()), MOST_ROWS // 2)
    weight = np.ones(len(rows), dtype=np.float32)
    if len(other) <= room:
        return np.arange(len(rows)), weight
    weight[other] = len(other) / room
    kept = np.random.default_rng(seed).choice(other, room, replace=False)
    chosen = np.sort(np.concatenate([np.flatnonzero(rows.human), kept]))
    return chosen, weight[chosen]
