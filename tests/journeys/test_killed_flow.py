"""`headgate retrain`, whole, killed by SIGKILL at its n-th external write and run again: as if it had run once."""

import itertools
import os
import random
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
import yaml

from headgate import settings
from headgate.contract.sizes import Sizes
from headgate.data.datasets import data_version, work_folder
from headgate.orchestration.api import prefect
from headgate.orchestration.outcome import Outcome
from headgate.registry import changes, versions
from headgate.registry.ledger import Ledger
from headgate.registry.ledger_state import state_of
from headgate.settings import Settings

from .. import killing
from ..toy import ROOMS
from .conftest import AS_OF

#: What is written first: the outcome's beginning, and the flow run in Prefect.
OPENING = range(1, 7)

#: How many of the other writes before the model is trained are drawn: nearly all are renames of the source's files.
DRAWN = 6


@dataclass(frozen=True)
class World:
    """A checkout that knows the toy, its days, a Prefect server, and where state folders and artifacts go.

    The artifacts lie outside of the state folders, as on S3: so a state folder can be copied.
    """

    checkout: Path
    days: Path
    prefect: str
    root: Path

    def settings(self, name: str) -> Settings:
        artifacts = (self.root / "artifacts").as_uri()
        return replace(settings.load(), home=self.root / name, tracking_uri=None, artifacts=artifacts, ledger=None)

    def headgate(self, here: Settings, n: int, *asked: str, after: str = "", commits: bool = False) -> killing.Outcome:
        """A command in a process of its own, killed at its n-th write, or at its n-th that is no rename."""
        env = os.environ | {
            "PYTHONPATH": str(self.checkout / "components"),
            "HEADGATE_HOME": str(here.home),
            "HEADGATE_ARTIFACTS": str(here.artifacts),
            "PREFECT_API_URL": self.prefect,
        }
        kinds = ("commit", "http") if commits else killing.KINDS
        return killing.command(n, "headgate.cli", *asked, env=env, kinds=kinds, after=after)

    def retrain(self, here: Settings, n: int, day: int = 1, **which: str | bool) -> killing.Outcome:
        as_of = AS_OF + timedelta(days=day - 1)
        asked = ("retrain", "rooms", "--source", str(self.days), "--as-of", f"{as_of:%Y-%m-%d}")
        return self.headgate(here, n, *asked, **which)  # type: ignore[arg-type]

    def settled(self, here: Settings, days: int) -> None:
        """Assert that all is as if each of so many days had been run once, and none of them killed."""
        registry, ledger = versions.client(here), Ledger(here)
        known = versions.all_versions(registry, "rooms")
        now = state_of(ledger.entries("rooms"))
        outcome = Outcome.read(here, "rooms")
        assert outcome is not None
        assert (outcome.result, outcome.version) == ("promoted", days), outcome.words

        held = {alias: version.number for version in known for alias in version.aliases}
        assert held == {"champion": days, **({"previous": days - 1} if days > 1 else {})}
        assert (now.champion, now.previous, now.intent) == (days, days - 1 or None, None)
        stages = {version.number: version.stage for version in known}
        assert stages == dict.fromkeys(range(1, days), "Archived") | {days: "Production"}
        assert [entry.what for entry in ledger.entries("rooms")] == ["verdict", "intent", "changed"] * days

        assert len({version.bundle for version in known}) == len(known) == days
        assert all(now.may_serve(version.number, version.bundle) for version in known)
        assert ledger.verify(changes.anchors(registry, ["rooms"])) == 3 * days

        experiment = registry.get_experiment_by_name("rooms").experiment_id
        states = [run.info.status for run in registry.search_runs([experiment])]
        assert set(states) <= {"FINISHED", "KILLED"}
        models = [str(model.status) for model in registry.search_logged_models([experiment])]
        assert "PENDING" not in models
        asked = {"flow_runs": {"state": {"type": {"any_": ["RUNNING", "PENDING"]}}}}
        assert httpx.post(f"{self.prefect}/flow_runs/filter", json=asked, trust_env=False).json() == []

        assert list(work_folder(here, "rooms").rglob(".tmp-*")) == []
        for version in known:
            lock = registry.download_artifacts(version.run_id, "data/dvc.lock", str(self.root))
            assert data_version(yaml.safe_load(Path(lock).read_text())) == version.tags[versions.TAG_DATA]


@pytest.fixture(scope="module")
def world(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    root = tmp_path_factory.mktemp("killed")
    ROOMS.simulate(root / "days", Sizes(days=43), seed=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HEADGATE_HOME", str(root / "prefect"))
        patch.setenv("PREFECT_HOME", str(root / "prefect"))
        patch.delenv("PREFECT_API_URL", raising=False)
        with prefect(settings.load()):
            yield World(checkout, root / "days", os.environ["PREFECT_API_URL"], root)


@pytest.mark.parametrize(
    "kills",
    [
        pytest.param([(17, 28)], id="while it is promoted"),
        pytest.param([(1, 16), (17, 28), (1, 14)], id="three times", marks=pytest.mark.nightly),
    ],
)
def test_killed_in_a_day_and_run_again(world: World, kills: list[tuple[int, int]]) -> None:
    """After the judge; three times: before there is a version, while it is promoted, and in the run that mends that."""
    draw, here = random.Random(4), world.settings(f"kills-{len(kills)}")
    for first, last in kills:
        n = draw.randint(first, last)
        assert world.retrain(here, n, after="verdict.json").killed, f"it has no {n} writes after the judge any more"
    world.retrain(here, 0)
    world.settled(here, 1)


@pytest.mark.nightly
@pytest.mark.parametrize("day", [1, 2])
def test_killed_anywhere_and_run_again(world: World, day: int) -> None:
    """The first version, and a second on top of a champion: every commit and every HTTP write after training."""
    before = world.settings(f"before-{day}")
    before.home.mkdir()
    for earlier in range(1, day):
        world.retrain(before, 0, earlier)

    def copies() -> Iterator[Settings]:
        for number in itertools.count():
            here = world.settings(f"{day}-{number}")
            shutil.copytree(before.home, here.home)
            yield here
            shutil.rmtree(here.home)

    copy = copies()
    writes = world.retrain(next(copy), 0, day).writes
    late = world.retrain(next(copy), 0, day, after="train", commits=True).writes
    drawn = random.Random(day).sample(range(OPENING.stop, writes), DRAWN)
    early = [(n, {}) for n in (*OPENING, *sorted(drawn))]
    every = [*early, *((n, {"after": "train", "commits": True}) for n in range(1, late + 1))]
    for (n, which), here in zip(every, copy, strict=False):
        assert world.retrain(here, n, day, **which).killed
        world.retrain(here, 0, day)
        try:
            world.settled(here, day)
        except AssertionError as error:
            error.add_note(f"killed at write {n} {which}")
            raise
    out = world.root / f"data-{day}"
    here = next(copy)
    world.retrain(here, 0, day)
    world.headgate(here, 0, "data", "checkout", "rooms", "--version", "champion", "--out", str(out))
    assert (out / "snapshot" / "days" / "test").is_dir()
