"""The drills, by name, and how one is run."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from headgate.domain import Domain, late
from headgate.errors import HeadgateError, UsageError


@dataclass(frozen=True)
class Drill:
    """A disaster, what is promised of it, and what keeps the promise."""

    name: str
    disaster: str
    promised: str
    mechanism: str
    run: Callable[..., str]  # (world) → what was seen; raises NotAsPromised


@dataclass(frozen=True)
class Drilled:
    """How a drill ended."""

    name: str
    passed: bool
    seconds: float
    seen: str


def _drill(name: str, place: str, disaster: str, promised: str, mechanism: str) -> Drill:
    return Drill(name, disaster, promised, mechanism, late(f"headgate.drills.{place}:{name.replace('-', '_')}"))


DRILLS: dict[str, Drill] = {
    drill.name: drill
    for drill in (
        _drill(
            "bad-model",
            "traffic",
            "a version that wrongs people got through the gate",
            "it is rolled back by itself, the domain is held, and a replay puts right what it decided",
            "the watch",
        ),
        _drill(
            "label-outage",
            "days",
            "the labels of six hours are lost",
            "the day is refused and its hours are named; the champion stays",
            "the expectations",
        ),
        _drill(
            "poisoned-day",
            "days",
            "most labels of some days are given to whom they do not belong",
            "no version that learned it is promoted",
            "the expectations and the gate",
        ),
        _drill(
            "corrupt-bundle",
            "registry",
            "a file of a version is damaged, and a person promotes it",
            "it never decides, the file is named, and a rollback ends the alarm",
            "the sums in the manifest",
        ),
        _drill(
            "forged-tag",
            "registry",
            "a refused version gets the tags of a passed one",
            "it never decides, the alias is put back, and the ledger tells of it",
            "the ledger's record of the verdict",
        ),
        _drill(
            "registry-down",
            "registry",
            "MLflow is gone",
            "serving goes on, a restart serves what was served last, and both say so",
            "the memory of what was served last",
        ),
        _drill(
            "kill-promote",
            "registry",
            "the process that promotes is killed half way",
            "exactly one version decides, nothing is half made, and the ledger verifies",
            "the registrar",
        ),
        _drill(
            "stage-flip",
            "registry",
            "a person rolls back by changing a stage, and archives nothing",
            "alias, stages, serving and ledger agree on that version, and the domain is held",
            "the registrar",
        ),
        _drill(
            "lost-state",
            "registry",
            "the state folder is lost",
            "a backup brings registry, ledger and data back together, and a damaged one is refused",
            "telling the registry where its artifacts lie now",
        ),
        _drill(
            "slow-drift",
            "days",
            "every day's version wrongs a few people more",
            "it is stopped although no step is large",
            "the comparison with last week's",
        ),
        _drill(
            "attack-is-no-fault",
            "traffic",
            "adverse decisions are rightly many more, as in an attack",
            "the sound version that makes them is not rolled back",
            "judging by those who are known to be good",
        ),
    )
}


def chosen(name: str) -> list[Drill]:
    """The drill `name`, or all."""
    if name == "all":
        return list(DRILLS.values())
    if name not in DRILLS:
        known = "\n".join(f"  {drill.name:<20} {drill.disaster}" for drill in DRILLS.values())
        raise UsageError(f"There is no drill {name!r}. Choose all, or one of:\n{known}")
    return [DRILLS[name]]


def rehearse(domain: Domain, drills: list[Drill], folder: Path) -> Iterator[Drilled]:
    """Run `drills` in a world of `domain` below `folder`, which is made if it is not there; yields how each ended."""
    from headgate.drills.world import build

    world = build(domain, folder)
    for drill in drills:
        start = time.perf_counter()
        try:
            seen, passed = drill.run(world), True
        except HeadgateError as error:
            seen, passed = str(error), False
        yield Drilled(drill.name, passed, time.perf_counter() - start, seen)
