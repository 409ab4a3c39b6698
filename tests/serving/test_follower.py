import logging
from dataclasses import replace

import pytest

from headgate.contract.limits import Runtime
from headgate.contract.slots import Slots
from headgate.serving.followed import GRACE, PATIENCE
from headgate.serving.follower import Follower

from ..clocks import Clock
from ..toy import ROOMS, Rooms


@pytest.fixture
def clock() -> Clock:
    return Clock(1000.0)


@pytest.fixture
def follow(clock):
    def make(settings, load=Rooms, warm=4):
        slots, limits = Slots(), replace(ROOMS.limits, runtime=Runtime(warm=warm))
        return slots, Follower(slots, [replace(ROOMS, load=load, limits=limits)], settings, clock)

    return make


def test_the_champion_is_loaded_and_a_moved_alias_followed_both_ways(registry, follow):
    first, second = registry.register(), registry.register(usual=21.0)
    registry.crown(first)
    slots, follower = follow(registry.settings)
    assert slots.champion("rooms") is None
    follower.look()
    assert slots.champion("rooms").version == first
    registry.crown(second)
    follower.look()
    loaded = slots.champion("rooms")
    assert (loaded.version, slots.problem("rooms")) == (second, None)
    registry.crown(first)
    follower.look()
    assert slots.champion("rooms").version == first


def test_a_move_takes_effect_when_it_is_written_down_or_after_a_while_without_a_registrar(registry, follow, clock):
    first, second = registry.register(), registry.register(usual=21.0)
    registry.crown(first)
    slots, follower = follow(registry.settings)
    follower.look()
    registry.crown(second, told=False)
    follower.look()
    assert slots.champion("rooms").version == first
    clock.now += GRACE
    follower.look()
    assert slots.champion("rooms").version == second
    registry.crown(first)
    follower.look()
    assert slots.champion("rooms").version == first


def test_a_version_that_the_gate_did_not_let_pass_is_not_served(registry, follow):
    first, second = registry.register(), registry.register(judged=False)
    registry.crown(first)
    slots, follower = follow(registry.settings)
    follower.look()
    registry.client.set_model_version_tag("rooms", str(second), "headgate.ruling", "passed")
    registry.crown(second)
    follower.look()
    assert slots.champion("rooms").version == first
    assert "no passed verdict" in slots.problem("rooms")


def test_what_could_be_next_is_kept_warm(registry, follow):
    loads = []

    def load(bundle):
        loads.append(bundle)
        return Rooms(bundle)

    first, second, third = registry.register(), registry.register(usual=21.0), registry.register(usual=22.0)
    registry.crown(second)
    registry.alias(first, "previous")
    registry.alias(third, "challenger")
    slots, follower = follow(registry.settings, load=load)
    for _ in range(3):
        follower.look()
    assert len(loads) == 3
    for version in (first, third, second):
        registry.crown(version)
        follower.look()
        assert slots.champion("rooms").version == version
    assert len(loads) == 3, "a rollback loads nothing"


def test_no_more_stay_warm_than_the_domain_says(registry, follow):
    loads = []

    def load(bundle):
        loads.append(bundle)
        return Rooms(bundle)

    first, second, third = registry.register(), registry.register(usual=21.0), registry.register(usual=22.0)
    slots, follower = follow(registry.settings, load=load, warm=2)
    for version in (first, second, third, second, first):
        registry.crown(version)
        follower.look()
        assert slots.champion("rooms").version == version
    assert len(loads) == 4, "the one before is warm, the first of three is loaded again"


def test_a_challenger_decides_for_its_share_of_the_units(registry, follow):
    first, second = registry.register(), registry.register(usual=21.0)
    registry.crown(first)
    registry.alias(second, "challenger")
    registry.canary("0.25")
    slots, follower = follow(registry.settings)
    for _ in range(3):
        follower.look()
    canary = slots.canary("rooms")
    assert (canary.loaded.version, canary.share) == (second, 0.25)
    takes = [canary.takes(f"u{n}") for n in range(4000)]
    assert 0.2 < sum(takes) / len(takes) < 0.3
    registry.canary("0")
    follower.look()
    assert slots.canary("rooms") is None


def test_a_look_without_a_move_loads_nothing(registry, follow):
    registry.crown(registry.register())
    slots, follower = follow(registry.settings)
    follower.look()
    before = slots.champion("rooms")
    follower.look()
    assert slots.champion("rooms") is before


def test_a_damaged_bundle_keeps_the_old_version_and_is_tried_again_after_a_minute(registry, follow, clock, caplog):
    first, second = registry.register(), registry.register(usual=21.0)
    registry.crown(first)
    slots, follower = follow(registry.settings)
    follower.look()
    model = registry.artifact(second, "bundle.json")
    sound = model.read_bytes()
    model.write_bytes(sound[:-1] + b"?")
    registry.crown(second)
    with caplog.at_level(logging.ERROR):
        follower.look()
        follower.look()
    assert slots.champion("rooms").version == first
    assert "bundle.json" in slots.problem("rooms")
    assert len(caplog.records) == 1, "said once, not once a second"
    model.write_bytes(sound)
    clock.now += PATIENCE - 1
    follower.look()
    assert slots.champion("rooms").version == first
    clock.now += 1
    follower.look()
    assert (slots.champion("rooms").version, slots.problem("rooms")) == (second, None)


