"""Promotion, rollback, holds and overrides, against a real registry: what may decide, and what is written about it."""

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from headgate.errors import HeadgateError, UsageError
from headgate.registry import changes, versions
from headgate.registry.changes import Refused
from headgate.registry.ledger import Entry

from .conftest import DOMAIN, Registry, Told

NOON = datetime(2026, 1, 22, 12, tzinfo=UTC)


def test_a_promoted_version_decides_and_the_one_before_is_kept_to_go_back_to(registry: Registry) -> None:
    registry.line(2)
    registry.settled(champion=2)
    assert registry.told() == Told(2, 1, (2,))
    assert registry.version(1).stage == "Archived"
    intent, changed = registry.ledger.entries(DOMAIN)[-2:]
    assert (intent.what, changed.what) == ("intent", "changed")
    assert (changed.from_version, changed.to_version, changed.who, changed.why) == (1, 2, "the flow", "it passed")
    assert (changed.bundle, changed.ruling) == (registry.version(2).bundle, "passed")
    assert registry.ledger_state().held() is None


def test_a_promoted_challenger_waits_no_more(registry: Registry) -> None:
    registry.line(1)
    number = registry.register("review")
    with registry.office() as at:
        changes.challenge(at, registry.version(number), who="the flow", why="a reviewer decides")
    assert registry.version(number).aliases == (versions.CHALLENGER,)
    assert registry.version(number).stage == "Staging"
    registry.promote(number)
    assert registry.version(number).aliases == (versions.CHAMPION,)
    registry.settled(champion=number)


def test_a_rollback_goes_to_the_one_before_and_sets_a_hold(registry: Registry) -> None:
    registry.line(3)
    changed = registry.roll_back()
    assert (changed.from_version, changed.to_version, changed.details["rollback"]) == (3, 2, True)
    registry.settled(champion=2)
    held = registry.ledger_state().held()
    assert held is not None
    assert held.why == "Version 2 took the place of 3: it was bad"


def test_a_second_rollback_goes_further_back(registry: Registry) -> None:
    registry.line(3)
    registry.roll_back()
    registry.roll_back()
    registry.settled(champion=1)
    with pytest.raises(UsageError, match="no version before 1"):
        registry.roll_back()
    registry.settled(champion=1)


def test_after_a_rollback_one_goes_back_to_what_was_good_not_to_what_was_bad(registry: Registry) -> None:
    registry.line(3)
    registry.roll_back()
    registry.line(1)
    assert registry.told() == Told(4, 2, (4,))
    registry.roll_back()
    registry.settled(champion=2)


@pytest.mark.parametrize("to", [1, 2, 4])
def test_a_rollback_to_a_named_version_holds_too(registry: Registry, to: int) -> None:
    """Also to one that never decided, and to a newer one after an earlier rollback."""
    registry.line(1)
    registry.register("review")
    registry.line(2)
    if to == 4:
        registry.roll_back()
        changes.release(registry.ledger, DOMAIN, who="a person", why="it is mended")
    registry.roll_back(to)
    registry.settled(champion=to)
    assert registry.ledger_state().held() is not None


def test_a_rollback_passes_over_what_is_gone_or_may_not_serve(registry: Registry) -> None:
    registry.line(4)
    registry.delete(3)
    registry.tag(2, versions.TAG_BUNDLE, "f" * 64)
    registry.roll_back()
    assert registry.ledger_state().champion == registry.told().champion == 1


def test_what_cannot_be_rolled_back_says_why_and_changes_nothing(registry: Registry) -> None:
    number = registry.register()
    with pytest.raises(UsageError, match="no champion"):
        registry.roll_back()
    registry.promote(number)
    before = registry.dump()
    with pytest.raises(UsageError, match="no version before 1"):
        registry.roll_back()
    with pytest.raises(UsageError, match="is the champion already"):
        registry.roll_back(1)
    with pytest.raises(UsageError, match="no version '9'"):
        registry.roll_back(9)
    assert registry.dump() == before


@pytest.mark.parametrize("ruling", ["refused", None])
def test_what_the_gate_did_not_let_through_cannot_decide(registry: Registry, ruling: str | None) -> None:
    registry.line(1)
    number = registry.register(ruling)
    before = registry.dump()
    with pytest.raises(Refused, match=r"may not serve: (the gate refused it|the ledger holds no verdict)"):
        registry.promote(number)
    with pytest.raises(Refused):
        registry.roll_back(number)
    assert registry.dump() == before


def test_a_forged_ruling_helps_nobody(registry: Registry) -> None:
    registry.line(1)
    refused, unjudged = registry.register("refused"), registry.register(None)
    for number in (refused, unjudged):
        registry.tag(number, versions.TAG_RULING, "passed")
        with pytest.raises(Refused):
            registry.promote(number)
    registry.settled(champion=1)


def test_a_forged_bundle_helps_nobody(registry: Registry) -> None:
    """A refused version with the hash of a passed one, and a passed one whose hash was changed after the verdict."""
    registry.line(1)
    refused, passed = registry.register("refused"), registry.register()
    registry.tag(refused, versions.TAG_BUNDLE, registry.version(passed).bundle)
    with pytest.raises(Refused, match="not the bundle that was judged"):
        registry.promote(refused)
    registry.tag(passed, versions.TAG_BUNDLE, "f" * 64)
    with pytest.raises(Refused, match="not the bundle that was judged"):
        registry.promote(passed)
    registry.tag(passed, versions.TAG_BUNDLE, "")
    with pytest.raises(Refused, match="not the bundle that was judged"):
        registry.promote(passed)
    registry.settled(champion=1)


