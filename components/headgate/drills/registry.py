"""Drills about the registry: what may serve, who decides, and what a kill or an outage leaves behind."""

import multiprocessing
import os
import signal
from contextlib import suppress
from dataclasses import replace
from typing import Any

from headgate.drills.world import NotAsPromised, Scratch, World, environment, promise
from headgate.errors import HeadgateError
from headgate.operations.restore import backup_drill
from headgate.registry import changes, versions
from headgate.registry.bundles import CARD
from headgate.registry.ledger import Ledger
from headgate.registry.ledger_state import state_of
from headgate.registry.versions import without_stage_warnings
from headgate.servers import mlflow_server, up
from headgate.settings import Settings


def corrupt_bundle(world: World) -> str:
    """A version's file is damaged where it lies; a person promotes it."""
    with world.scratch() as here:
        good, other = (
            here.register(world.good),
            here.register(here.variant("stricter", world.rehearsal.stricter, world.good)),
        )
        here.promote(good)
        slots, follower = here.serve()
        damaged = here.settings.mlflow_home / "artifacts" / other.run_id / "artifacts" / "bundle" / CARD
        damaged.write_bytes(damaged.read_bytes() + b"\n")  # it would load and answer as before
        _alias(here, other.number)
        here.look()
        follower.look()
        decides = slots.champion(here.name)
        promise(decides is not None and decides.version == good.number, "a damaged bundle decides")
        said = slots.problem(here.name) or ""
        promise(CARD in said, f"the damaged file is not named ({said})")
        with changes.change_session(versions.client(here.settings), here.ledger, here.name) as at:
            changes.rollback(at, None, who="a drill", why="the bundle is damaged")
        follower.look()
        promise(slots.problem(here.name) is None, "serving does not recover after the rollback")
        return f"{CARD} was named, version 1 went on deciding, and a rollback ended the alarm"


def forged_tag(world: World) -> str:
    """A version that the gate refused gets the tags of a passed one, and the alias."""
    with world.scratch() as here:
        good, bad = (
            here.register(world.good),
            here.register(here.variant("stricter", world.rehearsal.stricter, world.good), "refused"),
        )
        here.promote(good)
        slots, follower = here.serve()
        versions.client(here.settings).set_model_version_tag(here.name, str(bad.number), versions.TAG_RULING, "passed")
        _alias(here, bad.number)
        here.look()
        follower.look()
        decides = slots.champion(here.name)
        promise(decides is not None and decides.version == good.number, "a refused version decides")
        promise(here.champion() == good.number, "the alias was not put back")
        promise(bool(here.entries("refused")), "the ledger does not tell of it")
        return "the alias was put back, the refused version never decided, and the ledger tells of it"


def registry_down(world: World) -> str:
    """MLflow's server is killed; a serving process goes on, and another is restarted meanwhile."""
    with world.scratch() as here:
        here.promote(here.register(world.good))
        server = mlflow_server(here.settings)
        away = replace(here.settings, tracking_uri=server.url)
        with up(here.settings, [server]):
            slots, follower = here.serve(away)
            before = slots.champion(here.name)
            promise(before is not None, "nothing is served before the outage")
        with environment({"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}):
            follower.look()
            promise(slots.champion(here.name) is before, "a version that was loaded stops deciding")
            restarted, _ = here.serve(away)
        decides = restarted.champion(here.name)
        promise(decides is not None and decides.version == 1, "a process that restarts has nothing to decide with")
        promise("not following" in (restarted.problem(here.name) or ""), "it does not say that it follows nothing")
        with up(here.settings, [replace(server)]):
            follower.look()
            promise(slots.problem(here.name) is None, "it does not follow again")
        return "it went on deciding, a restart served what was served last and said so, and it followed again"


def kill_promote(world: World) -> str:
    """The process that promotes a version is killed after its first write to the registry."""
    with world.scratch() as here:
        here.promote(here.register(world.good))
        other = here.register(here.variant("stricter", world.rehearsal.stricter, world.good))
        child = multiprocessing.get_context("spawn").Process(
            target=_promote_and_die, args=(here.settings, here.name, other)
        )
        child.start()
        child.join(120)
        promise(child.exitcode == -signal.SIGKILL, "the drill did not kill the process where it should")
        promise(state_of(here.ledger.entries(here.name)).intent is not None, "the intent was not written first")
        with here.ledger.lease(f"registry/{here.name}"):
            pass  # the dead process's lease runs out
        here.look()
        _agree(here, other.number)
        return f"the registrar finished what was begun: version {other.number} decides, and the ledger verifies"


def stage_flip(world: World) -> str:
    """A person rolls back by moving an older version to Production, with MLflow's default: nothing is archived."""
    with world.scratch() as here:
        old, new = (
            here.register(world.good),
            here.register(here.variant("stricter", world.rehearsal.stricter, world.good)),
        )
        here.promote(old)
        here.promote(new)
        slots, follower = here.serve()
        registry = versions.client(here.settings)
        with without_stage_warnings():
            registry.transition_model_version_stage(here.name, str(old.number), "Production")
        here.look()
        follower.look()
        decides = slots.champion(here.name)
        promise(decides is not None and decides.version == old.number, "serving does not follow the stage")
        _agree(here, old.number)
        promise(state_of(here.ledger.entries(here.name)).held() is not None, "automatic promotion is not held")
        return "alias, stages, serving and ledger agree on the older version, and the domain is held"


def lost_state(world: World) -> str:
    """The whole state folder is lost, and a backup is brought back elsewhere."""
    with world.scratch() as here:
        here.promote(here.register(world.good))
        try:
            backup_drill(here.settings)
        except HeadgateError as error:
            raise NotAsPromised(f"Not as promised: {error}") from error
        return "version 1 decides in the restored state, its bundle verified; a backup with a flipped bit was refused"


def _alias(here: Scratch, number: int) -> None:
    """What a person does in MLflow."""
    versions.client(here.settings).set_registered_model_alias(here.name, versions.CHAMPION, str(number))


def _agree(here: Scratch, number: int) -> None:
    """Exactly one champion, the same by alias, by stage and by the ledger, and a ledger that verifies."""
    registry = versions.client(here.settings)
    known = versions.all_versions(registry, here.name)
    now = state_of(here.ledger.entries(here.name))
    promise(now.intent is None, "a change is half made")
    promise(here.champion() == now.champion == number, "the alias and the ledger do not agree")
    produced = [version.number for version in known if version.stage == "Production"]
    promise(produced == [number], f"in Production stand {produced}")
    here.ledger.verify(changes.anchors(registry, [here.name]))


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


def _promote_and_die(settings: Settings, name: str, version: versions.Version) -> None:
    dying: Any = _Dying(versions.client(settings))
    with suppress(Exception), changes.change_session(dying, Ledger(settings), name, seconds=1.0) as at:
        changes.make_champion(at, version, who="a drill", why="It passed.")
