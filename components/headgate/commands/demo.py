"""Everything on one machine: the main job on simulated data that ends today, and the servers, until Ctrl-C."""

import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime

from rich.console import Console
from rich.table import Table

from headgate.commands.watch import follow
from headgate.console.page import PREFIX
from headgate.contract.demonstration import Play
from headgate.domain import Domain, in_order
from headgate.errors import HeadgateError
from headgate.load.stream import flowing
from headgate.operations.demonstration import judged, remember, simulate
from headgate.operations.retrain import run_retrain
from headgate.orchestration.outcome import EXIT_CODES, Outcome
from headgate.registry.ledger import Ledger
from headgate.registry.ledger_state import state_of
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


def run_demo(settings: Settings, domains: Sequence[Domain], *, serve: bool) -> int:
    """The main job: today's simulated data, and a version of each of `domains`; with `serve`, then serve. An exit code.

    What was simulated and judged today already is used as it is.
    """
    ordered, now = in_order(domains), datetime.now(UTC)
    plays = [(domain, simulate(settings, domain, now)) for domain in ordered]
    due = [(domain, play) for domain, play in plays if judged(settings, domain, play) is None]
    codes = [_tell_judged(settings, domain, play) for domain, play in plays if (domain, play) not in due]
    if serve and not due:  # nothing to wait for: all servers start at once
        with _servers(settings, ["mlflow", "prefect", "headgate"], domains) as started:
            _show(settings, plays, started)
        return 0
    with _servers(settings, ["mlflow", "prefect"] if due else [], domains) as started:
        codes += [_retrained(settings, domain, play) for domain, play in due]
        for domain, play in plays:
            _furnish(settings, domain, play)
        if serve:
            with _servers(settings, ["headgate"], domains) as own:
                _show(settings, plays, [*own, *started])
            return 0
    return max(codes)


def serve_all(settings: Settings) -> None:
    """MLflow and Prefect until Ctrl-C; those that are up already are left to whoever started them."""
    with _servers(settings, ["mlflow", "prefect"], ()) as started:
        _table(settings, started)
        if started:
            _until_stopped()


def _tell_judged(settings: Settings, domain: Domain, play: Play) -> int:
    """Say which version is there already; its exit code."""
    outcome = judged(settings, domain, play)
    assert outcome is not None
    print(
        f"{domain.name}: version {outcome.version}, as of {play.as_of:%Y-%m-%d}, is there and was judged "
        f"({outcome.result}); it is not trained again.",
        flush=True,
    )
    return EXIT_CODES[outcome.result]


def _retrained(settings: Settings, domain: Domain, play: Play) -> int:
    outcome: Outcome = run_retrain(settings, domain, str(play.source), play.as_of)
    remember(settings, domain, play, outcome)
    print(outcome.words, flush=True)
    return outcome.exit_code


def _furnish(settings: Settings, domain: Domain, play: Play) -> None:
    """Let the domain make ready what its pages show; without it they say how it is made."""
    make = domain.demonstration.furnish
    if make is None or state_of(Ledger(settings).entries(domain.name)).champion is None:
        return
    try:
        if words := make(settings, play):
            print(words, flush=True)
    except HeadgateError as error:
        print(f"{domain.name}: {error}", file=sys.stderr, flush=True)


@contextmanager
def _servers(settings: Settings, names: Sequence[str], domains: Sequence[Domain]) -> Iterator[list[Server]]:
    """The servers of these `names`, as far as they are not up already; yields those that were started."""
    there = running(settings) if names else {}
    wanted = [name for name in names if name not in there]
    started = [_make(settings, name, [domain.name for domain in domains]) for name in wanted]
    _tell_ports(settings, started)
    if started:
        print(f"Starting {_listed([server.title for server in started])} …", file=sys.stderr, flush=True)
    with up(settings, started):
        yield started


def _make(settings: Settings, name: str, domains: Sequence[str]) -> Server:
    if name == "headgate":
        return decision_server(settings, domains)
    return mlflow_server(settings) if name == "mlflow" else prefect_server(settings)


def _listed(names: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def _tell_ports(settings: Settings, started: list[Server]) -> None:
    wanted = {"mlflow": settings.mlflow_port, "prefect": settings.prefect_port, "headgate": settings.serve_port}
    for server in started:
        if server.port != wanted[server.name]:
            print(f"Port {wanted[server.name]} is taken; {server.title} listens on {server.port}.", file=sys.stderr)


def _show(settings: Settings, plays: Sequence[tuple[Domain, Play]], started: list[Server]) -> None:
    """The table of addresses; then live traffic, until Ctrl-C if any of what is up is ours to stop."""
    _wait_for_champions(settings, [domain for domain, _ in plays])
    _table(settings, started)
    if not started:
        return
    with _guarded(settings, [domain for domain, _ in plays]), flowing(settings, plays):
        _until_stopped()


def _wait_for_champions(settings: Settings, domains: Sequence[Domain]) -> None:
    """Until every domain that has a champion decides: what people copy from the README must not meet a 503."""
    address, entries = running(settings)["headgate"], Ledger(settings).entries()
    names = [domain.name for domain in domains]
    decided = [name for name in names if state_of([one for one in entries if one.domain == name]).champion]
    if not until_loaded(address, decided):
        print(f"Not every champion is loaded yet: {address}/readyz says why.", file=sys.stderr)


@contextmanager
def _guarded(settings: Settings, domains: Sequence[Domain]) -> Iterator[None]:
    """Follow what people change in MLflow, and watch the live decisions, while the block runs."""
    stopped = threading.Event()
    follows = Registrar(settings, [domain.name for domain in domains])
    threads = [
        threading.Thread(target=follows.run, args=(stopped,), name="headgate-registrar", daemon=True),
        threading.Thread(target=follow, args=(settings, list(domains), stopped), name="headgate-watch", daemon=True),
    ]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stopped.set()
        for thread in threads:
            thread.join(timeout=10)


def _table(settings: Settings, started: list[Server]) -> None:
    """Show what is up, and where."""
    ends = "Ctrl-C stops it" if started else "it was before"
    table = Table(title=f"Headgate is up — {ends}", title_justify="left")
    for column in ("what", "where"):
        table.add_column(column)
    there = pages(settings)
    for name in (name for name in TITLES if name in there):
        if name == "headgate":
            table.add_row("Console", f"{running(settings)[name]}{PREFIX}/")
        table.add_row(TITLES[name], there[name])
    table.add_row("State", str(settings.home))
    Console().print(table)


def _until_stopped() -> None:
    """Wait for Ctrl-C or a polite end."""
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    stopped.wait()
    print("Stopping …", file=sys.stderr)
