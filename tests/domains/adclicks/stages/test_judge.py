"""The gate's checks of its own that adclicks has: training, budget, and how much changes."""

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from headgate.contract.checks import Check
from headgate.domains.adclicks.limits import KNOWN_GOOD_FLIPS, LEAST_EFFECTIVE, TRAFFIC_FLIPS
from headgate.domains.adclicks.stages.judge import judge
from headgate.files import write_json
from headgate.gate.change import ROWS

FALLING = [{"train_loss": 0.7, "stop_loss": 0.71}, {"train_loss": 0.5, "stop_loss": 0.6}]
CERTIFICATE = {"users": 1_000, "upper": 0.008}


@pytest.fixture
def run(tmp_path: Path) -> Any:
    """Judge a run of which only what differs is told; the checks by name."""

    def evaluation(name: str, decided: list[bool], good: list[bool]) -> Path:
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        outcomes = ["invalid" if one else "valid" for one in decided]
        rows = {"key": [str(n) for n in range(len(decided))], "good": good, "outcome": outcomes}
        pl.DataFrame(rows).write_parquet(folder / ROWS)
        return folder

    def judged(
        *,
        decided: list[bool] | None = None,
        champion: list[bool] | None = None,
        good: list[bool] | None = None,
        calibration: dict[str, Any] | None = None,
        **training: Any,
    ) -> dict[str, Check]:
        record = {"rows": 9_000, "humans": 700, "effective_sample_size": 2_000.0, "losses": FALLING} | training
        (tmp_path / "calibrate" / "bundle").mkdir(parents=True, exist_ok=True)
        (tmp_path / "calibrate" / "bundle" / "training.json").write_text(json.dumps(record))
        certified = {
            "certified": True,
            "published": "slices",
            "alpha": 0.01,
            "delta": 0.05,
            "words": "Published.\nAll.",
        }
        certified["certificates"] = {"slices": CERTIFICATE, "global": CERTIFICATE | {"upper": 0.5}}
        write_json(tmp_path / "calibrate" / "calibration.json", certified | (calibration or {}))
        decided = decided or [False, True]
        good = good or [False] * len(decided)
        evaluation("evaluate", decided, good)
        theirs = evaluation("champion", champion, good) if champion else None
        return {check.name: check for check in judge(tmp_path, theirs)}

    return judged


# -- training ----------------------------------------------------------------------------------------------------------


def test_a_sound_training_passes_and_says_on_how_much(run: Any) -> None:
    checks = run()
    assert {checks[name].outcome for name in ("loss", "effective sample size")} == {"passed"}
    assert checks["loss"].sentence == "2 epochs on 9,000 clicks, 700 of them human."
    assert checks["loss"].measured == "0.7000 → 0.5000"


@pytest.mark.parametrize(
    "losses",
    [
        [],
        [(0.7, 0.7)],
        [(0.6, 0.6), (0.7, 0.6)],
        [(0.6, 0.6), (0.6, 0.6)],
        [(0.7, 0.7), (float("nan"), 0.6)],
        [(0.7, 0.7), (0.6, float("nan"))],
        [(0.7, 0.7), (0.6, float("inf"))],
        [(float("inf"), 0.7), (0.6, 0.6)],
    ],
)
def test_a_loss_that_is_no_number_or_does_not_fall_is_refused(run: Any, losses: list[tuple[float, float]]) -> None:
    check = run(losses=[{"train_loss": train, "stop_loss": stop} for train, stop in losses])["loss"]
    assert (check.outcome, check.consequence) == ("failed", "refuse")
    assert "did not fall" in check.sentence


@pytest.mark.parametrize(("size", "outcome"), [(LEAST_EFFECTIVE, "passed"), (LEAST_EFFECTIVE - 0.01, "failed")])
def test_too_small_an_effective_sample_is_refused(run: Any, size: float, outcome: str) -> None:
    check = run(effective_sample_size=size)["effective sample size"]
    assert (check.outcome, check.consequence) == (outcome, "refuse")
    assert ("Give more days" in check.sentence) == (outcome == "failed")


# -- budget ------------------------------------------------------------------------------------------------------------


def test_a_certified_budget_passes_with_the_bound_of_what_is_published(run: Any) -> None:
    check = run()["certificate"]
    assert (check.outcome, check.measured) == ("passed", "≤ 0.80%")
    assert check.demanded == "≤ 1.0% at 95% confidence"
    assert check.sentence == "Published. All."


@pytest.mark.parametrize(("users", "measured"), [(40, "≤ 50.00%"), (0, "–")])
def test_an_uncertified_budget_is_refused_in_the_words_of_the_calibration(run: Any, users: int, measured: str) -> None:
    certificates = {name: {"users": users, "upper": 0.5} for name in ("slices", "global")}
    words = "Nothing is certified.\nIt takes 368 purchasing users."
    fields = {"certified": False, "published": None, "certificates": certificates, "words": words}
    check = run(calibration=fields)["certificate"]
    assert (check.outcome, check.consequence, check.measured) == ("failed", "refuse", measured)
    assert check.sentence == "Nothing is certified. It takes 368 purchasing users."


# -- change ------------------------------------------------------------------------------------------------------------


def test_without_a_champion_nothing_is_compared_and_nothing_blocks(run: Any) -> None:
    checks = run()
    for name in ("known good", "all traffic"):
        assert checks[name].outcome == "not judged"
        assert "no champion" in checks[name].sentence


@pytest.mark.parametrize(("extra", "outcome"), [(0, "passed"), (1, "failed")])
def test_newly_invalidated_purchases_are_bounded(run: Any, extra: int, outcome: str) -> None:
    n = 1_000
    harmed = round(KNOWN_GOOD_FLIPS * n) + extra
    decided = [True] * harmed + [False] * (n - harmed)
    check = run(decided=decided, champion=[False] * n, good=[True] * n)["known good"]
    assert (check.outcome, check.consequence) == (outcome, "refuse")
    assert check.sentence.startswith(f"{harmed} of 1,000 rows")


def test_purchases_that_the_champion_wronged_too_and_those_set_right_are_no_harm(run: Any) -> None:
    check = run(decided=[True, False], champion=[True, True], good=[True, True])["known good"]
    assert (check.outcome, check.measured) == ("passed", "0.00%")


@pytest.mark.parametrize(("extra", "outcome"), [(0, "passed"), (1, "failed")])
def test_a_change_of_much_traffic_waits_for_a_person(run: Any, extra: int, outcome: str) -> None:
    n = 1_000
    flips = round(TRAFFIC_FLIPS * n) + extra
    decided = [True] * flips + [False] * (n - flips)
    check = run(decided=decided, champion=[False] * n)["all traffic"]
    assert (check.outcome, check.consequence) == (outcome, "review")
    assert ("a person should look" in check.sentence) == (outcome == "failed")
