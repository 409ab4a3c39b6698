"""Versions without a registry, and their replays; as a program, one that can be killed.

HEADGATE_HOME=… python -m tests.decisions.replaying NUMBER BUNDLE
"""

import sys
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from headgate import settings
from headgate.contract.predictor import Predictor
from headgate.decisions.replay import Asked, Replayed, run
from headgate.domain import Domain
from headgate.registry.bundles import bundle_id
from headgate.registry.ledger import Entry, Ledger
from headgate.registry.versions import Version
from headgate.settings import Settings

from ..toy import ROOMS

START = datetime(2026, 1, 5, tzinfo=UTC)
END = START + timedelta(hours=12)


@dataclass(frozen=True)
class Loaded:
    """A version with its predictor."""

    domain: Domain
    version: Version
    predictor: Predictor


def load(domain: Domain, bundle: Path, number: int) -> Loaded:
    """The version `number` that `bundle` is."""
    version = Version(domain.name, number, bundle_id(bundle), f"run-{number}", str(bundle), (), "None", {}, 0, 0)
    return Loaded(domain, version, domain.load(bundle))


def passed(folder: Path, loaded: dict[int, Loaded]) -> Settings:
    """A state folder whose ledger lets these versions serve."""
    here = replace(settings.load(), home=folder)
    for one in loaded.values():
        told = {"to_version": one.version.number, "bundle": one.version.bundle}
        Ledger(here).append(Entry(one.domain.name, "verdict", "gate", ruling="passed", **told))  # type: ignore[arg-type]
    return here


def again(here: Settings, one: Loaded, since: datetime = START, until: datetime = END, **how: Any) -> Replayed:
    """Decide the time from `since` to `until` again."""
    return run(here, one.version, one.predictor, Asked(one.domain, since, until, **how), "me")


if __name__ == "__main__":
    again(settings.load(), load(ROOMS, Path(sys.argv[2]), int(sys.argv[1])))
