"""What is expected of a snapshot's profile: sick data is refused by name and number, odd but sound data is not."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from headgate import stages
from headgate.contract.checks import Check
from headgate.domain import Request, get_domain
from headgate.domains.adclicks.simulated.simulator import simulate
from headgate.domains.adclicks.simulated.sizes import ClickSizes
from headgate.errors import DataRefused
from headgate.gate.judge import data_checks

Doctored = Callable[..., Path]

ADCLICKS = get_domain("adclicks")


class Looked:
    """How the validate stage ended: its checks by name, and the refusal's words where there was one."""

    def __init__(self, source: Path, as_of: datetime, work: Path) -> None:
        self.work = work
        self.refusal = ""
        stages.snapshot(ADCLICKS, work, Request(str(source), as_of))
        try:
            stages.validate(ADCLICKS, work)
        except DataRefused as refusal:
            self.refusal = str(refusal)
        self.checks: dict[str, Check] = {check.name: check for check in data_checks(work).checks}

    def failed(self) -> set[str]:
        return {name for name, check in self.checks.items() if check.outcome == "failed"}


@pytest.fixture(scope="module")
def look(tmp_path_factory: pytest.TempPathFactory, as_of: datetime) -> Callable[..., Looked]:
    """Take a snapshot of a source and validate it."""
    return lambda source, when=as_of: Looked(source, when, tmp_path_factory.mktemp("look") / "work")


# -- what is sound -----------------------------------------------------------------------------------------------------


def test_calm_days_pass_every_check(calm: Path, look: Callable[..., Looked]) -> None:
    found = look(calm)
    assert found.refusal == ""
    assert {check.outcome for check in found.checks.values()} == {"passed"}
    assert (found.work / "validate" / "hours.csv").is_file()


def test_an_attack_is_no_loss_of_labels(look: Callable[..., Looked], tmp_path: Path) -> None:
    """Robots that click four times as much lower the share of human clicks, not their number."""
    simulate(tmp_path / "attack", ClickSizes(days=17, clicks_per_day=25_000), scenario="attack", seed=5)
    found = look(tmp_path / "attack")
    days = pl.read_csv(found.work / "validate" / "days.csv")
    assert days.filter(pl.col("key") == "Tue 2026-01-20")["ratio"][0] > 1.5
    assert found.checks["human density by hour"].outcome == "passed"
    assert found.refusal == ""


def test_a_day_with_one_slice_only_passes(small: Path, doctored: Doctored, look: Callable[..., Looked]) -> None:
    def one_slice(day: pl.DataFrame) -> pl.DataFrame:
        return day.with_columns(device=pl.lit("mobile"), logged_in=pl.lit(False), ip="click_id")

    assert look(doctored(small, {"clicks/2026-01-16.parquet": one_slice})).refusal == ""


def test_four_minutes_of_clicks_have_no_rhythm_to_judge(
    written: Callable[..., Path], look: Callable[..., Looked]
) -> None:
    start = datetime(2026, 3, 9, 14, tzinfo=UTC)
    clicks = [{"click_id": f"c{n}", "event_time": start + timedelta(milliseconds=80 * n)} for n in range(3_000)]
    purchases = [
        {"purchase_id": f"p{n}", "click_id": f"c{50 * n}", "purchased_at": known, "known_at": known, "amount": 1.0}
        for n in range(60)
        for known in [start + timedelta(minutes=30, seconds=n)]
    ]
    found = look(written(clicks=clicks, purchases=purchases), start + timedelta(hours=24, minutes=4))
    density = found.checks["human density by hour"]
    assert density.outcome == "not judged"
    assert density.sentence == "A week's rhythm cannot be judged: mature clicks span 0.1 hours, 7 days are needed."
    for name in ("volume against the same weekday", "surge against the same weekday"):
        assert found.checks[name].outcome == "not judged"
        assert "No day has the same weekday before it" in found.checks[name].sentence
    assert found.refusal == ""


# -- labels that are missing -------------------------------------------------------------------------------------------


def _without_purchases(source: Path, clicks: pl.DataFrame) -> dict[str, Callable[[pl.DataFrame], pl.DataFrame]]:
    """Changes that take the purchases of `clicks` out of a source."""
    names = (f"purchases/{path.name}" for path in (source / "purchases").iterdir())
    return {name: lambda day: day.join(clicks, on="click_id", how="anti") for name in names}


def test_six_hours_without_labels_are_refused_by_their_hours_and_counts(
    calm: Path, doctored: Doctored, look: Callable[..., Looked]
) -> None:
    first = datetime(2026, 1, 20, 15, tzinfo=UTC)
    clicks = pl.read_parquet(calm / "clicks" / "2026-01-20.parquet")
    lost = clicks.filter(pl.col("event_time").is_between(first, first + timedelta(hours=6), closed="left"))
    found = look(doctored(calm, _without_purchases(calm, lost)))
    assert found.failed() == {"human density by hour"}
    for hour in range(15, 21):
        assert f"Tue 2026-01-20 {hour}:00 UTC has 0 purchases, " in found.refusal
    assert " expected" in found.refusal
    assert "have them delivered again" in found.refusal
    hours = pl.read_csv(found.work / "validate" / "hours.csv").filter(pl.col("source") == "purchases")
    low = hours.filter(pl.col("p") < 1e-6)
    assert low["labels"].to_list() == [0] * 6
    assert low["expected"].min() > 20  # type: ignore[operator]


