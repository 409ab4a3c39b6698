"""Every fault that a serving machine knows, under load: what the load saw, and whether the log agrees with it.

    PYTHONPATH=. python -m tests.journeys.faults

Real parts on a state folder of their own: Redis, MLflow, the registrar, and the endpoint with its workers. A fault is
held until enough requests have met it, and over when requests are answered in earnest again by the same processes.
"""

import http.client
import json
import os
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import polars as pl
import psutil
from tests.journeys.swaps import promoted, registrar
from tests.redises import Server as Redis
from tests.redises import running

from headgate import settings as settings_module
from headgate.decisions.reading import gaps, parts
from headgate.domains.adclicks.model.predictor import Predictor
from headgate.domains.adclicks.serving.log_rows import LOG
from headgate.domains.adclicks.serving.redecide import redecide
from headgate.registry import versions
from headgate.servers import decision_server, mlflow_server, until_loaded, up
from headgate.settings import Settings

#: Requests that must have met a fault, and that must go well after it.
ENOUGH = 60

#: How long either is waited for, in seconds.
PATIENCE = 60.0

SENDERS, EVERY = 4, 0.02


@dataclass(frozen=True)
class Answer:
    """One answer of the load; `status` 0 where the connection broke."""

    at: float
    took: float
    status: int
    decision_id: str = ""
    click_id: str = ""
    invalid: bool = False
    pending: bool = False

    @property
    def in_earnest(self) -> bool:
        return self.status == 200 and not self.pending


@dataclass
class Load:
    """Senders that ask for decisions all the time, each on a connection of its own."""

    port: int
    answers: list[Answer] = field(default_factory=list)
    stopped: threading.Event = field(default_factory=threading.Event)

    def send(self, sender: int) -> None:
        connection, number = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10), 0
        while not self.stopped.wait(EVERY):
            number += 1
            click = {
                "click_id": f"c{sender}-{number}",
                "event_time": f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime())}Z",
                "user_id": f"u{sender}-{number % 20}",
                "ip": f"192.0.2.{number % 50}",
            }
            began = time.monotonic()
            try:
                connection.request("POST", "/v1/adclicks/decisions", json.dumps(click))
                response = connection.getresponse()
                body = json.loads(response.read())
            except (OSError, http.client.HTTPException):
                connection.close()
                self.answers.append(Answer(began, time.monotonic() - began, 0))
                continue
            told = (body.get("decision_id", ""), click["click_id"], body.get("invalid"), body.get("pending", False))
            self.answers.append(Answer(began, time.monotonic() - began, response.status, *told))

    def until(self, is_so: Callable[[Answer], bool], count: int = ENOUGH) -> None:
        """Wait until so many answers from now on are so."""
        seen, deadline = len(self.answers), time.monotonic() + PATIENCE
        while sum(map(is_so, self.answers[seen:])) < count:
            if time.monotonic() > deadline:
                raise AssertionError(f"not {count} such answers in {PATIENCE:g} s; the last: {self.answers[-3:]}")
            time.sleep(0.02)


@dataclass(frozen=True)
class Fault:
    """What the load saw of one fault."""

    name: str
    requests: int
    by_default: int
    broken: int
    others: int  # answers that are no decision
    longest: float  # seconds
    wrong: int = 0  # decisions that the logged vector and the version do not explain, or that the log tells otherwise
    missing: int = 0  # acknowledged decisions that are not in the log


@dataclass
class Scene:
    """The parts that faults are done to."""

    settings: Settings
    redis: Redis
    mlflow: ExitStack
    port: int
    numbers: list[int]
    load: Load

    def workers(self) -> list[psutil.Process]:
        """The processes that answer, when there are several."""
        children = psutil.Process().children(recursive=True)
        return [child for child in children if "spawn_main" in " ".join(_command(child))]


def redis_killed(scene: Scene) -> None:
    scene.redis.kill()
    scene.load.until(lambda answer: answer.pending)
    scene.redis.start()


def redis_stopped(scene: Scene) -> None:
    scene.redis.send(signal.SIGSTOP)
    scene.load.until(lambda answer: answer.pending)
    scene.redis.send(signal.SIGCONT)


def mlflow_down(scene: Scene) -> None:
    scene.mlflow.close()
    scene.load.until(lambda answer: answer.in_earnest, 10 * ENOUGH)
    scene.mlflow.enter_context(up(scene.settings, [mlflow_server(scene.settings)]))


def worker_killed(scene: Scene) -> None:
    before = scene.workers()
    before[0].kill()
    deadline = time.monotonic() + PATIENCE
    while len({process.pid for process in scene.workers()} - {before[0].pid}) < len(before):
        assert time.monotonic() < deadline, "the worker was not replaced"
        time.sleep(0.1)


def many_connections(scene: Scene, count: int = 10_000) -> None:
    idle = []
    try:
        for _ in range(count):
            there = socket.create_connection(("127.0.0.1", scene.port), timeout=30)
            idle.append(there)
        scene.load.until(lambda answer: answer.in_earnest)
    finally:
        for there in idle:
            there.close()


