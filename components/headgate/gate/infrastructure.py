"""Does the bundle work where it will serve: in a fresh process, with the same answers, no slower than the champion?

Run as ``python -m headgate.gate.infrastructure BUNDLE [CHAMPION]`` it is that fresh process, and prints JSON.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import polars as pl
import psutil

from headgate.contract.checks import Check, Outcome
from headgate.contract.limits import Limits
from headgate.errors import HeadgateError
from headgate.settings import SAFE_PATH

#: Memory below this is not told apart: allocators hand out pages as they like.
LEAST_BYTES = 16 << 20


def check_infrastructure(bundle: Path, champion: Path | None, limits: Limits) -> list[Check]:
    """Load `bundle` in a fresh process, hold its golden answers against it, and time it beside the champion.

    The process finds the domain by itself, as serving does; how long it may take, and how much slower and larger than
    the champion the bundle may be, say `limits`.
    """
    command = [sys.executable, "-m", "headgate.gate.infrastructure", str(bundle)]
    command += [str(champion)] if champion else []
    try:
        done = subprocess.run(
            command,
            env=os.environ | SAFE_PATH,
            capture_output=True,
            text=True,
            timeout=limits.runtime.golden_seconds,
            check=False,
        )
        said = done.stdout.strip().splitlines()
        found: dict[str, Any] = json.loads(said[-1]) if done.returncode == 0 and said else {}
        trouble = done.stderr.strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
    except subprocess.TimeoutExpired:
        found, trouble = {}, [f"no answer within {limits.runtime.golden_seconds:g} s"]
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
    if limits.runtime.memory_bytes is not None:
        checks.append(_check_size(found["bytes"], limits.runtime.memory_bytes, limits.runtime.warm))
    for name, measured in (("latency", "seconds"), ("memory", "bytes")):
        demanded = f"≤ {limits.latency_ratio:g} × champion"
        if found.get(f"champion_{measured}") is None:
            sentence = "There is no champion to compare with yet."
            checks.append(Check("infrastructure", name, "not judged", "refuse", "–", demanded, sentence))
            continue
        times = found[measured] / found[f"champion_{measured}"]
        within = times <= limits.latency_ratio
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


def _check_size(taken: int, allowed: int, warm: int) -> Check:
    """Whether a worker has room for as many versions as it keeps warm."""
    sentence = (
        f"Loaded, and having answered, it takes {taken / 2**20:,.0f} MiB; a worker keeps {warm} versions, and each may "
        f"take {allowed / 2**20:,.0f} MiB."
    )
    outcome: Outcome = "passed" if taken <= allowed else "failed"
    measured, demanded = (f"{size / 2**20:,.0f} MiB" for size in (taken, allowed))
    return Check("infrastructure", "size", outcome, "refuse", measured, f"≤ {demanded}", sentence)


def probe(bundle: Path, champion: Path | None) -> dict[str, Any]:
    """What the fresh process finds: how many golden answers agree, and for both bundles the seconds and the bytes.

    The batch is decided as often as the domain says, and the quickest counts: other processes only ever slow it down.
    """
    from headgate.domain import get_domain
    from headgate.registry.bundles import card, verify
    from headgate.registry.golden import EXPECTED, GOLDEN, agrees

    verify(bundle)
    domain = get_domain(card(bundle)["domain"])
    found: dict[str, Any] = {"rows": agrees(bundle, domain.load(bundle))}  # and what loading imports is in memory now
    batch = pl.read_parquet(bundle / GOLDEN).select(pl.exclude(f"^{EXPECTED}.*$"))
    names = {"": bundle} | ({"champion_": champion} if champion else {})
    predictors = {}
    for name, folder in names.items():
        before = psutil.Process().memory_info().rss
        predictors[name] = domain.load(folder)
        predictors[name].decide(batch)
        found[f"{name}bytes"] = max(psutil.Process().memory_info().rss - before, LEAST_BYTES)
    times: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(domain.limits.runtime.golden_repeats):  # by turns, so that a busy moment meets both
        for name, predictor in predictors.items():
            start = time.perf_counter()
            predictor.decide(batch)
            times[name].append(time.perf_counter() - start)
    return found | {f"{name}seconds": min(measured) for name, measured in times.items()}


if __name__ == "__main__":
    arguments = [Path(argument) for argument in sys.argv[1:]]
    try:
        print(json.dumps(probe(arguments[0], arguments[1] if len(arguments) > 1 else None)))
    except HeadgateError as error:
        sys.exit(str(error))
