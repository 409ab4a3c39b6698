"""1,000 services, eight weeks per minute, forecast for 90 days per minute: time, memory, and how they grow."""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from headgate.domains.capacity.data.raw import Series
from headgate.domains.capacity.model.clock import DAY
from headgate.domains.capacity.model.histories import History
from headgate.domains.capacity.model.levels import LEVEL_MODELS
from headgate.domains.capacity.stages.train import fit_all, weigh

WEEKS, AHEAD, SIZES = 8, 90, (10, 100, 300, 1000)
PART = 50


def report() -> str:
    here = Path(__file__).resolve()
    rows = []
    for size in SIZES:
        command = [sys.executable, "-m", "peers.scale", str(size)]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, cwd=here.parents[1])
        rows.append([float(word) for word in done.stdout.split()[-4:]])
        print(size, rows[-1], file=sys.stderr, flush=True)
    _plot([row[1] for row in rows], here.parents[1] / "capacity_scale.png")
    table = "\n".join(
        f"| {size:,} | {fit:.0f} | {whole:.0f} | {cpu:.0f} | {mib:,.0f} |"
        for size, (fit, whole, cpu, mib) in zip(SIZES, rows, strict=True)
    )
    slope = np.polyfit(np.log(SIZES[1:]), np.log([row[1] for row in rows[1:]]), 1)[0]
    return f"""## Many services

{WEEKS} weeks per minute, then {AHEAD} days per minute for every service, written to disk in single precision; level models are
weighed on a sample of 64. Each size is a process of its own on 2 cores.

| services | weighed and fitted, s | and forecast, s | CPU s | peak memory, MiB |
|---|---|---|---|---|
{table}

From 100 services on the time grows with the power {slope:.2f} of their number.

![time by number of services](capacity_scale.png)
"""


def main(size: int) -> None:
    """Fit and forecast `size` services, and print seconds and memory."""
    import resource

    random = np.random.default_rng(5)
    n = WEEKS * 7 * 1440
    minute, day = np.arange(n) % 1440, np.arange(n) // 1440
    values = np.empty((n, size), np.float32)
    for s in range(size):
        wave = (
            1 + 0.6 * np.sin(2 * np.pi * (minute / 1440 - random.uniform())) + 0.2 * np.cos(4 * np.pi * minute / 1440)
        )
        week = np.where(day % 7 >= 5, random.uniform(0.6, 1.1), 1.0) * np.exp(random.normal(0, 0.05, WEEKS * 7))[day]
        values[:, s] = random.poisson(random.lognormal(4, 1) * wave * week)
    series = tuple(Series(f"x/s{i}/requests", "x", f"s{i}", "requests", "", "UTC", 60, "sum") for i in range(size))
    history = History(series, 4 * DAY + 52 * 365 * DAY // DAY * DAY + 60 * np.arange(n), values, (), ())
    cpu, start = time.process_time(), time.perf_counter()
    model, _ = fit_all(history, weigh(history))
    fitted = time.perf_counter() - start
    times = history.until + 60 * np.arange(AHEAD * 1440)
    with tempfile.TemporaryFile(dir=os.environ.get("TMPDIR")) as file:
        for low in range(0, size, PART):
            columns = list(range(low, min(low + PART, size)))
            for first in range(0, len(times), 43_200):
                file.write(
                    np.exp(model.log_forecast(times[first : first + 43_200], (), columns)).astype(np.float32).tobytes()
                )
    whole = time.perf_counter() - start
    used = time.process_time() - cpu + resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    print(fitted, whole, used, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def _plot(seconds: list[float], path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 3.6), layout="constrained")
    axis = figure.subplots()
    axis.loglog(SIZES, seconds, "o-", color="#0b5394", label="measured")
    linear = seconds[-1] * np.array(SIZES) / SIZES[-1]
    axis.loglog(SIZES, linear, ":", color="#777777", label="proportional")
    axis.set_xlabel("services")
    axis.set_ylabel("seconds, fitted and forecast")
    axis.legend(frameon=False)
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    assert len(LEVEL_MODELS) > 0
    main(int(sys.argv[1]))