def slow_clients(scene: Scene) -> None:
    """Some who send a body byte by byte, and some who never read their answers."""
    slow = [socket.create_connection(("127.0.0.1", scene.port), timeout=30) for _ in range(50)]
    for there in slow:
        there.sendall(b"POST /v1/adclicks/decisions HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n[")
    deaf = [socket.create_connection(("127.0.0.1", scene.port), timeout=30) for _ in range(50)]
    for there in deaf:
        there.sendall(b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n" * 20)
    scene.load.until(lambda answer: answer.in_earnest, 5 * ENOUGH)
    for there in (*slow, *deaf):
        there.close()


def swaps(scene: Scene, count: int = 10) -> None:
    """A champion a second."""
    registry = versions.client(scene.settings)
    for n in range(count):
        registry.set_registered_model_alias("adclicks", "champion", str(scene.numbers[n % 2]))
        time.sleep(1.0)


SAMPLE: tuple[Callable[[Scene], None], ...] = (redis_stopped, redis_killed)
ALL = (*SAMPLE, mlflow_down, worker_killed, many_connections, slow_clients, swaps)


def measure(
    home: Path,
    faults: Sequence[Callable[[Scene], None]],
    workers: int = 1,
    setenv: Callable[[str, str], object] = os.environ.__setitem__,
) -> list[Fault]:
    """Do each of `faults` under load, and hold the answers against the log."""
    setenv("HEADGATE_HOME", str(home))
    found = []
    with ExitStack() as stack:
        redis = stack.enter_context(running())
        setenv("HEADGATE_REDIS", redis.url)
        setenv("HEADGATE_REDIS_DEADLINE_MS", "100")  # the machine's own noise is no fault that is looked for here
        here = settings_module.load()
        mlflow = stack.enter_context(ExitStack())
        mlflow.enter_context(up(here, [mlflow_server(here)]))
        numbers = promoted(here, home / "scratch", 2)
        stack.enter_context(registrar(here))
        server = decision_server(here, ["adclicks"])
        server = replace(server, command=[*server.command, "--workers", str(workers)])
        stack.enter_context(up(here, [server]))
        assert until_loaded(server.url, ["adclicks"])
        load = stack.enter_context(_load(server.port))
        scene = Scene(here, redis, mlflow, server.port, numbers, load)
        for fault in faults:
            load.until(lambda answer: answer.in_earnest)
            seen = len(load.answers)
            fault(scene)
            load.until(lambda answer: answer.in_earnest)
            found.append((fault.__name__.replace("_", " "), load.answers[seen:]))
    return list(_held_against_the_log(here, home / "scratch", found))


@contextmanager
def _load(port: int) -> Iterator[Load]:
    load = Load(port)
    threads = [threading.Thread(target=load.send, args=(n,), daemon=True) for n in range(SENDERS)]
    for thread in threads:
        thread.start()
    try:
        yield load
    finally:
        load.stopped.set()
        for thread in threads:
            thread.join(20)


def _held_against_the_log(
    here: Settings, bundles: Path, found: Sequence[tuple[str, Sequence[Answer]]]
) -> Iterator[Fault]:
    rows = pl.concat([rows for _, rows in parts(here, LOG)])
    assert not gaps(here, "adclicks"), "the log is whole"
    explained = {}
    for (version,), mine in rows.filter(pl.col("role") != "default").group_by("version"):
        again = redecide(Predictor(bundles / f"bundle-{int(str(version)) - 1}"), mine)
        explained |= dict(zip(mine["decision_id"], again["outcome"], strict=True))
    logged = {row[0]: row[1:] for row in rows.select("decision_id", "click_id", "outcome", "role").iter_rows()}
    for name, answers in found:
        wrong = missing = 0
        for answer in (answer for answer in answers if answer.status == 200):
            if answer.decision_id not in logged:
                missing += 1
                continue
            role = logged[answer.decision_id][2]
            outcome = "invalid" if answer.invalid else "valid"
            told = (answer.click_id, outcome, "default" if answer.pending else role)
            right = "valid" if answer.pending else explained[answer.decision_id]
            wrong += told != logged[answer.decision_id] or outcome != right
        yield Fault(
            name,
            len(answers),
            sum(answer.pending for answer in answers),
            sum(answer.status == 0 for answer in answers),
            sum(answer.status not in (0, 200) for answer in answers),
            max(answer.took for answer in answers),
            wrong,
            missing,
        )


def _command(process: psutil.Process) -> list[str]:
    with suppress(psutil.Error):
        found: list[str] = process.cmdline()
        return found
    return []


def words(faults: Sequence[Fault]) -> str:
    """The faults as Markdown."""
    rows = [
        f"| {one.name} | {one.requests:,} | {one.by_default:,} | {one.broken} | {one.others} | {one.wrong} | "
        f"{one.missing} | {1000 * one.longest:.0f} |"
        for one in faults
    ]
    head = ["requests", "by default", "connections broken", "other answers", "wrong", "missing in the log"]
    return "\n".join([f"| fault | {' | '.join(head)} | longest, ms |", "|---" * (len(head) + 2) + "|", *rows])


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        print(words(measure(Path(folder) / "state", ALL, workers=2)))
