"""The same model, clicks and Redis counters behind Headgate and behind what a user would pick instead."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import chain
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from numpy.typing import NDArray

from headgate.contract.requests import Target
from headgate.domains.adclicks.simulated.requests import Clicks
from headgate.errors import HeadgateError
from peers.serving import rig
from peers.serving.rig import Loaded, Running, Samples, Sizes
from peers.serving.rivals import RIVALS, environment, versions
from peers.serving.rivals import running as rival_running
from peers.serving.state import State, state

WANTED = (0.5, 0.99)

#: Clicks whose decisions must be the same everywhere.
COMPARED = 40

OURS = "Headgate"


@dataclass(frozen=True)
class Contestant:
    """A server that can be started, and how it is asked."""

    name: str
    path: str
    around: tuple[bytes, bytes]


@dataclass(frozen=True)
class Arena:
    """What all contestants share."""

    at: State
    bin: Path
    store: Running
    redis: str
    sizes: Sizes

    @contextmanager
    def started(self, who: Contestant) -> Iterator[Running]:
        """`who`, alone, for the block."""
        if who.name == OURS:
            # As long a deadline as the others have, so that all of them really ask Redis.
            with rig.headgate(
                self.at.folder, {"HEADGATE_REDIS": self.redis, "HEADGATE_REDIS_DEADLINE_MS": "5000"}
            ) as one:
                yield one
            return
        rival = next(rival for rival in RIVALS if rival.name == who.name)
        with rival_running(rival, self.bin, self.at.folder, self.at.bundle, self.redis) as one:
            yield one

    def load(self, server: Running, who: Contestant, rate: float | None, *, clicks: int, seed: int = 0) -> Loaded:
        """An open loop at `rate`, or a closed one where there is none."""
        due, limits = rig.closed_loop(self.sizes.capacity) if rate is None else rig.open_loop(rate, clicks, seed)
        return rig.load(server, self.store, due, limits, path=who.path, around=who.around, seed=seed)


def report(sizes: Sizes) -> str:
    """The section."""
    everyone = [Contestant(OURS, "/v1/adclicks/decisions", (b"", b""))]
    everyone += [Contestant(rival.name, rival.path, rival.around) for rival in RIVALS]
    bin = environment(sizes.work)
    with state() as at, rig.stolen() as samples, rig.redis() as (store, url):
        arena = Arena(at, bin, store, url, sizes)
        capacity: dict[str, list[Loaded]] = {who.name: [] for who in everyone}
        for _ in range(sizes.rounds):  # in turns, since the machine's speed changes by the minute
            for who in everyone:
                with arena.started(who) as server:
                    _same_answers(server, who, at)
                    arena.load(server, who, 50, clicks=sizes.warm // 4, seed=98)
                    capacity[who.name].append(arena.load(server, who, None, clicks=0))
        can = {name: float(np.median([run.per_second for run in runs])) for name, runs in capacity.items()}
        shared = min(can.values()) / 2
        at_shared, at_own = ({who.name: list[Loaded]() for who in everyone} for _ in range(2))
        clicks = sizes.fewer // sizes.rounds
        for n in range(sizes.rounds):
            for who in everyone:
                with arena.started(who) as server:
                    arena.load(server, who, min(shared, 200), clicks=sizes.warm // 2, seed=99)
                    at_shared[who.name].append(arena.load(server, who, shared, clicks=clicks, seed=10 + n))
                    own = can[who.name] / 2
                    at_own[who.name].append(arena.load(server, who, own, clicks=clicks, seed=50 + n))
    return "\n\n".join(
        [
            "## Against what a user would pick instead",
            _about(sizes, versions(bin)),
            _capacity(capacity),
            f"All at {shared:.0f}/s, half of what the slowest can:",
            _latencies(at_shared, samples),
            "Each at half of what it can itself:",
            _latencies(at_own, samples),
            _promises(capacity, at_shared, at_own, samples),
            _failed([*chain.from_iterable(chain(capacity.values(), at_shared.values(), at_own.values()))]),
        ]
    )


def _same_answers(server: Running, who: Contestant, at: State) -> None:
    """Hold the decisions of a server against those of the first one: the same clicks, in the same order."""
    clicks = Clicks(COMPARED, Target(server.address, "/v1/adclicks/decisions"), seed=7, run="compared")
    before, after = who.around
    decided = []
    for number in range(COMPARED):
        # They arrive at instants of their own, so that every server counts the very same.
        at_ = datetime(2026, 1, 5, 9, tzinfo=UTC) + timedelta(seconds=number)
        click = clicks.request(number, at_.timestamp()).partition(b"\r\n\r\n")[2]
        body = click[:-1] + f',"received_at":"{at_.isoformat()}"}}'.encode()
        answer = httpx.post(
            server.address + who.path,
            content=before + body + after,
            headers={"Content-Type": "application/json"},
            timeout=60,
            trust_env=False,
        )
        if answer.status_code != 200:
            raise HeadgateError(f"{who.name} refuses a click: {answer.text[-1500:]}")
        one = _decision(answer.json())
        decided.append((one["click_id"], one["invalid"], one["slice"]))
    kept = at.folder / "compared.txt"
    if not kept.is_file():
        kept.write_text(repr(decided))
    elif kept.read_text() != repr(decided):
        raise HeadgateError(f"{who.name} decides the same clicks otherwise than {OURS}: they are no peers so.")


def _decision(answer: Any) -> dict[str, Any]:
    """The decision, however deep a framework wraps it."""
    while "invalid" not in answer:
        answer = answer[0] if isinstance(answer, list) else next(iter(answer.values()))
    return dict(answer)


def _about(sizes: Sizes, told: str) -> str:
    return (
        f"{told}. The peers run one worker each, as their manuals set them up, with access logs off: MLflow as "
        "`mlflow models serve` on a pyfunc with type hints, BentoML as a service class with an asynchronous API "
        "and LitServe as a LitAPI, both with adaptive batches of up to 32 as Headgate has them, FastAPI as a route with "
        "pydantic's model of a click. All call the same counters in the same Redis and the same ONNX model; that their "
        "decisions are the same is checked first. "
        "Headgate alone also hashes names and writes the decision log. "
        f"What each can is a closed loop of 8 connections for {sizes.capacity:g} s, in {sizes.rounds} rounds in turns, "
        f"with servers started anew each time: the median, and the range; then {sizes.fewer:,} clicks in an open loop, in "
        "as many rounds in turns, latencies in ms from the instant at which a request was due: the median of the rounds, "
        "and the range. The host is quiet while it takes less than "
        f"{1000 * rig.TAKEN:.0f} ms of CPU from this virtual machine (steal) within half a second before and after a request "
        "was due: beside its p99, over all rounds, how many such answers there were. CPU is of the server's processes. "
        "*ours* is so many times as many decisions per CPU-second."
    )


def _capacity(capacity: dict[str, list[Loaded]]) -> str:
    lines = [
        "| | decisions/s | decisions per CPU-second | ours is so many times it, by round |",
        "|---|---|---|---|",
    ]
    for name, runs in capacity.items():
        rate, per = [run.per_second for run in runs], [_per_cpu_second(run) for run in runs]
        times = ", ".join(f"{value:.2f}" for value in _times(capacity, name)) if name != OURS else ""
        lines.append(f"| {name} | {_middle(rate)} | {_middle(per)} | {times} |")
    return "\n".join(lines)


def _times(runs: dict[str, list[Loaded]], peer: str) -> list[float]:
    """How many times a peer's decisions a CPU-second makes with ours, in each round."""
    pairs = zip(runs[OURS], runs[peer], strict=True)
    return [_per_cpu_second(ours) / _per_cpu_second(theirs) for ours, theirs in pairs]