def test_a_day_without_people_is_refused_as_a_day(small: Path, doctored: Doctored, look: Callable[..., Looked]) -> None:
    clicks = pl.read_parquet(small / "clicks" / "2026-01-16.parquet")
    changes = _without_purchases(small, clicks)
    changes["clicks/2026-01-16.parquet"] = lambda day: day.with_columns(rfm=pl.lit(None, pl.Int8))
    found = look(doctored(small, changes))
    assert found.failed() == {"human density by hour"}
    assert "Fri 2026-01-16, the whole day has 0 purchases, " in found.refusal
    assert "Fri 2026-01-16, the whole day has 0 clicks of high RFM, " in found.refusal


def test_a_source_without_purchases_is_refused(small: Path, doctored: Doctored, look: Callable[..., Looked]) -> None:
    found = look(doctored(small, {f"purchases/{path.name}": None for path in (small / "purchases").iterdir()}))
    assert "only 0 purchases are known for the mature clicks" in found.refusal
    assert "check the feed of purchases" in found.refusal


# -- feeds that are sick -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sick(small: Path, doctored: Doctored, look: Callable[..., Looked]) -> Looked:
    """Every fault of a feed at once, each on a day of its own."""

    def some(every: int) -> pl.Expr:
        return pl.int_range(pl.len()) % every == 0

    def broken(day: pl.DataFrame) -> pl.DataFrame:
        return day.with_columns(
            user_id=pl.when(some(20)).then(pl.lit("")).otherwise("user_id"),
            rfm=pl.when(some(20)).then(pl.lit(16, pl.Int8)).otherwise("rfm"),
            utc_offset_min=pl.when(some(20)).then(pl.lit(841, pl.Int16)).otherwise("utc_offset_min"),
            device=pl.when(some(4)).then(pl.lit("fridge")).otherwise("device"),
        )

    def slow(day: pl.DataFrame) -> pl.DataFrame:
        return day.with_columns(pl.col("purchased_at") - timedelta(hours=30))

    changes = {
        "clicks/2026-01-14.parquet": lambda day: pl.concat([day, day.filter(some(20))]),
        "clicks/2026-01-15.parquet": lambda day: day.with_columns(
            event_time=pl.when(some(20)).then(pl.col("received_at") + timedelta(minutes=6)).otherwise("event_time")
        ),
        "clicks/2026-01-16.parquet": lambda day: day.with_columns(
            event_time=pl.col("received_at") - timedelta(minutes=61)
        ),
        "clicks/2026-01-17.parquet": broken,
        "clicks/2026-01-20.parquet": None,
    }
    return look(doctored(small, changes | {f"purchases/2026-01-{day}.parquet": slow for day in range(12, 16)}))


def _rows(small: Path, day: int) -> int:
    return len(pl.read_parquet(small / "clicks" / f"2026-01-{day}.parquet", columns=["click_id"]))


def test_repeated_clicks_are_named_with_their_share_and_day(sick: Looked, small: Path) -> None:
    once = _rows(small, 14)
    twice = -(-once // 20)
    share = f"{twice / (once + twice):.2%}"
    words = f"{share} of a day repeat a click_id, {twice} of {once + twice:,} clicks that arrived on 2026-01-14"
    assert words in sick.refusal


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("clicks from the future", "happened more than 5 minutes after they were received"),
        ("late clicks", "arrived more than an hour late"),
        ("label maturity", "of the purchases became known later than a day"),
        ("volume against the same weekday", "Tue 2026-01-20 has 0 clicks, "),
        ("ranges", "column user_id is out of range or empty in "),
        ("ranges", "column rfm is out of range or empty in "),
        ("ranges", "column utc_offset_min is out of range or empty in "),
    ],
)
def test_each_fault_of_a_feed_is_refused_in_words(sick: Looked, name: str, words: str) -> None:
    check = sick.checks[name]
    assert (check.outcome, check.consequence) == ("failed", "refuse")
    assert words in check.sentence
    assert words in sick.refusal


def test_a_missing_day_is_told_with_what_the_week_before_had(sick: Looked, small: Path) -> None:
    assert f"Tue 2026-01-20 has 0 clicks, {_rows(small, 13):,} a week before" in sick.refusal


def test_unknown_devices_are_noted_and_refuse_nothing(sick: Looked) -> None:
    check = sick.checks["known devices"]
    assert (check.outcome, check.consequence) == ("failed", "note")
    assert "column device is none of mobile, desktop, tablet, other in" in check.sentence


def test_a_refusal_leaves_what_it_was_read_off(sick: Looked) -> None:
    folder = sick.work / "validate"
    names = {path.name for path in folder.iterdir()}
    assert names == {"checks.json", "feed.csv", "columns.csv", "days.csv", "hours.csv"}
    assert data_checks(sick.work).ruling == "refused"


def test_copies_are_found_beside_a_day_that_has_not_begun(
    small: Path, as_of: datetime, doctored: Doctored, look: Callable[..., Looked]
) -> None:
    """The as-of is the midnight at which the last file of the source begins."""
    source = doctored(small, {"clicks/2026-01-14.parquet": lambda day: pl.concat([day, day[: len(day) // 20]])})
    assert "clicks that arrived on 2026-01-14" in look(source, as_of - timedelta(days=1)).refusal


def test_a_feed_that_stopped_is_refused_with_its_age(small: Path, as_of: datetime, look: Callable[..., Looked]) -> None:
    found = look(small, as_of + timedelta(hours=30))
    assert "the newest click arrived 30.0 hours before the as-of" in found.refusal


def test_a_handful_of_clicks_is_refused(written: Callable[..., Path], look: Callable[..., Looked]) -> None:
    start = datetime(2026, 3, 9, tzinfo=UTC)
    source = written(clicks=[{"event_time": start + timedelta(seconds=n)} for n in range(50)])
    assert "only 50 mature clicks" in look(source, start + timedelta(hours=25)).refusal
