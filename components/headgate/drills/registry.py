"""Drills about the registry: what may serve, who decides, and what a kill or an outage leaves behind."""

import multiprocessing
import os
import shutil
import signal
from contextlib import nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

from headgate.drills.world import NAME, NotAsPromised, Scratch, World, promise, scratch, variant
from headgate.errors import HeadgateError
from headgate.registry import bundle as bundles
from headgate.registry import changes, databases, versions
from headgate.registry.ledger import Ledger
from headgate.registry.standing import Standing, standing
from headgate.registry.versions import without_stage_warnings
from headgate.restore import backup_drill
from headgate.servers import mlflow_server, up
from headgate.settings import Settings


def corrupt_bundle(world: World, taken_out: bool) -> str:
    """A version's file is damaged where it lies; a person promotes it."""
    with scratch() as here:
        good, other = here.register(world.good), here.register(_stricter(world, here))
        here.promote(good)
        slots, follower = here.serve()
        damaged = here.settings.mlflow_home / "artifacts" / other.run_id / "artifacts" / "bundle" / "thresholds.json"
        damaged.write_bytes(damaged.read_bytes().replace(b"0.", b"1.", 1))
        _alias(here, other.number)
        here.look()
        unchecked = mock.patch.object(bundles, "verify", side_effect=lambda folder, _=None: bundles.bundle_id(folder))
        untried = mock.patch("headgate.serving.follower.agrees", return_value=0)
        with unchecked if taken_out else nullcontext(), untried if taken_out else nullcontext():
            follower.look()
        decides = slots.champion(NAME)
        promise(decides is not None and decides.version == good.number, "a damaged bundle decides")
        said = slots.problem(NAME) or ""
        promise("thresholds.json" in said, f"the damaged file is not named ({said})")
        with changes.office(versions.client(here.settings), here.ledger, NAME) as at:
            changes.rollback(at, None, who="a drill", why="the bundle is damaged")
        follower.look()
        promise(slots.problem(NAME) is None, "serving does not recover after the rollback")
        return "thresholds.json was named, version 1 went on deciding, and a rollback ended the alarm"


def forged_tag(world: World, taken_out: bool) -> str:
    """A version that the gate refused gets the tags of a passed one, and the alias."""
    with scratch() as here:
        good, bad = here.register(world.good), here.register(_stricter(world, here), "refused")
        here.promote(good)
        slots, follower = here.serve()
        versions.client(here.settings).set_model_version_tag(NAME, str(bad.number), versions.TAG_RULING, "passed")
        _alias(here, bad.number)
        believed = mock.patch.object(Standing, "may_serve", return_value=True)
        with believed if taken_out else nullcontext():
            here.look()
            follower.look()
        decides = slots.champion(NAME)
        promise(decides is not None and decides.version == good.number, "a refused version decides")
        promise(here.champion() == good.number, "the alias was not put back")
        promise(bool(here.entries("refused")), "the ledger does not tell of it")
        return "the alias was put back, the refused version never decided, and the ledger tells of it"


def registry_down(world: World, taken_out: bool) -> str:
    """MLflow's server is killed; a serving process goes on, and another is restarted meanwhile."""
    with scratch() as here:
        here.promote(here.register(world.good))
        server = mlflow_server(here.settings)
        away = replace(here.settings, tracking_uri=server.url)
        with up(here.settings, [server]):
            slots, follower = here.serve(away)
            before = slots.champion(NAME)
            promise(before is not None, "nothing is served before the outage")
        with mock.patch.dict(os.environ, {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}):
            follower.look()
            promise(slots.champion(NAME) is before, "a version that was loaded stops deciding")
            if taken_out:
                shutil.rmtree(here.settings.home / "serving")
            restarted, _ = here.serve(away)
        decides = restarted.champion(NAME)
        promise(decides is not None and decides.version == 1, "a process that restarts has nothing to decide with")
        promise("not following" in (restarted.problem(NAME) or ""), "it does not say that it follows nothing")
        with up(here.settings, [replace(server)]):
            follower.look()
            promise(slots.problem(NAME) is None, "it does not follow again")
        return "it went on deciding, a restart served what was served last and said so, and it followed again"


