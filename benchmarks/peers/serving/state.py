"""A state folder whose registry holds a champion with the real net's shape, and weights that no training made."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest import mock

import numpy as np
import polars as pl
from numpy.typing import NDArray

from headgate import settings
from headgate.domain import get_domain
from headgate.domains.adclicks.features.kernel import COUNTER_SCHEMA, FEATURES
from headgate.domains.adclicks.features.slices import LEAVES
from headgate.domains.adclicks.model.predictor import MODEL, THRESHOLDS, Predictor
from headgate.drills.world import Scratch
from headgate.files import write_json
from headgate.registry.bundles import CARD, seal_bundle
from headgate.registry.databases import make_registry
from headgate.registry.golden import EXPECTED, GOLDEN


@dataclass(frozen=True)
class State:
    """A folder for logs, and below it a state folder with a champion, and the bundle that it has."""

    folder: Path
    bundle: Path


@contextmanager
def state() -> Iterator[State]:
    """A scratch state for the block; what reads the environment meanwhile finds it, and no other setting."""
    with TemporaryDirectory(prefix="headgate-bench-") as name, mock.patch.dict(os.environ):
        for variable in list(os.environ):
            if variable.startswith(("HEADGATE_", "MLFLOW_TRACKING")):
                del os.environ[variable]
        folder = Path(name)
        os.environ["HEADGATE_HOME"] = str(folder / "state")
        bundle = make_bundle(folder)
        here = settings.load()
        logging.getLogger("mlflow").setLevel(logging.WARNING)
        make_registry(here)
        adclicks = get_domain("adclicks")
        assert adclicks.rehearsal is not None
        scratch = Scratch(adclicks, adclicks.rehearsal(), here)
        scratch.promote(scratch.register(bundle))
        yield State(folder, bundle)


def _vectors(n: int) -> NDArray[np.float32]:
    """Vectors [n, d] as most first clicks have them: few counts, a day since the click before, some hour."""
    random = np.random.default_rng(0)
    rows = random.integers(0, 9, (n, len(FEATURES))) * (random.random((n, len(FEATURES))) < 0.1)
    rows = rows.astype(np.float32)
    rows[:, FEATURES.index("user_gap_s")] = 86_400
    for name in ("hour_sin", "hour_cos", "weekday_sin", "weekday_cos"):
        rows[:, FEATURES.index(name)] = random.uniform(-1, 1, n)
    rows[:, FEATURES.index("logged_in")] = random.integers(0, 2, n)
    return rows


def make_bundle(folder: Path) -> Path:
    """A bundle that costs what a trained one costs: as many nets, of the same layers, by the same export."""
    import torch

    from headgate.domains.adclicks.model.net import Net, export
    from headgate.domains.adclicks.stages.train import FOLDS

    parts = folder / "parts"
    parts.mkdir(parents=True)
    torch.manual_seed(0)
    width = len(FEATURES)
    export([Net(torch.ones(width), torch.full((width,), 2.0)).eval() for _ in range(FOLDS)], parts / MODEL)
    write_json(parts / CARD, {"domain": "adclicks", "counter_schema": COUNTER_SCHEMA, "features": list(FEATURES)})
    rows = _vectors(40)
    inputs = pl.DataFrame(rows, schema=list(FEATURES)).with_columns(device=pl.lit("mobile"))
    # Half of the traffic is invalid, so that a wrong answer would show.
    write_json(parts / THRESHOLDS, {leaf: {"slice": leaf, "threshold": 0.5} for leaf in LEAVES})
    middle = float(np.median(Predictor(parts).score(rows)))
    write_json(parts / THRESHOLDS, {leaf: {"slice": leaf, "threshold": middle} for leaf in LEAVES})
    answers = Predictor(parts).decide(inputs).rename(lambda column: f"{EXPECTED}{column}")
    inputs.hstack(answers).write_parquet(parts / GOLDEN)
    seal_bundle([parts], folder / "bundle")
    return folder / "bundle"
