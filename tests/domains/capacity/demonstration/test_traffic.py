"""Live load: what came since midnight, each minute as it is over, and what the calendar says of what is to come."""

import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
import pytest

from headgate.contract.demonstration import Call, Play
from headgate.decisions.recorder import Segments
from headgate.domains.capacity.companions import edit
from headgate.domains.capacity.companions.edit import Signature
from headgate.domains.capacity.demonstration import traffic as module
from headgate.domains.capacity.demonstration.calendar import put_in_force
from headgate.domains.capacity.demonstration.traffic import traffic
from headgate.domains.capacity.serving.log_rows import LoggedForecast
from headgate.domains.capacity.simulated.simulator import simulate
from headgate.domains.capacity.simulated.sizes import LoadSizes
from headgate.errors import HeadgateError
from headgate.settings import Settings

AS_OF = datetime(2026, 2, 16, tzinfo=UTC)
SIZES = LoadSizes(days=3, regions=1, services=2, step=60)
SALE = "two-day-sale-2026-02-16"
HOME = "eu-central/home/requests"


class Clock:
    """A time that the test sets."""

    def __init__(self, at: datetime) -> None:
        self.at = at.timestamp()

    def __call__(self) -> float:
        return self.at


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("live") / "raw"
    simulate(out, SIZES, scenario="on-sale", start=(AS_OF - timedelta(days=3)).date())
    return out


@pytest.fixture
def play(settings: Settings, raw: Path) -> Play:
    """A demonstration whose calendar is in force."""
    made = Play(settings.home / "demo" / "capacity", SIZES, "on-sale", (AS_OF - timedelta(days=3)).date(), AS_OF)
    shutil.copytree(raw, made.source)
    put_in_force(settings, made, None)
    return made


@pytest.fixture(autouse=True)
def planned(monkeypatch: pytest.MonkeyPatch) -> list[Play]:
    """How often orders were planned: there is no version here to plan by."""
    seen: list[Play] = []
    monkeypatch.setattr(module, "plan_orders", lambda settings, play: seen.append(play))
    return seen


def told(call: Call) -> dict[str, Any]:
    assert call.path == "/v1/capacity/track"
    return dict(msgspec.json.decode(call.body))


def of(calls: Iterator[Call], count: int) -> list[dict[str, Any]]:
    return [told(call) for call in islice(calls, count)]


def test_what_came_since_midnight_is_told_first_and_then_each_minute(settings: Settings, play: Play) -> None:
    now = Clock(AS_OF + timedelta(hours=10, minutes=20, seconds=30))
    calls = traffic(settings, play, now)
    first = of(calls, 2)
    assert [(one["step"], one["from"], len(one["values"])) for one in first] == [("1min", AS_OF.isoformat(), 620)] * 2
    assert [one["series"] for one in first] == ["eu-central/home/requests", "eu-central/search/requests"]
    (later,) = islice(calls, 1)
    assert later.at == (AS_OF + timedelta(hours=10, minutes=21)).timestamp()
    assert told(later)["from"] == (AS_OF + timedelta(hours=10, minutes=20)).isoformat()
    assert len(told(later)["values"]) == 1


def test_what_the_log_knows_is_not_told_again(settings: Settings, play: Play) -> None:
    known = AS_OF + timedelta(hours=9, minutes=59)
    recorder = Segments(settings)
    for step, at in ((60, known), (900, known + timedelta(minutes=1))):  # quarters of an hour are not its business
        row = LoggedForecast(f"d-{step}", 0, 1, "b", "", "champion", "", "inside", "actual", HOME, step)
        recorder.record("capacity", [msgspec.structs.replace(row, time=int(at.timestamp() * 1e6))])
    calls = traffic(settings, play, Clock(AS_OF + timedelta(hours=10, minutes=20)))
    assert {one["from"] for one in of(calls, 2)} == {(AS_OF + timedelta(hours=10)).isoformat()}


def test_a_day_that_was_simulated_came_as_it_stands_in_its_file(settings: Settings, play: Play) -> None:
    yesterday = AS_OF - timedelta(days=1)
    calls = traffic(settings, play, Clock(yesterday + timedelta(hours=23, minutes=59)))
    points = pl.read_parquet(play.source / f"points/{yesterday:%Y-%m-%d}.parquet")
    for one in of(calls, 2):
        mine = points.filter(pl.col("series") == one["series"]).sort("time")["value"].to_list()
        assert one["values"] == mine[:-1]


def test_midnight_is_crossed(settings: Settings, play: Play) -> None:
    now = Clock(AS_OF + timedelta(hours=23, minutes=58, seconds=30))
    calls = traffic(settings, play, now)
    of(calls, 2)
    now.at += 150
    (one, _) = of(calls, 2)
    assert (one["from"], len(one["values"])) == ((AS_OF + timedelta(hours=23, minutes=58)).isoformat(), 4)


def test_load_and_orders_follow_the_calendar_in_force(settings: Settings, play: Play, planned: list[Play]) -> None:
    def afternoon(change: Callable[[], object]) -> float:
        """What came to the home page from noon to six, where `change` is made at noon."""
        calls = traffic(settings, play, now := Clock(AS_OF + timedelta(hours=12)))
        of(calls, 2)
        change()
        now.at += 6 * 3600
        return sum(sum(one["values"]) for one in of(calls, 2) if one["series"] == HOME)

    usual = afternoon(lambda: None)
    assert planned == [play], "once, in case that no plan is there yet"
    less = afternoon(lambda: edit.cancel(settings.home / "calendar", SALE, Signature("ana", "The supplier is late.")))
    assert planned == [play] * 2
    assert less < 0.8 * usual


def test_a_later_change_is_planned_by_too(settings: Settings, play: Play, planned: list[Play]) -> None:
    calls = traffic(settings, play, now := Clock(AS_OF + timedelta(hours=12)))
    of(calls, 2)
    for minutes in range(3):
        now.at += 60
        of(calls, 2)
        if minutes == 1:
            edit.cancel(settings.home / "calendar", SALE, Signature("ana", "The supplier is late."))
    of(calls, 2)
    assert planned == [play] * 2


def test_a_plan_that_cannot_be_made_ends_nothing(
    settings: Settings, play: Play, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(settings: Settings, play: Play) -> str:
        raise HeadgateError("The limits leave no plan.")

    monkeypatch.setattr(module, "plan_orders", refuse)
    of(traffic(settings, play, Clock(AS_OF + timedelta(hours=12))), 4)
    assert "leave no plan" in caplog.text