def test_a_verdict_counts_for_its_own_domain_only(registry: Registry) -> None:
    number = registry.register(None)
    bundle = registry.version(number).bundle
    registry.ledger.append(Entry("halls", "verdict", "x", to_version=number, bundle=bundle, ruling="passed"))
    with pytest.raises(Refused, match="no verdict"):
        registry.promote(number)


def test_a_reviewers_override_lets_a_refused_version_serve_and_is_written_down(registry: Registry) -> None:
    registry.line(1)
    number = registry.register("refused")
    registry.tag(number, changes.TAG_OVERRIDE, "  we know this attack  ")
    registry.promote(number)
    registry.settled(champion=number)
    override = next(entry for entry in registry.ledger.entries() if entry.what == "override")
    assert (override.to_version, override.bundle) == (number, registry.version(number).bundle)
    assert (override.why, override.ruling) == ("we know this attack", "refused")
    assert registry.ledger_state().may_serve(number, registry.version(number).bundle)
    registry.judge(number, "refused")  # the same run again
    assert registry.ledger_state().may_serve(number, registry.version(number).bundle)


@pytest.mark.parametrize(("reason", "bundle"), [("   ", None), ("because", "")])
def test_an_override_needs_a_reason_and_a_bundle(registry: Registry, reason: str, bundle: str | None) -> None:
    number = registry.register("refused")
    registry.tag(number, changes.TAG_OVERRIDE, reason)
    if bundle is not None:
        registry.tag(number, versions.TAG_BUNDLE, bundle)
    with pytest.raises(Refused):
        registry.promote(number)


def test_an_override_is_of_one_bundle(registry: Registry) -> None:
    number = registry.register("refused")
    registry.tag(number, changes.TAG_OVERRIDE, "we know this attack")
    registry.promote(number)
    registry.client.delete_model_version_tag(DOMAIN, str(number), changes.TAG_OVERRIDE)
    registry.tag(number, versions.TAG_BUNDLE, "f" * 64)
    assert not registry.ledger_state().may_serve(number, registry.version(number).bundle)


def test_a_verdict_is_written_once_and_anew_when_it_changes(registry: Registry) -> None:
    number = registry.register("passed")
    assert registry.judge(number, "passed") == registry.ledger.head()
    registry.judge(number, "refused")
    registry.judge(number, "passed")
    assert [e.ruling for e in registry.ledger.entries() if e.what == "verdict"] == ["passed", "refused", "passed"]


def test_a_verdict_on_an_overridden_version_is_written_once(registry: Registry) -> None:
    number = registry.register("refused")
    registry.tag(number, changes.TAG_OVERRIDE, "we know this attack")
    registry.promote(number)
    assert registry.judge(number, "refused").what == "verdict"
    assert registry.what().count("verdict") == 1


def test_an_older_ledger_that_was_restored_shows(registry: Registry, tmp_path: Path) -> None:
    registry.line(1)
    shutil.copyfile(registry.settings.home / "ledger.db", tmp_path / "backup.db")
    registry.line(1)
    shutil.copyfile(tmp_path / "backup.db", registry.settings.home / "ledger.db")
    assert registry.ledger.verify()
    with pytest.raises(HeadgateError, match="an older ledger was restored without the registry"):
        registry.ledger.verify(changes.anchors(registry.client, [DOMAIN]))


def test_a_hold_lasts_until_it_is_released(registry: Registry) -> None:
    changes.hold(registry.ledger, DOMAIN, who="me", why="a sale")
    assert registry.ledger_state().held(NOON + timedelta(days=9999)) is not None
    changes.release(registry.ledger, DOMAIN, who="me", why="it is over")
    assert registry.ledger_state().held() is None
    with pytest.raises(UsageError, match="nothing to release"):
        changes.release(registry.ledger, DOMAIN, who="me", why="again")


def test_a_freeze_lasts_from_its_start_to_before_its_end(registry: Registry) -> None:
    hour = timedelta(hours=1)
    changes.hold(registry.ledger, DOMAIN, who="me", why="a sale", starts=NOON, ends=NOON + hour)
    inside = [registry.ledger_state().held(NOON + n * hour / 2) is not None for n in (-1, 0, 1, 2, 3)]
    assert inside == [False, True, True, False, False]


def test_a_freeze_in_local_time_is_no_trap(registry: Registry) -> None:
    changes.hold(registry.ledger, DOMAIN, who="me", why="a sale", ends=datetime(2999, 1, 1))
    assert registry.ledger_state().held() is not None
    with pytest.raises(UsageError, match="ends before it starts"):
        changes.hold(registry.ledger, DOMAIN, who="me", why="a sale", starts=NOON, ends=datetime(2020, 1, 1))


@pytest.mark.parametrize("share", [float("nan"), -0.1, 1.1])
def test_a_canary_of_no_share_changes_nothing(registry: Registry, share: float) -> None:
    registry.line(1)
    number = registry.register()
    before = registry.dump()
    with registry.office() as at, pytest.raises(UsageError, match="is no share"):
        changes.canary(at, registry.version(number), share, who="me", why="a try")
    assert registry.dump() == before
