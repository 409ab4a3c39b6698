"""The flow's last step: what passed decides, unless a hold, the domain's rule or a person speaks against it."""

from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from headgate.contract.checks import Check, Verdict
from headgate.registry import changes, versions

from .conftest import DOMAIN, Registry

#: `promote` neither asks the registrar's `settle` first nor minds that a newer version decides.

CONSEQUENCE = {"passed": "note", "review": "review", "refused": "refuse"}


@pytest.fixture
def flow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """`flows/retrain.py`, which is not installed."""
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "prefect"))
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2]))
    import flows.retrain as module

    return module


def promote(flow: ModuleType, registry: Registry, number: int, ruling: str, rule: str = "auto") -> str:
    """The plain function of the task, with a verdict that comes to `ruling`."""
    check = Check("change", "all traffic", "failed", CONSEQUENCE[ruling], "", "", "Much changed.")  # type: ignore[arg-type]
    domain = SimpleNamespace(name=DOMAIN, promotion=rule, limits=SimpleNamespace(shadow_decisions=0))
    result: str = flow.promote.fn(registry.settings, domain, registry.version(number), Verdict((check,)))[0]
    return result


@pytest.mark.parametrize(
    ("ruling", "rule", "held", "result"),
    [
        ("passed", "auto", False, "promoted"),
        ("review", "auto", False, "review"),
        ("refused", "auto", False, "refused"),
        ("passed", "review", False, "review"),
        ("passed", "auto", True, "review"),
        ("refused", "auto", True, "refused"),
    ],
)
def test_what_passed_decides_where_nothing_speaks_against_it(
    flow: ModuleType, registry: Registry, ruling: str, rule: str, held: bool, result: str
) -> None:
    registry.line(1)
    number = registry.register(None)
    if held:
        changes.hold(registry.ledger, DOMAIN, who="a person", why="a sale")
    for _ in range(2):  # a task that is tried again ends the same
        assert promote(flow, registry, number, ruling, rule) == result
    registry.settled(champion=number if result == "promoted" else 1)
    assert registry.ledger_state().rulings[number] == (registry.version(number).bundle, ruling)
    assert (versions.CHALLENGER in registry.version(number).aliases) == (result == "review")


def test_nothing_is_promoted_after_a_rollback_until_a_release(flow: ModuleType, registry: Registry) -> None:
    registry.line(2)
    registry.roll_back()
    number = registry.register(None)
    assert promote(flow, registry, number, "passed") == "review"
    registry.settled(champion=1)
    changes.release(registry.ledger, DOMAIN, who="a person", why="it is mended")
    assert promote(flow, registry, number, "passed") == "promoted"
    registry.settled(champion=number)


def test_a_person_who_rolled_back_a_moment_ago_is_not_overruled(flow: ModuleType, registry: Registry) -> None:
    """No registrar has seen the move yet when a candidate passes."""
    registry.line(2)
    number = registry.register(None)
    registry.alias(1)
    assert promote(flow, registry, number, "passed") == "review"
    registry.settled(champion=1)
    assert registry.ledger_state().held() is not None


def test_a_rollback_that_was_cut_off_is_not_overruled(flow: ModuleType, registry: Registry) -> None:
    registry.line(2)
    number = registry.register(None)
    with registry.office() as at:
        at.write(changes._entry("intent", at.ledger_state(), registry.version(1), "a person", "bad", {"hold": True}))
    assert promote(flow, registry, number, "passed") == "review"
    registry.settled(champion=1)


def test_an_older_run_made_again_does_not_roll_back(flow: ModuleType, registry: Registry) -> None:
    """The same day again is the same bundle and the same version; a newer one decides by now."""
    registry.line(2)
    assert promote(flow, registry, 1, "passed") == "review"
    registry.settled(champion=2)
    assert registry.ledger_state().held() is None
