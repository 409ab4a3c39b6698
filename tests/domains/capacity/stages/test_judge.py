"""The gate's checks that only capacity has: bands that hold, skill, and no jump of the forecast without a reason."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from headgate.contract.checks import Check, Verdict
from headgate.domains.capacity.limits import JUMP
from headgate.domains.capacity.stages.evaluate import FUTURE
from headgate.domains.capacity.stages.judge import judge
from headgate.files import write_json

TODAY = 20_500


@pytest.fixture
def run(tmp_path: Path) -> Any:
    """Judge a run of which only what differs is told; the checks by name.

    `said` is by how much the version forecasts more than the champion, by series; `came` what arrived in the week
    between both, over what the champion had forecast for it.
    """

    def evaluation(name: str, today: int, said: dict[str, float], came: float, calendar: str) -> Path:
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        days = np.arange(TODAY - 28, TODAY + 28)
        frames = [
            pl.DataFrame(
                {
                    "series": np.full(len(days), series),
                    "day": days,
                    "said": np.where(days < TODAY - 7, 1000.0, 1000.0 * factor),
                    "plain": np.where(days < TODAY - 7, 1000.0, 1000.0 * (1.0 if calendar == "other" else factor)),
                    "actual": np.where(days < TODAY - 7, 1000.0, 1000.0 * came),
                }
            ).with_columns(
                known=pl.col("day") < today, actual=pl.when(pl.col("day") < today).then("actual").otherwise(None)
            )
            for series, factor in said.items()
        ]
        pl.concat(frames).write_parquet(folder / FUTURE)
        write_json(folder / "companions.json", {"calendar": calendar, "as_of": ""})
        return folder

    def judged(
        *,
        champion: bool = True,
        said: dict[str, float] | None = None,
        came: float = 1.0,
        calendar: str = "same",
        origins: int = 1,
        **values: Any,
    ) -> dict[str, Check]:
        (tmp_path / "calibrate").mkdir(exist_ok=True)
        steps = {"900": {"origins": origins, "tested_days": 9.0}}
        write_json(tmp_path / "calibrate" / "calibration.json", {"steps": steps, "words": "Certified."})
        factors = said or {"a": 1.0, "b": 1.0}
        mine = evaluation("evaluate", TODAY, factors, came, calendar)
        card = [
            {"model": model, "metric": metric, "slice": "all", "value": value, "low": low, "high": high}
            for (model, metric), (value, low, high) in {
                ("headgate", "cover80"): values.get("cover80", (0.8, 0.7, 0.9)),
                ("headgate", "cover90"): values.get("cover90", (0.9, 0.85, 0.95)),
                ("headgate", "wape"): values.get("wape", (0.1, 0.1, 0.1)),
                ("profile", "wape"): (0.2, 0.2, 0.2),
            }.items()
        ]
        write_json(mine / "scorecard.json", card)
        theirs = evaluation("champion", TODAY - 7, dict.fromkeys(factors, 1.0), 1.0, "same") if champion else None
        return {check.name: check for check in judge(tmp_path, theirs)}

    return judged


def test_a_sound_version_passes(run: Any) -> None:
    checks = run()
    assert {check.outcome for check in checks.values()} == {"passed"}
    assert set(checks) == {"intervals", "cover80", "cover90", "skill", "stability"}


@pytest.mark.parametrize("found", [(0.6, 0.5, 0.69), (0.95, 0.91, 0.99)])
def test_bands_that_do_not_hold_are_refused(run: Any, found: tuple[float, float, float]) -> None:
    checks = run(cover80=found)
    assert Verdict(tuple(checks.values())).ruling == "refused"
    assert checks["cover80"].outcome == "failed"
    assert f"{found[0]:.1%} of the steps lie inside the 80% band" in checks["cover80"].sentence


@pytest.mark.parametrize("found", [(0.65, 0.5, 0.75), (0.95, 0.85, 1.0)])
def test_bands_that_chance_may_explain_pass(run: Any, found: tuple[float, float, float]) -> None:
    assert run(cover80=found)["cover80"].outcome == "passed"


def test_without_an_origin_no_interval_is_certified(run: Any) -> None:
    assert run(origins=0)["intervals"].outcome == "failed"
    assert run(cover80=(None, None, None))["cover80"].outcome == "not judged"


def test_a_version_that_is_worse_than_a_planners_rule_is_refused(run: Any) -> None:
    assert run(wape=(0.21, 0.2, 0.22))["skill"].outcome == "passed"
    check = run(wape=(0.23, 0.2, 0.25))["skill"]
    assert (check.outcome, check.consequence) == ("failed", "refuse")
    assert "planner" in check.sentence


def test_without_a_champion_stability_is_not_judged(run: Any) -> None:
    assert run(champion=False)["stability"].outcome == "not judged"


@pytest.mark.parametrize("factor", [1.4, 0.7])
def test_a_jump_without_a_reason_waits_for_a_person(run: Any, factor: float) -> None:
    checks = run(said={"a": factor, "b": 1.0})
    assert Verdict(tuple(checks.values())).ruling == "review"
    assert checks["stability"].measured == "1 of 2 series"
    assert f"a by {100 * (factor - 1):+.0f} %" in checks["stability"].sentence


def test_a_small_move_is_no_jump(run: Any) -> None:
    assert run(said={"a": float(np.exp(0.9 * JUMP)), "b": 1.0})["stability"].outcome == "passed"


@pytest.mark.parametrize(("came", "outcome"), [(1.4, "passed"), (1.0, "failed"), (0.7, "failed")])
def test_a_jump_is_explained_by_new_data_that_jumped_the_same_way(run: Any, came: float, outcome: str) -> None:
    assert run(said={"a": 1.4, "b": 1.4}, came=came)["stability"].outcome == outcome


def test_a_jump_may_be_explained_by_the_calendar(run: Any) -> None:
    check = run(said={"a": 1.4, "b": 1.4}, calendar="other")["stability"]
    assert check.outcome == "passed"
    assert "calendar has changed" in check.sentence


def test_a_changed_calendar_does_not_hide_a_jump_that_no_event_makes(run: Any) -> None:
    assert run(said={"a": 1.4, "b": 1.4}, calendar="another")["stability"].outcome == "failed"


def test_a_version_that_says_nothing_of_the_champions_days_is_not_judged(run: Any, tmp_path: Path) -> None:
    run()
    future = pl.read_parquet(tmp_path / "champion" / FUTURE)
    future.with_columns(pl.col("day") - 1000).write_parquet(tmp_path / "champion" / FUTURE)
    checks = {check.name: check for check in judge(tmp_path, tmp_path / "champion")}
    assert checks["stability"].outcome == "not judged"
