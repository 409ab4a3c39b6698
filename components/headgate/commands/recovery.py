"""`headgate rollback|hold|release|canary|ledger|registrar`: who decides, and the history of it."""

import signal
import sys
import threading
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from headgate import settings
from headgate.commands.completion import domain_names, version_names
from headgate.commands.options import AllDomains, DomainArgument, Json, answer, every_domain, instant, one_domain
from headgate.domains import NAMES
from headgate.errors import UsageError
from headgate.operations.rollback import not_empty, roll_back
from headgate.settings import Settings

if TYPE_CHECKING:
    from headgate.registry.ledger import Entry

Reason = Annotated[str, typer.Option("--reason", help="Why, for whoever reads the ledger.")]


def rollback(
    domain: DomainArgument,
    reason: Reason,
    to: Annotated[
        str | None,
        typer.Option(
            "--to", metavar="VERSION", help="A number; the version before, if left out.", autocompletion=version_names
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Let the version before decide again, and hold automatic promotion."""
    done = roll_back(settings.load(), domain.name, to, reason)
    answer(done, json, done.words())


def hold(
    domain: DomainArgument,
    reason: Reason,
    since: Annotated[
        str | None, typer.Option("--from", metavar="TIME", help="A freeze begins; now, if left out.")
    ] = None,
    until: Annotated[str | None, typer.Option("--until", metavar="TIME", help="It ends; never, if left out.")] = None,
    json: Json = False,
) -> None:
    """Keep automatic promotion off, at once or for a freeze window.

    Runs go on, and their versions wait.
    """
    from headgate.registry import changes
    from headgate.registry.ledger import Ledger, me

    not_empty(reason)
    starts, ends = instant(since), instant(until)
    if ends is not None and ends <= datetime.now(UTC):
        raise UsageError(f"The freeze has been over since {_shown(ends)}: check --until.")
    entry = changes.hold(Ledger(settings.load()), domain.name, who=me(), why=reason, starts=starts, ends=ends)
    window = f" from {_shown(starts)}" if starts else ""
    window += f" until {_shown(ends)}" if ends else ""
    answer(
        entry,
        json,
        f"{domain.name} is held{window}: nothing is promoted automatically. "
        f"`headgate release {domain.name} --reason …` ends it.",
    )


def release(domain: DomainArgument, reason: Reason, json: Json = False) -> None:
    """End every hold and freeze.

    The next version that passes its gate is promoted.
    """
    from headgate.registry import changes
    from headgate.registry.ledger import Ledger, me

    not_empty(reason)
    entry = changes.release(Ledger(settings.load()), domain.name, who=me(), why=reason)
    answer(entry, json, f"{domain.name} is released: the next version that passes its gate is promoted.")


def canary(
    domain: DomainArgument,
    share: Annotated[float, typer.Option(min=0.0, max=1.0, help="Of the units, chosen by hash; 0 ends it.")],
    reason: Reason,
    json: Json = False,
) -> None:
    """Let the challenger decide for a share of the units before all."""
    from headgate.registry import changes, versions
    from headgate.registry.ledger import Ledger, me
    from headgate.registry.registrar import reconcile

    not_empty(reason)
    here = settings.load()
    versions.wanted(here, domain.name, versions.CHALLENGER)
    with changes.change_session(versions.client(here), Ledger(here), domain.name) as at:
        reconcile(at)
        challenger = versions.find(at.registry, domain.name, versions.CHALLENGER)
        entry = changes.canary(at, challenger, share, who=me(), why=reason)
    told = f"version {challenger.number} decides for {share:.1%} of the units" if share else "the canary has ended"
    answer(entry, json, f"{domain.name}: {told}.")


def ledger(
    what: Annotated[
        str,
        typer.Argument(
            metavar="DOMAIN|verify", help="Whose history; or hold all against its hashes.", autocompletion=domain_names
        ),
    ],
    last: Annotated[int, typer.Option(min=1, help="How many of the newest entries.")] = 30,
    json: Json = False,
) -> None:
    """The history of a domain: who changed what, when and why.

    `verify` proves that nobody changed the history.
    """
    from headgate.registry.ledger import Ledger

    here = settings.load()
    if what == "verify":
        _verify(here, json)
        return
    one_domain(what)
    entries = Ledger(here).entries(what)[-last:]
    lines = [
        f"{entry.at[:19]}  {entry.what:<10} {_moved(entry):<9} {entry.ruling:<9} {entry.who}: {entry.why}"
        for entry in entries
    ]
    answer(entries, json, "\n".join(lines) or f"Nothing has happened to {what} yet.")


def _verify(here: Settings, as_json: bool) -> None:
    from headgate.registry import changes, versions
    from headgate.registry.ledger import Ledger

    held = list(changes.anchors(versions.client(here), list(NAMES))) if versions.exist(here) else []
    count = Ledger(here).verify(held)
    words = f"The ledger holds {count:,} entries, each as it was written; {len(held)} anchors elsewhere agree."
    answer({"entries": count, "anchors": len(held)}, as_json, words)


def registrar(
    domain: AllDomains = None,
) -> None:
    """Follow aliases and stages that people change in MLflow."""
    import logging

    from headgate.registry.registrar import Registrar

    chosen = [one.name for one in domain or every_domain()]
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    print(f"Following {', '.join(chosen)}  (Ctrl-C stops)", file=sys.stderr, flush=True)
    Registrar(settings.load(), chosen).run(stopped)


def _moved(entry: "Entry") -> str:
    return f"{entry.from_version or '–'} → {entry.to_version}" if entry.to_version else ""


def _shown(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M %Z}"
