"""The gate's balance: how often it lets a sound day pass, and whether it stops the days it is there for.

    python benchmarks/gate.py [--only calm] [--seeds 3] [--days 20] [--work FOLDER] [--out benchmarks/gate.md]

Each day is what `flows/retrain.py` does without servers: the five stages, the seal, the verdict against the champion
that was promoted last, and, where a trained model is refused, the champion's model with new thresholds as a second
candidate. With `--work`, days that are already in its `days.jsonl` are not played again, so the same command goes on
where it stopped, and writes the report once more where nothing is left to play.
"""

import argparse
import json
import os
import platform
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
from scipy.stats import beta

from headgate import stages
from headgate.contract.checks import Verdict
from headgate.domain import Request, get_domain
from headgate.domains.adclicks.model import baselines, net
from headgate.domains.adclicks.simulated.simulator import peak_hour, simulate, truth_folder
from headgate.domains.adclicks.simulated.sizes import ClickSizes
from headgate.domains.adclicks.simulated.world import World
from headgate.domains.adclicks.stages import calibrate, evaluate, train
from headgate.domains.adclicks.stages.expectations import LOW_HOUR
from headgate.errors import DataRefused
from headgate.gate import judge

CLICKS = 30_000
WINDOW = 16  # days that a first as-of needs before it
START = date(2026, 1, 5)
ADCLICKS = get_domain("adclicks")

# What enters no verdict is cut short here: the baselines' trees and the bootstrap of the AUCs.
LOADED = (calibrate, net, train)  # the stages import them when they run; imported now, all code is of one instant
baselines.LIGHTGBM_ROUNDS = 20
evaluate.BOOTSTRAP_WORK = 1

#: The fresh process of the infrastructure checks costs seconds: of the calm days, only these of the month have it.
FULLY_JUDGED = range(0, 32, 5)
INFRASTRUCTURE = judge.check_infrastructure


@dataclass
class Day:
    """How one simulated day ended."""

    scenario: str
    seed: int
    as_of: str
    result: str  # promoted, recalibrated (the second candidate), review, refused, data refused
    reasons: list[str]
    facts: dict[str, float]
    code: str = "not recorded"  # the revision that was measured
    infrastructure: str = "not judged"  # what the fresh process said of the first candidate
    named: list[str] = field(default_factory=list)  # hours that validation called low
    lost: list[str] = field(default_factory=list)  # hours whose purchases the simulator lost


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
    played = [Day(**json.loads(line)) for line in kept.read_text().splitlines()] if kept.exists() else []
    with kept.open("a") as file:
        for name in asked.only or SCENARIOS:
            seeds, play = SCENARIOS[name]
            wanted = asked.days if play is calm else 1
            for seed in range(asked.first_seed, asked.first_seed + (asked.seeds or seeds)):
                old = [day for day in played if (day.scenario, day.seed) == (name, seed)]
                if len(old) >= wanted:
                    continue
                done = {day.as_of for day in old}  # a seed that was cut off is played from its start, and told on
                for day in play(name, seed, work / "scratch", asked.days):
                    print(f"{name:<13} seed {seed} {day.as_of}: {day.result}  {day.facts or ''}", flush=True)
                    for reason in day.reasons if day.result != "promoted" else []:
                        print(f"    {reason[:300]}", flush=True)
                    if day.as_of not in done:
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
    """A champion from before anything of the fault, then the day that sees all of it."""
    calm_days = WINDOW + (1 if name != "gateway" else 0)  # the gateway opens for the last five days
    days = calm_days + (1 if name != "gateway" else 5)
    source = _simulate(name, seed, scratch, days)
    _, champion = run(name, seed, source, _midnight(calm_days), scratch, None)
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
    shutil.rmtree(work, ignore_errors=True)
    day = Day(name, seed, f"{as_of:%Y-%m-%d}", "data refused", [], {}, CODE)
    after = champion
    try:
        verdict = candidate(work, request, champion, fully=name != "calm" or as_of.day in FULLY_JUDGED)
        day.result, day.reasons = RESULTS[verdict.ruling], verdict.reasons
        day.infrastructure = _infrastructure(verdict)
        if name == "new-robots" and champion:
            day.facts |= _caught(source, work, champion)
        if verdict.ruling == "refused" and champion:
            second = candidate(work, request.recalibrating(champion), champion, fully=False)
            day.result = {"passed": "recalibrated", "review": "review", "refused": "refused"}[second.ruling]
    except DataRefused as refusal:
        day.reasons = day.reasons or [str(refusal)]
    day.named = _named(work)
    if name == "label-outage":
        day.lost = _lost(seed, as_of)
    if day.result in ("promoted", "recalibrated"):
        after = scratch / f"champion-{as_of:%Y%m%d}"
        shutil.rmtree(after, ignore_errors=True)
        shutil.copytree(work / "bundle", after)
    day.facts["seconds"] = round(time.perf_counter() - start, 1)
    return day, after


def candidate(work: Path, request: Request, champion: Path | None, *, fully: bool) -> Verdict:
    judge.check_infrastructure = INFRASTRUCTURE if fully else lambda *_, **__: []
    stages.snapshot(ADCLICKS, work, request)
    for stage in stages.STAGES.values():
        stage(ADCLICKS, work)
    stages.seal(work)
    return judge.judge_candidate(ADCLICKS, work, champion)


