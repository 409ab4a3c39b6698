"""Headgate beside an empty route in the same run: latency by rate, the paired difference, the time inside, the CPU."""

import os
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from headgate.load.server_time import Bounds, quantiles, scrape
from peers.serving import rig
from peers.serving.rig import Loaded, Running, Samples, Sizes
from peers.serving.state import state

#: Requests a second in pairs, and in a single run each.
RATE, LOWER = 1000, (300, 500)

NAMES, WANTED = ("p50", "p99", "p99.9", "max"), (0.5, 0.99, 0.999, 1.0)

PATH = "/v1/adclicks/decisions"


def report(sizes: Sizes) -> str:
    """The section."""
    with (
        state() as at,
        rig.stolen() as samples,
        rig.redis() as (store, url),
        rig.empty(at.folder) as nothing,
        rig.headgate(at.folder, {"HEADGATE_REDIS": url}) as server,
    ):
        for one in (server, nothing):
            rig.load(one, store, *rig.open_loop(300, sizes.warm, seed=99))
        pairs, inside = _pairs(server, nothing, store, sizes)
        lower = {rate: _both(server, nothing, store, rate, sizes.fewer, seed=50) for rate in LOWER}
    return "\n\n".join(
        [
            "## Headgate",
            _about(sizes),
            _at_full_rate(pairs),
            _difference(pairs),
            _by_steal(pairs, samples),
            _inside(inside),
            _lower(lower),
            _cpu(pairs),
            _failed([*pairs, *lower.values()]),
        ]
    )


def _pairs(
    server: Running, nothing: Running, store: Running, sizes: Sizes
) -> tuple[list[tuple[Loaded, Loaded]], list[Bounds] | None]:
    """Pairs of runs, ours and the empty route's, in turns; and the server's own quantiles over all of its runs."""
    before = scrape(server.address, PATH)
    pairs = [
        _both(server, nothing, store, RATE, sizes.clicks, seed=n, ours_first=n % 2 == 0) for n in range(sizes.pairs)
    ]
    return pairs, quantiles(before, scrape(server.address, PATH), WANTED)


def _both(
    server: Running, nothing: Running, store: Running, rate: float, clicks: int, *, seed: int, ours_first: bool = True
) -> tuple[Loaded, Loaded]:
    """The same instants and clicks for ours and for the empty route."""
    due, limits = rig.open_loop(rate, clicks, seed)
    order = (server, nothing) if ours_first else (nothing, server)
    done = {one.pid: rig.load(one, store, due, limits, seed=seed) for one in order}
    return done[server.pid], done[nothing.pid]


def _about(sizes: Sizes) -> str:
    return (
        f"One worker, Redis on a socket, the generator on the same cores. At {RATE:,}/s {sizes.pairs} pairs of "
        f"{sizes.clicks:,} clicks, ours and the empty route in turns, each pair with the same Poisson arrivals and the "
        f"same clicks; at {' and '.join(f'{rate}/s' for rate in LOWER)} one of {sizes.fewer:,}. Latencies in ms, from "
        "the instant at which a request was due. The empty route is Starlette behind uvicorn with the same settings in "
        "a process of its own: it reads the body and answers a constant."
    )


def _cells(values: NDArray[np.float64]) -> str:
    return " | ".join(f"{value:.2f}" for value in values)


def _at_full_rate(pairs: Sequence[tuple[Loaded, Loaded]]) -> str:
    names = [f"{whose} {name}" for whose in ("ours", "empty") for name in NAMES]
    lines = [f"| {RATE:,}/s | {' | '.join(names)} |"]
    lines.append("|---" * (1 + 2 * len(NAMES)) + "|")
    for number, (ours, nothing) in enumerate(pairs, 1):
        lines.append(f"| pair {number} | {_cells(ours.quantiles(WANTED))} | {_cells(nothing.quantiles(WANTED))} |")
    return "\n".join(lines)


