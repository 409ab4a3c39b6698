"""The gate's checks that only forecasts know: do the bands hold, does it beat a planner's rule, and is it steady."""

from pathlib import Path
from typing import Any

import polars as pl

from headgate.contract.checks import Check
from headgate.domains.capacity.limits import COVERAGE_SLACK, EXPLAINS, JUMP, JUMPING, WORSE_THAN_PROFILE
from headgate.domains.capacity.stages.evaluate import FUTURE, HEADGATE, PROFILE
from headgate.files import read_json


def judge(work: Path, champion: Path | None) -> list[Check]:
    """Check a run in `work` against constants and against the `champion`'s evaluation."""
    card = read_json(work / "evaluate" / "scorecard.json")
    lines = {(line["model"], line["metric"], line["slice"]): line for line in card}
    calibration = read_json(work / "calibrate" / "calibration.json")
    return [
        _certified(calibration),
        *(_coverage(lines, metric, nominal) for metric, nominal in (("cover80", 0.8), ("cover90", 0.9))),
        _skill(lines),
        _steady(work / "evaluate", champion),
    ]


def _certified(calibration: dict[str, Any]) -> Check:
    tried = {int(name): one["origins"] for name, one in calibration["steps"].items()}
    there = bool(tried) and all(tried.values())
    return Check(
        "budget",
        "intervals",
        "passed" if there else "failed",
        "refuse",
        f"{sum(tried.values())} origins",
        "≥ 1 for every step",
        calibration["words"],
    )


def _coverage(lines: dict[tuple[str, str, str], dict[str, Any]], metric: str, nominal: float) -> Check:
    """Refused where the share inside the band is shown to be off by more than the slack."""
    line = lines.get((HEADGATE, metric, "all"))
    demanded = f"{nominal - COVERAGE_SLACK:.0%} to {min(nominal + COVERAGE_SLACK, 1):.0%}"
    if line is None or line["value"] is None:
        return Check("budget", metric, "not judged", "refuse", "–", demanded, "There is no band to hold against data.")
    inside = (
        f"{line['value']:.1%} of the steps lie inside the {nominal:.0%} band ({line['low']:.1%} to {line['high']:.1%})"
    )
    off = line["high"] < nominal - COVERAGE_SLACK or line["low"] > nominal + COVERAGE_SLACK
    advice = ": the bands are not what they say, look at the newest weeks" if off else ""
    return Check(
        "budget",
        metric,
        "failed" if off else "passed",
        "refuse",
        f"{line['value']:.1%}",
        demanded,
        f"{inside}{advice}.",
    )


def _skill(lines: dict[tuple[str, str, str], dict[str, Any]]) -> Check:
    mine, theirs = (lines.get((model, "wape", "all")) for model in (HEADGATE, PROFILE))
    demanded = f"≤ {1 + WORSE_THAN_PROFILE:g} × last weeks' profile"
    if mine is None or theirs is None or not theirs["value"]:
        return Check("model", "skill", "not judged", "refuse", "–", demanded, "There is no profile to hold against.")
    times = mine["value"] / theirs["value"]
    good = times <= 1 + WORSE_THAN_PROFILE
    sentence = f"Its WAPE is {mine['value']:.3f}, that of the last weeks' mean {theirs['value']:.3f}."
    if not good:
        sentence += " A planner would do better without it: look for a break, a missing event or an unmasked outage."
    return Check("model", "skill", "passed" if good else "failed", "refuse", f"{times:.2f} ×", demanded, sentence)


def _steady(mine: Path, champion: Path | None) -> Check:
    """A forecast that jumps against the champion's for the same days must have a reason: new data, or the calendar.

    Where the calendar has changed, forecasts are compared without their events: what a planner did is no jump, and does
    not hide one either.
    """
    demanded = f"≤ {JUMPING:.0%} of the series jump by {JUMP:g} unexplained"
    if champion is None:
        return Check("change", "stability", "not judged", "review", "–", demanded, "There is no champion yet.")
    now, before = pl.read_parquet(mine / FUTURE), pl.read_parquet(champion / FUTURE)
    calendars = {read_json(folder / "companions.json")["calendar"] for folder in (mine, champion)}
    column = "said" if len(calendars) == 1 else "plain"
    both = now.join(before.select("series", "day", "said", "plain", "known"), on=("series", "day"), suffix="_before")
    ahead = both.filter(~pl.col("known")).with_columns(jump=(pl.col(column) / pl.col(f"{column}_before")).log())
    jumps = ahead.group_by("series").agg(jump=pl.col("jump").median()).filter(pl.col("jump").abs() > JUMP)
    if ahead.is_empty():
        return Check(
            "change", "stability", "not judged", "review", "–", demanded, "No day is forecast by both versions."
        )
    came = both.filter(pl.col("known") & ~pl.col("known_before") & pl.col("actual").is_not_null())
    surprise = came.group_by("series").agg(surprise=(pl.col("actual").sum() / pl.col("said_before").sum()).log())
    open_ = jumps.join(surprise, on="series", how="left").filter(
        (pl.col("surprise").fill_null(0.0) * pl.col("jump").sign()) < EXPLAINS * pl.col("jump").abs()
    )
    share = len(open_) / ahead["series"].n_unique()
    measured = f"{len(open_)} of {ahead['series'].n_unique()} series"
    if share <= JUMPING:
        sentence = f"{len(jumps)} series jump, {len(jumps) - len(open_)} of them as the new data do."
        sentence += " The calendar has changed: compared without events." if column == "plain" else ""
        return Check("change", "stability", "passed", "review", measured, demanded, sentence)
    worst = open_.sort(pl.col("jump").abs(), descending=True).head(3)
    named = "; ".join(f"{row['series']} by {100 * (2.718281828 ** row['jump'] - 1):+.0f} %" for row in worst.to_dicts())
    sentence = (
        f"The forecast of the same days jumps and neither new data nor the calendar explain it: {named}. Look at both."
    )
    return Check("change", "stability", "failed", "review", measured, demanded, sentence)
