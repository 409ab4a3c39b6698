"""The gate's balance: how often it lets a sound day pass, and whether it stops the days it is there for.

    python benchmarks/gate.py [--only calm] [--seeds 3] [--days 20] [--out benchmarks/gate.md]

Each day is what `flows/retrain.py` does without servers: the five stages, the seal, the verdict against the champion of
the day before, and, where a trained model is refused, the champion's model with new thresholds as a second candidate.
"""

import argparse
import json
import platform
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
from scipy.stats import beta

from headgate import domains, stages
from headgate.domain import Request
from headgate.domains.adclicks import baselines, evaluate
from headgate.domains.adclicks.simulate import simulate, truth_folder
from headgate.errors import DataRefused
from headgate.gate import judge as gate
from headgate.gate.checks import Verdict

CLICKS = 30_000
WINDOW = 16  # days that a first as-of needs before it
START = date(2026, 1, 5)
ADCLICKS = domains.get("adclicks")

# What enters no verdict is cut short here: the baselines' trees and the bootstrap of the AUCs. The fresh process of the
# infrastructure checks is left out too: it measures the machine, not the day.
baselines.LIGHTGBM_ROUNDS = 20
evaluate.BOOTSTRAP_WORK = 1
gate.infrastructure = lambda *_, **__: []


@dataclass
class Day:
    """How one simulated day ended."""

    scenario: str
    seed: int
    as_of: str
    result: str  # promoted, recalibrated (the second candidate), review, refused, data refused
    reasons: list[str]
    facts: dict[str, float]


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--only", choices=sorted(SCENARIOS), action="append", help="play these scenarios alone")
    options.add_argument("--first-seed", type=int, default=0)
    options.add_argument("--seeds", type=int, help="seeds a scenario")
    options.add_argument("--days", type=int, default=20, help="calm days a seed, one after the other")
    options.add_argument("--work", type=Path, help="scratch folder, and results kept between runs")
    options.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".md"))
    asked = options.parse_args()
    work = asked.work or Path(tempfile.mkdtemp(prefix="headgate-gate-"))
    work.mkdir(parents=True, exist_ok=True)
    kept = work / "days.jsonl"
    with kept.open("a") as file:
        for name in asked.only or SCENARIOS:
            seeds, play = SCENARIOS[name]
            for seed in range(asked.first_seed, asked.first_seed + (asked.seeds or seeds)):
                for day in play(name, seed, work / "scratch", asked.days):
                    print(
                        f"{day.scenario:<13} seed {day.seed} {day.as_of}: {day.result}  {day.facts or ''}", flush=True
                    )
                    for reason in day.reasons if day.result != "promoted" else []:
                        print(f"    {reason[:300]}", flush=True)
                    file.write(json.dumps(asdict(day)) + "\n")
                    file.flush()
                shutil.rmtree(work / "scratch", ignore_errors=True)
    asked.out.write_text(report([Day(**json.loads(line)) for line in kept.read_text().splitlines()]))
    print(f"written: {asked.out}")


def calm(name: str, seed: int, scratch: Path, days: int) -> Iterator[Day]:
    """Consecutive days of one simulated world, the champion carried along."""
    source = _simulate(name, seed, scratch, WINDOW + days)
    champion = None
    for number in range(days + 1):
        as_of = _midnight(WINDOW + number)
        day, champion = run(name, seed, source, as_of, scratch, champion)
        if number:  # the first day has no champion to be held against and is none of those counted
            yield day


def last_day(name: str, seed: int, scratch: Path, _: int) -> Iterator[Day]:
    """A champion of the last calm day, then the day with the fault."""
    days = WINDOW + 3
    source = _simulate(name, seed, scratch, days)
    _, champion = run(name, seed, source, _midnight(days - 1), scratch, None)
    day, _ = run(name, seed, source, _midnight(days), scratch, champion)
    yield day


def data_only(name: str, seed: int, scratch: Path, _: int) -> Iterator[Day]:
    """A fault that validation must stop; where it does not, the whole path follows."""
    days = WINDOW + 1
    day, _ = run(name, seed, _simulate(name, seed, scratch, days), _midnight(days), scratch, None)
    yield day


def new_robots(name: str, seed: int, scratch: Path, _: int) -> Iterator[Day]:
    """A champion that never saw the sixth kind, then a retrained one; how many true robots each stops."""
    days = 35  # the new kind comes after 21 of them
    source = _simulate(name, seed, scratch, days)
    _, champion = run(name, seed, source, _midnight(21), scratch, None)
    day, _ = run(name, seed, source, _midnight(days), scratch, champion)
    yield day


def run(
    name: str, seed: int, source: Path, as_of: datetime, scratch: Path, champion: Path | None
) -> tuple[Day, Path | None]:
    """One day; how it ended, and the bundle that is champion after it."""
    start = time.perf_counter()
    request = Request(str(source), as_of)
    work = scratch / "work"
    facts: dict[str, float] = {}
    try:
        verdict = candidate(work, request, champion)
        result = {"passed": "promoted", "review": "review", "refused": "refused"}[verdict.ruling]
        if name == "new-robots" and champion:
            facts = _caught(source, work, champion)
        reasons = verdict.reasons
        if result == "refused" and champion:
            verdict = candidate(work, request.recalibrating(champion), champion)
            result = "recalibrated" if verdict.ruling == "passed" else result
    except DataRefused as refusal:
        result, reasons = "data refused", [str(refusal)]
    after = champion
    if result in ("promoted", "recalibrated"):
        after = scratch / f"champion-{as_of:%Y%m%d}"
        shutil.rmtree(after, ignore_errors=True)
        shutil.copytree(work / "bundle", after)
    facts["seconds"] = round(time.perf_counter() - start, 1)
    return Day(name, seed, f"{as_of:%Y-%m-%d}", result, reasons, facts), after


