"""The calibrate step: a threshold for each slice under one false-positive budget, with its certificate."""

import shutil
from dataclasses import asdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from headgate.calibration.calibrate import Calibration, calibrate
from headgate.calibration.curves import Rows as Scored
from headgate.domains.adclicks.features.slices import LEAVES, groups, pool
from headgate.domains.adclicks.limits import ALPHA, COVERAGE_FLOOR, DELTA, LEAST_HEAVY_USERS, LEAST_PURCHASES
from headgate.domains.adclicks.model import baselines, table
from headgate.domains.adclicks.model.predictor import THRESHOLDS, Predictor
from headgate.domains.adclicks.model.table import Rows
from headgate.domains.adclicks.stages.train import BASELINES
from headgate.files import write_json

WHO, WHAT = "purchasing users", "purchasing clicks"


def step(work: Path, out: Path) -> None:
    """Fill `out` with `bundle/` (model, thresholds, certificate) and `calibration.json`."""
    bundle = out / "bundle"
    shutil.copytree(work / "train" / "model", bundle)
    shutil.copyfile(work / "train" / "training.json", bundle / "training.json")
    a, b = table.rows(work, "tune", "stop"), table.rows(work, "certify")
    names = pool(np.bincount(a.leaf[a.bought], minlength=len(LEAVES)), LEAST_PURCHASES)
    slices, group = groups(names)

    write_json(bundle / THRESHOLDS, {name: {"slice": name, "threshold": None} for name in LEAVES})
    net = Predictor(bundle)
    published = _calibrate(a, b, net.score(a.x), net.score(b.x), slices, group, compare=True)
    write_json(
        bundle / THRESHOLDS,
        {
            leaf: {"slice": name, "threshold": (published.thresholds or {}).get(name)}
            for leaf, name in zip(LEAVES, names, strict=True)
        },
    )
    words = published.words(WHO, WHAT)
    described = asdict(published) | {"slices": slices, "words": words}
    write_json(bundle / "certificate.json", {key: described[key] for key in described if key != "comparison"})
    write_json(out / "calibration.json", described)

    theirs = {}
    scores_a, scores_b = (baselines.scores(bundle / BASELINES, rows.x) for rows in (a, b))
    for name in baselines.NAMES[1:]:
        found = _calibrate(a, b, scores_a[name], scores_b[name], slices, group, compare=False)
        theirs[name] = {leaf: (found.thresholds or {}).get(slice) for leaf, slice in zip(LEAVES, names, strict=True)}
    write_json(bundle / BASELINES / "thresholds.json", theirs)


def _calibrate(
    a: Rows,
    b: Rows,
    score_a: NDArray[np.float32],
    score_b: NDArray[np.float32],
    slices: list[str],
    group: NDArray[np.int64],
    *,
    compare: bool,
) -> Calibration:
    """Calibrate one model's scores: the path on `a`, the certificate on `b`."""
    older, newer = (
        Scored.of(score, group[rows.leaf], rows.bought, rows.user, rows.click_id.to_numpy(), rows.heavy)
        for rows, score in ((a, score_a), (b, score_b))
    )
    heavy = [len(np.unique(a.user[a.heavy & (older.slice == index)])) for index in range(len(slices))]
    floors = {name: COVERAGE_FLOOR for name, users in zip(slices, heavy, strict=True) if users >= LEAST_HEAVY_USERS}
    return calibrate(older, newer, slices, alpha=ALPHA, delta=DELTA, floors=floors, compare=compare)
