"""`headgate watch DOMAIN…`: roll back what harms those who are known to be good, and tell people."""

import logging
import signal
import sys
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from headgate import settings
from headgate.commands.options import AllDomains, Json, answer, every_domain

if TYPE_CHECKING:
    from headgate.domain import Domain


def watch(
    domain: AllDomains = None,
    once: Annotated[bool, typer.Option("--once", help="Look once, and say what there was.")] = False,
    json: Json = False,
) -> None:
    """Roll back a champion that harms those who are known to be good."""
    from headgate.decisions.watch import Watcher

    here = settings.load()
    if once:
        looked = [Watcher(here, one).look() for one in domain or every_domain()]
        answer(looked, json, "\n".join(one.words() for one in looked))
        return
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    domains = domain or every_domain()
    print(f"Watching {', '.join(one.name for one in domains)}  (Ctrl-C stops)", file=sys.stderr, flush=True)
    follow(here, domains, stopped)


def follow(here: settings.Settings, domains: Sequence["Domain"], stopped: threading.Event) -> None:
    """Look at every domain every few seconds until `stopped` is set. A fault is said once and tried again."""
    from headgate.decisions.watch import PERIOD, Watcher

    watchers = {domain.name: Watcher(here, domain) for domain in domains}
    trouble = dict.fromkeys(watchers, "")
    while not stopped.is_set():
        for name, watcher in watchers.items():
            try:
                looked = watcher.look()
                for words in (looked.rolled_back, *looked.alerts):
                    if words:
                        print(f"{name}: {words}", flush=True)
                said = ""
            except Exception as error:
                said = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
            if said != trouble[name]:
                print(f"{name} is {'not watched: ' + said if said else 'watched again'}", file=sys.stderr, flush=True)
                trouble[name] = said
        stopped.wait(PERIOD)