def _infrastructure(verdict: Verdict) -> str:
    checks = [check for check in verdict.checks if check.family == "infrastructure"]
    return ", ".join(f"{c.name} {c.outcome} ({c.measured})" for c in checks) or "not judged"


def _named(work: Path) -> list[str]:
    """The hours and whole days that validation called low in people."""
    hours = pl.read_csv(work / "validate" / "hours.csv")
    return sorted(set(hours.filter(pl.col("p").cast(pl.Float64) < LOW_HOUR)["key"].to_list()))


def _lost(seed: int, as_of: datetime) -> list[str]:
    """The hours whose purchases the simulator lost, named as validation names them."""
    number = (as_of.date() - START).days - 2
    first = as_of - timedelta(days=2) + timedelta(hours=peak_hour(World(seed, CLICKS, START), number))
    return [f"{first + timedelta(hours=hour):%a %Y-%m-%d %H:%M UTC}" for hour in range(6)]


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
    simulate(source, ClickSizes(days=days, clicks_per_day=CLICKS), scenario=name, seed=seed, start=START)
    return source


def _revision() -> str:
    """The commit that is measured; GATE_CODE names it where the tree is an export without git."""
    command = ["git", "describe", "--always", "--dirty=, with changes"]
    said = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, check=False)
    return os.environ.get("GATE_CODE") or said.stdout.strip() or "not recorded"


def _midnight(day: int) -> datetime:
    return datetime(START.year, START.month, START.day, tzinfo=UTC) + timedelta(days=day)


CODE = _revision()
RESULTS = {"passed": "promoted", "review": "review", "refused": "refused"}
WANTED = {"calm": 60, "label-outage": 20}  # days that a goal is stated for

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
    fully = [day for day in days if day.infrastructure != "not judged"]
    lines = [
        "# The gate's balance",
        "",
        f"`python benchmarks/gate.py`: {CLICKS:,} simulated clicks a day; Python {platform.python_version()}, "
        f"{platform.machine()}, {os.cpu_count()} cores. Code measured: {', '.join(sorted({day.code for day in days}))}.",
        "",
        "Each day runs the stages, the seal and the verdict of the flow, without its servers. The champion is the version "
        "promoted last; a refused model's champion with new thresholds is a second candidate. The baselines' trees and "
        "the bootstrap of the AUCs are cut short; they enter no verdict. The infrastructure checks, in a fresh process, "
        f"were run on {len(fully)} of these {len(days)} days, on the first candidate; on the others that family is absent from "
        "the verdict.",
        "",
        "| scenario | goal | seeds | days | promoted | by new thresholds | review | refused by the gate | data refused |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    columns = ("promoted", "recalibrated", "review", "refused", "data refused")
    for name in SCENARIOS:
        mine = [day for day in days if day.scenario == name]
        counts = [sum(day.result == column for day in mine) for column in columns]
        seeds = ", ".join(map(str, sorted({day.seed for day in mine}))) or "–"
        lines.append(f"| `{name}` | {GOALS[name]} | {seeds} | {len(mine)} | " + " | ".join(map(str, counts)) + " |")
    lines.append("")
    for name, count in WANTED.items():
        mine = [day for day in days if day.scenario == name]
        if len(mine) < count:
            lines += [f"**Not measured yet:** the goal of `{name}` is for {count} days, {len(mine)} were run.", ""]
    lines += _interval("calm", days, ("promoted",), "promoted at the first try")
    lines += _interval("calm", days, ("promoted", "recalibrated"), "promoted, by either candidate")
    lines += _interval("calm", days, ("data refused",), "refused for their data, a false alarm")
    lines += _interval("label-outage", days, ("data refused", "refused"), "refused")
    outages = [day for day in days if day.lost]
    if outages:
        found = sum(len(set(day.lost) & set(day.named)) for day in outages)
        beside = sum(len(set(day.named) - set(day.lost)) for day in outages)
        lines += [
            f"Of the {6 * len(outages)} hours whose purchases were lost, {found} were named; {beside} others were.",
            "",
        ]
    robots = [day for day in days if day.scenario == "new-robots" and len(day.facts) > 1]
    if robots:
        shares = [key for key in robots[0].facts if key != "seconds"]
        lines += ["## New robots: share invalidated on the test rows, by the hidden truth", ""]
        lines += ["| seed | outcome | " + " | ".join(shares) + " |", "|---|---|" + "---|" * len(shares)]
        lines += [
            f"| {d.seed} | {d.result} | " + " | ".join(f"{d.facts[key]:.1%}" for key in shares) + " |" for d in robots
        ]
        lines.append("")
    stopped = [day for day in days if day.result != "promoted"]
    lines += ["## Why days were not promoted at the first try", ""]
    lines += [f"- `{d.scenario}` seed {d.seed}, {d.as_of}, {d.result}: {' '.join(d.reasons)[:400]}" for d in stopped]
    return "\n".join(lines) + "\n"


def _interval(name: str, days: list[Day], results: tuple[str, ...], word: str) -> list[str]:
    mine = [day for day in days if day.scenario == name]
    if not mine:
        return []
    k, n = sum(day.result in results for day in mine), len(mine)
    low = beta.ppf(0.025, k, n - k + 1) if k else 0.0
    high = beta.ppf(0.975, k + 1, n - k) if k < n else 1.0
    return [f"`{name}`: {k} of {n} {word}, {k / n:.0%} (95 % exact interval {low:.0%} to {high:.0%}).", ""]


if __name__ == "__main__":
    main()
