"""Drills about a day's data: what must not be learned from, and what creeps in."""

import shutil
import sys
from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from unittest import mock

import polars as pl

from headgate import domains, stages
from headgate.data import datasets
from headgate.domain import Domain
from headgate.drills.world import NAME, START, Scratch, World, promise, scratch, variant
from headgate.gate.checks import Verdict
from headgate.gate.judge import judge
from headgate.outcome import Outcome
from headgate.retraining import retrain

#: Days whose labels are poisoned, and the share of the purchases that go to robots.
POISONED, SHARE = 4, 0.6


def label_outage(world: World, taken_out: bool) -> str:
    """The purchases of six hours are lost, and the daily run comes all the same."""
    raw = world.simulate("label-outage")
    lost = START + timedelta(days=len(list((raw / "clicks").glob("*.parquet"))) - 2)
    unchecked = replace(world.domain, expectations=())
    with scratch() as here:
        good = here.register(world.good)
        here.promote(good)
        outcome = _run(here, raw, lost + timedelta(days=3), unchecked if taken_out else world.domain)
        promise(outcome.exit_code == 4, f"the day is learned from: {outcome.words}")
        promise(f"{lost:%Y-%m-%d}" in outcome.words, f"the day is not named: {outcome.words}")
        promise(here.champion() == good.number, "the champion changed")
        return f"the data was refused, the hours of {lost:%Y-%m-%d} were named, and the champion stayed"


def poisoned_day(world: World, taken_out: bool) -> str:
    """For some days most purchases are ascribed to robots, as who poisons labels would."""
    with scratch() as here:
        good = here.register(world.good)
        here.promote(good)
        raw = _poisoned(world, here.settings.home / "poisoned")
        # Taken out, nothing is expected of the data and every verdict passes.
        blind = replace(world.domain, expectations=(), judge=lambda work, champion: [])
        with ExitStack() as stack:
            if taken_out:
                stack.enter_context(mock.patch("headgate.gate.judge.compare", return_value=[]))
            outcome = _run(here, raw, world.as_of, blind if taken_out else world.domain)
        promise(outcome.result in ("refused", "data refused", "review"), f"it is promoted: {outcome.words}")
        promise(here.champion() == good.number, "the champion changed")
        return f"{outcome.result}, and the champion stayed: {outcome.reasons[0]}"


def slow_drift(world: World, taken_out: bool) -> str:
    """Each new version wrongs a few people more than the one before: never much, but every day."""
    with scratch() as here:
        steps = [_looser(world, here.settings.home, step) for step in range(8)]
        for number, bundle in enumerate(steps[1:], 1):
            work = here.settings.home / f"work-{number}"
            shutil.copytree(world.work, work)
            shutil.rmtree(work / "calibrate" / "bundle")
            shutil.copytree(bundle, work / "calibrate" / "bundle", ignore=shutil.ignore_patterns("manifest.json"))
            stages.evaluate(world.domain, work)
            stages.seal(work)
            week_ago = None if taken_out else steps[0]
            verdict = judge(world.domain, work, steps[number - 1], week_ago)
            stopped = _stopped(verdict)
            if stopped:
                promise(any("since last week" in name for name in stopped), f"{stopped} stopped it, not the drift")
                return f"step {number} was stopped by what had changed since last week: {', '.join(stopped)}"
        promise(False, "eight days of small harm pass, one by one")
        return ""


def _stopped(verdict: Verdict) -> list[str]:
    """The checks of what changes that failed."""
    return [check.name for check in verdict.checks if check.family == "change" and check.outcome == "failed"]


def _looser(world: World, folder: Path, step: int) -> Path:
    """The good bundle with thresholds that are `step` times a little lower."""

    def lower(thresholds: dict[str, Any]) -> None:
        for leaf in thresholds.values():
            if leaf["threshold"] is not None:
                leaf["threshold"] *= 0.96**step

    return variant(world.good, folder / f"looser-{step}", lower)


def _poisoned(world: World, out: Path) -> Path:
    """The calm days, with purchases of the last days before the as-of ascribed to robots' clicks."""
    shutil.copytree(world.raw, out)
    robots = pl.concat(
        pl.read_parquet(path).filter("is_robot").select("click_id")
        for path in sorted(Path(f"{world.raw}.truth").joinpath("truth").glob("*.parquet"))
    )
    days = sorted((out / "clicks").glob("*.parquet"))
    since = datetime.fromisoformat(days[-POISONED - 3].stem)
    clicks = pl.concat(pl.read_parquet(path, columns=["click_id", "event_time"]) for path in days)
    late = clicks.join(robots, on="click_id").filter(pl.col("event_time").dt.replace_time_zone(None) >= since)
    taken = late["click_id"].shuffle(seed=1)
    used = 0
    for path in sorted((out / "purchases").glob("*.parquet")):
        bought = pl.read_parquet(path)
        of = bought.join(clicks, on="click_id", how="left")["event_time"].dt.replace_time_zone(None) >= since
        rows = [i for i, hit in enumerate(of.fill_null(False)) if hit]
        rows = rows[: int(SHARE * len(rows))]
        changed = bought["click_id"].to_list()
        for row in rows:
            changed[row] = taken[used % len(taken)]
            used += 1
        bought.with_columns(click_id=pl.Series(changed)).write_parquet(path)
    return out


def _run(here: Scratch, raw: Path, as_of: datetime, domain: Domain) -> Outcome:
    """The daily run, whole, with `domain` in place of the real one."""
    root = str(datasets.pipeline().parent)
    if root not in sys.path:
        sys.path.insert(0, root)
    with mock.patch.object(domains, "get", return_value=domain):
        return retrain(here.settings, NAME, str(raw), as_of)
