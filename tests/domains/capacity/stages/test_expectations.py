"""What a snapshot of load must look like: sound days pass, and each fault is found, named and judged as it deserves."""

import shutil
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from headgate.contract.checks import Check, Verdict
from headgate.data.profile import check_profile
from headgate.domain import Request
from headgate.domains.capacity.data import snapshots
from headgate.domains.capacity.data.raw import Series, write_days
from headgate.domains.capacity.simulated.simulator import simulate
from headgate.domains.capacity.simulated.sizes import LoadSizes
from headgate.domains.capacity.stages.expectations import EXPECTATIONS, profile

START, DAYS = date(2026, 1, 5), 42
END = datetime(2026, 2, 16, tzinfo=UTC)

EU = "eu-central"
UNSEEN = "kinds of planned events"  # a simulated calendar plans holidays that few days have not seen

Points = Callable[[pl.DataFrame], pl.DataFrame]
Judge = Callable[..., dict[str, Check]]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("data") / "calm"
    simulate(out, LoadSizes(days=DAYS, step=900, weekly_years=1), seed=6)
    return out


@pytest.fixture
def judge(source: Path, tmp_path: Path) -> Judge:
    """Check a copy of the source after `change` was applied to each day's points from `since` on; checks by name."""

    def judge(
        change: Points | None = None, since: date = START, at: datetime = END, calendar: str = "", masks: str = ""
    ) -> dict[str, Check]:
        own = tmp_path / f"source{len(list(tmp_path.iterdir()))}"
        shutil.copytree(source, own)
        for path in sorted((own / "points").iterdir()):
            if change and date.fromisoformat(path.stem) >= since:
                rows = change(pl.read_parquet(path))
                if len(rows):
                    rows.write_parquet(path)
                else:
                    path.unlink()
        for name, text in (("calendar.csv", calendar), ("masks.csv", masks)):
            if text:
                with (own / name).open("a") as file:
                    file.write(text + "\n")
        return checks(own, at, tmp_path)

    return judge


def checks(own: Path, at: datetime, tmp_path: Path) -> dict[str, Check]:
    out = tmp_path / f"snapshot{len(list(tmp_path.iterdir()))}"
    out.mkdir()
    snapshots.take_snapshot(Request(str(own), at), out)
    return {check.name: check for check in check_profile(profile(out), EXPECTATIONS)}


def failed(found: dict[str, Check]) -> set[str]:
    return {name for name, check in found.items() if check.outcome == "failed"}


def between(start: str, end: str, series: str = "") -> pl.Expr:
    instants = [datetime.fromisoformat(text).replace(tzinfo=UTC) for text in (start, end)]
    return pl.col("time").is_between(*instants, closed="left") & pl.col("series").str.contains(series)


# ------------------------------------------------------------------------------------------------ nothing is wrong


def test_a_calm_source_passes_and_what_cannot_be_judged_says_why(judge: Judge) -> None:
    found = judge()
    assert failed(found) == set()
    unjudged = {name: check.sentence for name, check in found.items() if check.outcome == "not judged"}
    assert set(unjudged) == {"hours around the setting of clocks"}
    assert "set its clocks" in unjudged["hours around the setting of clocks"]


@pytest.mark.parametrize("month", [3, 10])
def test_setting_the_clocks_is_no_fault(tmp_path: Path, month: int) -> None:
    last = datetime(2026, month, 31 if month == 3 else 28, tzinfo=UTC)  # set on the 29th of March, the 25th of October
    simulate(tmp_path / "own", LoadSizes(days=40, step=900, regions=1), start=last.date() - timedelta(days=40))
    found = checks(tmp_path / "own", last, tmp_path)
    assert failed(found) <= {UNSEEN}
    assert found["clocks"].outcome == found["hours around the setting of clocks"].outcome == "passed"


def test_a_sale_is_no_surge_and_the_day_after_no_fall(judge: Judge) -> None:
    for day in (9, 10, 16):  # the sale is on the 8th
        found = judge(at=datetime(2026, 2, day, 12, tzinfo=UTC))
        assert not failed(found) & {"surge against the same weekday", "volume against the same weekday", "clocks"}


