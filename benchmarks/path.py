"""What the daily path costs: the flow against a plain loop, and memory at five million clicks a day.

    python benchmarks/path.py [--only flow|memory] [--pairs 3] [--days 4] [--work FOLDER] [--out benchmarks/path.md]

*Flow*: `headgate.operations.retrain.run_retrain`, which is what `headgate retrain` calls, and a plain loop over the same functions
without Prefect, by turns. Each is a process of its own with a state folder of its own and local MLflow and Prefect
servers up. The clock starts before the libraries are imported and stops when the version is promoted; a processor's
time tells the work from the waiting. *Memory*: simulated days through the five stages in one process. The kernel's
high-water mark of its resident memory is reset before each stage, so every stage tells its own.
"""

import argparse
import json
import os
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any

from headgate import settings
from headgate.domain import Request, get_domain

START = datetime(2026, 1, 5, tzinfo=UTC)
DEMO_DAYS, DEMO_CLICKS = 21, 60_000  # the data of `make retrain`
MANY_CLICKS = 5_000_000
ROOT = Path(__file__).resolve().parents[1]

Found = dict[str, Any]


# ------------------------------------------------------------------------------------------- what a child measures


def run_flow(source: str, as_of: datetime) -> str:
    """The flow as the command line runs it; how it ended."""
    from headgate.operations.retrain import run_retrain

    return run_retrain(settings.load(), get_domain("adclicks"), source, as_of).result


def run_loop(source: str, as_of: datetime) -> str:
    """The same stages and the same record, without Prefect; how it ended."""
    from headgate import stages
    from headgate.data import datasets
    from headgate.gate.judge import judge_candidate
    from headgate.registry import register, versions

    here, domain, request = settings.load(), get_domain("adclicks"), Request(source, as_of)
    registry = versions.client(here)
    work = datasets.prepare(here, domain.name, request)
    with register.candidate_run(registry, here, domain, request) as run_id:
        stages.snapshot(domain, work, request)
        for stage in stages.STAGES.values():
            stage(domain, work)
        stages.seal(work)
        champion = versions.champion(registry, domain.name)
        verdict = judge_candidate(domain, work, versions.fetch(champion, here) if champion else None)
        with datasets.exclusively(here, "datasets", wait=datasets.LOCK_SECONDS):
            lock = datasets.record(here, domain.name, ["snapshot", *stages.STAGES])
            register.log_data(registry, run_id, work, lock)
        candidate = register.register_version(registry, here, domain, run_id, work, request, verdict)
        if verdict.ruling != "passed":
            return verdict.ruling
        register.promote(registry, candidate)
        return "promoted"


def run_stages(source: str, as_of: datetime) -> Found:
    """Seconds and peak of resident memory (MiB) of each of the five stages, in this process."""
    from headgate import stages

    domain, work = get_domain("adclicks"), Path(source).parent / "work"
    found = {}
    calls = {"snapshot": lambda d, w: stages.snapshot(d, w, Request(source, as_of)), **stages.STAGES}
    for name, call in calls.items():
        Path("/proc/self/clear_refs").write_text("5")  # resets VmHWM, see proc(5)
        start = time.perf_counter()
        call(domain, work)
        found[name] = {"seconds": time.perf_counter() - start, "mib": _high_water()}
        print(f"{name:<10} {found[name]['seconds']:7.1f} s {found[name]['mib']:7.0f} MiB", file=sys.stderr, flush=True)
    return found


def _high_water() -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


TASKS = {"flow": run_flow, "loop": run_loop, "stages": run_stages}


# ------------------------------------------------------------------------------------------------- the two questions


def in_own_process(task: str, source: Path, as_of: datetime, home: Path) -> Found:
    """Run a task in a child; its answer, wall seconds, CPU seconds with its own children's, and peak memory (MiB)."""
    command = [sys.executable, __file__, "--task", task, "--source", str(source), "--as-of", as_of.isoformat()]
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(command, env=os.environ | {"HEADGATE_HOME": str(home)}, stdout=subprocess.PIPE, check=True)
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    answer = json.loads(done.stdout.splitlines()[-1])
    return {"answer": answer, "wall": wall, "cpu": cpu, "mib": after.ru_maxrss / 1024}


def simulate(out: Path, days: int, clicks: int) -> datetime:
    """Simulated clicks in `out`; the as-of at which all its days are over."""
    from headgate.domains.adclicks.simulated.simulator import simulate as write
    from headgate.domains.adclicks.simulated.sizes import ClickSizes

    if not out.is_dir():
        write(out, ClickSizes(days=days, clicks_per_day=clicks), start=START.date())
    return START + timedelta(days=days)