def candidate(work: Path, request: Request, champion: Path | None) -> Verdict:
    stages.snapshot(ADCLICKS, work, request)
    for stage in stages.STAGES.values():
        stage(ADCLICKS, work)
    stages.seal(work)
    return gate.judge(ADCLICKS, work, champion)


def _caught(source: Path, work: Path, champion: Path) -> dict[str, float]:
    """Of the test rows that the hidden truth calls robots: the share that champion and candidate invalidate."""
    truth = pl.scan_parquet(truth_folder(source) / "truth" / "*.parquet").collect()
    rows = pl.read_parquet(work / "evaluate" / "rows.parquet").join(truth, left_on="key", right_on="click_id")
    theirs = pl.read_parquet(work / "champion" / "rows.parquet", columns=["key", "decided"])
    rows = rows.join(theirs, on="key", suffix="_champion")
    robots, new = rows.filter("is_robot"), rows.filter(pl.col("kind") == "paced")
    people = rows.filter(~pl.col("is_robot"))
    return {
        f"{who} {which}": round(float(frame[column].mean() or 0), 4)
        for who, frame in (("robots", robots), ("new kind", new), ("people", people))
        for which, column in (("champion", "decided_champion"), ("candidate", "decided"))
    }


def _simulate(name: str, seed: int, scratch: Path, days: int) -> Path:
    shutil.rmtree(scratch, ignore_errors=True)
    source = scratch / "source"
    simulate(source, days=days, clicks_per_day=CLICKS, scenario=name, seed=seed, start=START)
    return source


def _midnight(day: int) -> datetime:
    return datetime(START.year, START.month, START.day, tzinfo=UTC) + timedelta(days=day)


SCENARIOS = {
    "calm": (3, calm),
    "label-outage": (20, data_only),
    "duplicates": (5, data_only),
    "new-robots": (3, new_robots),
    "attack": (3, last_day),
    "late-clicks": (3, last_day),
    "gateway": (3, last_day),
}

GOALS = {
    "calm": "at least 57 of 60 promoted",
    "label-outage": "at least 19 of 20 refused",
    "duplicates": "refused",
    "new-robots": "promoted or sent to review, more true robots caught",
    "attack": "none set",
    "late-clicks": "none set",
    "gateway": "none set",
}


def report(days: list[Day]) -> str:
    lines = [
        "# The gate's balance",
        "",
        f"`python benchmarks/gate.py`, {CLICKS:,} simulated clicks a day, Python {platform.python_version()}, "
        f"{platform.machine()}. Every day is judged as the flow judges it, against the champion of the day before.",
        "Baselines and the infrastructure checks, which say nothing of the day, are cut short. Limits were set on seeds "
        "of 1000 and above and not touched after the seeds below were run.",
        "",
        "| scenario | goal | days | promoted | by new thresholds | review | refused by the gate | data refused |",
        "|---|---|---|---|---|---|---|---|",
    ]
    columns = ("promoted", "recalibrated", "review", "refused", "data refused")
    for name in SCENARIOS:
        mine = [day for day in days if day.scenario == name]
        if mine:
            counts = [sum(day.result == column for day in mine) for column in columns]
            lines.append(f"| `{name}` | {GOALS[name]} | {len(mine)} | " + " | ".join(map(str, counts)) + " |")
    lines += ["", *_interval("calm", days, ("promoted", "recalibrated"), "promoted")]
    lines += _interval("label-outage", days, ("data refused", "refused"), "refused")
    robots = [day for day in days if day.scenario == "new-robots"]
    if robots:
        shares = [key for key in robots[0].facts if key != "seconds"]
        lines += ["", "## New robots: share invalidated on the test rows, by the hidden truth", ""]
        lines += ["| seed | outcome | " + " | ".join(shares) + " |", "|---|---|" + "---|" * len(shares)]
        lines += [
            f"| {d.seed} | {d.result} | " + " | ".join(f"{d.facts[key]:.1%}" for key in shares) + " |" for d in robots
        ]
    stopped = [day for day in days if day.result not in ("promoted", "recalibrated")]
    lines += ["", "## Why days were not promoted", ""]
    lines += [f"- `{d.scenario}` seed {d.seed}, {d.as_of}, {d.result}: {' '.join(d.reasons)[:400]}" for d in stopped]
    return "\n".join(lines) + "\n"


def _interval(name: str, days: list[Day], results: tuple[str, ...], word: str) -> list[str]:
    mine = [day for day in days if day.scenario == name]
    if not mine:
        return []
    k, n = sum(day.result in results for day in mine), len(mine)
    low = beta.ppf(0.025, k, n - k + 1) if k else 0.0
    high = beta.ppf(0.975, k + 1, n - k) if k < n else 1.0
    return [f"`{name}`: {k} of {n} {word}, {k / n:.0%} (95 % exact interval {low:.0%} to {high:.0%})."]


if __name__ == "__main__":
    main()
