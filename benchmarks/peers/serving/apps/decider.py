"""What every peer decides with: Headgate's own counters in Redis and its own predictor, on the same bundle."""

import os
import threading
from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, cast

import numpy as np
import uvloop
from pydantic import BaseModel

from headgate.domains.adclicks.data.schema import DEVICES
from headgate.domains.adclicks.features.click import Click, now
from headgate.domains.adclicks.features.redis_counters import RedisCounters
from headgate.domains.adclicks.model.predictor import Predictor
from headgate.serving.redis import connect

#: Seconds that Redis has: so long that every peer really asks it, and none answers by default.
DEADLINE = 5.0

_DEVICE = {name: code for code, name in enumerate(DEVICES)}


class PostedClick(BaseModel):
    """A click as it is posted, for the frameworks that take pydantic's models."""

    click_id: str
    event_time: datetime
    user_id: str
    ip: str
    session_id: str | None = None
    device: str = "other"  # MLflow knows no narrower type
    logged_in: bool = False
    campaign: str = ""
    rfm: int | None = None
    received_at: datetime | None = None


class Decider:
    """Counts and decides clicks within one event loop."""

    def __init__(self) -> None:
        self._predictor = Predictor(Path(os.environ["BENCH_BUNDLE"]))
        self._counters: RedisCounters | None = None
        self._opened = AsyncExitStack()

    async def decide(self, posted: Sequence[PostedClick]) -> list[dict[str, Any]]:
        """The answers to clicks, in one pass."""
        if self._counters is None:
            counters = RedisCounters(connect(os.environ["BENCH_REDIS"]), DEADLINE)
            await self._opened.enter_async_context(counters.running())
            self._counters = counters
        clicks = [_click(one) for one in posted]
        observed = await self._counters.observe(clicks)
        if observed.vectors is None:
            unknown = {"invalid": False, "slice": "unknown", "version": 1, "pending": True}
            return [{"click_id": click.click_id} | unknown for click in clicks]
        device = np.array([_DEVICE[click.device] for click in clicks], dtype=np.int64)
        decided = self._predictor.decide_vectors(observed.vectors, device)
        return [
            {"click_id": click.click_id, "invalid": invalid, "slice": self._predictor.slices[leaf], "version": 1}
            for click, invalid, leaf in zip(clicks, decided.invalid.tolist(), decided.leaf.tolist(), strict=True)
        ]


class Blocking:
    """The same for frameworks that call a plain function, from one thread or several: each has a loop of its own."""

    def __init__(self) -> None:
        self._here = threading.local()

    def decide(self, posted: Sequence[PostedClick]) -> list[dict[str, Any]]:
        """The answers to clicks, in one pass."""
        here = self._here
        if not hasattr(here, "loop"):
            here.loop, here.decider = uvloop.new_event_loop(), Decider()
        return cast(list[dict[str, Any]], here.loop.run_until_complete(here.decider.decide(posted)))


def _click(posted: PostedClick) -> Click:
    offset = cast(timedelta, posted.event_time.utcoffset())
    return Click(
        click_id=posted.click_id,
        event_time=posted.event_time,
        utc_offset_min=int(offset.total_seconds()) // 60,
        user_id=posted.user_id,
        session_id=posted.session_id or posted.user_id,
        ip=posted.ip,
        device=posted.device,
        logged_in=posted.logged_in,
        campaign=posted.campaign,
        rfm=posted.rfm,
        received_at=posted.received_at or now(),
    )
