"""The simulator of customers: what it writes, that its hidden truth agrees with what it draws, and its scenarios."""

import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import fields
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from headgate.domains.capacity.companions.calendar import as_of, read_calendar, read_masks
from headgate.domains.capacity.data.raw import check_file, load_matrix, load_points, read_series
from headgate.domains.capacity.simulated.simulator import SCENARIOS, TRUTH, simulate, truth_folder
from headgate.domains.capacity.simulated.sizes import LoadSizes
from headgate.errors import UsageError
from headgate.files import read_json, sha256

Simulated = Callable[..., Path]

DAYS, AHEAD = 14, 28
END = datetime(2026, 1, 19, tzinfo=UTC)


SIZES = {field.name for field in fields(LoadSizes)}


def sizes(asked: Mapping[str, Any]) -> LoadSizes:
    """The sizes among arguments."""
    return LoadSizes(**{name: value for name, value in asked.items() if name in SIZES})


def rest(asked: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments that are no sizes."""
    return {name: value for name, value in asked.items() if name not in SIZES}


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Simulated:
    """Simulated sources by their arguments, each made once."""
    made: dict[str, Path] = {}

    def make(**arguments: object) -> Path:
        key = repr(sorted(arguments.items()))
        if key not in made:
            made[key] = tmp_path_factory.mktemp("data") / "load"
            asked = {"days": DAYS, "step": 300, "seed": 3} | arguments
            simulate(made[key], sizes(asked), **rest(asked))
        return made[key]

    return make


def truth(out: Path) -> pl.DataFrame:
    return pl.read_parquet(truth_folder(out) / "truth" / "*.parquet")


def told(out: Path) -> dict:
    return read_json(truth_folder(out) / "truth.json")


def joined(out: Path) -> pl.DataFrame:
    """Points with their truth."""
    points = load_points(out).with_columns(pl.col("series").cast(pl.String))
    return points.join(truth(out), on=["series", "time"])


def sums(folder: Path) -> dict[str, str]:
    return {path.relative_to(folder).as_posix(): sha256(path) for path in sorted(folder.rglob("*.*"))}


# ---------------------------------------------------------------------------------------------------- what is written


def test_files_follow_the_schema_and_the_truth_lies_outside(simulated: Simulated) -> None:
    out = simulated(ahead=2)
    series = read_series(out)
    assert list(series) == [
        f"{region}/{service}/requests"
        for region in ("eu-central", "us-east")
        for service in ("checkout", "home", "search")
    ]
    files = sorted((out / "points").iterdir())
    assert [path.stem for path in files] == [f"{date(2026, 1, 5) + timedelta(n)}" for n in range(DAYS)]
    assert [check_file(path, series) for path in files] == [6 * 288] * DAYS
    assert sorted(path.name for path in out.iterdir()) == ["calendar.csv", "masks.csv", "points", "series.csv"]
    rows = truth(out)
    assert dict(rows.schema) == TRUTH
    assert len(rows) == 6 * 288 * (DAYS + 2)


def test_counts_are_whole_and_vary_more_than_chance_alone_would_have_it(simulated: Simulated) -> None:
    rows = joined(simulated())
    assert (rows["value"] == rows["value"].floor()).all()
    spread = rows.select(((pl.col("value") - pl.col("expected")) ** 2 / pl.col("expected")).mean()).item()
    assert spread > 3  # of a Poisson count it would be 1


def test_the_truth_is_the_mean_of_what_is_drawn(simulated: Simulated) -> None:
    rows = pl.concat([joined(simulated(seed=seed)) for seed in (3, 4, 5)])
    by_series = rows.group_by("series").agg(ratio=pl.col("value").sum() / pl.col("expected").sum())
    assert by_series["ratio"].is_between(0.96, 1.04).all()
    hour = rows.group_by(pl.col("time").dt.hour()).agg(ratio=pl.col("value").sum() / pl.col("expected").sum())
    assert hour["ratio"].is_between(0.94, 1.06).all()


def test_a_day_does_not_depend_on_how_many_follow_nor_on_the_horizon(simulated: Simulated) -> None:
    long, short = sums(simulated(ahead=AHEAD)), sums(simulated(days=5))
    days = [name for name in short if name.startswith("points/")]
    assert len(days) == 5
    assert all(long[name] == short[name] for name in days)
    ahead, now = (sums(truth_folder(simulated(**how))) for how in ({"ahead": AHEAD}, {}))
    assert all(ahead[name] == now[name] for name in now if name.startswith("truth/"))


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(simulated: Simulated, tmp_path: Path) -> None:
    simulate(tmp_path / "again", LoadSizes(days=DAYS, step=300), seed=3)
    assert sums(tmp_path / "again") == sums(simulated())
    assert sums(truth_folder(tmp_path / "again")) == sums(truth_folder(simulated()))
    assert sums(simulated(seed=4))["points/2026-01-05.parquet"] != sums(simulated())["points/2026-01-05.parquet"]


def test_steps_are_sums_of_minutes(simulated: Simulated) -> None:
    day = "points/2026-01-05.parquet"
    minute, hour = (pl.read_parquet(simulated(days=1, step=step) / day) for step in (60, 3600))
    added = (
        minute.group_by("series", pl.col("time").dt.truncate("1h")).agg(pl.col("value").sum()).sort("series", "time")
    )
    assert added["value"].to_list() == hour["value"].to_list()


def test_services_share_a_rhythm_and_differ(simulated: Simulated) -> None:
    out = simulated()
    _, values = load_matrix(out, list(read_series(out)))
    logs = np.log(values + 1)
    same = np.corrcoef(logs.T)
    assert same[:3, :3].min() > 0.9  # one region: checkout, home, search
    assert same[0, 3] < 0.6  # another lives by another clock
    share = values[:, 0] / values[:, 1]
    assert np.nanstd(share[:288]) / np.nanmean(share[:288]) > 0.1


def test_customers_live_by_the_local_clock_across_its_setting(tmp_path: Path) -> None:
    clocks = date(2026, 3, 22)  # those of Berlin are set on the 29th
    simulate(tmp_path / "spring", LoadSizes(days=14, regions=1, services=1, step=3600), start=clocks)
    rows = truth(tmp_path / "spring").with_columns(local=pl.col("time").dt.convert_time_zone("Europe/Berlin"))

    def monday(clock: str, day: int) -> np.ndarray:
        at = pl.col(clock).dt.replace_time_zone(None)
        start = datetime(2026, 3, day)
        return rows.filter(at.is_between(start, start + timedelta(days=1), closed="left"))["expected"].to_numpy()

    by_local, by_utc = (monday(clock, 30) / monday(clock, 23) - 1 for clock in ("local", "time"))
    assert np.abs(by_local).max() < 0.03  # a week of growth and season
    assert np.abs(by_utc).max() > 0.3


def test_the_29th_of_february_is_a_day(tmp_path: Path) -> None:
    simulate(tmp_path / "leap", LoadSizes(days=2, regions=1, services=1, step=3600), start=date(2028, 2, 28))
    assert [path.stem for path in sorted((tmp_path / "leap/points").iterdir())] == ["2028-02-28", "2028-02-29"]


def test_many_regions_and_services_have_names_of_their_own(tmp_path: Path) -> None:
    simulate(tmp_path / "wide", LoadSizes(days=1, regions=9, services=11, step=3600))
    assert len(read_series(tmp_path / "wide")) == 99


# ------------------------------------------------------------------------------------------------------ the calendar


def test_the_calendar_says_what_the_truth_does(simulated: Simulated) -> None:
    out = simulated(ahead=AHEAD)
    events = [one for one in as_of(read_calendar(out), END) if one.kind == "sale"]
    rows = truth(out).filter(pl.col("series") == "eu-central/checkout/requests")
    on = pl.lit(False)
    for one in events:
        start, end = one.span("Europe/Berlin")
        on |= pl.col("time").is_between(start, end, closed="left")
    first, last = rows["time"].min(), rows["time"].max()
    assert any(first <= one.span("Europe/Berlin")[0] <= last for one in events)  # type: ignore[operator]
    assert rows.filter(on)["event_factor"].min() > 1.3  # type: ignore[operator]
    waiting = pl.col("time").dt.hour().is_in([22, 23])  # some wait for midnight in Berlin, and some still shop after it
    assert rows.filter(~on & ~waiting)["event_factor"].max() < 1.4  # type: ignore[operator]


def test_a_sale_begins_with_a_burst_and_moves_services_unlike(simulated: Simulated) -> None:
    out = simulated(ahead=AHEAD, step=60)
    sale = next(one for one in read_calendar(out) if one.kind == "sale" and one.start > "2026-01-10")
    start, end = sale.span("Europe/Berlin")
    rows = truth(out).filter(pl.col("time").is_between(start, end, closed="left"))
    factor = {
        service: rows.filter(pl.col("series") == f"eu-central/{service}/requests").sort("time")["event_factor"]
        for service in ("home", "checkout")
    }
    for one in factor.values():
        assert one[:60].max() > 1.2 * one[600:700].mean()  # type: ignore[operator]
        assert one[-60:].max() > 1.1 * one[600:700].mean()  # type: ignore[operator]
    assert factor["checkout"][600] > 1.15 * factor["home"][600]


def test_what_is_known_later_than_the_end_is_not_in_the_files(simulated: Simulated) -> None:
    for scenario in SCENARIOS:
        out = simulated(scenario=scenario)
        assert all(one.known_since <= END for one in (*read_calendar(out), *read_masks(out)))


def test_the_moved_sale_moves_in_calendar_and_truth(simulated: Simulated) -> None:
    out, calm = simulated(scenario="sale-moved", ahead=AHEAD), simulated(ahead=AHEAD)
    revisions = [one for one in read_calendar(out) if one.reason.startswith("moved")]
    assert [one.revision for one in revisions] == [2]
    late = revisions[0]
    early = next(one for one in read_calendar(out) if one.event == late.event and one.revision == 1)
    assert late.length == 2 * early.length == timedelta(days=2)
    assert late.span("UTC")[0] - early.span("UTC")[0] == timedelta(days=3)
    assert early.known_since < late.known_since < END
    before = {one.event: one for one in as_of(read_calendar(out), late.known_since - timedelta(seconds=1))}
    assert before[late.event] == early

    def lift(source: Path, span: tuple[datetime, datetime]) -> float:
        rows = truth(source).filter(pl.col("time").is_between(*span, closed="left"))
        return float(rows.filter(pl.col("series") == "us-east/checkout/requests")["event_factor"].mean())  # type: ignore[arg-type]

    zone = "America/New_York"
    assert lift(calm, early.span(zone)) > 1.5
    assert lift(out, late.span(zone)) > 1.5
    assert lift(out, early.span(zone)) < 1.1
    assert lift(calm, late.span(zone)) < 1.1
    assert sums(out)["points/2026-01-05.parquet"] == sums(calm)["points/2026-01-05.parquet"]


# ----------------------------------------------------------------------------------------------------- the scenarios


def test_a_launch_sells_out_within_minutes(simulated: Simulated) -> None:
    out = simulated(scenario="launch", step=60, ahead=7)
    launches = [one for one in read_calendar(out) if one.kind == "launch"]
    assert len(launches) == 3
    past, coming = launches[0], launches[-1]
    assert coming.span("UTC")[0] > END
    start = past.span("UTC")[0]
    rows = joined(out).filter(pl.col("series") == "eu-central/checkout/requests").sort("time")

    def factor(low: int, high: int) -> float:
        part = rows.filter(pl.col("time").is_between(start + timedelta(minutes=low), start + timedelta(minutes=high)))
        return float(part["value"].sum() / (part["expected"] / part["event_factor"]).sum())

    assert factor(1, 5) > 4
    assert factor(40, 60) < 1.5
    assert factor(-60, -30) < 1.5
    assert "checkout" in past.services


def test_robots_and_the_customers_they_drive_out_are_not_in_the_truth(simulated: Simulated) -> None:
    out = simulated(scenario="robots", days=28)
    incidents = told(out)["incidents"]
    assert [one["kind"] for one in incidents] == ["robots", "robots", "blocked"]
    assert [one["noted"] for one in incidents] == [True, False, False]
    rows = joined(out)
    for one, (low, high) in zip(incidents, [(1.5, 15.0), (1.3, 15.0), (0.3, 0.6)], strict=True):
        span = [datetime.fromisoformat(one[name]) for name in ("start", "end")]
        hit = rows.filter(
            pl.col("time").is_between(*span, closed="left"),  # type: ignore[call-overload]
            pl.col("series").str.starts_with(one["region"] + ("/home" if one["services"] != ["*"] else "/")),
        )
        assert low < hit["value"].sum() / hit["expected"].sum() < high
    masks = as_of(read_masks(out), datetime(2027, 1, 1, tzinfo=UTC))
    assert [mask.effect for mask in masks] == ["robots"]
    assert masks[0].start == incidents[0]["start"]


def test_outages_leave_zeros_or_nothing_or_come_late(simulated: Simulated) -> None:
    out = simulated(scenario="outage", days=28)
    incidents = {one["kind"]: one for one in told(out)["incidents"]}
    assert set(incidents) == {"zeros", "missing", "late", "throttled", "load-test"}

    def during(kind: str, points: pl.DataFrame) -> pl.DataFrame:
        one = incidents[kind]
        span = [datetime.fromisoformat(one[name]) for name in ("start", "end")]
        services = ["checkout", "home", "search"] if one["services"] == ["*"] else one["services"]
        ids = [f"{one['region']}/{service}/requests" for service in services]
        return points.filter(pl.col("time").is_between(*span, closed="left"), pl.col("series").is_in(ids))  # type: ignore[call-overload]

    rows = joined(out)
    assert len(during("zeros", rows)) == 3 * 36
    assert during("zeros", rows)["value"].sum() == 0
    assert len(during("missing", rows)) == 0
    assert len(during("missing", truth(out))) == 60
    late = datetime.fromisoformat(incidents["late"]["end"])
    soon = load_points(out, late + timedelta(hours=1)).with_columns(pl.col("series").cast(pl.String))
    assert len(during("late", soon)) == 0
    assert len(during("late", rows)) == 3 * 48
    throttled = during("throttled", rows)
    assert (throttled["value"] <= 0.6 * throttled["expected"] + 1).all()
    tested = during("load-test", rows)
    assert tested["value"].sum() > 1.7 * tested["expected"].sum()
    assert {mask.effect for mask in read_masks(out)} == {"outage", "throttled", "load-test"}


def test_a_slope_break_turns_growth_into_decline(simulated: Simulated) -> None:
    out, calm = simulated(scenario="slope-break", days=20, ahead=AHEAD), simulated(days=20, ahead=AHEAD)
    turn = told(out)["breaks"][0]["day"]
    both = truth(out).join(truth(calm), on=["series", "time"])
    ratio = (
        both.with_columns(ratio=pl.col("expected") / pl.col("expected_right"))
        .group_by(pl.col("time").dt.date())
        .agg(pl.col("ratio").mean())
        .sort("time")
    )
    before, after = (
        ratio.filter(pl.col("time") < date.fromisoformat(turn)),
        ratio.filter(pl.col("time") > date.fromisoformat(turn)),
    )
    assert before["ratio"].is_between(0.9999, 1.0001).all()
    assert after["ratio"].is_sorted(descending=True)
    assert after["ratio"][-1] < 0.8
    assert not [one for one in read_calendar(out) if one.kind == "break"]


def test_a_new_service_is_young_and_names_an_older_one_that_it_resembles(simulated: Simulated) -> None:
    out = simulated(scenario="new-service", days=28)
    new = [one for one in read_series(out).values() if one.analogue]
    assert (
        [one.series for one in new] == told(out)["newcomers"] == ["eu-central/gifts/requests", "us-east/gifts/requests"]
    )
    assert new[0].analogue == "eu-central/search/requests"
    _, values = load_matrix(out, [new[0].series, new[0].analogue])
    young = np.isfinite(values[:, 0])
    assert young.sum() == 10 * 288
    assert young[-10 * 288 :].all()
    assert np.corrcoef(np.log(values[young] + 1).T)[0, 1] > 0.95
    assert 0.3 < values[young, 0].sum() / values[young, 1].sum() < 0.7


def test_a_sale_is_on_as_the_last_day_ends_and_one_is_to_come(simulated: Simulated) -> None:
    out, calm = simulated(scenario="on-sale", ahead=AHEAD), simulated(ahead=AHEAD)
    before = {one.event for one in read_calendar(calm)}
    on, to_come = (one for one in read_calendar(out) if one.event not in before)
    start, end = on.span("Europe/Berlin")
    assert start < END < end
    assert END + timedelta(days=4) < to_come.span("Europe/Berlin")[0]
    assert all(one.known_since < END - timedelta(days=60) for one in (on, to_come)), "it was planned long ago"
    both = (
        truth(out)
        .join(truth(calm), on=["series", "time"], suffix="_calm")
        .filter(pl.col("series").str.contains("home"))
    )
    during = both.filter(pl.col("time").is_between(END, END + timedelta(days=1), closed="left"))
    assert during["expected"].sum() > 1.2 * during["expected_calm"].sum()
    earlier = both.filter(pl.col("time") < END - timedelta(hours=2))
    assert earlier["expected"].equals(earlier["expected_calm"])


def test_every_scenario_is_described_in_a_line() -> None:
    assert set(SCENARIOS) == {
        "calm",
        "sale-moved",
        "launch",
        "robots",
        "outage",
        "slope-break",
        "new-service",
        "on-sale",
    }
    assert all(text and "\n" not in text for text in SCENARIOS.values())


# ------------------------------------------------------------------------------------------------------------- weeks


def test_weekly_orders_reach_years_back_and_their_truth_two_years_on(simulated: Simulated) -> None:
    out = simulated(days=10, weekly_years=2)
    series = read_series(out)
    weekly = [name for name, one in series.items() if one.step == 604_800]
    assert len(weekly) == 6
    times, values = load_matrix(out, weekly)
    assert np.isfinite(values).all()
    assert times[0] < datetime(2024, 2, 1, tzinfo=UTC).timestamp()
    assert times[-1] == datetime(2026, 1, 5, tzinfo=UTC).timestamp()  # the week of the 12th is not over
    assert times[-1] + 604_800 <= datetime(2026, 1, 15, tzinfo=UTC).timestamp()
    rows = truth(out).filter(pl.col("series").is_in(weekly))
    assert rows["time"].max() >= datetime(2027, 12, 20, tzinfo=UTC)  # type: ignore[operator]
    both = joined(out).filter(pl.col("series").is_in(weekly))
    ratio = both["value"].sum() / both["expected"].sum()
    assert 0.98 < ratio < 1.02
    for path in sorted((out / "points").iterdir()):
        check_file(path, series)


# ----------------------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"scenario": "flood"}, "no scenario 'flood'"),
        ({"scenario": "robots", "days": 3}, "needs at least 7 days"),
        ({"days": 0}, "needs at least 1 day"),
        ({"seed": -1}, "seed must be at least 0"),
        ({"regions": 0}, "regions must be at least 1"),
        ({"services": 0}, "services must be at least 1"),
        ({"step": 61}, "the step must be one of"),
        ({"step": 604_800}, "the step must be one of"),
        ({"ahead": -1}, "ahead must be at least 0"),
        ({"weekly_years": -1}, "weekly years must be at least 0"),
    ],
)
def test_arguments_that_make_no_sense_are_refused_and_write_nothing(tmp_path: Path, wrong: dict, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        simulate(tmp_path / "out", sizes({"days": 10} | wrong), **rest(wrong))
    assert not list(tmp_path.iterdir())


def test_it_does_not_write_over_anything(tmp_path: Path) -> None:
    (tmp_path / "out.truth").mkdir()
    (tmp_path / "out.truth" / "mine").write_text("x")
    with pytest.raises(UsageError, match=r"out\.truth already exists"):
        simulate(tmp_path / "out", LoadSizes(days=1))


def test_an_interrupted_run_leaves_nothing(tmp_path: Path) -> None:
    def stop(day: date) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        simulate(tmp_path / "out", LoadSizes(days=2, step=3600), on_day=stop)
    assert not list(tmp_path.iterdir())


def test_each_day_is_told_as_it_is_written(tmp_path: Path) -> None:
    days: list[date] = []
    simulate(tmp_path / "out", LoadSizes(days=3, step=3600, ahead=2, weekly_years=1), on_day=days.append)
    assert days == [date(2026, 1, 5), date(2026, 1, 6), date(2026, 1, 7)]


def test_it_knows_nothing_of_the_models() -> None:
    code = "import sys, headgate.domains.capacity.simulated.simulator; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "prophet", "lightgbm", "sklearn", "scipy", "pandas", "mlflow"} & set(loaded)
    assert not [name for name in loaded if name.endswith((".fit", ".model", ".glm", ".prophet_level"))]
