"""Drills about live traffic: what the watch must act on, and what it must not."""

import time
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest import mock

import polars as pl

from headgate import domains
from headgate.decisions.reading import effective, parts
from headgate.decisions.replay import Asked, replay
from headgate.decisions.watch import Looked, Watcher
from headgate.drills.world import NAME, START, Scratch, World, promise, scratch, traffic, variant
from headgate.registry.standing import standing


def bad_model(world: World, taken_out: bool) -> str:
    """A version that wrongs a tenth of the people in one slice got through the gate, and decides."""
    with scratch() as here:
        good = here.register(world.good)
        here.promote(good)
        here.settings.home.mkdir(parents=True, exist_ok=True)
        bad = here.register(variant(world.good, here.settings.home / "bad", _wrongs_people))
        here.promote(bad)
        clicks = traffic(world.raw, world.as_of)
        since = datetime.now(UTC)
        here.log(clicks, bad, since)
        until = since + timedelta(microseconds=20 * len(clicks))
        looked = None if taken_out else Watcher(here.settings, NAME, lambda: until).look()
        promise(here.champion() == good.number, "the bad version goes on deciding")
        promise(standing(here.ledger.entries(NAME)).held() is not None, "automatic promotion is not held")
        time.sleep(max(0.0, (until - datetime.now(UTC)).total_seconds()))  # a replay decides the past
        done = replay(here.settings, "champion", Asked(NAME, since, until, reason="a drill"))
        promise(done.newly_not > 0, "the replay puts nothing right")
        again = replay(here.settings, "champion", Asked(NAME, since, until, reason="a drill"))
        promise(again.newly_not == again.newly_against == 0, "a second replay publishes something")
        wrong = _differing(here, good.number)
        promise(wrong == 0, f"{wrong} effective decisions are not those of version {good.number}")
        assert looked is not None
        return f"{looked.rolled_back} Then {done.newly_not:,} wrong decisions were put right"


def attack_is_no_fault(world: World, taken_out: bool) -> str:
    """Robots click four times as much for a day; the version that catches them is sound."""
    raw = world.simulate("attack")
    attacked = START + timedelta(days=len(list((raw / "clicks").glob("*.parquet"))) - 2)
    with scratch() as here, ExitStack() as stack:
        here.settings.home.mkdir(parents=True, exist_ok=True)
        before = here.register(variant(world.good, here.settings.home / "before", _lets_robots_pass))
        good = here.register(world.good)
        here.promote(before)
        here.promote(good)
        if taken_out:  # every click counts as of one who is known to be good: the rate of decisions against decides
            live = domains.live(NAME)
            naive = replace(live, watched=lambda rows: live.watched(rows).with_columns(good=pl.lit(True)))
            stack.enter_context(mock.patch.object(domains, "live", return_value=naive))
        clicks = traffic(raw, attacked)
        since = datetime.now(UTC)
        here.log(clicks, good, since)
        looked: Looked = Watcher(here.settings, NAME, lambda: since + timedelta(seconds=30)).look()
        promise(here.champion() == good.number, f"a sound version was rolled back: {looked.rolled_back}")
        rows = pl.concat(rows for _, rows in parts(here.settings, NAME))
        against = int(rows["against"].sum())
        return f"{against:,} of {len(rows):,} clicks were invalid, and the version goes on deciding"


def _differing(here: Scratch, number: int) -> int:
    """Effective decisions that `number` would not make on the same vectors."""
    from headgate.registry import versions

    version = versions.find(versions.client(here.settings), NAME, str(number))
    domain = domains.get(NAME)
    predictor = domain.load(versions.fetch(version, here.settings))
    wrong = 0
    for part, rows in parts(here.settings, NAME):
        holds = effective(here.settings, NAME, rows, part)
        wrong += int((holds["against"] != domains.live(NAME).redecide(predictor, rows)["against"]).sum())
    return wrong


def _wrongs_people(thresholds: dict[str, Any]) -> None:
    """In every leaf of one device, decide against far too many."""
    for name, leaf in thresholds.items():
        if name.startswith("mobile"):
            leaf["threshold"] = 0.35 * (leaf["threshold"] or 1.0)


def _lets_robots_pass(thresholds: dict[str, Any]) -> None:
    for leaf in thresholds.values():
        leaf["threshold"] = min(1.0, 1.05 * (leaf["threshold"] or 1.0))