def kill_promote(world: World, taken_out: bool) -> str:
    """The process that promotes a version is killed after its first write to the registry."""
    with scratch() as here:
        here.promote(here.register(world.good))
        other = here.register(_stricter(world, here))
        child = multiprocessing.get_context("spawn").Process(target=_promote_and_die, args=(here.settings, other))
        child.start()
        child.join(120)
        promise(child.exitcode == -signal.SIGKILL, "the drill did not kill the process where it should")
        promise(standing(here.ledger.entries(NAME)).intent is not None, "the intent was not written first")
        if not taken_out:
            with here.ledger.lease(f"registry/{NAME}"):
                pass  # the dead process's lease runs out
            here.look()
        _agree(here, other.number)
        return f"the registrar finished what was begun: version {other.number} decides, and the ledger verifies"


def stage_flip(world: World, taken_out: bool) -> str:
    """A person rolls back by moving an older version to Production, with MLflow's default: nothing is archived."""
    with scratch() as here:
        old, new = here.register(world.good), here.register(_stricter(world, here))
        here.promote(old)
        here.promote(new)
        slots, follower = here.serve()
        registry = versions.client(here.settings)
        with without_stage_warnings():
            registry.transition_model_version_stage(NAME, str(old.number), "Production")
        if not taken_out:
            here.look()
        follower.look()
        decides = slots.champion(NAME)
        promise(decides is not None and decides.version == old.number, "serving does not follow the stage")
        _agree(here, old.number)
        promise(standing(here.ledger.entries(NAME)).held() is not None, "automatic promotion is not held")
        return "alias, stages, serving and ledger agree on the older version, and the domain is held"


def lost_state(world: World, taken_out: bool) -> str:
    """The whole state folder is lost, and a backup is brought back elsewhere."""
    with scratch() as here:
        here.promote(here.register(world.good))
        forgotten = mock.patch.object(databases, "move", return_value=None)
        try:
            with forgotten if taken_out else nullcontext():
                backup_drill(here.settings)
        except HeadgateError as error:
            raise NotAsPromised(f"Not as promised: {error}") from error
        return "version 1 decides in the restored state, its bundle verified; a backup with a flipped bit was refused"


def _stricter(world: World, here: Scratch) -> Path:
    """Another sound bundle: thresholds a little higher."""

    def raised(thresholds: dict[str, Any]) -> None:
        for leaf in thresholds.values():
            leaf["threshold"] = min(1.0, (leaf["threshold"] or 1.0) * 1.01)

    here.settings.home.mkdir(parents=True, exist_ok=True)
    return variant(world.good, here.settings.home / "stricter", raised)


def _alias(here: Scratch, number: int) -> None:
    """What a person does in MLflow."""
    versions.client(here.settings).set_registered_model_alias(NAME, versions.CHAMPION, str(number))


def _agree(here: Scratch, number: int) -> None:
    """Exactly one champion, the same by alias, by stage and by the ledger, and a ledger that verifies."""
    registry = versions.client(here.settings)
    known = versions.all_versions(registry, NAME)
    now = standing(here.ledger.entries(NAME))
    promise(now.intent is None, "a change is half made")
    promise(here.champion() == now.champion == number, "the alias and the ledger do not agree")
    produced = [version.number for version in known if version.stage == "Production"]
    promise(produced == [number], f"in Production stand {produced}")
    here.ledger.verify(changes.anchors(registry, [NAME]))


class _Dying:
    """A client of the registry whose process dies after the first write."""

    def __init__(self, registry: Any) -> None:
        self._registry = registry

    def __getattr__(self, name: str) -> Any:
        asked = getattr(self._registry, name)
        if not name.startswith(("set_", "delete_", "transition_")):
            return asked

        def write(*arguments: Any, **named: Any) -> None:
            asked(*arguments, **named)
            os.kill(os.getpid(), signal.SIGKILL)

        return write


def _promote_and_die(settings: Settings, version: versions.Version) -> None:
    dying: Any = _Dying(versions.client(settings))
    with suppress(Exception), changes.office(dying, Ledger(settings), NAME, seconds=1.0) as at:
        changes.make_champion(at, version, who="a drill", why="It passed.")
