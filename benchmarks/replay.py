"""What deciding a million logged clicks again costs, beside the plain way: one pandas frame and one `predict`.

    python benchmarks/replay.py [--rows 1000000] [--part 50000] [--out benchmarks/replay.md]

A synthetic log of as many clicks over 24 hours, and a version whose net is as large as a trained one (five members,
random weights, thresholds at which a fifth of the clicks is invalid). What the log says is random, so that about a third
of all decisions differ: a replay in earnest publishes a few per cent. Every task is a process of its own on two cores,
with the ledger and the locks that `headgate replay` has; the clock starts when the version is loaded. Memory is the
high-water mark of the process from then on, less what it held before. The killed replay dies by SIGKILL at the rename
of the file in the middle.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.decisions.replaying import Loaded, again, load, passed  # noqa: E402
from tests.domains.adclicks.logged import START, make_log  # noqa: E402

from headgate import settings  # noqa: E402
from headgate.decisions.layout import corrections_folder, log_folder  # noqa: E402
from headgate.domains.adclicks.domain import ADCLICKS  # noqa: E402
from headgate.domains.adclicks.features.kernel import COUNTER_SCHEMA, FEATURES  # noqa: E402
from headgate.domains.adclicks.features.slices import LEAVES  # noqa: E402
from headgate.files import write_json  # noqa: E402

SPAN = timedelta(hours=24)
NUMBER = 2  # the version's

Found = dict[str, Any]


def make_bundle(folder: Path) -> Path:
    """A bundle whose net is as large as a trained one."""
    import torch

    from headgate.domains.adclicks.model.net import Net, export
    from headgate.domains.adclicks.model.predictor import Predictor
    from headgate.domains.adclicks.stages.train import FOLDS
    from headgate.registry.bundles import seal_bundle

    parts = folder / "parts"
    parts.mkdir()
    torch.manual_seed(0)
    nets = [Net(torch.zeros(len(FEATURES)), torch.ones(len(FEATURES))) for _ in range(FOLDS)]
    export(nets, parts / "model.onnx")
    write_json(
        parts / "bundle.json", {"domain": "adclicks", "counter_schema": COUNTER_SCHEMA, "features": list(FEATURES)}
    )

    def thresholds(value: float) -> None:
        write_json(parts / "thresholds.json", {leaf: {"slice": leaf, "threshold": value} for leaf in LEAVES})

    thresholds(0.5)
    vectors = np.random.default_rng(1).integers(0, 9, (20_000, len(FEATURES))).astype(np.float32)
    thresholds(float(np.quantile(Predictor(parts).score(vectors), 0.8)))
    seal_bundle([parts], folder / "bundle")
    return folder / "bundle"


# ------------------------------------------------------------------------------------------- what a child measures


def replayed(loaded: Loaded, **how: Any) -> Found:
    done = again(settings.load(), loaded, START, START + SPAN, **how)
    return {"rows": done.decisions, "changed": done.newly_adverse + done.newly_not, "published": done.published}


def killed(loaded: Loaded) -> Found:
    from tests import killing

    killing.arm(int(os.environ["KILL_AT"]), kinds=("rename",))
    return replayed(loaded)


def plain(loaded: Loaded) -> Found:
    """All of the log in one pandas frame, one call of the model, one file of what differs from the log."""
    import pandas as pd

    home = settings.load()
    files = sorted(log_folder(home, "adclicks").glob("*/*.parquet"))
    frame = pd.concat([pd.read_parquet(path) for path in files], ignore_index=True)
    batch = pd.DataFrame(np.stack(frame["features"].to_numpy()), columns=list(FEATURES))
    batch["device"] = frame["device"]
    decided = loaded.predictor.decide(pl.from_pandas(batch)).to_pandas()
    frame[["score", "slice", "threshold"]] = decided[["score", "slice", "threshold"]]
    decided["outcome"] = decided["invalid"].map({True: "invalid", False: "valid"})
    changed = frame[frame["outcome"] != decided["outcome"]].assign(outcome=decided["outcome"])
    changed[["decision_id", "slice", "score", "threshold", "outcome"]].to_parquet(home.home / "plain.parquet")
    return {"rows": len(frame), "changed": len(changed), "published": len(changed)}


TASKS: dict[str, Callable[[Loaded], Found]] = {
    "dry": lambda loaded: replayed(loaded, dry_run=True),
    "first": replayed,
    "second": replayed,
    "killed": killed,
    "resumed": replayed,
    "recompute": lambda loaded: replayed(loaded, mode="recompute", dry_run=True),
    "plain": plain,
}


def measure(task: str, bundle: Path) -> None:
    loaded = load(ADCLICKS, bundle, NUMBER)
    Path("/proc/self/clear_refs").write_text("5")  # resets VmHWM, see proc(5)
    before, start = _status("VmRSS"), time.perf_counter()
    found = TASKS[task](loaded)
    found |= {"seconds": time.perf_counter() - start, "mib": _status("VmHWM") - before}
    print("\n" + json.dumps(found))


def _status(name: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) / 1024


# ----------------------------------------------------------------------------------------------------- the question


def child(task: str, home: Path, bundle: Path, **more: str) -> Found:
    command = [sys.executable, __file__, "--task", task, "--bundle", str(bundle)]
    environment = os.environ | {"HEADGATE_HOME": str(home), "OMP_NUM_THREADS": "2"} | more
    pinned = ["taskset", "-c", "0,1", *command]
    done = subprocess.run(pinned, env=environment, stdout=subprocess.PIPE, check=False)
    if task == "killed":
        assert done.returncode == -9, done.returncode
        return {}
    done.check_returncode()
    found: Found = json.loads(done.stdout.splitlines()[-1])
    print(f"{task:<10} {found['seconds']:6.1f} s {found['mib']:6.0f} MiB {found}", file=sys.stderr, flush=True)
    return found


def published(home: Path) -> pl.DataFrame:
    """Every correction but for the instant at which it was published, by the file it lies in."""
    here = corrections_folder(settings.load(), "adclicks")
    folder = home / "corrections" / here.name
    files = sorted(folder.glob("*/[!.]*.parquet"))
    return pl.concat(pl.read_parquet(path).with_columns(file=pl.lit(path.name)) for path in files).drop("corrected_at")


def ask(rows: int, part: int, folder: Path) -> dict[str, Found]:
    """All tasks on a log of `rows` in parts of `part`."""
    bundle = make_bundle(folder)
    loaded = {NUMBER: load(ADCLICKS, bundle, NUMBER)}
    homes = {}
    for name in ("whole", "killed"):
        homes[name] = passed(folder / name, loaded)
        make_log(homes[name], rows, span=SPAN, part=part)
    whole, cut = homes["whole"].home, homes["killed"].home
    found = {task: child(task, whole, bundle) for task in ("plain", "dry", "first", "second", "recompute")}
    assert found["second"]["changed"] == 0
    child("killed", cut, bundle, KILL_AT=str(max(2, rows // part // 2)))
    before = len(published(cut))
    found["resumed"] = child("resumed", cut, bundle) | {"before": before}
    assert published(cut).equals(published(whole))
    return found


def table(found: dict[str, Found]) -> str:
    names = {
        "plain": "one pandas frame, one `predict`",
        "dry": "`--dry-run`",
        "first": "**`logged`, first run**",
        "second": "`logged`, second run",
        "resumed": "`logged`, killed half way, run again",
        "recompute": "`recompute` (`--dry-run`)",
    }
    lines = ["| what | s | decisions/s | memory, MiB | published by this run |", "|---|---|---|---|---|"]
    for task, name in names.items():
        one = found[task]
        new = "" if task in ("dry", "recompute") else f"{one['changed']:,}"
        lines.append(
            f"| {name} | {one['seconds']:.1f} | {one['rows'] / one['seconds']:,.0f} | {one['mib']:,.0f} | {new} |"
        )
    return "\n".join(lines)


def report(rows: int, sizes: dict[int, dict[str, Found]]) -> str:
    """What was measured, as Markdown."""
    parts = [
        "# What deciding a million clicks again costs",
        f"    python benchmarks/replay.py --rows {rows}\n\n{machine()}",
        (__doc__ or "").split("\n\n", 2)[2].strip(),
    ]
    for size, found in sizes.items():
        resumed = found["resumed"]
        parts += [
            f"## {rows:,} decisions in parts of {size:,}",
            table(found),
            f"The second run published **{found['second']['changed']}** rows. The killed one had published "
            f"{resumed['before']:,} of {resumed['published']:,}; run again, its files hold what the undisturbed run's "
            "hold, row by row.",
        ]
    return "\n\n".join(parts) + "\n"


def machine() -> str:
    """The processor and the versions that matter."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    model = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.processor())
    packages = ", ".join(f"{name} {version(name)}" for name in ("polars", "onnxruntime", "pandas"))
    load = os.getloadavg()[1]
    return f"{model}, {os.cpu_count()} cores, load average {load:.1f}; Python {platform.python_version()}, {packages}."


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--part", type=int, nargs="+", default=[50_000, 1_000], help="rows of a part of the log")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".md"))
    parser.add_argument("--task", choices=TASKS, help=argparse.SUPPRESS)
    parser.add_argument("--bundle", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.task:
        measure(asked.task, asked.bundle)
        return
    sizes = {}
    for size in asked.part:
        with tempfile.TemporaryDirectory() as scratch:
            sizes[size] = ask(asked.rows, size, Path(scratch))
    asked.out.write_text(report(asked.rows, sizes))


if __name__ == "__main__":
    main()
