"""What every part measures with: real servers on a scratch state, the CPU they take, and loads on them."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread

import numpy as np
import psutil
from numpy.typing import NDArray

from headgate.contract.requests import Target
from headgate.domains.adclicks.simulated.requests import Clicks
from headgate.errors import HeadgateError
from headgate.load.generator import Limits, run
from headgate.load.measured import Measured
from headgate.load.schedule import Schedule
from headgate.servers import free_port

#: Seconds that a server may take until it answers; BentoML and MLflow import much.
PATIENCE = 120

#: Sockets have short paths.
_SHORT = "/tmp"

#: Seconds of CPU within a second that the host may take before that second counts as disturbed.
TAKEN = 0.01

HERE = Path(__file__).parent
ROOT = HERE.parents[2]


@dataclass(frozen=True)
class Sizes:
    """How much is measured; the defaults are those of the report."""

    clicks: int = 100_000  # in each run of a pair
    pairs: int = 5
    fewer: int = 30_000  # at the lower rates, and of each peer
    capacity: float = 10.0  # seconds of closed loop
    rounds: int = 5  # of closed loops
    warm: int = 2_000  # clicks before anything is measured
    soak: int = 1_800_000  # clicks while memory is watched
    work: Path = Path()  # what is kept from run to run

    @classmethod
    def smoke(cls) -> "Sizes":
        """Seconds: to see that everything runs."""
        return cls(clicks=2_000, pairs=2, fewer=600, capacity=2.0, rounds=2, warm=300, soak=60_000)


@dataclass(frozen=True)
class Running:
    """A process that was started, and where it listens; the address is that of its HTTP, if it speaks any."""

    pid: int
    address: str = ""

    def cpu(self) -> float:
        """Seconds of CPU that the process and all it started have taken, also what has ended by now."""
        total = 0.0
        with suppress(psutil.NoSuchProcess):
            parent = psutil.Process(self.pid)
            for process in (parent, *parent.children(recursive=True)):
                with suppress(psutil.NoSuchProcess):
                    total += sum(process.cpu_times()[:4])  # its own, and that of children it has waited for
        return total


def inherited(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of a process that we start: ours, and `more`."""
    return os.environ | dict(more or {})


@contextmanager
def process(command: Sequence[str], log: Path, environment: Mapping[str, str] | None = None) -> Iterator[int]:
    """Run `command` for the block, in a process group of its own."""
    with log.open("ab") as output:
        started = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=inherited(environment),
            cwd=log.parent,
            start_new_session=True,
        )
    try:
        yield started.pid
    finally:
        for sign in (signal.SIGTERM, signal.SIGKILL):
            with suppress(ProcessLookupError):
                os.killpg(started.pid, sign)
            with suppress(subprocess.TimeoutExpired):
                started.wait(10)
                # Workers may outlive their leader; the group goes with it.
                with suppress(ProcessLookupError):
                    os.killpg(started.pid, signal.SIGKILL)
                break


@contextmanager
def web(
    name: str,
    command: Sequence[str],
    port: int,
    health: str,
    folder: Path,
    environment: Mapping[str, str] | None = None,
) -> Iterator[Running]:
    """A server for the block, once its `health` route answers 200."""
    import httpx

    log = folder / f"{name}.log"
    address = f"http://127.0.0.1:{port}"
    with process(command, log, environment) as pid:
        deadline = time.monotonic() + PATIENCE
        while True:
            with suppress(httpx.HTTPError):
                if httpx.get(address + health, timeout=5, trust_env=False).status_code == 200:
                    break
            if time.monotonic() > deadline or not psutil.pid_exists(pid):
                raise HeadgateError(f"{name} did not start:\n{log.read_text(errors='replace')[-3000:]}")
            time.sleep(0.2)
        yield Running(pid, address)


