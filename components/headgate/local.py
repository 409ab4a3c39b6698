"""Everything on one machine: the main job on simulated data, and the servers, until Ctrl-C."""

import signal
import sys
import threading
from datetime import UTC, datetime, timedelta

from rich.console import Console
from rich.table import Table

from headgate import domains
from headgate.files import read_json, write_json
from headgate.retraining import retrain
from headgate.servers import Server, decision_server, mlflow_server, prefect_server, up
from headgate.settings import Settings

#: What the demonstration plays, in every domain.
DEMO = {"scenario": "calm", "seed": 0}


def demo(settings: Settings, *, serve: bool) -> int:
    """The main job: simulate if there is no data yet, retrain every domain; with `serve`, then serve. An exit code."""
    codes = []
    started = [mlflow_server(settings), prefect_server(settings)]
    _tell_ports(settings, started)
    print("Starting MLflow and Prefect …", file=sys.stderr, flush=True)
    with up(settings, started):
        for name in domains.NAMES:
            source, as_of = _demo_data(settings, name)
            outcome = retrain(settings, name, source, as_of)
            print(outcome.words, flush=True)
            codes.append(outcome.exit_code)
        if serve:
            server = decision_server(settings, domains.NAMES)
            _tell_ports(settings, [server])
            with up(settings, [server]):
                _addresses([server, *started], settings)
                _until_stopped()
            return 0
    return max(codes)


def servers(settings: Settings) -> None:
    """MLflow and Prefect until Ctrl-C."""
    started = [mlflow_server(settings), prefect_server(settings)]
    _tell_ports(settings, started)
    with up(settings, started):
        _addresses(started, settings)
        _until_stopped()


def _demo_data(settings: Settings, domain: str) -> tuple[str, datetime]:
    """The demonstration's folder, simulated once, and the instant at which all its days are over."""
    folder = settings.home / "demo" / domain
    described = folder / "demo.json"
    start = datetime(2026, 1, 5, tzinfo=UTC)
    chosen = domains.get(domain)
    asked = {**DEMO, **chosen.demo}
    if not described.is_file() or read_json(described) != asked:
        print(f"Simulating {chosen.demo['days']} days of {domain} …", file=sys.stderr, flush=True)
        chosen.simulate(folder, **asked, start=start.date())
        write_json(described, asked)
    return str(folder), start + timedelta(days=chosen.demo["days"])


def _tell_ports(settings: Settings, started: list[Server]) -> None:
    wanted = {"mlflow": settings.mlflow_port, "prefect": settings.prefect_port, "headgate": settings.serve_port}
    for server in started:
        if server.port != wanted[server.name]:
            print(f"Port {wanted[server.name]} is taken; {server.title} listens on {server.port}.", file=sys.stderr)


def _addresses(started: list[Server], settings: Settings) -> None:
    table = Table(title="Headgate is up — Ctrl-C stops all of it", title_justify="left")
    for column in ("what", "where"):
        table.add_column(column)
    for server in started:
        table.add_row(server.title, server.page)
    table.add_row("State", str(settings.home))
    Console().print(table)


def _until_stopped() -> None:
    """Wait for Ctrl-C or a polite end."""
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    stopped.wait()
    print("Stopping …", file=sys.stderr)