def measure_flow(work: Path, pairs: int) -> dict[str, list[Found]]:
    """Flow and loop by turns, each with fresh state and servers."""
    from headgate.servers import mlflow_server, prefect_server, up

    as_of = simulate(work / "demo", DEMO_DAYS, DEMO_CLICKS)
    found: dict[str, list[Found]] = {"flow": [], "loop": []}
    for pair in range(pairs):
        for task in ("flow", "loop") if pair % 2 == 0 else ("loop", "flow"):
            home = work / "home"
            os.environ["HEADGATE_HOME"] = str(home)
            here = settings.load()
            with up(here, [mlflow_server(here), prefect_server(here)]):
                found[task].append(in_own_process(task, work / "demo", as_of, home))
            shutil.rmtree(home)
            last = found[task][-1]
            print(f"{pair + 1}/{pairs} {task} {last['wall']:.1f} s, {last['answer']}", file=sys.stderr, flush=True)
    return found


def measure_memory(work: Path, days: int) -> Found:
    """Many clicks a day through the stages."""
    as_of = simulate(work / "many", days, MANY_CLICKS)
    return in_own_process("stages", work / "many", as_of, work / "home")


# --------------------------------------------------------------------------------------------------------- the report


def flow_report(found: dict[str, list[Found]]) -> str:
    """A table of the pairs and their ratios."""
    rows = []
    ratios: dict[str, list[float]] = {"wall": [], "cpu": []}
    for number, (flow, loop) in enumerate(zip(found["flow"], found["loop"], strict=True), start=1):
        for clock, values in ratios.items():
            values.append(flow[clock] / loop[clock])
        times = f"{flow['wall']:.1f} | {loop['wall']:.1f} | {flow['cpu']:.1f} | {loop['cpu']:.1f}"
        rows.append(f"| {number} | {times} | {ratios['wall'][-1]:.3f} |")
    wall, cpu = (statistics.median(values) for values in ratios.values())
    ends = {run["answer"] for runs in found.values() for run in runs}
    table = "\n".join(rows)
    return f"""## The flow against a plain loop

{DEMO_DAYS} days of {DEMO_CLICKS:,} clicks (the data of `make retrain`), from raw files to a version with its verdict:
every run ended {" or ".join(sorted(ends))}. Both with local MLflow and Prefect servers up, each in a fresh process with
fresh state, imports inside the clock. Order alternates. CPU is of the process and its children (DVC, the fresh process
that loads the bundle), without the servers.

| pair | flow, s | loop, s | flow, CPU s | loop, CPU s | flow ÷ loop |
|---|---|---|---|---|---|
{table}

The flow takes **{wall:.3f}** times the loop's time (median of the pairs; {min(ratios["wall"]):.3f} to
{max(ratios["wall"]):.3f}), and {cpu:.3f} times its CPU. Allowed: 1.15.
"""


def memory_report(found: Found, days: int) -> str:
    """A table of the stages."""
    answer = found["answer"]
    peak = max(stage["mib"] for stage in answer.values())
    rows = "\n".join(f"| {name} | {stage['seconds']:.0f} | {stage['mib']:,.0f} |" for name, stage in answer.items())
    kept = "under 6 GiB" if peak < 6 * 1024 else "OVER 6 GiB"
    return f"""## Five million clicks a day

{days} simulated days of {MANY_CLICKS:,} clicks, all five stages in one process.

| stage | s | peak resident memory, MiB |
|---|---|---|
{rows}

The peak is **{peak / 1024:.2f} GiB**, {kept}.
"""


def machine() -> str:
    """The processor and the versions that matter."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    model = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.processor())
    names = ("prefect", "mlflow", "dvc", "polars", "lightning", "torch", "great-expectations")
    packages = ", ".join(f"{name} {version(name)}" for name in names)
    load = os.getloadavg()[1]
    return f"{model}, {os.cpu_count()} cores, load average {load:.1f}; Python {platform.python_version()}, {packages}."


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=("flow", "memory"), help="ask one question alone")
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--days", type=int, default=4, help="days of the memory question, at least 3")
    parser.add_argument("--work", type=Path, help="scratch folder: figures and simulated clicks are kept there")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".md"))
    parser.add_argument("--task", choices=TASKS, help=argparse.SUPPRESS)
    parser.add_argument("--source", help=argparse.SUPPRESS)
    parser.add_argument("--as-of", type=datetime.fromisoformat, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.task:
        sys.path.insert(0, str(ROOT))
        print("\n" + json.dumps(TASKS[asked.task](asked.source, asked.as_of)))
        return
    with tempfile.TemporaryDirectory() as scratch:
        work = asked.work or Path(scratch)
        work.mkdir(parents=True, exist_ok=True)
        kept = work / "path.json"  # so that the questions can be asked one at a time
        found = json.loads(kept.read_text()) if kept.is_file() else {}
        if asked.only != "memory":
            found["flow"] = flow_report(measure_flow(work, asked.pairs))
        if asked.only != "flow":
            found["memory"] = memory_report(measure_memory(work, asked.days), asked.days)
        kept.write_text(json.dumps(found))
        command = f"    python benchmarks/path.py --pairs {asked.pairs} --days {asked.days}\n\n{machine()}"
        parts = ["# What the daily path costs", command, *(found[name] for name in ("flow", "memory") if name in found)]
        asked.out.write_text("\n\n".join(part.strip() for part in parts) + "\n")


if __name__ == "__main__":
    main()
