"""The note's comparison of thresholds, on simulated clicks with a trained net: budgets spent, robots caught, people wronged.

    python benchmarks/simulated_slices.py [--seeds 3] [--out benchmarks/simulated_slices.md]

Every seed simulates the data of `make retrain`, trains and calibrates as the daily path does, and applies the thresholds
of each method to the test rows: users that neither trained nor calibrated anything. Who is a robot is the hidden truth.
"""

import argparse
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl

from headgate import stages
from headgate.domain import Request, get_domain
from headgate.domains.adclicks.limits import ALPHA
from headgate.domains.adclicks.model.predictor import THRESHOLDS
from headgate.domains.adclicks.simulated.simulator import simulate, truth_folder
from headgate.domains.adclicks.simulated.sizes import ClickSizes
from headgate.files import read_json

DAYS, CLICKS = 21, 60_000
START = datetime(2026, 1, 5, tzinfo=UTC)
COLUMNS = ("FPR, certify rows", "FPR, test rows", "IVR, test rows", "robots caught", "people wronged")


def play(seed: int) -> dict[str, list[float]]:
    """The figures of each method on one simulated world."""
    adclicks = get_domain("adclicks")
    with tempfile.TemporaryDirectory() as folder:
        source, work = Path(folder) / "raw", Path(folder) / "work"
        simulate(source, ClickSizes(days=DAYS, clicks_per_day=CLICKS), seed=seed, start=START.date())
        stages.snapshot(adclicks, work, Request(str(source), START + timedelta(days=DAYS)))
        for name in ("train", "calibrate", "evaluate"):
            stages.STAGES[name](adclicks, work)
        truth = pl.scan_parquet(truth_folder(source) / "truth" / "*.parquet").collect()
        rows = pl.read_parquet(work / "evaluate" / "rows.parquet").join(truth, left_on="key", right_on="click_id")
        calibration = read_json(work / "calibrate" / "calibration.json")
        leaves = read_json(work / "calibrate" / "bundle" / THRESHOLDS)
    pooled = rows["slice"].replace_strict({leaf: one["slice"] for leaf, one in leaves.items()})
    methods = {name: (one["thresholds"], one["fpr_held_out"]) for name, one in calibration["comparison"].items()}
    methods["as published, certified"] = (calibration["thresholds"] or {}, float("nan"))
    found = {}
    for name, (thresholds, held_out) in methods.items():
        limit = pooled.replace_strict(thresholds, default=None, return_dtype=pl.Float64).fill_null(np.inf).to_numpy()
        hit = rows["score_net"].to_numpy() >= limit
        good, robot = rows["good"].to_numpy(), rows["is_robot"].to_numpy()
        found[name] = [held_out, hit[good].mean(), hit.mean(), hit[robot].mean(), hit[~robot].mean()]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".md"))
    asked = parser.parse_args()
    worlds = [play(seed) for seed in range(asked.seeds)]
    lines = []
    for name in worlds[0]:
        values = np.array([world[name] for world in worlds])
        cells = ["–" if np.isnan(column).any() else _spread(column) for column in values.T]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    table = "\n".join(lines)
    asked.out.write_text(
        f"""# Thresholds by slice, on simulated clicks

`python benchmarks/simulated_slices.py --seeds {asked.seeds}`: {DAYS} days of {CLICKS:,} clicks, scenario calm, seeds 0 to {asked.seeds - 1}; budget
{ALPHA:.0%} of purchasing clicks. Mean (least to most) over seeds, in percent. FPR: invalidated purchasing clicks. Robots and
people are those of the hidden truth, whether they bought or not.

| method | {" | ".join(COLUMNS)} |
|---|{"---|" * len(COLUMNS)}
{table}
""",
        encoding="utf-8",
    )


def _spread(values: np.ndarray) -> str:
    shares = 100 * values
    return f"{shares.mean():.2f} ({shares.min():.2f} to {shares.max():.2f})"


if __name__ == "__main__":
    main()
