"""The gate's checks that only ad clicks know: training, the budget and its certificate, and what changes."""

from math import isfinite
from pathlib import Path

from headgate.contract.checks import Check
from headgate.domains.adclicks.limits import KNOWN_GOOD_FLIPS, LEAST_EFFECTIVE, OUTCOMES, TRAFFIC_FLIPS
from headgate.files import read_json
from headgate.gate.change import check_change


def judge(work: Path, champion: Path | None) -> list[Check]:
    """Check a run in `work` against constants and against the `champion`'s evaluation on the same rows."""
    return [
        *_training(read_json(work / "calibrate" / "bundle" / "training.json")),
        _budget(read_json(work / "calibrate" / "calibration.json")),
        *check_change(work / "evaluate", champion, OUTCOMES, known_good=KNOWN_GOOD_FLIPS, traffic=TRAFFIC_FLIPS),
    ]


def _training(record: dict) -> list[Check]:
    losses = [epoch["train_loss"] for epoch in record["losses"]]
    stopping = [epoch["stop_loss"] for epoch in record["losses"]]
    falling = len(losses) > 1 and all(map(isfinite, losses + stopping)) and losses[-1] < losses[0]
    size = record["effective_sample_size"]
    enough = size >= LEAST_EFFECTIVE
    return [
        Check(
            "training",
            "loss",
            "passed" if falling else "failed",
            "refuse",
            f"{losses[0]:.4f} → {losses[-1]:.4f}" if losses else "–",
            "finite, falling",
            f"{len(losses)} epochs on {record['rows']:,} clicks, {record['humans']:,} of them human."
            if falling
            else "The loss did not fall: look at the features and the learning rate.",
        ),
        Check(
            "training",
            "effective sample size",
            "passed" if enough else "failed",
            "refuse",
            f"{size:,.0f}",
            f"≥ {LEAST_EFFECTIVE:,}",
            f"The weighted clicks are worth {size:,.0f} equally weighted ones."
            + ("" if enough else " Give more days: too few human clicks carry the weight."),
        ),
    ]


def _budget(calibration: dict) -> Check:
    best = calibration["certificates"][calibration["published"] or "global"]
    return Check(
        "budget",
        "certificate",
        "passed" if calibration["certified"] else "failed",
        "refuse",
        f"≤ {best['upper']:.2%}" if best["users"] else "–",
        f"≤ {calibration['alpha']:.1%} at {1 - calibration['delta']:.0%} confidence",
        " ".join(calibration["words"].split("\n")),
    )
