"""The watch as an operator relies on it: a bad champion goes, a sound one stays, and everything is said once."""

import shutil
from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np
import polars as pl
import pytest

from headgate.decisions import tally
from headgate.decisions.tally import EVERYTHING
from headgate.decisions.watch import Looked, Watcher
from headgate.domain import Domain
from headgate.errors import UsageError
from headgate.registry.ledger import Entry

from ..privacy.stores import found
from ..registry.conftest import Registry, registry
from ..toy import ROOMS, WATCH
from .bundles import register
from .made import make_rows, write_part

__all__ = ["registry"]

SLICE = "attic"


class World:
    """A registry with versions, a log that grows, and a watch that is started anew for every look."""

    def __init__(self, registry: Registry) -> None:
        self.registry, self.parts, self.guests = registry, 0, 0

    def line(self, count: int) -> None:
        """So many champions, one after the other; to each of them 15 … 25 degrees are fine."""
        for _ in range(count):
            self.registry.promote(register(self.registry, 5.0))

    @property
    def since(self) -> datetime:
        return datetime.fromisoformat([e.at for e in self.registry.ledger.entries("rooms") if e.what == "changed"][-1])

    def readings(self, n: int, **columns: pl.Expr) -> pl.DataFrame:
        """`n` readings of as many new guests who are comfortable at 20 °C, fine to the champion, or as told."""
        champion = self.registry.ledger_state().champion
        self.guests += n
        usual = {
            "version": pl.lit(champion, pl.Int32),
            "slice": pl.lit(SLICE),
            "room": pl.lit(SLICE),
            "degrees": pl.lit(20.0),
            "comfortable": pl.lit(True),
            "guest": pl.format("guest-{}", pl.int_range(pl.len()) + self.guests),
            "outcome": pl.lit("fine"),
        }
        start = self.since + timedelta(milliseconds=1 + self.parts)
        return make_rows(n, first=self.guests, start=start, every=timedelta(microseconds=1)).with_columns(
            **usual | columns
        )

    def log(self, rows: pl.DataFrame) -> None:
        self.parts += 1
        write_part(self.registry.settings, rows, worker=f"host-1-{self.parts:010x}")

    def look(self, domain: Domain = ROOMS) -> Looked:
        return Watcher(self.registry.settings, domain).look()

    def entries(self, what: str) -> list[Entry]:
        return [entry for entry in self.registry.ledger.entries("rooms") if entry.what == what]

    def alerts(self, kind: str) -> list[Entry]:
        return [entry for entry in self.entries("alert") if entry.details["kind"] == kind]


@pytest.fixture
def world(registry: Registry) -> World:
    return World(registry)


def fifth() -> pl.Expr:
    return pl.int_range(pl.len()) % 5 == 0


def hot(wronged: pl.Expr) -> pl.Expr:
    """The outcome where those in `wronged` are too hot to the champion."""
    return pl.when(wronged).then(pl.lit("hot")).otherwise(pl.lit("fine"))


def test_a_champion_that_disturbs_a_fifth_of_the_comfortable_guests_is_rolled_back_and_the_domain_held(
    world: World,
) -> None:
    world.line(2)
    world.log(world.readings(300, outcome=hot(fifth())))
    looked = world.look()
    assert SLICE in looked.rolled_back or EVERYTHING in looked.rolled_back
    assert "60 of 300 comfortable guests" in looked.rolled_back
    assert "e-value" in looked.rolled_back
    assert "34,000" in looked.rolled_back
    now = world.registry.ledger_state()
    assert (now.champion, len(now.holds)) == (1, 1)
    assert now.holds[0].who == "the watch"
    assert [entry.details["kind"] for entry in world.entries("alert")] == ["rollback"]
    assert world.entries("changed")[-1].why == looked.rolled_back


def test_looking_again_does_nothing_more(world: World) -> None:
    world.line(2)
    world.log(world.readings(300, outcome=hot(fifth())))
    world.look()
    before = world.registry.dump()
    world.look()
    assert world.registry.dump() == before


def test_a_sound_champion_stays_through_a_heat_wave_however_much_is_adverse(world: World) -> None:
    world.line(2)
    world.log(world.readings(500))
    strangers = world.readings(5_000, comfortable=pl.lit(None, pl.Boolean), outcome=pl.lit("cold"))
    world.log(strangers)
    world.log(world.readings(5_000, comfortable=pl.lit(False), outcome=pl.lit("cold")))
    looked = world.look()
    assert looked.rows == 10_500
    assert (looked.rolled_back, looked.alerts) == ("", ())


def test_one_comfortable_guest_who_is_asked_all_day_is_no_reason(world: World) -> None:
    world.line(2)
    world.log(world.readings(200))
    world.log(world.readings(2_000, guest=pl.lit("busy"), outcome=pl.lit("cold")))
    looked = world.look()
    assert (looked.rolled_back, looked.alerts) == ("", ())
    assert [one.wronged for one in looked.findings] == [1, 1]


def test_harm_that_the_version_before_does_too_is_told_once_and_not_rolled_back(world: World) -> None:
    world.line(2)
    world.log(world.readings(300, outcome=hot(fifth()), degrees=pl.when(fifth()).then(30.0).otherwise(20.0)))
    looked = world.look()
    assert looked.rolled_back == ""
    assert "does no better" in looked.alerts[0]
    world.log(world.readings(10))
    assert world.look().alerts == ()
    assert (world.registry.ledger_state().champion, len(world.alerts("harm"))) == (2, 1)


def test_without_a_version_to_go_back_to_people_are_told(world: World) -> None:
    world.line(1)
    world.log(world.readings(300, outcome=hot(fifth())))
    looked = world.look()
    assert looked.rolled_back == ""
    assert "No version stands before it" in looked.alerts[0]