def _difference(pairs: Sequence[tuple[Loaded, Loaded]]) -> str:
    """Mean paired differences with Student's interval: pairs are what repeats, requests of one run are not."""
    differences = np.array([ours.quantiles(WANTED) - nothing.quantiles(WANTED) for ours, nothing in pairs])
    n = len(differences)
    lines = [f"| ours − empty, {n} pairs | mean, ms | 95 % interval |", "|---|---|---|"]
    for name, values in zip(NAMES, differences.T, strict=True):
        half = stats.t.ppf(0.975, n - 1) * values.std(ddof=1) / np.sqrt(n) if n > 1 else np.nan
        lines.append(f"| {name} | {values.mean():.2f} | {values.mean() - half:.2f} – {values.mean() + half:.2f} |")
    return "\n".join(lines)


def _by_steal(pairs: Sequence[tuple[Loaded, Loaded]], samples: Samples) -> str:
    """The same latencies, apart by whether the host took CPU from this machine about then."""
    lines = [
        "| the host took | | share of requests | " + " | ".join(NAMES) + " |",
        "|---|---|---" + "|---" * len(NAMES) + "|",
    ]
    for name, runs in (("ours", [ours for ours, _ in pairs]), ("empty", [nothing for _, nothing in pairs])):
        quiet = np.concatenate([run.quiet(samples) for run in runs])
        good = np.concatenate([run.measured.good for run in runs])
        latency = 1000 * np.concatenate([run.measured.latency for run in runs]).astype(np.float64)
        for words, where in (("less", quiet), ("more", ~quiet)):
            mine = latency[where & good]
            found = np.quantile(mine, WANTED, method="higher") if len(mine) else np.full(len(WANTED), np.nan)
            lines.append(
                f"| {words} than {1000 * rig.TAKEN:.0f} ms | {name} | {np.mean(where):.0%} | {_cells(found)} |"
            )
    about = (
        f"Apart by how much CPU the host of this virtual machine took from it (steal) within half a second before and "
        f"after a request was due, of {os.cpu_count()} seconds of CPU:"
    )
    return "\n".join([about, "", *lines])


def _inside(inside: Sequence[Bounds] | None) -> str:
    if inside is None:
        return "The server told no time inside."
    lines = [
        f"| inside the server, {RATE:,}/s | about, ms | between the bounds of its bucket |",
        "|---|---|---|",
    ]
    for name, bound in zip(NAMES, inside, strict=True):
        high = f"{1000 * bound.high:g}" if np.isfinite(bound.high) else "∞"
        lines.append(f"| {name} | {1000 * bound.likely:.2f} | {1000 * bound.low:g} – {high} |")
    return "\n".join(lines)


def _lower(lower: dict[int, tuple[Loaded, Loaded]]) -> str:
    lines = ["| rate | | " + " | ".join(NAMES) + " |", "|---|---" + "|---" * len(NAMES) + "|"]
    for rate, (ours, nothing) in lower.items():
        lines.append(f"| {rate}/s | ours | {_cells(ours.quantiles(WANTED))} |")
        lines.append(f"| | empty | {_cells(nothing.quantiles(WANTED))} |")
    return "\n".join(lines)


def _cpu(pairs: Sequence[tuple[Loaded, Loaded]]) -> str:
    lines = ["| ms of CPU a request | server | Redis | generator |", "|---|---|---|---|"]
    for name, runs in (("ours", [ours for ours, _ in pairs]), ("empty", [nothing for _, nothing in pairs])):
        number = sum(run.answered for run in runs) / 1000
        server, store = sum(run.server_cpu for run in runs), sum(run.redis_cpu for run in runs)
        generator = sum(run.measured.cpu for run in runs)
        lines.append(f"| {name} | {server / number:.3f} | {store / number:.3f} | {generator / number:.3f} |")
    return "\n".join(lines)


def _failed(pairs: Sequence[tuple[Loaded, Loaded]]) -> str:
    runs = [ours.measured for ours, _ in pairs]
    total, failed = sum(len(run.due) for run in runs), sum(run.failed for run in runs)
    pending = sum(int(run.pending.sum()) for run in runs)
    return (
        f"Of our {total:,} requests {failed:,} failed; {pending:,} were answered by default, since Redis did not answer "
        "within its deadline."
    )