def test_a_version_that_failed_is_tried_at_once_when_the_alias_comes_back_to_it(registry, follow):
    first, second = registry.register(), registry.register(usual=21.0)
    registry.crown(first)
    slots, follower = follow(registry.settings)
    follower.look()
    golden = registry.artifact(second, "golden.parquet")
    sound = golden.read_bytes()
    golden.write_bytes(b"")
    registry.crown(second)
    follower.look()
    golden.write_bytes(sound)
    registry.crown(first)
    follower.look()
    assert slots.problem("rooms") is None
    registry.crown(second)
    follower.look()
    assert slots.champion("rooms").version == second


@pytest.mark.parametrize(
    ("bundle", "says"),
    [
        ({"golden_shift": 0.01}, "usual of row 0"),
        ({"golden_shift": None}, "no golden answers"),
        ({"tagged": False}, "headgate.bundle"),
    ],
)
def test_a_version_that_cannot_prove_itself_is_not_served(registry, follow, bundle, says):
    first, second = registry.register(), registry.register(**bundle)
    registry.crown(first)
    slots, follower = follow(registry.settings)
    follower.look()
    registry.crown(second)
    follower.look()
    assert slots.champion("rooms").version == first
    assert says in slots.problem("rooms")


def test_a_version_that_does_not_load_is_not_served(registry, follow):
    registry.crown(registry.register())

    def fail(bundle):
        raise MemoryError("no room")

    slots, follower = follow(registry.settings, load=fail)
    follower.look()
    assert slots.champion("rooms") is None
    assert "MemoryError: no room" in slots.problem("rooms")


def test_an_alias_that_was_removed_or_dangles_leaves_the_old_version(registry, follow):
    first, second = registry.register(), registry.register()
    registry.crown(first)
    slots, follower = follow(registry.settings)
    follower.look()
    registry.uncrown()
    follower.look()
    assert slots.champion("rooms").version == first
    assert "no champion" in slots.problem("rooms")
    registry.crown(first)
    follower.look()
    assert slots.problem("rooms") is None
    registry.crown(second)
    registry.client.delete_model_version("rooms", str(second))
    follower.look()
    assert slots.champion("rooms").version == first
    assert slots.problem("rooms")


def test_without_the_registry_a_restart_serves_the_last_champion_and_says_so(registry, follow):
    version = registry.register()
    registry.crown(version)
    _, before = follow(registry.settings)
    before.look()
    slots, follower = follow(registry.away())
    follower.look()
    assert slots.champion("rooms").version == version
    assert "does not answer" in slots.problem("rooms")


def test_without_the_registry_a_damaged_cache_is_not_served(registry, follow):
    registry.crown(registry.register())
    _, before = follow(registry.settings)
    before.look()
    (cached,) = registry.settings.bundles.iterdir()
    card = cached / "bundle.json"
    card.write_text(card.read_text().replace("{", '{"owner": "nobody",', 1))  # it would load
    slots, follower = follow(registry.away())
    follower.look()
    assert slots.champion("rooms") is None


def test_a_registry_that_goes_and_comes_back_is_followed_again(registry, follow):
    first, second = registry.register(), registry.register(usual=21.0)
    registry.crown(first)
    slots, follower = follow(registry.settings)
    follower.look()
    registry.crown(second)
    database = registry.settings.mlflow_home / "mlflow.db"
    good = database.read_bytes()
    database.write_bytes(b"no database" * 1000)
    follower.look()
    assert slots.champion("rooms").version == first
    assert "not following" in slots.problem("rooms")
    database.write_bytes(good)
    follower.look()
    assert (slots.champion("rooms").version, slots.problem("rooms")) == (second, None)


def test_another_registry_in_its_place_is_not_taken_for_the_one_before(registry, follow, empty_database):
    registry.crown(registry.register())
    slots, follower = follow(registry.settings)
    follower.look()
    before = slots.champion("rooms")
    database = registry.settings.mlflow_home / "mlflow.db"
    database.write_bytes(b"no database" * 1000)
    follower.look()
    database.write_bytes(empty_database.read_bytes())
    registry.crown(registry.register(usual=21.0))
    follower.look()
    after = slots.champion("rooms")
    assert after.version == before.version
    assert after.bundle != before.bundle


def test_looking_makes_no_registry(settings, follow, caplog):
    slots, follower = follow(settings)
    with caplog.at_level(logging.ERROR):
        follower.look()
        follower.look()
    assert len(caplog.records) == 1, "said once, not once a second"
    assert "no registry yet" in slots.problem("rooms")
    assert not (settings.mlflow_home / "mlflow.db").exists()
