"""The daily path on the public TalkingData log: so few people cannot certify a budget, and the verdict says so."""

import re
from pathlib import Path

import numpy as np
import pytest

from headgate import stages
from headgate.contract.checks import join
from headgate.domain import Request, get_domain
from headgate.domains.adclicks.data import snapshots
from headgate.domains.adclicks.data.importers import ImportReport, import_clicks
from headgate.domains.adclicks.limits import ALPHA
from headgate.domains.adclicks.model import net, table
from headgate.domains.adclicks.stages import train
from headgate.files import read_json
from headgate.gate.judge import data_checks

from ...shared import TALKINGDATA, needs

ADCLICKS = get_domain("adclicks")

pytestmark = [needs(TALKINGDATA), pytest.mark.nightly]


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ImportReport]:
    out = tmp_path_factory.mktemp("real") / "raw"
    return out, import_clicks(TALKINGDATA, format="talkingdata", out=out)


@pytest.fixture(scope="module")
def work(imported: tuple[Path, ImportReport], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All five stages on the first three quarters; how well the net learns is not asked here, so it learns briefly."""
    raw, report = imported
    folder = tmp_path_factory.mktemp("work")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(net, "EPOCHS", 2)
        stages.snapshot(ADCLICKS, folder, Request(str(raw), report.three_quarters + snapshots.MATURITY))
        for stage in stages.STAGES.values():
            stage(ADCLICKS, folder)
    return folder


def test_the_verdict_says_how_many_people_are_lacking(work: Path) -> None:
    verdict = join(data_checks(work), ADCLICKS.judge(work, None))
    assert verdict.ruling == "refused"
    words = " ".join(verdict.reasons)
    assert "not certified" in words
    takes, more = map(int, re.search(r"takes (\d+) purchasing users .*?, (\d+) more than there are", words).groups())
    people = table.rows(work, "certify")
    assert takes - more == len(np.unique(people.user[people.bought]))
    # Even if none is invalidated, fewer than this leave a rate of ALPHA possible at δ/2 (two paths share δ = 5 %).
    assert takes == np.ceil(np.log(0.05 / 2) / np.log1p(-ALPHA))


def test_nothing_refuses_it_before_the_verdict_and_a_week_is_not_judged(work: Path) -> None:
    outcomes = {check.name: check.outcome for check in data_checks(work).checks}
    assert outcomes["human density by hour"] == outcomes["volume against the same weekday"] == "not judged"
    assert [name for name, outcome in outcomes.items() if outcome == "failed"] == ["freshness of today"]


def test_a_handful_that_would_stop_the_training_is_learned_from_in_turns(work: Path) -> None:
    record = read_json(work / "train" / "training.json")
    learned = table.rows(work, "fit", "stop")
    assert record["members"] == train.FOLDS
    assert (record["rows"], record["humans"]) == (len(learned), learned.human.sum())
    held_out = [held for _, held in train.in_turns(learned)]
    assert sorted(id for held in held_out for id in held.click_id) == sorted(learned.click_id)
    users = [set(held.user) for held in held_out]
    assert sum(map(len, users)) == len(set.union(*users))
    people = [len(np.unique(held.user[held.human])) for held in held_out]
    assert max(people) - min(people) <= 1


def test_the_last_quarter_is_scored_beside_the_baselines(work: Path, imported: tuple[Path, ImportReport]) -> None:
    raw, report = imported
    seen = table.rows(work, "fit", "stop", "tune", "certify", "test")
    assert seen.received_at.max() < report.three_quarters
    rows, card, differences = ADCLICKS.score(work / "calibrate" / "bundle", raw, report.three_quarters)
    assert rows == pytest.approx(report.clicks / 4, rel=0.03)
    auc = {line["model"]: line["value"] for line in card if (line["metric"], line["slice"]) == ("auc", "all")}
    assert set(auc) == {"net", "lightgbm", "logistic", "rule"}
    assert min(auc.values()) > 0.6
    assert set(differences) == {"net − lightgbm", "net − logistic", "net − rule"}
