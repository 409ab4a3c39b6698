"""Live clicks for a demonstration: the last simulated day, robots and all, click by click at the hour of today."""

import secrets
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, timezone

import msgspec
import polars as pl

from headgate.contract.demonstration import Call, Play, midnight
from headgate.settings import Settings

PATH = "/v1/adclicks/decisions"

#: What is posted of a click as it is; its id, its time and its rfm are written anew.
_AS_IT_IS = ("user_id", "session_id", "ip", "device", "logged_in", "campaign")

DAY = timedelta(days=1)


def traffic(settings: Settings, play: Play, now: Callable[[], float] = time.time) -> Iterator[Call]:
    """From now on, day after day, every click of the last day of `play` at the time of day at which it arrived.

    Ids are new in every run, so that none is taken for a click that was sent before.
    """
    run, last = secrets.token_hex(4), play.as_of - DAY
    clicks = pl.read_parquet(play.source / f"clicks/{last:%Y-%m-%d}.parquet").sort("received_at", "click_id")
    today = midnight(datetime.fromtimestamp(now(), UTC))
    while True:
        later = today - last
        since = datetime.fromtimestamp(now(), UTC) - later
        for click in clicks.filter(pl.col("received_at") >= since).iter_rows(named=True):
            local = timezone(timedelta(minutes=click["utc_offset_min"]))
            posted = {name: click[name] for name in _AS_IT_IS}
            posted |= {"click_id": f"{run}-{today:%d}-{click['click_id']}"}
            posted |= {"event_time": (click["event_time"] + later).astimezone(local).isoformat()}
            if click["rfm"] is not None:
                posted["rfm"] = click["rfm"]
            yield Call(PATH, msgspec.json.encode(posted), (click["received_at"] + later).timestamp())
        today += DAY
