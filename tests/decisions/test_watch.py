"""The watch as an operator relies on it: a bad champion goes, a sound one stays, and everything is said once."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from headgate import domains
from headgate.decisions import tally
from headgate.decisions.layout import claim, log_folder, part_name
from headgate.decisions.tally import EVERYTHING
from headgate.decisions.watch import Looked, Watcher
from headgate.domain import get_domain, live_of
from headgate.domains.adclicks.features.kernel import FEATURES, features, in_order_of_arrival
from headgate.domains.adclicks.serving.log_rows import watched
from headgate.domains.adclicks.simulated.simulator import simulate, truth_folder
from headgate.domains.capacity.data.schema import UTC
from headgate.domains.capacity.serving.log_rows import watched
from headgate.registry import versions
from headgate.registry.ledger import Entry

from ..registry.conftest import DOMAIN, Registry, registry, settings
from .made import make_rows

__all__ = ["registry", "settings"]

SLICE = "mobile/in"


class World:
    """A registry with versions, a log that grows, and a watch that is started anew for every look."""

    def __init__(self, registry: Registry) -> None:
        self.registry, self.parts, self.users = registry, 0, 0

    @property
    def since(self) -> datetime:
        return datetime.fromisoformat([e.at for e in self.registry.ledger.entries(DOMAIN) if e.what == "changed"][-1])

    def clicks(self, n: int, **columns: pl.Expr) -> pl.DataFrame:
        """`n` clicks of as many new users of a high RFM score that the champion decides to be valid, or as told."""
        champion = self.registry.ledger_state().champion
        self.users += n
        usual = {
            "version": pl.lit(champion, pl.Int32),
            "slice": pl.lit(SLICE),
            "rfm": pl.lit(13, pl.Int8),
            "user_id": pl.format("user-{}", pl.int_range(pl.len()) + self.users),
            "against": pl.lit(False),
            "campaign": pl.lit(""),
        }
        start = self.since + timedelta(milliseconds=1 + self.parts)
        return make_rows(n, first=self.users, start=start, every=timedelta(microseconds=1)).with_columns(
            **usual | columns
        )

    def log(self, rows: pl.DataFrame) -> None:
        self.parts += 1
        name = part_name(f"host-1-{self.parts:010x}", rows["decided_at"][0])
        claim(log_folder(self.registry.settings, DOMAIN))
        folder = log_folder(self.registry.settings, DOMAIN) / f"{rows['decided_at'][0]:%Y-%m-%d}"
        folder.mkdir(parents=True, exist_ok=True)
        rows.write_parquet(folder / f"{name}.parquet")

    def look(self) -> Looked:
        return Watcher(self.registry.settings, DOMAIN).look()

    def entries(self, what: str) -> list[Entry]:
        return [entry for entry in self.registry.ledger.entries(DOMAIN) if entry.what == what]

    def alerts(self, kind: str) -> list[Entry]:
        return [entry for entry in self.entries("alert") if entry.details["kind"] == kind]


@pytest.fixture
def world(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """Every version decides against the campaigns that end in its number, and "both"; a bundle is its number."""
    there, live = get_domain(DOMAIN), live_of(DOMAIN)

    def again(predictor: Path, rows: pl.DataFrame) -> pl.DataFrame:
        return rows.select(against=pl.col("campaign").str.ends_with(predictor.name) | (pl.col("campaign") == "both"))

    fake = replace(there, load=lambda bundle: bundle, live=replace(live, redecide=again))
    monkeypatch.setattr(domains, "get_domain", lambda name: fake if name == DOMAIN else there)
    monkeypatch.setattr(versions, "fetch", lambda version, settings: Path(f"/bundles/{version.number}"))
    return World(registry)


def tenth() -> pl.Expr:
    return pl.int_range(pl.len()) % 10 == 0


def test_a_champion_that_wrongs_a_tenth_of_the_good_users_is_rolled_back_and_the_domain_held(world: World) -> None:
    world.registry.line(2)
    world.log(world.clicks(300, against=tenth()))
    looked = world.look()
    assert "mobile/in" in looked.rolled_back or EVERYTHING in looked.rolled_back
    assert "30 of 300 users" in looked.rolled_back
    assert "e-value" in looked.rolled_back
    assert "34,000" in looked.rolled_back
    now = world.registry.ledger_state()
    assert (now.champion, len(now.holds)) == (1, 1)
    assert now.holds[0].who == "the watch"
    assert [entry.details["kind"] for entry in world.entries("alert")] == ["rollback"]
    assert world.entries("changed")[-1].why == looked.rolled_back


def test_looking_again_does_nothing_more(world: World) -> None:
    world.registry.line(2)
    world.log(world.clicks(300, against=tenth()))
    world.look()
    before = world.registry.dump()
    world.look()
    assert world.registry.dump() == before


def test_a_sound_champion_stays_through_an_attack_however_much_is_invalid(world: World) -> None:
    world.registry.line(2)
    world.log(world.clicks(500))
    robots = world.clicks(5_000, rfm=pl.lit(None, pl.Int8), against=pl.lit(True))
    world.log(robots)
    world.log(world.clicks(5_000, rfm=pl.lit(5, pl.Int8), against=pl.lit(True)))
    looked = world.look()
    assert looked.rows == 10_500
    assert (looked.rolled_back, looked.alerts) == ("", ())


def test_one_good_user_who_clicks_all_day_is_no_reason(world: World) -> None:
    world.registry.line(2)
    world.log(world.clicks(200))
    world.log(world.clicks(2_000, user_id=pl.lit("busy"), against=pl.lit(True)))
    looked = world.look()
    assert (looked.rolled_back, looked.alerts) == ("", ())
    assert [one.wronged for one in looked.findings] == [1, 1]


def test_harm_that_the_version_before_does_too_is_told_once_and_not_rolled_back(world: World) -> None:
    world.registry.line(2)
    world.log(world.clicks(300, against=tenth(), campaign=pl.when(tenth()).then(pl.lit("both")).otherwise(pl.lit(""))))
    looked = world.look()
    assert looked.rolled_back == ""
    assert "does no better" in looked.alerts[0]
    world.log(world.clicks(10))
    assert world.look().alerts == ()
    assert (world.registry.ledger_state().champion, len(world.alerts("harm"))) == (2, 1)


def test_without_a_version_to_go_back_to_people_are_told(world: World) -> None:
    world.registry.line(1)
    world.log(world.clicks(300, against=tenth()))
    looked = world.look()
    assert looked.rolled_back == ""
    assert "No version stands before it" in looked.alerts[0]


def test_the_watch_rolls_back_once_and_leaves_the_next_to_a_person(world: World) -> None:
    world.registry.line(3)
    world.log(world.clicks(300, against=tenth()))
    assert world.look().rolled_back
    world.log(world.clicks(300, against=tenth()))
    looked = world.look()
    assert (looked.version, looked.rolled_back) == (2, "")
    assert "was not released" in looked.alerts[0]
    assert world.registry.ledger_state().champion == 2


def test_what_is_counted_does_not_depend_on_how_often_one_looks(world: World) -> None:
    world.registry.line(2)
    rows = world.clicks(
        900, against=pl.int_range(pl.len()) % 150 == 0, user_id=pl.format("u{}", pl.int_range(pl.len()) % 300)
    )
    random = np.random.default_rng(3)
    whole = tally.empty()
    for start in range(0, 900, 90):
        world.log(rows[start : start + 90])
        if random.random() < 0.5:
            world.look()
    looked = world.look()
    seen = rows.select("slice", "against", unit="user_id", before=pl.lit(False))
    whole = tally.add(whole, seen, after=1)
    watch = get_domain(DOMAIN).limits.watch
    assert watch is not None
    assert list(looked.findings) == tally.findings(whole, watch)
    assert world.look().rows == 0


def test_a_good_user_who_is_logged_out_is_still_known(world: World) -> None:
    world.registry.line(2)
    nobody = {"rfm": pl.lit(None, pl.Int8), "slice": pl.lit("mobile/out")}
    names = pl.format("u{}", pl.int_range(pl.len()))
    world.log(world.clicks(300, user_id=names))
    world.log(world.clicks(600, user_id=names, against=pl.lit(True), **nobody))
    finding = next(one for one in world.look().findings if one.slice == "mobile/out")
    assert (finding.units, finding.wronged) == (300, 300)


def test_only_what_the_champion_decided_since_it_became_it_is_counted(world: World) -> None:
    world.registry.line(2)
    world.log(world.clicks(300, against=pl.lit(True), version=pl.lit(1, pl.Int32)))
    world.log(world.clicks(300, against=pl.lit(True), role=pl.lit("default")))
    world.log(world.clicks(300, against=pl.lit(True), decided_at=pl.col("decided_at") - timedelta(hours=1)))
    assert world.look().rows == 0


def test_a_domain_that_nobody_decides_for_is_left_alone(world: World) -> None:
    looked = world.look()
    assert looked.version is None
    assert world.registry.ledger.entries(DOMAIN) == []


def test_of_a_series_one_actual_a_quarter_of_an_hour_with_a_band_counts() -> None:
    start = datetime.fromisoformat("2026-03-01T00:00:00+00:00")
    rows = pl.DataFrame(
        {
            "kind": ["actual", "actual", "actual", "actual", "forecast"],
            "series": ["eu/home/requests"] * 5,
            "slice": ["no event"] * 5,
            "time": [start, start + timedelta(minutes=1), start + timedelta(minutes=15), start, None],
            "actual": [1.0, 1.0, 1.0, None, None],
            "low": [0.5, 0.5, None, 0.5, None],
            "against": [True, True, True, False, False],
        },
        schema_overrides={"time": UTC},
    )
    found = watched(rows)
    assert found["good"].to_list() == [True, False, False, False, False]
    assert found["unit"].unique().to_list() == ["eu/home/requests"]


@pytest.mark.parametrize("after", [1, 3])
def test_a_unit_counts_for_the_side_on_which_it_differs_first(after: int) -> None:
    def told(*pairs: tuple[bool, bool]) -> pl.DataFrame:
        return pl.DataFrame(
            {"slice": "s", "unit": "u", "against": [a for a, _ in pairs], "before": [b for _, b in pairs]}
        )

    freed, wronged = [(False, True)] * after, [(True, False)] * (3 * after)
    whole = tally.add(tally.empty(), told(*freed, *wronged), after)
    apart = tally.add(tally.add(tally.empty(), told(*freed), after), told(*wronged), after)
    assert whole.equals(apart)
    assert whole["side"].unique().to_list() == [-1]


@pytest.fixture(scope="module")
def attacked(tmp_path_factory: pytest.TempPathFactory) -> pl.DataFrame:
    """The second of three simulated days, on which robots click four times as much, in order of arrival.

    A rule decides, that a busy user is a robot; `human` is the hidden truth.
    """
    out = tmp_path_factory.mktemp("attack") / "raw"
    simulate(out, days=3, clicks_per_day=12_000, scenario="attack", seed=11)
    raw, truth = (pl.read_parquet(folder / "*.parquet") for folder in (out / "clicks", truth_folder(out) / "truth"))
    ordered = in_order_of_arrival(raw.join(truth, on="click_id"))
    busy = features(ordered)[:, FEATURES.index("user_clicks_1h")]
    decided = ordered.with_columns(
        human=~pl.col("is_robot"),
        against=pl.Series(busy >= 25),
        slice=pl.concat_str("device", pl.when("logged_in").then(pl.lit("/in")).otherwise(pl.lit("/out"))),
    )
    return decided.filter(pl.col("received_at").dt.date() == pl.lit("2026-01-06").cast(pl.Date))


def told(day: pl.DataFrame, against: pl.Expr) -> list[tally.Finding]:
    """What the tests say of `day`, where the version before decided by the rule."""
    watch = get_domain(DOMAIN).limits.watch
    assert watch is not None
    seen = watched(day.with_columns(against=against)).with_columns(before=day["against"])
    return tally.findings(tally.add(tally.empty(), seen.filter("good").drop("good"), watch.after), watch)


def test_a_simulated_attack_under_a_good_rule_shows_no_harm(attacked: pl.DataFrame) -> None:
    assert attacked["against"].mean() > 0.1, "much is invalid"
    assert not [one for one in told(attacked, pl.col("against")) if one.harm]


def test_a_tenth_of_the_people_of_a_simulated_slice_is_seen_within_2000_of_its_clicks(attacked: pl.DataFrame) -> None:
    inside = pl.col("slice") == "mobile/in"
    first = attacked.filter(inside.cum_sum() <= 2_000)
    random = pl.Series(np.random.default_rng(12).random(len(first)) < 0.1)
    found = told(first, pl.col("against") | (inside & pl.col("human") & random))
    assert "mobile/in" in [one.slice for one in found if one.harm and one.curable]
    assert not [one.slice for one in found if one.harm and one.slice not in ("mobile/in", EVERYTHING)]