def test_the_watch_rolls_back_once_and_leaves_the_next_to_a_person(world: World) -> None:
    world.line(3)
    world.log(world.readings(300, outcome=hot(fifth())))
    assert world.look().rolled_back
    world.log(world.readings(300, outcome=hot(fifth())))
    looked = world.look()
    assert (looked.version, looked.rolled_back) == (2, "")
    assert "was not released" in looked.alerts[0]
    assert world.registry.ledger_state().champion == 2


def test_what_is_counted_does_not_depend_on_how_often_one_looks(world: World) -> None:
    world.line(2)
    rows = world.readings(
        900, outcome=hot(pl.int_range(pl.len()) % 150 == 0), guest=pl.format("u{}", pl.int_range(pl.len()) % 300)
    )
    random = np.random.default_rng(3)
    whole = tally.empty()
    for start in range(0, 900, 90):
        world.log(rows[start : start + 90])
        if random.random() < 0.5:
            world.look()
    looked = world.look()
    seen = rows.select("slice", unit="guest", adverse=pl.col("outcome") == "hot", before=pl.lit(False))
    whole = tally.add(whole, seen, after=1)
    assert list(looked.findings) == tally.findings(whole, WATCH)
    assert world.look().rows == 0


def test_a_guest_of_whom_nothing_is_known_now_is_good_if_they_were_lately(world: World) -> None:
    world.line(2)
    nobody = {"comfortable": pl.lit(None, pl.Boolean), "slice": pl.lit("hall")}
    names = pl.format("u{}", pl.int_range(pl.len()))
    world.log(world.readings(300, guest=names))
    world.log(world.readings(600, guest=names, outcome=pl.lit("cold"), **nobody))
    finding = next(one for one in world.look().findings if one.slice == "hall")
    assert (finding.units, finding.wronged) == (300, 300)


def test_only_what_the_champion_decided_since_it_became_it_is_counted(world: World) -> None:
    world.line(2)
    world.log(world.readings(300, outcome=pl.lit("cold"), version=pl.lit(1, pl.Int32)))
    world.log(world.readings(300, outcome=pl.lit("cold"), role=pl.lit("default")))
    world.log(world.readings(300, outcome=pl.lit("cold"), decided_at=pl.col("decided_at") - timedelta(hours=1)))
    assert world.look().rows == 0


def test_every_adverse_outcome_wrongs_and_what_is_as_adverse_as_before_wrongs_nobody_newly(world: World) -> None:
    """A fifth is too cold and a fifth too hot; the version before would have held all of these for too cold."""
    world.line(2)
    cold, hot = (pl.int_range(pl.len()) % 5 == n for n in (0, 1))
    outcome = pl.when(cold).then(pl.lit("cold")).when(hot).then(pl.lit("hot")).otherwise(pl.lit("fine"))
    world.log(world.readings(300, outcome=outcome, degrees=pl.when(cold | hot).then(10.0).otherwise(20.0)))
    whole = world.look().findings[0]
    assert (whole.units, whole.wronged, whole.worse, whole.better) == (300, 120, 0, 0)


def test_without_a_way_to_decide_again_harm_is_told_and_nothing_is_rolled_back(world: World) -> None:
    world.line(2)
    world.log(world.readings(300, outcome=hot(fifth())))
    looked = world.look(replace(ROOMS, live=replace(ROOMS.logs, redecide=None)))
    assert looked.rolled_back == ""
    assert "60 of 300 comfortable guests" in looked.alerts[0]
    assert world.registry.ledger_state().champion == 2


def test_a_domain_that_does_not_say_what_its_decisions_do_is_told_so(world: World) -> None:
    world.line(1)
    world.log(world.readings(10))
    with pytest.raises(UsageError, match=r"^rooms does not say what its decisions do, so they cannot be watched"):
        world.look(replace(ROOMS, live=replace(ROOMS.logs, observe=None)))


def test_a_domain_without_a_watch_is_never_rolled_back(world: World) -> None:
    world.line(2)
    world.log(world.readings(300, outcome=pl.lit("hot")))
    looked = world.look(replace(ROOMS, limits=replace(ROOMS.limits, watch=None)))
    assert (looked.rolled_back, looked.findings, looked.alerts) == ("", (), ())


def test_a_domain_that_nobody_decides_for_is_left_alone(world: World) -> None:
    looked = world.look()
    assert looked.version is None
    assert world.registry.ledger.entries("rooms") == []


@pytest.mark.parametrize("after", [1, 3])
def test_a_unit_counts_for_the_side_on_which_it_differs_first(after: int) -> None:
    def told(*pairs: tuple[bool, bool]) -> pl.DataFrame:
        return pl.DataFrame(
            {"slice": "s", "unit": "u", "adverse": [a for a, _ in pairs], "before": [b for _, b in pairs]}
        )

    freed, wronged = [(False, True)] * after, [(True, False)] * (3 * after)
    whole = tally.add(tally.empty(), told(*freed, *wronged), after)
    apart = tally.add(tally.add(tally.empty(), told(*freed), after), told(*wronged), after)
    assert whole.equals(apart)
    assert whole["side"].unique().to_list() == [-1]


def test_where_the_log_can_forget_nobody_is_named_between_looks(world: World) -> None:
    forgets = replace(ROOMS, live=replace(ROOMS.logs, log=replace(ROOMS.logs.log, unit="guest")))
    home = world.registry.settings.home / "watch"
    world.line(2)
    world.log(world.readings(200))
    plain = world.look().findings
    assert found(home, b"guest-2")
    shutil.rmtree(home)
    assert world.look(forgets).findings == plain
    world.log(world.readings(100, comfortable=pl.lit(None)))
    assert world.look(forgets).findings[0].units >= 200
    assert found(home, b"guest-2") == []
