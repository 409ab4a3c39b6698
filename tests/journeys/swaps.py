"""Sixteen changes of the champion by MLflow's own client, under steady load: what the load saw of them.

    PYTHONPATH=. python -m tests.journeys.swaps

Real servers on a state folder of their own: MLflow, the registrar, and the endpoint. Times are from the call of
MLflow's client to the first answer that the new version gives; the next change is made as soon as it was seen.
"""

import http.client
import json
import os
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.domains.adclicks.tiny import make_bundle

from headgate import settings
from headgate.registry import changes, versions
from headgate.registry.bundles import bundle_id
from headgate.registry.ledger import Entry, Ledger
from headgate.registry.registrar import Registrar
from headgate.servers import decision_server, mlflow_server, until_loaded, up
from headgate.settings import Settings

#: Seconds between two requests of the load.
EVERY = 0.01

#: How long a change is waited for, in seconds, before it counts as not followed.
PATIENCE = 30.0


@dataclass(frozen=True)
class Answer:
    """One answer of the load."""

    sent: float
    done: float
    status: int
    version: int | None


@dataclass(frozen=True)
class Swap:
    """One change, and when the load saw it; None if it never did."""

    how: str
    version: int
    seconds: float | None


@dataclass(frozen=True)
class Report:
    """What the load saw."""

    swaps: tuple[Swap, ...]
    answers: tuple[Answer, ...]

    @property
    def failed(self) -> int:
        """Requests that were not answered with 200."""
        return sum(answer.status != 200 for answer in self.answers)

    @property
    def stall(self) -> float:
        """The longest time that a request took, in seconds."""
        return max(answer.done - answer.sent for answer in self.answers)


def measure(home: Path, rounds: int, setenv: Callable[[str, str], object] = os.environ.__setitem__) -> Report:
    """Change the champion `rounds` times by alias, by stage with MLflow's default, and by stage with archiving."""
    setenv("HEADGATE_HOME", str(home))
    here = settings.load()
    with ExitStack() as stack:
        stack.enter_context(up(here, [mlflow_server(here)]))
        numbers, registry = promoted(here, home / "scratch", 3), versions.client(here)
        stack.enter_context(registrar(here))
        server = decision_server(here, ["adclicks"])
        stack.enter_context(up(here, [server]))
        assert until_loaded(server.url, ["adclicks"])
        answers: list[Answer] = []
        stack.enter_context(_load("127.0.0.1", server.port, answers))
        return Report(tuple(_changes(registry, numbers, rounds, answers)), tuple(answers))


def _changes(registry: Any, numbers: list[int], rounds: int, answers: list[Answer]) -> Iterator[Swap]:
    ways = {
        "alias": lambda n: registry.set_registered_model_alias("adclicks", "champion", str(n)),
        "stage": lambda n: registry.transition_model_version_stage("adclicks", str(n), "Production"),
        "stage, archiving": lambda n: registry.transition_model_version_stage(
            "adclicks", str(n), "Production", archive_existing_versions=True
        ),
    }
    for round_ in range(rounds):
        how = ("alias", "stage", "alias", "stage, archiving")[round_ % 4]
        number = numbers[(round_ + 1) % 2]  # back and forth between the two oldest: the third is never right again
        began, seen = time.monotonic(), len(answers)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            ways[how](number)
        followed = None
        while followed is None and time.monotonic() - began < PATIENCE:
            new = answers[seen:]
            seen += len(new)
            followed = next((answer.done - began for answer in new if answer.version == number), None)
            time.sleep(EVERY)
        yield Swap(how, number, followed)


def promoted(here: Settings, scratch: Path, count: int) -> list[int]:
    """Tiny versions that the gate let pass, each champion in its turn; their bundles are `scratch`/bundle-0, …"""
    registry, ledger = versions.client(here), Ledger(here)
    registry.create_registered_model("adclicks")
    experiment = registry.create_experiment("adclicks", artifact_location=(here.mlflow_home / "artifacts").as_uri())
    numbers = []
    for number in range(count):
        folder = make_bundle(scratch, f"bundle-{number}", bias=float(number))
        run = registry.create_run(experiment)
        registry.log_artifacts(run.info.run_id, str(folder), "bundle")
        made = registry.create_model_version(
            "adclicks",
            f"{run.info.artifact_uri}/bundle",
            run_id=run.info.run_id,
            tags={versions.TAG_BUNDLE: bundle_id(folder)},
        )
        passed = Entry(
            "adclicks", "verdict", "a test", to_version=int(made.version), bundle=bundle_id(folder), ruling="passed"
        )
        ledger.append(passed)
        numbers.append(int(made.version))
        with changes.change_session(registry, ledger, "adclicks") as at:
            changes.make_champion(at, versions.find(registry, "adclicks", made.version), who="a test", why="start")
    return numbers


@contextmanager
def registrar(here: Settings) -> Iterator[None]:
    """The registrar, which has looked once before the block begins."""
    stopped, follows = threading.Event(), Registrar(here, ["adclicks"])
    follows.look()
    thread = threading.Thread(target=follows.run, args=(stopped,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join(20)


@contextmanager
def _load(host: str, port: int, answers: list[Answer]) -> Iterator[None]:
    """Ask for a decision every few milliseconds while the block runs."""
    stopped = threading.Event()

    def ask() -> None:
        connection = http.client.HTTPConnection(host, port, timeout=10)
        number = 0
        while not stopped.is_set():
            number += 1
            click = {
                "click_id": f"c{number}",
                "event_time": "2026-01-05T09:30:00+01:00",
                "received_at": "2026-01-05T09:30:01+01:00",
                "user_id": f"u{number % 50}",
                "ip": "192.0.2.1",
            }
            sent = time.monotonic()
            try:
                connection.request("POST", "/v1/adclicks/decisions", json.dumps(click))
                response = connection.getresponse()
                body = response.read()
                version = json.loads(body)["version"] if response.status == 200 else None
                answers.append(Answer(sent, time.monotonic(), response.status, version))
            except (OSError, http.client.HTTPException):
                answers.append(Answer(sent, time.monotonic(), 0, None))
                connection.close()
            stopped.wait(max(0.0, sent + EVERY - time.monotonic()))

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join(20)


def words(report: Report) -> str:
    """The report as Markdown."""
    rows = [
        f"| {number} | {swap.how} | {swap.version} | {'never' if swap.seconds is None else f'{swap.seconds:.2f}'} |"
        for number, swap in enumerate(report.swaps, 1)
    ]
    return "\n".join(
        [
            "| change | by | to version | answered by it after, s |",
            "|---|---|---|---|",
            *rows,
            "",
            f"{len(report.answers):,} requests, {report.failed} failed; the longest took {1000 * report.stall:.0f} ms.",
        ]
    )


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        print(words(measure(Path(folder) / "state", 16)))