def test_a_young_source_is_not_judged_against_a_past_that_it_has_not(tmp_path: Path) -> None:
    simulate(tmp_path / "own", LoadSizes(days=3, step=900))
    found = checks(tmp_path / "own", datetime(2026, 1, 8, tzinfo=UTC), tmp_path)
    assert failed(found) <= {UNSEEN}
    not_judged = {name for name, check in found.items() if check.outcome == "not judged"}
    assert {"zeros", "flat lines", "clocks", "volume against the same weekday"} <= not_judged


# ------------------------------------------------------------------------------------------------------- the feed


def test_a_feed_that_stopped_is_refused_and_names_series_and_hours(judge: Judge) -> None:
    found = judge(lambda rows: rows.filter(~pl.col("series").str.contains("requests")), since=date(2026, 2, 14))
    assert found["freshness"].outcome == "failed"
    assert "no series of 900 s has a point of the last 48 hours" in found["freshness"].sentence
    assert "eu-central/checkout/requests" in found["freshness"].sentence
    assert Verdict(tuple(found.values())).ruling == "refused"


def test_one_series_that_stopped_is_a_note(judge: Judge) -> None:
    found = judge(lambda rows: rows.filter(~pl.col("series").str.contains("us-east/home/req")), since=date(2026, 2, 10))
    assert failed(found) == {"freshness of every series", "gaps"}
    assert "us-east/home/requests has no point of the last 144 hours" in found["freshness of every series"].sentence
    assert Verdict(tuple(found.values())).ruling == "passed"


def test_weeks_are_fresh_until_the_next_is_over(judge: Judge) -> None:
    assert failed(judge(at=END - timedelta(hours=1))) == set()
    found = judge(lambda rows: rows.filter(~pl.col("series").str.contains("orders")), since=date(2026, 2, 2))
    assert "no series of 604800 s has a point of the last 168 hours" in found["freshness"].sentence


# ----------------------------------------------------------------------------------------------------------- gaps


def test_a_gap_is_named_with_its_hours_and_counts(judge: Judge) -> None:
    gap = between("2026-02-12T03:00", "2026-02-12T11:00", "eu-central/home/req")
    found = judge(lambda rows: rows.filter(~gap))
    assert failed(found) == {"gaps"}
    words = "on 2026-02-12 lacks 32 points, the longest gap 32 steps from 2026-02-12 03:00 to 02-12 11:00"
    assert f"eu-central/home/requests {words}" in found["gaps"].sentence


def test_a_day_without_most_of_its_points_is_refused(judge: Judge) -> None:
    found = judge(lambda rows: rows.filter(~between("2026-02-12T06:00", "2026-02-13", "requests")))
    assert {"missing points", "gaps"} <= failed(found)
    assert (
        "on Thu 2026-02-12, series of 900 s, 75% of the points of 6 series are missing (432 steps)"
        in found["missing points"].sentence
    )


def test_a_gap_that_people_noted_is_none(judge: Judge) -> None:
    mask = "gone,1,*,*,2026-02-12T06:00:00Z,2026-02-13T00:00:00Z,outage,2026-02-13T01:00:00Z,active,ops,"
    gap = between("2026-02-12T06:00", "2026-02-13", "requests")
    assert failed(judge(lambda rows: rows.filter(~gap), masks=mask)) == set()
    for other in (
        mask.replace("2026-02-13T01", "2026-02-17T01"),
        mask.replace("outage", "keep"),
    ):  # not known yet; no mask
        assert "gaps" in failed(judge(lambda rows: rows.filter(~gap), masks=other))


# --------------------------------------------------------------------------------------------------- false values


def test_zeros_by_day_wait_for_a_person_unless_masked(judge: Judge) -> None:
    dead = between("2026-02-13T10:00", "2026-02-13T13:00", "eu-central/.*req")
    change = lambda rows: rows.with_columns(value=pl.when(dead).then(0.0).otherwise("value"))  # noqa: E731
    found = judge(change)
    assert failed(found) == {"zeros"}
    assert found["zeros"].consequence == "review"
    words = "was 0 for 3.0 hours in which it seldom is, 12 steps from 2026-02-13 10:00 to 02-13 13:00"
    assert f"eu-central/home/requests {words}" in found["zeros"].sentence
    mask = f"out,1,{EU},*,2026-02-13T10:00:00Z,2026-02-13T13:00:00Z,outage,2026-02-13T15:00:00Z,active,ops,"
    assert failed(judge(change, masks=mask)) == set()


