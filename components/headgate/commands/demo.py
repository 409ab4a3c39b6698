"""Everything on one machine: the main job on simulated data, and the servers, until Ctrl-C."""

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime, timedelta

from rich.console import Console
from rich.table import Table

from headgate.commands.watch import follow
from headgate.console.page import PREFIX
from headgate.domain import NAMES, get_domain, in_order
from headgate.files import read_json, write_json
from headgate.operations.retrain import run_retrain
from headgate.registry import versions
from headgate.registry.registrar import Registrar
from headgate.servers import (
    TITLES,
    Server,
    decision_server,
    mlflow_server,
    pages,
    prefect_server,
    running,
    until_loaded,
    up,
)
from headgate.settings import Settings


def run_demo(settings: Settings, *, serve: bool) -> int:
    """The main job: simulate if there is no data yet, retrain every domain; with `serve`, then serve. An exit code."""
    codes = []
    with _stores(settings) as started:
        for name in (domain.name for domain in in_order([get_domain(name) for name in NAMES])):
            source, as_of = _demo_data(settings, name)
            outcome = run_retrain(settings, get_domain(name), source, as_of)
            print(outcome.words, flush=True)
            codes.append(outcome.exit_code)
        if serve:
            own = [] if "headgate" in running(settings) else [decision_server(settings, NAMES)]
            _tell_ports(settings, own)
            with up(settings, own), _guarded(settings):
                _wait_for_champions(settings)
                _serve(settings, [*own, *started])
            return 0
    return max(codes)


def serve_all(settings: Settings) -> None:
    """MLflow and Prefect until Ctrl-C; those that are up already are left to whoever started them."""
    with _stores(settings) as started:
        _serve(settings, started)


@contextmanager
def _stores(settings: Settings) -> Iterator[list[Server]]:
    """MLflow and Prefect, as far as they are not up already; yields those that were started."""
    there = running(settings)
    makers = {"mlflow": mlflow_server, "prefect": prefect_server}
    started = [make(settings) for name, make in makers.items() if name not in there]
    _tell_ports(settings, started)
    if started:
        print(f"Starting {' and '.join(server.title for server in started)} …", file=sys.stderr, flush=True)
    with up(settings, started):
        yield started


@contextmanager
def _guarded(settings: Settings) -> Iterator[None]:
    """Follow what people change in MLflow, and watch the live decisions, while the block runs."""
    stopped = threading.Event()
    follows = Registrar(settings, NAMES)
    threads = [
        threading.Thread(target=follows.run, args=(stopped,), name="headgate-registrar", daemon=True),
        threading.Thread(
            target=follow,
            args=(settings, [get_domain(name) for name in NAMES], stopped),
            name="headgate-watch",
            daemon=True,
        ),
    ]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stopped.set()
        for thread in threads:
            thread.join(timeout=10)


def _demo_data(settings: Settings, domain: str) -> tuple[str, datetime]:
    """The demonstration's folder, simulated once, and the instant at which all its days are over."""
    folder = settings.home / "demo" / domain
    described = folder / "demo.json"
    start = datetime(2026, 1, 5, tzinfo=UTC)
    chosen = get_domain(domain)
    asked = {"scenario": "calm", "seed": 0, **asdict(chosen.demo)}
    if not described.is_file() or read_json(described) != asked:
        print(f"Simulating {chosen.demo.days} days of {domain} …", file=sys.stderr, flush=True)
        chosen.simulate(folder, chosen.demo, scenario="calm", seed=0, start=start.date())
        write_json(described, asked)
    return str(folder), start + timedelta(days=chosen.demo.days)


def _tell_ports(settings: Settings, started: list[Server]) -> None:
    wanted = {"mlflow": settings.mlflow_port, "prefect": settings.prefect_port, "headgate": settings.serve_port}
    for server in started:
        if server.port != wanted[server.name]:
            print(f"Port {wanted[server.name]} is taken; {server.title} listens on {server.port}.", file=sys.stderr)


def _wait_for_champions(settings: Settings) -> None:
    """Until every domain that has a champion decides: what people copy from the README must not meet a 503."""
    registry, address = versions.client(settings), running(settings)["headgate"]
    if not until_loaded(address, [name for name in NAMES if versions.champion(registry, name)]):
        print(f"Not every champion is loaded yet: {address}/readyz says why.", file=sys.stderr)


def _serve(settings: Settings, started: list[Server]) -> None:
    """Show what is up, and wait for Ctrl-C if any of it is ours to stop."""
    ends = "Ctrl-C stops it" if started else "it was before"
    table = Table(title=f"Headgate is up — {ends}", title_justify="left")
    for column in ("what", "where"):
        table.add_column(column)
    there = pages(settings)
    for name in (name for name in TITLES if name in there):
        table.add_row(TITLES[name], there[name])
        if name == "headgate":
            table.add_row("Console", f"{running(settings)[name]}{PREFIX}/")
    table.add_row("State", str(settings.home))
    Console().print(table)
    if started:
        _until_stopped()


def _until_stopped() -> None:
    """Wait for Ctrl-C or a polite end."""
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    stopped.wait()
    print("Stopping …", file=sys.stderr)
