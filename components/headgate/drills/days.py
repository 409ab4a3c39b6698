"""Drills about a day's data: what must not be learned from, and what creeps in."""

import shutil
from datetime import datetime, timedelta
from pathlib import Path

from headgate import stages
from headgate.contract.checks import Verdict
from headgate.drills.world import Scratch, World, promise
from headgate.gate.judge import judge_candidate
from headgate.operations.retrain import run_retrain
from headgate.orchestration.outcome import Outcome


def label_outage(world: World) -> str:
    """The labels of some hours are lost, and the daily run comes all the same."""
    raw = world.simulate(world.rehearsal.outage)
    lost = world.rehearsal.start + timedelta(days=world.days - 2)
    with world.scratch() as here:
        good = here.register(world.good)
        here.promote(good)
        outcome = daily(here, raw, lost + timedelta(days=3))
        promise(outcome.exit_code == 4, f"the day is learned from: {outcome.words}")
        promise(f"{lost:%Y-%m-%d}" in outcome.words, f"the day is not named: {outcome.words}")
        promise(here.champion() == good.number, "the champion changed")
        return f"the data was refused, the hours of {lost:%Y-%m-%d} were named, and the champion stayed"


def poisoned_day(world: World) -> str:
    """For some days most labels are given to whom they do not belong, as who poisons them would."""
    with world.scratch() as here:
        good = here.register(world.good)
        here.promote(good)
        raw = world.rehearsal.poisoned(world.raw, here.settings.home / "poisoned")
        outcome = daily(here, raw, world.as_of)
        promise(outcome.result in ("refused", "data refused", "review"), f"it is promoted: {outcome.words}")
        promise(here.champion() == good.number, "the champion changed")
        return f"{outcome.result}, and the champion stayed: {outcome.reasons[0]}"


def slow_drift(world: World) -> str:
    """Each new version wrongs a few people more than the one before: never much, but every day."""
    with world.scratch() as here:
        here.settings.home.mkdir(parents=True, exist_ok=True)
        steps = [world.rehearsal.looser(world.good, here.settings.home / f"looser-{step}", step) for step in range(8)]
        for number, bundle in enumerate(steps[1:], 1):
            work = here.settings.home / f"work-{number}"
            shutil.copytree(world.work, work)
            shutil.rmtree(work / "calibrate" / "bundle")
            shutil.copytree(bundle, work / "calibrate" / "bundle", ignore=shutil.ignore_patterns("manifest.json"))
            stages.evaluate(world.domain, work)
            stages.seal(work)
            stopped = _stopped(judge_candidate(world.domain, work, steps[number - 1], steps[0]))
            if stopped:
                promise(any("since last week" in name for name in stopped), f"{stopped} stopped it, not the drift")
                return f"step {number} was stopped by what had changed since last week: {', '.join(stopped)}"
        promise(False, "eight days of small harm pass, one by one")
        return ""


def daily(here: Scratch, raw: Path, as_of: datetime) -> Outcome:
    """The daily run, whole."""
    return run_retrain(here.settings, here.domain, str(raw), as_of)


def _stopped(verdict: Verdict) -> list[str]:
    """The checks of what changes that failed."""
    return [check.name for check in verdict.checks if check.family == "change" and check.outcome == "failed"]
