"""Each drill passes, and fails when the mechanism that it rehearses is taken out."""

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from headgate import cli
from headgate.contract.checks import Check
from headgate.decisions.watch import Watcher
from headgate.domain import Domain, get_domain
from headgate.drills import days
from headgate.drills.table import DRILLS, Drilled, rehearse
from headgate.drills.world import World
from headgate.gate import judge
from headgate.registry import bundles, databases
from headgate.registry.ledger_state import LedgerState
from headgate.registry.registrar import Registrar
from headgate.serving import followed

#: Quick ones, of each kind; the others wait for the night.
IN_CI = ("bad-model", "forged-tag", "stage-flip")


def _without_the_watch(patch: pytest.MonkeyPatch, domain: Domain) -> Domain:
    patch.setattr(Watcher, "look", lambda self: None)
    return domain


def _expecting_nothing(patch: pytest.MonkeyPatch, domain: Domain) -> Domain:
    blind = replace(domain, expectations=())
    patch.setattr("flows.retrain.get_domain", lambda name: blind)
    return blind


def _passing_all(patch: pytest.MonkeyPatch, domain: Domain) -> Domain:
    """Nothing is expected of the data, and every verdict passes."""
    patch.setattr(judge, "compare_to_champion", lambda *asked: [])

    def nothing(work: Path, champion: Path | None) -> list[Check]:
        return []

    return _expecting_nothing(patch, replace(domain, judge=nothing))


def _believing_every_bundle(patch: pytest.MonkeyPatch, domain: Domain) -> Domain:
    patch.setattr(bundles, "verify", lambda folder, expected=None: bundles.bundle_id(folder))
    return domain


def _believing_tags(patch: pytest.MonkeyPatch, domain: Domain) -> Domain:
    patch.setattr(LedgerState, "may_serve", lambda *asked: True)
    return domain


def _remembering_nothing(patch: pytest.MonkeyPatch, domain: Domain) -> Domain:
    patch.setattr(followed, "write_json", lambda path, value: None)
    return domain


def _without_the_registrar(patch: pytest.MonkeyPatch, domain: Domain) -> Domain:
    patch.setattr(Registrar, "look", lambda self: [])
    return domain


def _telling_no_registry(patch: pytest.MonkeyPatch, domain: Domain) -> Domain:
    patch.setattr(databases, "move", lambda *asked: None)
    return domain


def _forgetting_last_week(patch: pytest.MonkeyPatch, domain: Domain) -> Domain:
    judged = days.judge_candidate
    patch.setattr(days, "judge_candidate", lambda domain, work, champion, last_week: judged(domain, work, champion))
    return domain


def _holding_all_for_good(patch: pytest.MonkeyPatch, domain: Domain) -> Domain:
    """Every decision counts, whoever it is about: the mere rate of adverse ones decides."""
    live, watch = domain.logs, domain.limits.watch
    assert live.observe is not None
    assert watch is not None
    watched, observe = pl.col("metric") == watch.metric, live.observe

    def naive(rows: pl.DataFrame, truth: Path | None = None) -> pl.DataFrame:
        counts = pl.when(watched).then(1.0).otherwise("denominator")
        return observe(rows, truth).with_columns(denominator=counts)

    return replace(domain, live=replace(live, observe=naive))


#: By drill, what takes out the mechanism that it rehearses.
TAKEN_OUT: dict[str, Callable[[pytest.MonkeyPatch, Domain], Domain]] = {
    "bad-model": _without_the_watch,
    "label-outage": _expecting_nothing,
    "poisoned-day": _passing_all,
    "corrupt-bundle": _believing_every_bundle,
    "forged-tag": _believing_tags,
    "registry-down": _remembering_nothing,
    "kill-promote": _without_the_registrar,
    "stage-flip": _without_the_registrar,
    "lost-state": _telling_no_registry,
    "slow-drift": _forgetting_last_week,
    "attack-is-no-fault": _holding_all_for_good,
}


def test_of_every_drill_it_is_known_what_it_rehearses() -> None:
    assert list(TAKEN_OUT) == list(DRILLS)


@pytest.mark.parametrize(
    "name", [name if name in IN_CI else pytest.param(name, marks=pytest.mark.nightly) for name in DRILLS]
)
def test_a_drill_goes_as_promised_only_with_its_mechanism(
    clicks_world: World, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(domain: Domain) -> Drilled:
        (ended,) = rehearse(domain, [DRILLS[name]], clicks_world.folder)
        return ended

    sound = run(get_domain("adclicks"))
    assert sound.passed, sound.seen
    maimed = run(TAKEN_OUT[name](monkeypatch, get_domain("adclicks")))
    assert not maimed.passed, maimed.seen
    assert maimed.seen.startswith("Not as promised: "), f"it fails by what it found, not by a fault: {maimed.seen}"


def test_a_wrong_name_lists_the_drills(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["headgate", "drill", "adclicks", "fire"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    said = capsys.readouterr().err
    assert ended.value.code == 2
    assert all(name in said for name in DRILLS)


@pytest.mark.nightly
def test_the_command_answers_for_programs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    _believing_tags(monkeypatch, get_domain("adclicks"))
    monkeypatch.setattr(sys, "argv", ["headgate", "drill", "adclicks", "forged-tag", "--json"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    (told,) = json.loads(capsys.readouterr().out)
    assert (ended.value.code, told["name"], told["passed"]) == (1, "forged-tag", False)
