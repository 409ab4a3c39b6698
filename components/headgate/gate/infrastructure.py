"""Does the bundle work where it will serve: in a fresh process, with the same answers, no slower than the champion?

Run as ``python -m headgate.gate.infrastructure BUNDLE [CHAMPION]`` it is that fresh process, and prints JSON.
"""

import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import polars as pl

from headgate.errors import HeadgateError
from headgate.gate.checks import Check

#: The batch is decided this often; the quickest counts, since other processes only ever slow it down.
REPEATS = 15

DEADLINE_SECONDS = 180


def infrastructure(bundle: Path, champion: Path | None, *, latency_ratio: float) -> list[Check]:
    """Load `bundle` in a fresh process, hold its golden answers against it, and time it beside the champion."""
    command = [sys.executable, "-m", "headgate.gate.infrastructure", str(bundle)]
    command += [str(champion)] if champion else []
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE_SECONDS, check=False)
        said = done.stdout.strip().splitlines()
        found: dict[str, Any] = json.loads(said[-1]) if done.returncode == 0 and said else {}
        trouble = done.stderr.strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
    except subprocess.TimeoutExpired:
        found, trouble = {}, [f"no answer within {DEADLINE_SECONDS} s"]
    if not found:
        sentence = f"The bundle does not work in a fresh process, do not serve it: {trouble[0][:300]}"
        return [Check("infrastructure", "loads", "failed", "refuse", "–", "golden answers agree", sentence)]
    sentence = "A fresh process loads the bundle and gives its golden answers."
    checks = [
        Check(
            "infrastructure",
            "loads",
            "passed",
            "refuse",
            f"{found['rows']:,} answers",
            "golden answers agree",
            sentence,
        )
    ]
    for name, measured in (("latency", "seconds"), ("memory", "bytes")):
        demanded = f"≤ {latency_ratio:g} × champion"
        if found.get(f"champion_{measured}") is None:
            sentence = "There is no champion to compare with yet."
            checks.append(Check("infrastructure", name, "not judged", "refuse", "–", demanded, sentence))
            continue
        times = found[measured] / found[f"champion_{measured}"]
        within = times <= latency_ratio
        checks.append(
            Check(
                "infrastructure",
                name,
                "passed" if within else "failed",
                "refuse",
                f"{times:.2f} ×",
                demanded,
                f"Its {name} is {times:.2f} times the champion's, side by side in one process.",
            )
        )
    return checks


def _probe(bundle: Path, champion: Path | None) -> dict[str, Any]:
    """What the fresh process finds."""
    from headgate.domains import get
    from headgate.registry.bundle import card, verify
    from headgate.registry.golden import EXPECTED, GOLDEN, agrees

    verify(bundle)
    domain = get(card(bundle)["domain"])
    before = _memory()
    predictor = domain.load(bundle)
    found: dict[str, Any] = {"rows": agrees(bundle, predictor)}
    batch = pl.read_parquet(bundle / GOLDEN).select(pl.exclude(f"^{EXPECTED}.*$"))
    found |= {"seconds": _seconds(predictor, batch), "bytes": max(_memory() - before, 1 << 20)}
    if champion:
        before = _memory()
        theirs = domain.load(champion)
        found |= {"champion_seconds": _seconds(theirs, batch), "champion_bytes": max(_memory() - before, 1 << 20)}
    return found


def _seconds(predictor: Any, batch: pl.DataFrame) -> float:
    """The quickest of `REPEATS` decisions of the batch."""
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        predictor.decide(batch)
        times.append(time.perf_counter() - start)
    return min(times)


def _memory() -> int:
    """Peak memory of this process in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


if __name__ == "__main__":
    arguments = [Path(argument) for argument in sys.argv[1:]]
    try:
        print(json.dumps(_probe(arguments[0], arguments[1] if len(arguments) > 1 else None)))
    except HeadgateError as error:
        sys.exit(str(error))