def test_zeros_at_an_hour_that_is_often_idle_are_no_fault(judge: Judge) -> None:
    idle = pl.col("series").str.contains("eu-central/cart|eu-central/checkout/req") & pl.col(
        "time"
    ).dt.hour().is_between(1, 4)
    assert failed(judge(lambda rows: rows.with_columns(value=pl.when(idle).then(0.0).otherwise("value")))) == set()


def test_a_stuck_sensor_is_found(judge: Judge) -> None:
    stuck = between("2026-02-13T10:00", "2026-02-13T18:00", "us-east/search/req")
    found = judge(lambda rows: rows.with_columns(value=pl.when(stuck).then(777.0).otherwise("value")))
    assert failed(found) == {"flat lines"}
    assert (
        "us-east/search/requests kept one value for 32 steps from 2026-02-13 10:00 to 02-13 18:00"
        in found["flat lines"].sentence
    )


def test_a_gauge_that_is_often_constant_is_no_stuck_sensor(tmp_path: Path) -> None:
    own = tmp_path / "own"
    times = pl.datetime_range(END - timedelta(days=40), END, "15m", closed="left", eager=True, time_zone="UTC")
    values = [4.0 if n // 48 % 3 else 5.0 for n in range(len(times))]  # instances, changed every half a day
    frame = pl.DataFrame({"series": "eu/pool/instances", "time": times, "value": values})
    write_days(
        frame.with_columns(known_at=pl.col("time") + timedelta(minutes=15)),
        own,
        [Series("eu/pool/instances", "eu", "pool", "instances", "", "UTC", 900, "mean")],
    )
    assert checks(own, END, tmp_path)["flat lines"].outcome == "passed"


def test_half_the_load_missing_at_once_is_refused(judge: Judge) -> None:
    half = between("2026-02-13", "2026-02-14", "req")
    found = judge(lambda rows: rows.with_columns(value=pl.when(half).then(pl.col("value") * 0.3).otherwise("value")))
    assert "volume against the same weekday" in failed(found)
    assert "Fri 2026-02-13, series of 900 s have 0." in found["volume against the same weekday"].sentence
    tenfold = judge(lambda rows: rows.with_columns(value=pl.when(half).then(pl.col("value") * 10).otherwise("value")))
    assert failed(tenfold) == {"surge against the same weekday"}
    assert Verdict(tuple(tenfold.values())).ruling == "review"


def test_an_event_of_the_calendar_excuses_a_surge(judge: Judge) -> None:
    day = between("2026-02-13", "2026-02-14", "req")
    event = "rush,1,sale,Rush,*,*,2026-02-13T00:00:00Z,2026-02-14T00:00:00Z,5,2026-01-01T00:00:00Z,planned,ann,"
    change = lambda rows: rows.with_columns(value=pl.when(day).then(pl.col("value") * 10).otherwise("value"))  # noqa: E731
    assert failed(judge(change, calendar=event)) == set()


# ------------------------------------------------------------------------------------------------------- the clocks


@pytest.mark.parametrize(("hours", "words"), [(1, "1 h later"), (-2, "2 h earlier")])
def test_stamps_that_are_hours_off_are_found(source: Path, tmp_path: Path, hours: int, words: str) -> None:
    own = tmp_path / "own"
    shutil.copytree(source, own)
    wrong = datetime(2026, 2, 12, tzinfo=UTC)
    points = pl.concat([pl.read_parquet(path) for path in sorted((own / "points").iterdir())])
    moved = pl.col("series").str.contains("us-east.*requests") & (pl.col("time") >= wrong)
    shift = pl.when(moved).then(pl.duration(hours=hours)).otherwise(pl.duration(hours=0))
    shifted = points.with_columns(pl.col("time", "known_at") + shift).unique(["series", "time"], keep="last")
    for path in (own / "points").iterdir():
        path.unlink()
    write_days(shifted.filter(pl.col("time") < END), own)
    found = checks(own, END, tmp_path)
    assert found["clocks"].outcome == "failed"
    assert found["clocks"].consequence == "review"
    assert f"us-east by the clock of America/New_York, series of 900 s lies {words}" in found["clocks"].sentence
    assert "eu-central" not in found["clocks"].sentence


def test_a_zone_that_changes_in_series_csv_alone_is_no_shift_of_the_feed(source: Path, tmp_path: Path) -> None:
    own = tmp_path / "own"
    shutil.copytree(source, own)
    text = (own / "series.csv").read_text().replace("America/New_York", "Asia/Tokyo")
    (own / "series.csv").write_text(text)
    assert checks(own, END, tmp_path)["clocks"].outcome == "passed"


def test_an_hour_lost_when_clocks_were_set_back_is_noted_and_a_longer_outage_is_another_thing(tmp_path: Path) -> None:
    end = datetime(2026, 10, 28, tzinfo=UTC)
    own = tmp_path / "own"
    simulate(own, LoadSizes(days=40, step=900, regions=1), start=end.date() - timedelta(days=40))
    path = own / "points/2026-10-25.parquet"
    rows = pl.read_parquet(path)
    rows.filter(~between("2026-10-25T01:00", "2026-10-25T02:00")).write_parquet(path)
    found = checks(own, end, tmp_path)
    name = "hours around the setting of clocks"
    assert failed(found) - {UNSEEN} == {name}
    assert "100% of the points of eu-central by the clock of Europe/Berlin" in found[name].sentence
    rows.filter(~between("2026-10-25T00:00", "2026-10-25T05:00")).write_parquet(path)
    assert failed(checks(own, end, tmp_path)) - {UNSEEN} <= {"gaps"}


# --------------------------------------------------------------------------------------------------- the companions


def test_a_name_that_no_series_has_waits_for_a_person(judge: Judge) -> None:
    event = "spring,1,sale,Spring,eu-centrall,home|hom,2026-03-20,2026-03-21,1,2026-01-01T00:00:00Z,planned,ann,"
    found = judge(calendar=event)
    assert failed(found) == {"names in calendar and masks"}
    assert (
        "the event spring names eu-centrall, hom, which no series has" in found["names in calendar and masks"].sentence
    )
    mask = "m1,1,us-east,pay,2026-02-01T00:00:00Z,2026-02-01T01:00:00Z,robots,2026-02-02T00:00:00Z,active,ops,"
    assert "the mask m1 names pay" in judge(masks=mask)["names in calendar and masks"].sentence
    cancelled = event + "\n" + event.replace(",1,sale", ",2,sale").replace("planned", "cancelled")
    assert failed(judge(calendar=cancelled)) == set()


def test_a_planned_kind_that_was_never_seen_is_a_note(judge: Judge) -> None:
    event = "opening,1,store-opening,Opening,*,*,2026-03-20,2026-03-21,1,2026-01-01T00:00:00Z,planned,ann,"
    found = judge(calendar=event)
    assert failed(found) == {"kinds of planned events"}
    assert "opening is planned, and no store-opening was seen before" in found["kinds of planned events"].sentence
    assert Verdict(tuple(found.values())).ruling == "passed"
    before = (
        event.replace("2026-03", "2026-02")
        .replace("-20,", "-09,")
        .replace("-21,", "-10,")
        .replace("opening,1", "first,1", 1)
    )
    assert failed(judge(calendar=f"{event}\n{before}")) == set()


def test_a_source_without_companions_is_judged_all_the_same(source: Path, tmp_path: Path) -> None:
    own = tmp_path / "own"
    shutil.copytree(source, own)
    (own / "calendar.csv").unlink()
    (own / "masks.csv").unlink()
    found = checks(own, END, tmp_path)
    assert found["names in calendar and masks"].outcome == "not judged"
    assert "planned or masked" in found["names in calendar and masks"].sentence


def test_a_source_of_weeks_alone_is_judged_by_its_freshness(source: Path, tmp_path: Path) -> None:
    own = tmp_path / "own"
    shutil.copytree(source, own)
    kept = [line for line in (own / "series.csv").read_text().splitlines() if "requests" not in line]
    (own / "series.csv").write_text("\n".join(kept) + "\n")
    for path in (own / "points").iterdir():
        rows = pl.read_parquet(path).filter(pl.col("series").str.contains("orders"))
        path.unlink()
        if len(rows):
            rows.write_parquet(path)
    found = checks(own, END, tmp_path)
    assert found["freshness"].outcome == "passed"
    assert failed(found) == set()
