"""The world that drills are played in: simulated clicks, a good version, bad ones made from it, and a scratch state.

Nothing here touches the state folder of whoever rehearses.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest import mock

import polars as pl

from headgate import domains, stages
from headgate import settings as settings_module
from headgate.decisions.reading import log_folder, part_name, schema
from headgate.domain import Domain, Request
from headgate.domains.adclicks.features import FEATURES
from headgate.domains.adclicks.predictor import THRESHOLDS, Predictor
from headgate.domains.adclicks.slices import device_codes
from headgate.domains.adclicks.table import by_day
from headgate.errors import HeadgateError
from headgate.files import read_json, write_json
from headgate.registry import bundle as bundles
from headgate.registry import changes, versions
from headgate.registry.golden import EXPECTED, GOLDEN
from headgate.registry.ledger import Entry, Ledger
from headgate.registry.registrar import Registrar
from headgate.serving.follower import Follower
from headgate.serving.slots import Slots
from headgate.settings import Settings

NAME = "adclicks"

#: Enough purchasing users to certify the budget; the last day is kept for the traffic.
DAYS, CLICKS, SEED, START = 18, 25_000, 5, datetime(2026, 1, 5, tzinfo=UTC)


class NotAsPromised(HeadgateError):
    """A drill did not go as promised."""


def promise(kept: bool, what: str) -> None:
    """Raise `NotAsPromised` unless `kept`."""
    if not kept:
        raise NotAsPromised(f"Not as promised: {what}.")


@dataclass(frozen=True)
class World:
    """What all drills start from."""

    folder: Path
    raw: Path  # calm days of clicks
    as_of: datetime
    work: Path  # the stages of a good version, sealed

    @property
    def good(self) -> Path:
        """A bundle that its gate let pass."""
        return self.work / "bundle"

    @property
    def domain(self) -> Domain:
        """The domain that is rehearsed in."""
        return domains.get(NAME)

    def simulate(self, scenario: str) -> Path:
        """Clicks of another scenario, of the same people."""
        raw = self.folder / scenario
        if not raw.is_dir():
            self.domain.simulate(
                raw, days=DAYS, clicks_per_day=CLICKS, scenario=scenario, seed=SEED, start=START.date()
            )
        return raw


def build(folder: Path) -> World:
    """Simulate calm days and make a good version of them; what is there already is kept."""
    world = World(folder, folder / "calm", START + timedelta(days=DAYS - 1), folder / "work")
    world.simulate("calm")
    if not world.good.is_dir():
        stages.snapshot(world.domain, world.work, Request(str(world.raw), world.as_of))
        for stage in stages.STAGES.values():
            stage(world.domain, world.work)
        stages.seal(world.work)
    return world


def variant(bundle: Path, out: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    """A bundle like `bundle` whose thresholds, by leaf, were changed: sound in itself, with answers of its own."""
    with TemporaryDirectory(dir=out.parent) as scratch:
        parts = Path(scratch) / "parts"
        shutil.copytree(bundle, parts, ignore=shutil.ignore_patterns(bundles.MANIFEST))
        thresholds = read_json(parts / THRESHOLDS)
        change(thresholds)
        write_json(parts / THRESHOLDS, thresholds)
        inputs = pl.read_parquet(parts / GOLDEN).select(pl.exclude(f"^{EXPECTED}.*$"))
        answers = Predictor(parts).decide(inputs).rename(lambda column: f"{EXPECTED}{column}")
        inputs.hstack(answers).write_parquet(parts / GOLDEN)
        bundles.seal([parts], out)
    return out


@dataclass(frozen=True)
class Scratch:
    """A state folder of its own, with a registry, a ledger and what serves."""

    settings: Settings

    def register(self, bundle: Path, ruling: str = "passed") -> versions.Version:
        """A version with `bundle`, and the gate's ruling on it in the ledger."""
        registry = versions.client(self.settings)
        if not registry.search_registered_models(filter_string=f"name = '{NAME}'"):
            registry.create_registered_model(NAME)
        there = registry.get_experiment_by_name(NAME)
        where = (self.settings.mlflow_home / "artifacts").as_uri()
        run = registry.create_run(there.experiment_id if there else registry.create_experiment(NAME, where))
        registry.log_artifacts(run.info.run_id, str(bundle), "bundle")
        identity = bundles.bundle_id(bundle)
        tags = {versions.TAG_BUNDLE: identity, versions.TAG_RULING: ruling}
        source = f"{run.info.artifact_uri}/bundle"
        made = registry.create_model_version(NAME, source, run_id=run.info.run_id, tags=tags)
        version = versions.find(registry, NAME, str(made.version))
        changes.record_verdict(self.ledger, version, ruling, "a drill", [])
        return version

    def promote(self, version: versions.Version) -> None:
        """Let `version` decide, as the gate would."""
        with changes.office(versions.client(self.settings), self.ledger, NAME) as at:
            changes.make_champion(at, version, who="a drill", why="It passed.")

    @property
    def ledger(self) -> Ledger:
        """The scratch ledger."""
        return Ledger(self.settings)

    def entries(self, what: str) -> list[Entry]:
        """The ledger's entries of one kind."""
        return [entry for entry in self.ledger.entries(NAME) if entry.what == what]

    def champion(self) -> int | None:
        """The number that holds the alias."""
        version = versions.champion(versions.client(self.settings), NAME)
        return version.number if version else None

    def look(self) -> None:
        """Let the registrar look until it has nothing to do any more."""
        registrar = Registrar(self.settings, [NAME])
        for _ in range(5):
            if not registrar.look():
                return
        raise NotAsPromised("Not as promised: the registrar finds something to do for ever.")

    def serve(self, settings: Settings | None = None) -> tuple[Slots, Follower]:
        """What a serving process follows the registry with, after its first look."""
        slots = Slots()
        follower = Follower(slots, [domains.get(NAME)], settings or self.settings)
        follower.look()
        return slots, follower

    def log(self, clicks: pl.DataFrame, version: versions.Version, at: datetime) -> None:
        """Log `clicks` (of `traffic`) as decided by `version`, 20 µs apart from `at` on."""
        predictor = Predictor(versions.fetch(version, self.settings))
        vectors = clicks["features"].to_numpy()
        decided = predictor.decide_vectors(vectors, device_codes(clicks["device"]))
        threshold = pl.Series(decided.threshold)
        when = pl.Series(range(0, 20 * len(clicks), 20), dtype=pl.Int64).cast(pl.Duration("us")) + at
        rows = clicks.with_columns(
            decision_id=pl.format("{}-drill-{}", pl.lit(f"{at:%Y%m%d}"), pl.int_range(pl.len())),
            decided_at=when,
            version=version.number,
            bundle=pl.lit(version.bundle),
            companions=pl.lit(""),
            role=pl.lit("champion"),
            slice=pl.Series(predictor.slices, dtype=pl.String).gather(pl.Series(decided.leaf)),
            against=decided.invalid,
            score=decided.score,
            threshold=threshold.set(threshold.is_infinite(), None),
            complete=True,
            advertiser=None,
        )
        folder = log_folder(self.settings, NAME) / f"{at:%Y-%m-%d}"
        folder.mkdir(parents=True, exist_ok=True)
        columns = pl.Schema(schema(NAME))
        rows.select(columns.names()).cast(columns).write_parquet(folder / f"{part_name('drill-1-0', at)}.parquet")


