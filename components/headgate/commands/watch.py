"""`headgate watch DOMAIN…`: roll back what harms those who are known to be good, and tell people."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from headgate import settings
from headgate.commands.options import Json, answer

if TYPE_CHECKING:
    from headgate.decisions.watch import Watcher


def watch(
    domain: Annotated[list[str] | None, typer.Argument(metavar="[DOMAIN…]", help="All of them, if left out.")] = None,
    once: Annotated[bool, typer.Option("--once", help="Look once, and say what there was.")] = False,
    json: Json = False,
) -> None:
    """Watch the live decisions, and roll back a champion that harms those known to be good, until Ctrl-C."""
    from headgate import domains
    from headgate.decisions.watch import Watcher

    here = settings.load()
    watchers = [Watcher(here, domains.get(name).name) for name in domain or domains.NAMES]
    if once:
        looked = [watcher.look() for watcher in watchers]
        answer(looked, json, "\n".join(one.words() for one in looked))
        return
    _follow(watchers, domain or list(domains.NAMES))


def _follow(watchers: "list[Watcher]", names: list[str]) -> None:
    """Look every few seconds until the process is told to end. A fault is said once and tried again."""
    import logging
    import signal
    import threading

    from headgate.decisions.watch import PERIOD

    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    print(f"Watching {', '.join(names)}  (Ctrl-C stops)", file=sys.stderr, flush=True)
    trouble = dict.fromkeys(names, "")
    while not stopped.is_set():
        for name, watcher in zip(names, watchers, strict=True):
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
