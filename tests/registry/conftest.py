"""A real, migrated registry for each test, versions without models in it, and what people do to them."""

import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from headgate.registry import changes, versions
from headgate.registry.changes import ChangeSession
from headgate.registry.ledger import Entry, Ledger
from headgate.registry.ledger_state import LedgerState, state_of
from headgate.registry.registrar import Registrar
from headgate.registry.versions import Version
from headgate.settings import Settings

from ..postgres import Postgres, postgres

__all__ = ["postgres"]

DOMAIN = "rooms"


@dataclass(frozen=True)
class Told:
    """What the registry says: aliases by name, and the versions in Production."""

    champion: int | None
    previous: int | None
    production: tuple[int, ...]


@dataclass
class Registry:
    """A registry and its ledger, and what people and Headgate do in it."""

    settings: Settings

    def __post_init__(self) -> None:
        self.client = versions.client(self.settings)
        self.ledger = Ledger(self.settings)

    def register(self, ruling: str | None = "passed", **tags: str) -> int:
        """Register a version, with the gate's ruling on it where there is one."""
        if not self.client.search_registered_models():
            self.client.create_registered_model(DOMAIN)
        number = len(versions.all_versions(self.client, DOMAIN)) + 1
        told = {versions.TAG_BUNDLE: f"{number:064x}", versions.TAG_RULING: ruling or ""} | tags
        made = self.client.create_model_version(DOMAIN, "file:///nowhere", tags=told)
        if ruling:
            self.judge(int(made.version), ruling)
        return int(made.version)

    def judge(self, number: int, ruling: str) -> Entry:
        return changes.record_verdict(self.ledger, self.version(number), ruling, "the gate", ["for a reason"])

    def version(self, number: int) -> Version:
        return versions.find(self.client, DOMAIN, str(number))

    @contextmanager
    def office(self) -> Iterator[ChangeSession]:
        with changes.change_session(self.client, self.ledger, DOMAIN) as at:
            yield at

    def promote(self, number: int) -> Entry:
        with self.office() as at:
            return changes.make_champion(at, self.version(number), who="the flow", why="it passed")

    def roll_back(self, to: int | None = None) -> Entry:
        with self.office() as at:
            return changes.rollback(at, str(to) if to else None, who="a person", why="it was bad")

    def line(self, count: int) -> None:
        """Register and promote so many versions."""
        for _ in range(count):
            self.promote(self.register())

    def alias(self, number: int, name: str = versions.CHAMPION) -> None:
        """A person moves an alias."""
        self.client.set_registered_model_alias(DOMAIN, name, str(number))

    def unalias(self, name: str = versions.CHAMPION) -> None:
        self.client.delete_registered_model_alias(DOMAIN, name)

    def stage(self, number: int, stage: str = "Production", **archive: bool) -> None:
        """A person moves a version to a stage; MLflow does not archive the others by default."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.client.transition_model_version_stage(DOMAIN, str(number), stage, **archive)

    def tag(self, number: int, name: str, value: str) -> None:
        self.client.set_model_version_tag(DOMAIN, str(number), name, value)

    def delete(self, number: int) -> None:
        self.client.delete_model_version(DOMAIN, str(number))

    def look(self) -> list[Entry]:
        """What a registrar that has just started writes at its first look."""
        return Registrar(self.settings, [DOMAIN]).look()

    def told(self) -> Told:
        known = versions.all_versions(self.client, DOMAIN)
        alias = {alias: version.number for version in known for alias in version.aliases}
        production = tuple(sorted(version.number for version in known if version.stage == "Production"))
        return Told(alias.get(versions.CHAMPION), alias.get(versions.PREVIOUS), production)

    def ledger_state(self) -> LedgerState:
        return state_of(self.ledger.entries(DOMAIN))

    def what(self) -> list[str]:
        return [entry.what for entry in self.ledger.entries(DOMAIN)]

    def expire(self) -> None:
        """Let every lease run out, without waiting for it."""
        with self.ledger._begin() as connection:
            connection.exec_driver_sql("update headgate_leases set until = 0")

    def dump(self) -> tuple[Any, ...]:
        """Everything in registry and ledger that a look might write."""
        known = versions.all_versions(self.client, DOMAIN)
        return self.ledger.entries(), [(v.number, v.aliases, v.stage, v.tags, v.changed_ms) for v in known]

    def settled(self, champion: int) -> None:
        """Assert that everything agrees on who decides, and that nothing is half done."""
        now = self.ledger_state()
        assert now.intent is None
        assert now.champion == champion
        there = {version.number for version in versions.all_versions(self.client, DOMAIN)}
        before = next((number for number in reversed(now.line[:-1]) if number in there), None)
        assert self.told() == Told(champion, before, (champion,))
        assert self.ledger.verify(changes.anchors(self.client, [DOMAIN]))
        assert self.look() == []  # it may anchor what was written to the ledger alone
        before_it = self.dump()
        assert self.look() == []
        assert self.dump() == before_it


@pytest.fixture
def registry(settings: Settings, empty_database: Path) -> Registry:
    settings.mlflow_home.mkdir(parents=True)
    shutil.copyfile(empty_database, settings.local_database)
    return Registry(settings)


@pytest.fixture(params=["sqlite", "postgresql"])
def anywhere(request: pytest.FixtureRequest, settings: Settings) -> Settings:
    """Settings whose ledger lies in SQLite, then in PostgreSQL."""
    if request.param == "sqlite":
        return settings
    server: Postgres = request.getfixturevalue("postgres")
    return replace(settings, ledger=server.url(server.database()))