@contextmanager
def scratch() -> Iterator[Scratch]:
    """A state folder that goes when the block ends; what reads the environment meanwhile finds it too."""
    with TemporaryDirectory(prefix="headgate-drill-") as folder:
        mine = {"HEADGATE_HOME": folder}
        foreign = ("MLFLOW_TRACKING_URI", "HEADGATE_LEDGER", "HEADGATE_ARTIFACTS", "HEADGATE_DATA_REMOTE")
        with mock.patch.dict(os.environ, mine):
            for name in (*foreign, "HEADGATE_ALERT_URL"):
                os.environ.pop(name, None)
            yield Scratch(replace(settings_module.load(), home=Path(folder)))


def traffic(raw: Path, day: datetime) -> pl.DataFrame:
    """The clicks of one day, each once: the columns of the raw schema, and their vectors in `features`."""
    days = tuple((day - timedelta(days=back)).date() for back in (2, 1, 0))
    (*_, (_, table)) = by_day(raw, days, day, day + timedelta(days=1))
    vectors = table.select("click_id", features=pl.concat_arr(pl.col(name).cast(pl.Float32) for name in FEATURES))
    once = vectors.unique("click_id", keep="first", maintain_order=True)
    clicks = pl.read_parquet(raw / "clicks" / f"{day:%Y-%m-%d}.parquet")
    unique = clicks.unique("click_id", keep="first", maintain_order=True)
    return unique.join(once, on="click_id", maintain_order="left")
