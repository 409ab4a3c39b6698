"""Robots masked: is the forecast better when what `adclicks` decides against is left out of what it learns from?

    python benchmarks/robots.py [--seeds 5]

Simulated load of six weeks with a hidden truth. In the last two of them a scraper comes every night from one to four
and adds a share of the load that is usual then: long enough to pass for a season. One request in ten is an ad click;
adclicks decides against robots and, by mistake, against people, with the shares that are printed. The forecast of the
two weeks that follow is held against the truth, once learned from all, once with the masks of `headgate capacity mask robots`,
once with masks that know the truth, and once from load without robots.
"""

import argparse
import os
import platform
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from headgate.domains.capacity.companions.calendar import Mask, read_calendar
from headgate.domains.capacity.companions.robots import Block, Counted, blocks
from headgate.domains.capacity.data.raw import load_matrix, read_series
from headgate.domains.capacity.model.backtest import level_errors, try_out
from headgate.domains.capacity.model.clock import DAY
from headgate.domains.capacity.model.ensemble import ensemble_weights
from headgate.domains.capacity.model.fit import fit_batch
from headgate.domains.capacity.model.histories import History
from headgate.domains.capacity.model.levels import LEVEL_MODELS
from headgate.domains.capacity.model.origins import Origin
from headgate.domains.capacity.model.series_model import FLAT, mixed
from headgate.domains.capacity.simulated.simulator import simulate, truth_folder
from headgate.domains.capacity.simulated.sizes import LoadSizes

DAYS, AHEAD, NIGHTS, STEP = 42, 14, 14, 900
START = datetime(2026, 1, 5, tzinfo=UTC)
END = START + timedelta(days=DAYS)

#: Hours of the night (UTC) in which the scraper comes, and how many of the requests are ad clicks.
FROM, TO, CLICKS = 1, 4, 0.1

#: What adclicks decides against, of robots and of people.
RECALL, WRONG = 0.6, 0.02

WAYS = ("all", "masked by adclicks", "masked by the truth", "without robots")

Floats = NDArray[np.float64]


def night(times: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Steps in which the scraper would come."""
    hour = times // 3600 % 24
    return (hour >= FROM) & (hour < TO)


def mask(start: datetime, end: datetime) -> Mask:
    return Mask(
        f"m{start:%d%H%M}", 1, "*", ("*",), start.isoformat(), end.isoformat(), "robots", START, "active", "", "robots"
    )


def clicks(random: np.random.Generator, people: Floats, robots: Floats) -> Counted:
    """The decisions of each minute on a tenth of the requests."""
    counts = np.repeat(CLICKS * 60 / STEP * np.stack([people, robots]), STEP // 60, axis=1)
    seen = random.poisson(counts)
    against = random.binomial(seen[0], WRONG) + random.binomial(seen[1], RECALL)
    return Counted(START, seen.sum(axis=0), against)


def forecast(history: History, times: NDArray[np.int64]) -> Floats:
    """The forecast at `times`, with weights from two origins inside the history."""
    origins = [Origin("tune", int((START + timedelta(days=day)).timestamp()), AHEAD) for day in (21, 28)]
    told = [level_errors(history, try_out(history, origin)[0], origin) for origin in origins]
    weights = ensemble_weights(
        np.concatenate([errors for errors, _ in told]), np.concatenate([volume for _, volume in told])
    )
    counts = weights[:, 0] > 0
    counts[LEVEL_MODELS.index(FLAT)] = True
    wanted = tuple(name for name, count in zip(LEVEL_MODELS, counts, strict=True) if count)
    model = mixed(
        fit_batch(history.known(history.until), periods=AHEAD + 1, wanted=wanted), weights[counts], AHEAD * DAY
    )
    return np.exp(model.log_forecast(times, history.calendar))[:, 0]


def night_errors(seed: int, strength: float, work: Path) -> tuple[dict[str, tuple[float, float]], list[Block]]:
    """WAPE of the nights' hours and of all hours ahead, by way, and the blocks that were found."""
    out = work / f"{seed}-{strength:g}"
    simulate(out, LoadSizes(days=DAYS, regions=1, services=1, step=STEP, ahead=AHEAD), seed=seed, start=START.date())
    ((name, one),) = read_series(out).items()
    times, values = load_matrix(out, [name])
    truth = pl.concat([pl.read_parquet(file) for file in sorted(truth_folder(out).glob("**/*.parquet"))])
    truth = truth.filter(pl.col("series") == name).sort("time")
    later = truth.filter(pl.col("time") >= END)
    ahead = later["time"].dt.epoch("s").to_numpy()
    random = np.random.default_rng((seed, 1))
    people = values[:, 0].astype(np.float64)
    visited = night(times) & (times >= (END - timedelta(days=NIGHTS)).timestamp())
    usual = people[night(times)].mean()
    robots = np.where(visited, random.poisson(strength * usual, len(times)), 0).astype(np.float64)
    found = blocks(clicks(random, people, robots), 0.05)
    nights = [END - timedelta(days=day) for day in range(NIGHTS, 0, -1)]
    masks = {
        "all": [],
        "masked by adclicks": [mask(block.start, block.end) for block in found],
        "masked by the truth": [mask(at + timedelta(hours=FROM), at + timedelta(hours=TO)) for at in nights],
        "without robots": [],
    }
    errors = {}
    for way in WAYS:
        load = people if way == "without robots" else people + robots
        history = History((one,), times, load[:, None].astype(np.float32), read_calendar(out), tuple(masks[way]))
        apart = np.abs(forecast(history, ahead) - later["expected"].to_numpy())
        dark = night(ahead)
        expected = later["expected"].to_numpy()
        errors[way] = (apart[dark].sum() / expected[dark].sum(), apart.sum() / expected.sum())
    return errors, found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".md"))
    asked = parser.parse_args()
    lines = [
        "# Robots masked",
        "",
        "    python benchmarks/robots.py",
        "",
        f"Python {platform.python_version()}, {os.cpu_count()} cores; seeds 1 to {asked.seeds}. {DAYS} days of load every "
        f"{STEP // 60} minutes; in the last {NIGHTS} a scraper adds so much of the night's usual load from {FROM} to {TO} "
        f"UTC. Of its clicks adclicks decides against {RECALL:.0%}, of people's against {WRONG:.0%}. WAPE of the forecast "
        f"of the next {AHEAD} days against the hidden truth: mean, and the range over the seeds.",
        "",
        "| the scraper adds | learned from | WAPE of those hours | WAPE of all hours | nights masked, of all |",
        "|---|---|---|---|---|",
    ]
    with tempfile.TemporaryDirectory() as work:
        for strength in (0.1, 0.3, 1.0, 3.0):
            runs = [night_errors(seed, strength, Path(work)) for seed in range(1, asked.seeds + 1)]
            covered = np.mean([len({block.start.date() for block in found}) / NIGHTS for _, found in runs])
            for way in WAYS:
                cells = [np.array([errors[way][which] for errors, _ in runs]) for which in (0, 1)]
                told = " | ".join(f"{cell.mean():.1%} ({cell.min():.1%} – {cell.max():.1%})" for cell in cells)
                nights = f"{covered:.0%}" if way == "masked by adclicks" else ""
                lines.append(f"| {strength:.0%} | {way} | {told} | {nights} |")
                print(lines[-1], flush=True)
    asked.out.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
