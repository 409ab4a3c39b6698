"""The world that drills are played in: simulated data, a good version of it, and a scratch state.

Nothing here touches the state folder of whoever rehearses.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl

from headgate import settings as settings_module
from headgate import stages
from headgate.contract.rehearsal import Rehearsal, Variant
from headgate.contract.slots import Slots
from headgate.decisions.layout import claim, log_folder, part_name
from headgate.decisions.reading import schema
from headgate.domain import Domain, Request
from headgate.errors import HeadgateError, UsageError
from headgate.registry import bundles, changes, versions
from headgate.registry.ledger import Entry, Ledger
from headgate.registry.parts import log_bundle
from headgate.registry.registrar import Registrar
from headgate.serving.follower import Follower
from headgate.settings import Settings


class NotAsPromised(HeadgateError):
    """A drill did not go as promised."""


def promise(kept: bool, what: str) -> None:
    """Raise `NotAsPromised` unless `kept`."""
    if not kept:
        raise NotAsPromised(f"Not as promised: {what}.")


@dataclass(frozen=True)
class World:
    """What all drills of a domain start from."""

    domain: Domain
    rehearsal: Rehearsal
    folder: Path

    @property
    def raw(self) -> Path:
        """Calm days."""
        return self.folder / "calm"

    @property
    def days(self) -> int:
        """How many days are simulated."""
        return self.domain.small.days

    @property
    def as_of(self) -> datetime:
        """The instant at which all days but the last are over."""
        return self.rehearsal.start + timedelta(days=self.days - 1)

    @property
    def work(self) -> Path:
        """The stages of a good version, sealed."""
        return self.folder / "work"

    @property
    def good(self) -> Path:
        """A bundle that its gate let pass."""
        return self.work / "bundle"

    def simulate(self, scenario: str) -> Path:
        """The days of a scenario, of the same people; what is there already is kept."""
        raw = self.folder / scenario
        if not raw.is_dir():
            self.domain.simulate(
                raw,
                self.domain.small,
                scenario=scenario,
                seed=self.rehearsal.seed,
                start=self.rehearsal.start.date(),
            )
        return raw

    @contextmanager
    def scratch(self) -> Iterator["Scratch"]:
        """A state folder that goes when the block ends; what reads the environment meanwhile finds it too."""
        foreign = ("MLFLOW_TRACKING_URI", "HEADGATE_LEDGER", "HEADGATE_ARTIFACTS", "HEADGATE_DATA_REMOTE")
        away = dict.fromkeys((*foreign, "HEADGATE_ALERT_URL"))
        with TemporaryDirectory(prefix="headgate-drill-") as home, environment(away | {"HEADGATE_HOME": home}):
            yield Scratch(self.domain, self.rehearsal, replace(settings_module.load(), home=Path(home)))


def build(domain: Domain, folder: Path) -> World:
    """Simulate calm days of `domain` and make a good version of them; what is there already is kept."""
    if domain.rehearsal is None:
        raise UsageError(f"{domain.name} brings nothing to rehearse with, so it has no drills.")
    world = World(domain, domain.rehearsal(), folder)
    world.simulate("calm")
    if not world.good.is_dir():
        stages.snapshot(domain, world.work, Request(str(world.raw), world.as_of))
        for stage in stages.STAGES.values():
            stage(domain, world.work)
        stages.seal(world.work)
    return world


@contextmanager
def environment(values: Mapping[str, str | None]) -> Iterator[None]:
    """Let environment variables have `values` for the block; None: let them be unset."""
    before = {name: os.environ.get(name) for name in values}
    _set(values)
    try:
        yield
    finally:
        _set(before)


def _set(values: Mapping[str, str | None]) -> None:
    for name, value in values.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


@dataclass(frozen=True)
class Scratch:
    """A state folder of its own, with a registry, a ledger and what serves."""

    domain: Domain
    rehearsal: Rehearsal
    settings: Settings

    @property
    def name(self) -> str:
        """The domain's."""
        return self.domain.name

    def variant(self, name: str, make: Variant, bundle: Path) -> Path:
        """A bundle made of `bundle`, in this state."""
        self.settings.home.mkdir(parents=True, exist_ok=True)
        return make(bundle, self.settings.home / name)

    def register(self, bundle: Path, ruling: str = "passed") -> versions.Version:
        """A version with `bundle`, and the gate's ruling on it in the ledger."""
        registry = versions.client(self.settings)
        if not registry.search_registered_models(filter_string=f"name = '{self.name}'"):
            registry.create_registered_model(self.name)
        there = registry.get_experiment_by_name(self.name)
        where = (self.settings.mlflow_home / "artifacts").as_uri()
        run = registry.create_run(there.experiment_id if there else registry.create_experiment(self.name, where))
        log_bundle(registry, self.settings, run.info.run_id, bundle)
        identity = bundles.bundle_id(bundle)
        tags = {versions.TAG_BUNDLE: identity, versions.TAG_RULING: ruling}
        source = f"{run.info.artifact_uri}/bundle"
        made = registry.create_model_version(self.name, source, run_id=run.info.run_id, tags=tags)
        version = versions.find(registry, self.name, str(made.version))
        changes.record_verdict(self.ledger, version, ruling, "a drill", [])
        return version

    def promote(self, version: versions.Version) -> None:
        """Let `version` decide, as the gate would."""
        with changes.change_session(versions.client(self.settings), self.ledger, self.name) as at:
            changes.make_champion(at, version, who="a drill", why="It passed.")

    @property
    def ledger(self) -> Ledger:
        """The scratch ledger."""
        return Ledger(self.settings)

    def entries(self, what: str) -> list[Entry]:
        """The ledger's entries of one kind."""
        return [entry for entry in self.ledger.entries(self.name) if entry.what == what]

    def champion(self) -> int | None:
        """The number that holds the alias."""
        version = versions.champion(versions.client(self.settings), self.name)
        return version.number if version else None

    def look(self) -> None:
        """Let the registrar look until it has nothing to do any more."""
        registrar = Registrar(self.settings, [self.name])
        for _ in range(5):
            if not registrar.look():
                return
        raise NotAsPromised("Not as promised: the registrar finds something to do for ever.")

    def serve(self, settings: Settings | None = None) -> tuple[Slots, Follower]:
        """What a serving process follows the registry with, after its first look."""
        slots = Slots()
        follower = Follower(slots, [self.domain], settings or self.settings)
        follower.look()
        return slots, follower

    def log(self, events: pl.DataFrame, version: versions.Version, at: datetime) -> None:
        """Log `events` of the traffic as decided by `version`, 20 µs apart from `at` on."""
        predictor = self.domain.load(versions.fetch(version, self.settings))
        when = pl.Series(range(0, 20 * len(events), 20), dtype=pl.Int64).cast(pl.Duration("us")) + at
        rows = self.rehearsal.decided(predictor, events).with_columns(
            decision_id=pl.format("{}-drill-{}", pl.lit(f"{at:%Y%m%d}"), pl.int_range(pl.len())),
            decided_at=when,
            version=version.number,
            bundle=pl.lit(version.bundle),
            companions=pl.lit(""),
            role=pl.lit("champion"),
        )
        log = self.domain.logs.log
        claim(log_folder(self.settings, self.name))
        folder = log_folder(self.settings, self.name) / f"{at:%Y-%m-%d}"
        folder.mkdir(parents=True, exist_ok=True)
        columns = pl.Schema(schema(log))
        rows.select(columns.names()).cast(columns).write_parquet(folder / f"{part_name('drill-1-0', at)}.parquet")
