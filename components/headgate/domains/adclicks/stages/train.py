"""The train step: vectors of every click that has a role, then the net and its baselines, or the base's again."""

import shutil
from collections.abc import Mapping, Sequence
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np

from headgate.domains.adclicks.data import snapshots
from headgate.domains.adclicks.features.kernel import COUNTER_SCHEMA, FEATURES
from headgate.domains.adclicks.model import table
from headgate.domains.adclicks.model.predictor import MODEL
from headgate.domains.adclicks.model.sample import Sample
from headgate.domains.adclicks.model.table import Rows
from headgate.domains.adclicks.model.weights import effective_sample_size
from headgate.errors import DataRefused, HeadgateError
from headgate.files import read_json, write_json
from headgate.registry.bundles import CARD

#: Clicks that the net and its baselines are fitted on at most: all human ones, and a sample of the rest.
MOST_ROWS = 1_000_000

#: Clicks of fewer users than this, human or other, cannot be learned from, nor tell when to stop.
FEWEST_USERS = 20

#: Where too few are held out to tell when to stop, the learners hold each other out in so many turns.
FOLDS = 5

BASELINES = "baselines"


def train(work: Path, out: Path) -> None:
    """Fill `out` with `table/` (clicks and vectors), `model/` (net, baselines, card) and `training.json`."""
    snapshot = snapshots.read_snapshot(work / "snapshot")
    table.build(snapshot, out / "table")
    model = out / "model"
    model.mkdir()
    if snapshot.base:
        for name in (MODEL, CARD):
            shutil.copyfile(snapshot.base / name, model / name)
        shutil.copytree(snapshot.base / BASELINES, model / BASELINES, ignore=shutil.ignore_patterns("thresholds.json"))
        write_json(out / "training.json", read_json(snapshot.base / "training.json") | {"base": True})
        return

    fit, stop = (table.rows_in(snapshot, out / "table", (role,), most=MOST_ROWS) for role in ("fit", "stop"))
    few = min(_users(stop)) < FEWEST_USERS
    if few:
        fit = table.rows_in(snapshot, out / "table", ("fit", "stop"), most=MOST_ROWS)
    human, other = _users(fit)
    if min(human, other) < FEWEST_USERS:
        raise DataRefused(
            f"The {len(fit):,} clicks to learn from are human ones of {human:,} users and others of {other:,}; "
            f"{FEWEST_USERS} of each are needed. Give more days, or check the feed of purchases."
        )
    parts = in_turns(fit) if few else [(fit, stop)]
    write_json(out / "training.json", {"base": False} | learn(fit, parts, model, seed=snapshot.seed))


def learn(fit: Rows, parts: Sequence[tuple[Rows, Rows]], model: Path, *, seed: int) -> dict[str, Any]:
    """Fill `model` with a net and its baselines, and return the record of the training.

    Each part is what to fit on and what to stop by, and makes one member of the net; the baselines settle their setting
    by the parts and are fitted on `fit`. Raises HeadgateError where a loss is not finite.
    """
    from headgate.domains.adclicks.model import baselines, net

    samples = [(Sample.of(learned), Sample.of(held)) for learned, held in parts]
    trained = [net.train(*pair, seed=seed * len(samples) + number) for number, pair in enumerate(samples)]
    members, histories = zip(*trained, strict=True)
    losses = [_mean(epoch) for epoch in zip(*histories, strict=False)]
    if not all(isfinite(loss) for history in histories for epoch in history for loss in epoch.values()):
        raise HeadgateError(
            f"The loss was not finite after {len(losses)} epochs: look at the features and the learning rate."
        )
    net.export(members, model / MODEL)
    fitted = Sample.of(fit)
    baselines.train(fitted, samples, model / BASELINES, seed=seed)
    write_json(
        model / CARD,
        {"domain": "adclicks", "counter_schema": COUNTER_SCHEMA, "features": list(FEATURES), "score": "not human"},
    )
    return {
        "rows": len(fit),
        "humans": int(fit.human.sum()),
        "members": len(members),
        "effective_sample_size": effective_sample_size(fitted.weight),
        "losses": losses,
    }


def in_turns(rows: Rows) -> list[tuple[Rows, Rows]]:
    """`FOLDS` pairs of rows to fit on and to stop by: each user, human or not, is held out once.

    Their nets together are a cross-validation committee (Krogh & Vedelsby, NIPS 1995): all people are learned from and
    all are stopped by, where a handful held out for good would be missed in the one and too few for the other.
    """
    users, user = np.unique(rows.user, return_inverse=True)
    human = np.bincount(user, rows.human) > 0
    fold = np.empty(len(users), dtype=np.int64)
    for kind in (human, ~human):
        fold[kind] = np.arange(kind.sum()) % FOLDS
    turn = fold[user]
    return [(rows[turn != number], rows[turn == number]) for number in range(FOLDS)]


def _users(rows: Rows) -> tuple[int, int]:
    """How many users have human clicks, and how many have others."""
    return len(np.unique(rows.user[rows.human])), len(np.unique(rows.user[~rows.human]))


def _mean(epoch: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The losses of an epoch that all members trained."""
    return {name: float(np.mean([losses[name] for losses in epoch])) for name in epoch[0]}
