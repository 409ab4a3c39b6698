"""Serving: how long a decision takes under open-loop load, beside an empty route and beside what a user would pick.

    python benchmarks/serving.py [--part ours|peers|faults|soak] [--smoke] [--work FOLDER] [--out FILE]

Real Redis, real processes, the generator of `headgate load` on the same cores: run it on a machine that does nothing
else. Every part writes its section to the work folder, so that parts can be measured one at a time; the peers'
environment is made there too, once. --smoke takes a minute or two a part and tells only that everything runs.
"""

import argparse
import importlib
import os
import platform
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

PARTS = ("ours", "peers", "faults", "soak")


def machine() -> str:
    """What it was measured on."""
    redis = subprocess.run(["redis-server", "--version"], capture_output=True, text=True, check=True).stdout.split()[2]
    libraries = ("uvicorn", "uvloop", "httptools", "starlette", "msgspec", "onnxruntime", "redis", "hiredis")
    told = ", ".join(f"{name} {version(name)}" for name in libraries)
    model = next(
        (
            line.split(":", 1)[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.machine(),
    )
    return f"{model}, {os.cpu_count()} cores; Python {platform.python_version()}, Redis {redis.removeprefix('v=')}, {told}."


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", choices=PARTS, action="append")
    parser.add_argument("--smoke", action="store_true")
    parser.add_argument("--clicks", type=int, help="in each run of a pair")
    parser.add_argument("--pairs", type=int)
    parser.add_argument("--rounds", type=int, help="of closed loops of the peers")
    parser.add_argument("--fewer", type=int, help="clicks at the lower rates, and of each peer")
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "headgate-serving-benchmark")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".md"))
    asked = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    from dataclasses import replace

    from peers.serving.rig import Sizes

    sizes = Sizes.smoke() if asked.smoke else Sizes()
    given = {name: value for name in ("clicks", "pairs", "rounds", "fewer") if (value := getattr(asked, name))}
    sizes = replace(sizes, work=asked.work, **given)
    asked.work.mkdir(parents=True, exist_ok=True)
    for part in asked.part or PARTS:
        began = time.perf_counter()
        text = importlib.import_module(f"peers.serving.{part}").report(sizes)
        (asked.work / f"{part}.md").write_text(text.strip() + "\n")
        print(f"{part}: {time.perf_counter() - began:.0f} s", file=sys.stderr, flush=True)
    sections = [
        (asked.work / f"{part}.md").read_text().strip() for part in PARTS if (asked.work / f"{part}.md").is_file()
    ]
    head = f"# Serving under load\n\n    python benchmarks/serving.py\n\n{machine()}"
    asked.out.write_text("\n\n".join([head, *sections]) + "\n")


if __name__ == "__main__":
    main()