def _middle(values: Sequence[float]) -> str:
    return f"{np.median(values):,.0f} ({min(values):,.0f} – {max(values):,.0f})"


def _latencies(runs: dict[str, list[Loaded]], samples: Samples) -> str:
    lines = [
        "| | rate | p50 | p99 | p99, of ours | p99 while the host is quiet | CPU a decision, ms | "
        "decisions per CPU-second | ours, by round |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, mine in runs.items():
        p50, p99 = _by_round(mine).T
        quiet, n = _while_quiet(mine, samples)
        of_ours = np.median(p99 / _by_round(runs[OURS])[:, 1])
        rate = np.median([len(run.measured.due) / run.measured.due[-1] for run in mine])
        per = sum(run.answered for run in mine) / sum(run.server_cpu for run in mine)
        times = ", ".join(f"{value:.2f}" for value in _times(runs, name)) if name != OURS else ""
        lines.append(
            f"| {name} | {rate:,.0f}/s | {np.median(p50):.2f} | {np.median(p99):.1f} ({p99.min():.1f} – {p99.max():.1f}) | "
            f"{of_ours:.1f} × | {quiet:.1f} of {n:,} | {1000 / per:.2f} | {per:,.0f} | {times} |"
        )
    return "\n".join(lines)


def _by_round(runs: Sequence[Loaded]) -> NDArray[np.float64]:
    """`WANTED` [rounds, 2] in ms."""
    return np.stack([run.quantiles(WANTED) for run in runs])


def _while_quiet(runs: Sequence[Loaded], samples: Samples) -> tuple[float, int]:
    """The p99 in ms of all rounds' answers to what was due while the host took no CPU, and how many these are."""
    latency = np.concatenate([run.measured.latency[run.measured.good & run.quiet(samples)] for run in runs])
    return (1000 * float(np.quantile(latency, 0.99, method="higher")) if len(latency) else float(np.nan)), len(latency)


def _promises(
    capacity: dict[str, list[Loaded]],
    at_shared: dict[str, list[Loaded]],
    at_own: dict[str, list[Loaded]],
    samples: Samples,
) -> str:
    ours, mlflow = (_by_round(at_shared[name])[:, 1] for name in (OURS, "MLflow"))
    lower = mlflow / ours
    (quiet, _), (quiet_mlflow, _) = (_while_quiet(at_shared[name], samples) for name in (OURS, "MLflow"))
    places = {"at capacity": capacity, "at the same rate": at_shared, "each at half of what it can": at_own}
    more = []
    for place, runs in places.items():
        best = min((name for name in runs if name != OURS), key=lambda name: float(np.median(_times(runs, name))))
        times = _times(runs, best)
        more.append(f"{np.median(times):.2f} ({min(times):.2f} – {max(times):.2f}) times those of {best} {place}")
    return (
        f"At the same rate the p99 is {np.median(lower):.1f} ({lower.min():.1f} – {lower.max():.1f}) times lower than "
        f"MLflow's by round, and {quiet_mlflow / quiet:.1f} times while the host is quiet (promised: 5). A "
        "second of CPU makes so many decisions (promised: more than with every peer; told is the best of them, median "
        f"and range of the rounds): {', '.join(more)}."
    )


def _per_cpu_second(run: Loaded) -> float:
    return run.answered / run.server_cpu if run.server_cpu else float(np.nan)


def _failed(runs: Sequence[Loaded]) -> str:
    total = sum(int((run.measured.status != 0).sum()) for run in runs)
    failed, pending = sum(run.measured.failed for run in runs), sum(int(run.measured.pending.sum()) for run in runs)
    return f"Of {total:,} requests in all {failed:,} failed, and {pending:,} were answered by default."
