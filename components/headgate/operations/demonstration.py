"""The demonstration's data: it ends at today's midnight UTC, and the same day has the same bytes."""

import shutil
import sys
from dataclasses import asdict
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from headgate.contract.demonstration import Play, midnight
from headgate.data.datasets import LOCK_SECONDS, exclusively
from headgate.domain import Domain
from headgate.files import read_json, write_json
from headgate.orchestration.outcome import Outcome
from headgate.registry.ledger import Ledger
from headgate.settings import Settings

#: Where it lies in the state folder: raw files by domain, and beside them what they are and what was made of them.
FOLDER = "demo"


def simulate(settings: Settings, domain: Domain, now: datetime) -> Play:
    """The raw files of `domain` that end with the day before `now`, in UTC; simulated unless they are there.

    Those of an earlier day give way: the days that both have are drawn alike, where a domain keys them by date.
    """
    home, as_of = settings.home / FOLDER, midnight(now)
    first = (as_of - timedelta(days=domain.demo.days)).date()
    play = Play(home / domain.name, domain.demo, domain.demonstration.scenario, first, as_of)
    with exclusively(settings, FOLDER, wait=LOCK_SECONDS):
        if _told(settings, domain).get("play") != play.arguments() or not play.source.is_dir():
            print(f"Simulating {domain.demo.days} days of {domain.name} up to today …", file=sys.stderr, flush=True)
            _simulate(settings, domain, play)
            write_json(_file(settings, domain), {"play": play.arguments()})
    return play


def judged(settings: Settings, domain: Domain, play: Play) -> Outcome | None:
    """How the version of `play` was judged; None where none was, or the ledger knows no verdict of it."""
    told = _told(settings, domain)
    if told.get("play") != play.arguments() or "outcome" not in told:
        return None
    outcome = Outcome(**told["outcome"] | {"reasons": tuple(told["outcome"]["reasons"])})
    ours = (e for e in Ledger(settings).entries(domain.name) if e.what == "verdict")
    return outcome if any((e.to_version, e.bundle) == (outcome.version, outcome.bundle) for e in ours) else None


def remember(settings: Settings, domain: Domain, play: Play, outcome: Outcome) -> None:
    """Note how the version of `play` was judged, so that it is not made again."""
    if outcome.version is not None:
        write_json(_file(settings, domain), {"play": play.arguments(), "outcome": asdict(outcome)})


def _simulate(settings: Settings, domain: Domain, play: Play) -> None:
    """Bring the raw files of `play` to their place; a run that is killed leaves it to the next, with nothing lost."""
    draft, before = (play.source.with_name(f".{word}-{domain.name}") for word in ("new", "before"))
    _file(settings, domain).unlink(missing_ok=True)
    _remove(draft)
    domain.simulate(draft, play.sizes, scenario=play.scenario, seed=play.seed, start=play.start)
    if play.source.is_dir() and not before.is_dir():
        play.source.rename(before)
    _remove(play.source)
    if _truth(draft).is_dir():
        _truth(draft).rename(_truth(play.source))
    draft.rename(play.source)
    if domain.demonstration.prepare:
        domain.demonstration.prepare(settings, play, before if before.is_dir() else None)
    _remove(before)


def _remove(folder: Path) -> None:
    for path in (folder, _truth(folder)):
        if path.is_dir():
            shutil.rmtree(path)


def _truth(folder: Path) -> Path:
    """Where a simulation keeps its hidden truth."""
    return folder.with_name(f"{folder.name}.truth")


def _told(settings: Settings, domain: Domain) -> dict[str, Any]:
    path = _file(settings, domain)
    return dict(read_json(path)) if path.is_file() else {}


def _file(settings: Settings, domain: Domain) -> Path:
    return settings.home / FOLDER / f"{domain.name}.json"