@contextmanager
def redis() -> Iterator[tuple[Running, str]]:
    """A Redis that keeps nothing on disk, and its URL: on a socket, as one beside the server would be."""
    if shutil.which("redis-server") is None:
        raise HeadgateError("There is no redis-server: apt-get install redis-server.")
    folder = Path(tempfile.mkdtemp(prefix="headgate-bench-", dir=_SHORT))
    path = folder / "redis.sock"
    options = {"port": "0", "unixsocket": str(path), "save": "", "appendonly": "no", "dir": str(folder)}
    flags = [part for name, value in options.items() for part in (f"--{name}", value)]
    try:
        with process(["redis-server", *flags], folder / "redis.log") as pid:
            deadline = time.monotonic() + PATIENCE
            while not path.exists():
                if time.monotonic() > deadline or not psutil.pid_exists(pid):
                    raise HeadgateError(f"Redis did not start:\n{(folder / 'redis.log').read_text()[-2000:]}")
                time.sleep(0.02)
            yield Running(pid), f"unix://{path}"
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def headgate(folder: Path, environment: Mapping[str, str]) -> Iterator[Running]:
    """`headgate serve adclicks` with one worker, ready to decide."""
    port = free_port("127.0.0.1", 18_000)
    command = [sys.executable, "-m", "headgate.cli", "serve", "adclicks", "--port", str(port)]
    with web("headgate", command, port, "/readyz", folder, environment) as server:
        yield server


@contextmanager
def empty(folder: Path) -> Iterator[Running]:
    """A server with the same settings whose route does nothing."""
    port = free_port("127.0.0.1", 18_200)
    command = [sys.executable, str(HERE / "apps" / "empty.py"), str(port)]
    with web("empty", command, port, "/healthz", folder) as server:
        yield server


#: Times, and the CPU seconds that the host has kept from this machine by then (steal, as Linux counts it).
Samples = Sequence[tuple[float, float]]


@contextmanager
def stolen() -> Iterator[Samples]:
    """Four samples a second, while the block lasts."""
    samples, over = [(time.time(), psutil.cpu_times().steal)], Event()

    def sample() -> None:
        while not over.wait(0.25):
            samples.append((time.time(), psutil.cpu_times().steal))

    thread = Thread(target=sample, daemon=True)
    thread.start()
    try:
        yield samples
    finally:
        over.set()
        thread.join()


@dataclass(frozen=True)
class Loaded:
    """A load on a server: what was measured, and the CPU it took, in seconds."""

    measured: Measured
    server_cpu: float
    redis_cpu: float

    @property
    def answered(self) -> int:
        """Requests that were answered with a 2xx."""
        return int(self.measured.good.sum())

    @property
    def per_second(self) -> float:
        """Answers a second."""
        return self.answered / self.measured.seconds

    def quantiles(self, wanted: Sequence[float]) -> NDArray[np.float64]:
        """Quantiles of the latency in ms; of what failed there is none."""
        if not self.answered:
            return np.full(len(wanted), np.nan)
        latency = self.measured.latency[self.measured.good].astype(np.float64)
        return 1000 * np.quantile(latency, wanted, method="higher")

    def quiet(self, samples: Samples) -> NDArray[np.bool_]:
        """Which requests [n] were due when the host took less than TAKEN within half a second before and after."""
        time, steal = np.array(samples).T
        at = self.measured.started + self.measured.due
        found: NDArray[np.bool_] = np.interp(at + 0.5, time, steal) - np.interp(at - 0.5, time, steal) < TAKEN
        return found


def load(
    server: Running,
    store: Running,
    due: NDArray[np.float64],
    limits: Limits | None = None,
    *,
    path: str = "/v1/adclicks/decisions",
    around: tuple[bytes, bytes] = (b"", b""),
    seed: int = 0,
) -> Loaded:
    """Send a click at each instant of `due` to `server`, whose counters are in `store`."""
    target = Target(server.address, path)
    clicks = Clicks(len(due), target, seed=seed, around=around)
    before = server.cpu(), store.cpu()
    measured = run(target, due, clicks.request, limits)
    done = Loaded(measured, server.cpu() - before[0], store.cpu() - before[1])
    took, middle = measured.seconds, done.quantiles((0.5,))[0]
    print(
        f"  {done.answered:,} answers of {server.address}{path} in {took:.0f} s, p50 {middle:.2f} ms", file=sys.stderr
    )
    return done


def open_loop(rate: float, clicks: int, seed: int = 0) -> tuple[NDArray[np.float64], Limits]:
    """Instants at `rate` for so many `clicks`, and as many connections as `headgate load` would open."""
    return Schedule(rate, clicks / rate).due(seed), Limits(round(min(64, max(4, rate / 8))))


def closed_loop(seconds: float, connections: int = 8) -> tuple[NDArray[np.float64], Limits]:
    """As much as `connections` can get answered in so many `seconds`, each asking as soon as it was answered."""
    return np.zeros(int(20_000 * seconds)), Limits(connections, queue=None, patience=seconds + 60, stop=seconds)
