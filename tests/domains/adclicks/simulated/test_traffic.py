"""Live clicks: those of the last simulated day at the hour of today, as the endpoint takes them."""

from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path

import msgspec
import polars as pl
import pytest

from headgate.contract.demonstration import Play
from headgate.domains.adclicks.serving.routes import PostedClick
from headgate.domains.adclicks.simulated.simulator import simulate
from headgate.domains.adclicks.simulated.sizes import ClickSizes
from headgate.domains.adclicks.simulated.traffic import traffic
from headgate.settings import Settings

SIZES = ClickSizes(days=2, clicks_per_day=2_000)
AS_OF = datetime(2026, 2, 16, tzinfo=UTC)
NOW = AS_OF + timedelta(hours=10, minutes=30)


@pytest.fixture(scope="module")
def play(tmp_path_factory: pytest.TempPathFactory) -> Play:
    out = tmp_path_factory.mktemp("live") / "raw"
    simulate(out, SIZES, start=(AS_OF - timedelta(days=2)).date())
    return Play(out, SIZES, "calm", (AS_OF - timedelta(days=2)).date(), AS_OF)


def last_day(source: Path) -> pl.DataFrame:
    return pl.read_parquet(source / "clicks/2026-02-15.parquet").sort("received_at", "click_id")


def test_it_begins_now_and_goes_on_as_the_last_day_did(settings: Settings, play: Play) -> None:
    rest = last_day(play.source).filter(pl.col("received_at") >= NOW - timedelta(days=1))
    calls = list(islice(traffic(settings, play, NOW.timestamp), len(rest) + 1))
    shift = timedelta(days=1).total_seconds()
    assert [call.at for call in calls[:-1]] == [at.timestamp() + shift for at in rest["received_at"]]
    assert calls[0].at >= NOW.timestamp()
    assert calls[-1].at >= (AS_OF + timedelta(days=1)).timestamp(), "and so does tomorrow"
    robots = pl.read_parquet(play.source.with_name("raw.truth") / "truth/2026-02-15.parquet")
    sent = {msgspec.json.decode(call.body)["click_id"].split("-", 2)[2] for call in calls[:-1]}
    assert robots.filter(pl.col("click_id").is_in(sent))["is_robot"].any(), "robots are among them"


def test_the_endpoint_takes_it_and_no_click_twice(settings: Settings, play: Play) -> None:
    sent = [
        msgspec.json.decode(call.body, type=PostedClick)
        for _ in range(2)
        for call in islice(traffic(settings, play, NOW.timestamp), 20)
    ]
    assert len({click.click_id for click in sent}) == 40
    click, row = sent[0], last_day(play.source)
    first = row.filter(pl.col("received_at").dt.time() > NOW.time()).row(0, named=True)
    assert (click.user_id, click.ip, click.device, click.rfm) == tuple(
        first[name] for name in ("user_id", "ip", "device", "rfm")
    )
    offset = click.event_time.utcoffset()
    assert offset == timedelta(minutes=first["utc_offset_min"]), "its local hour is the clicker's"
