"""Live load for a demonstration: what comes of every series, step by step, under the calendar in force.

Who drags a sale on to now sees the load follow: what is still to come is drawn with the calendar as it stands.
"""

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import cast

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from headgate.contract.demonstration import Call, Play, midnight
from headgate.contract.row import INSTANT
from headgate.decisions import reading
from headgate.domains.capacity.companions import local_time
from headgate.domains.capacity.companions.calendar import Event
from headgate.domains.capacity.companions.followed import known, shared_folder
from headgate.domains.capacity.data.notation import STEPS
from headgate.domains.capacity.demonstration.orders import plan_orders
from headgate.domains.capacity.serving.log_rows import LOG
from headgate.domains.capacity.simulated.events import Happening
from headgate.domains.capacity.simulated.simulator import minutes_of
from headgate.domains.capacity.simulated.sizes import LoadSizes
from headgate.errors import HeadgateError
from headgate.settings import Settings

log = logging.getLogger(__name__)

PATH = "/v1/capacity/track"


def traffic(settings: Settings, play: Play, now: Callable[[], float] = time.time) -> Iterator[Call]:
    """What came of every series of requests since midnight UTC, as far as the log was not told, then each step.

    Steps are those of the raw files, such as minutes. Where the calendar was changed, orders are planned by it with the
    next step, so that they follow as the load does.
    """
    world, step = _World(settings, play), cast(LoadSizes, play.sizes).step
    told = _told_until(settings, midnight(datetime.fromtimestamp(now(), UTC)), step)
    at, due = now(), True  # there may be no plan yet
    while True:
        until = at // step * step
        if until > told:
            for series in world.series:
                yield Call(PATH, world.told(series, told, until), at)
            told = until
        if world.looked() or due:
            _plan_again(settings, play)
            due = False
        at = (max(now(), at) // step + 1) * step


def _told_until(settings: Settings, since: datetime, step: int) -> float:
    """Up to when the log was told what came since an instant: who tells a step twice has it count twice."""
    steps = (pl.col("kind") == "actual") & (pl.col("step") == step) & (pl.col("time") >= since)
    last = since.timestamp() - step
    for part in reading.listed(settings, LOG.name, since):
        rows = reading.read_part(settings, LOG, part, steps, {"time": LOG.own["time"], "decided_at": INSTANT})
        if len(rows):
            last = max(last, rows["time"].dt.epoch("s").to_numpy().max())
    return last + step


def _plan_again(settings: Settings, play: Play) -> None:
    try:
        plan_orders(settings, play)
    except HeadgateError as error:
        log.warning("orders are not planned again: %s", error)


class _World:
    """What comes of every series, drawn a day at a time with the calendar in force."""

    def __init__(self, settings: Settings, play: Play) -> None:
        self._settings, self._play = settings, play
        self._sizes = cast(LoadSizes, play.sizes)
        self._calendar: tuple[str, Sequence[Event]] = ("", ())
        self._calendar = self._in_force()
        self._days: dict[datetime, Mapping[str, NDArray[np.float64]]] = {}
        self.series = sorted(self._day(play.as_of))

    def looked(self) -> bool:
        """Whether the calendar has changed since the last look; what comes is drawn anew then."""
        before, self._calendar = self._calendar, self._in_force()
        if before[0] == self._calendar[0]:
            return False
        self._days.clear()
        return True

    def told(self, series: str, start: float, end: float) -> bytes:
        """What came of `series` in the steps of [start, end), epoch seconds, as it is told."""
        first, last = (datetime.fromtimestamp(instant, UTC) for instant in (start, end))
        minutes = np.concatenate([self._day(day)[series] for day in _days(first, last)])
        since = int((first - midnight(first)).total_seconds()) // 60
        mine = minutes[since : since + int(end - start) // 60].reshape(-1, self._sizes.step // 60).sum(axis=1)
        step = next(name for name, seconds in STEPS.items() if seconds == self._sizes.step)
        body = {"series": series, "from": first.isoformat(), "to": last.isoformat(), "step": step}
        return msgspec.json.encode(body | {"values": mine.tolist()})

    def _day(self, day: datetime) -> Mapping[str, NDArray[np.float64]]:
        if day not in self._days:
            self._days = {kept: self._days[kept] for kept in list(self._days)[-1:]}
            sizes = self._sizes
            self._days[day] = minutes_of(
                day.date(),
                [_happening(event) for event in self._calendar[1]],
                seed=self._play.seed,
                regions=sizes.regions,
                services=sizes.services,
            )
        return self._days[day]

    def _in_force(self) -> tuple[str, Sequence[Event]]:
        """Id and events of the calendar in force; what was known last where it cannot be read."""
        folder = shared_folder(self._settings) or self._play.source
        try:
            found = known(folder, Event, datetime.now(UTC))
        except HeadgateError:
            found = None
        return found or self._calendar


def _happening(event: Event) -> Happening:
    """An event of the calendar as it happens."""
    start, end = (local_time.parse(text) for text in (event.start, event.end))
    return Happening(
        event.event,
        event.kind,
        event.name,
        start,
        end,
        event.known_since,
        region=event.region,
        services=event.services,
        intensity=event.intensity,
    )


def _days(first: datetime, last: datetime) -> list[datetime]:
    """The midnights of the days that [first, last) touches."""
    start = midnight(first)
    return [start + timedelta(number) for number in range((last - timedelta(seconds=1) - start).days + 1)]
