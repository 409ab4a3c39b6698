"""Capacity against what a user would pick instead: Prophet, Theta, ETS, last weeks' profile, on the same data.

    python benchmarks/capacity.py [--only worldcup|series|weekly|bands|moved|hierarchy|scale] [--work FOLDER] [--out FILE]

Real series lie in ../shared/data/capacity. Every section writes its part of the report to the work folder, so that
sections can be measured one at a time. How level models are mixed is chosen on origins before the test; nothing of the
test is seen before it is scored. CPU seconds are of the process and its children (Prophet has one).
"""

import argparse
import importlib
import json
import logging
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

SECTIONS = ("worldcup", "series", "weekly", "bands", "moved", "hierarchy", "scale")


def peak_mib() -> float:
    """The most resident memory of this process so far, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measured(section: str) -> str:
    """The report of one section, measured in this process."""
    for name in ("prophet", "cmdstanpy"):
        logging.getLogger(name).setLevel(logging.ERROR)
    found: Callable[[], str] = importlib.import_module(f"peers.{section}").report
    start = time.perf_counter()
    text = found()
    print(f"{section}: {time.perf_counter() - start:.0f} s, {peak_mib():,.0f} MiB", file=sys.stderr, flush=True)
    return text


def machine() -> str:
    """What it was measured on."""
    names = ("prophet", "statsforecast", "torch", "numpy", "cvxpy")
    packages = ", ".join(f"{name} {version(name)}" for name in names)
    return f"{platform.machine()}, {os.cpu_count()} cores; Python {platform.python_version()}, {packages}."


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=SECTIONS, action="append", help="measure these sections alone")
    parser.add_argument("--work", type=Path, help="where the parts of the report are kept between runs")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".md"))
    parser.add_argument("--section", choices=SECTIONS, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.section:
        print(json.dumps(measured(asked.section)))
        return
    with tempfile.TemporaryDirectory() as scratch:
        work = asked.work or Path(scratch)
        work.mkdir(parents=True, exist_ok=True)
        for section in asked.only or SECTIONS:
            command = [sys.executable, __file__, "--section", section]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            (work / f"{section}.md").write_text(json.loads(done.stdout.splitlines()[-1]))
        parts = [(work / f"{name}.md").read_text().strip() for name in SECTIONS if (work / f"{name}.md").is_file()]
    head = f"# Capacity against its peers\n\n    python benchmarks/capacity.py\n\n{machine()}"
    asked.out.write_text("\n\n".join([head, *parts]) + "\n")


if __name__ == "__main__":
    main()
