"""Drills about live traffic: what the watch must act on, and what it must not."""

import time
from datetime import UTC, datetime, timedelta

import polars as pl

from headgate.decisions.reading import effective, parts
from headgate.decisions.redeciding import Redecider
from headgate.decisions.replay import Asked, replay_decisions
from headgate.decisions.watch import Watcher
from headgate.drills.world import Scratch, World, promise
from headgate.registry import versions
from headgate.registry.ledger_state import state_of


def bad_model(world: World) -> str:
    """A version that wrongs a tenth of the people in one slice got through the gate, and decides."""
    with world.scratch() as here:
        good = here.register(world.good)
        here.promote(good)
        bad = here.register(here.variant("bad", world.rehearsal.wronging, world.good))
        here.promote(bad)
        events = world.rehearsal.traffic(world.raw, world.as_of)
        since = datetime.now(UTC)
        here.log(events, bad, since)
        until = since + timedelta(microseconds=20 * len(events))
        looked = Watcher(here.settings, here.domain, lambda: until).look()
        promise(here.champion() == good.number, "the bad version goes on deciding")
        promise(state_of(here.ledger.entries(here.name)).held() is not None, "automatic promotion is not held")
        time.sleep(max(0.0, (until - datetime.now(UTC)).total_seconds()))  # a replay decides the past
        asked = Asked(here.domain, since, until, reason="a drill")
        done = replay_decisions(here.settings, "champion", asked)
        promise(done.newly_not > 0, "the replay puts nothing right")
        again = replay_decisions(here.settings, "champion", asked)
        promise(again.newly_not == again.newly_adverse == 0, "a second replay publishes something")
        wrong = _differing(here, good.number)
        promise(wrong == 0, f"{wrong} effective decisions are not those of version {good.number}")
        return f"{looked.rolled_back} Then {done.newly_not:,} wrong decisions were put right"


def attack_is_no_fault(world: World) -> str:
    """Adverse decisions are rightly many more for a day; the version that makes them is sound."""
    raw = world.simulate(world.rehearsal.surge)
    day = world.rehearsal.start + timedelta(days=world.days - 2)
    with world.scratch() as here:
        before = here.register(here.variant("before", world.rehearsal.lenient, world.good))
        good = here.register(world.good)
        here.promote(before)
        here.promote(good)
        events = world.rehearsal.traffic(raw, day)
        since = datetime.now(UTC)
        here.log(events, good, since)
        looked = Watcher(here.settings, here.domain, lambda: since + timedelta(seconds=30)).look()
        promise(here.champion() == good.number, f"a sound version was rolled back: {looked.rolled_back}")
        rows = pl.concat(rows for _, rows in parts(here.settings, here.domain.logs.log))
        outcomes = here.domain.decides
        adverse = rows.filter(outcomes.is_adverse()).height
        return f"{adverse:,} of {len(rows):,} were {outcomes.adverse_words}, and the version goes on deciding"


def _differing(here: Scratch, number: int) -> int:
    """Effective decisions that `number` would not make on the same inputs."""
    version = versions.find(versions.client(here.settings), here.name, str(number))
    predictor, live = here.domain.load(versions.fetch(version, here.settings)), here.domain.logs
    again = Redecider(here.settings, here.domain, predictor)
    wrong = 0
    for part, rows in parts(here.settings, live.log):
        holds = effective(here.settings, live.log, rows, part)
        wrong += int((holds["outcome"] != again(rows)["outcome"]).sum())
    return wrong
