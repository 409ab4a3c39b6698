"""The feature vectors of single clicks, from counters that are kept while clicks arrive.

`MemoryCounters` answers what `features.features` answers for the same clicks in the same order, to the last digit; see
`windows` for the semantics. Of each user and each IP it holds names and integers alone, so that another store can do
the same:

- the entity's latest effective time and latest arrival;
- for each window a ring, kept sparse: the number of clicks held, then pairs (bucket, clicks in it), oldest first;
- for each kind of member (a user's IPs, an IP's sessions and users) the `DISTINCT_CAP` most recently seen, each with
  the effective time it was last seen at, least recent first.
"""

from array import array
from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Sequence
from functools import lru_cache
from itertools import islice
from struct import Struct
from threading import Lock
from typing import Protocol

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from headgate.domains.adclicks import windows
from headgate.domains.adclicks.events import Click, micros
from headgate.domains.adclicks.features import (
    FEATURES,
    MINUTE_OF_DAY,
    WEEKDAY,
    ip_key,
    local_minute,
)
from headgate.domains.adclicks.windows import DAY, HISTORY, HOUR, LATENESS, SECOND, WINDOWS

_Geometry = tuple[tuple[int, int], ...]


def _geometry(*over: windows.Window) -> _Geometry:
    """Width and number of buckets of each window."""
    return tuple((window.width, window.buckets) for window in over)


_OVER_ALL, _OVER_HOUR_AND_DAY, _OVER_DAY = _geometry(*WINDOWS), _geometry(HOUR, DAY), _geometry(DAY)
_LONGEST = DAY.seconds * SECOND
_MINUTE_OF_DAY = [tuple(pair) for pair in MINUTE_OF_DAY.tolist()]
_WEEKDAY = [tuple(pair) for pair in WEEKDAY.tolist()]
_VECTOR = Struct(f"={len(FEATURES)}f")
_entity_of_ip = lru_cache(maxsize=65_536)(ip_key)


class Counters(Protocol):
    """What every online store does. Clicks are observed in order of arrival; a late one counts as `windows` says."""

    def observe(self, click: Click) -> NDArray[np.float32]:
        """The read-only vector [len(FEATURES)] of `click` before it is counted; of a repeated one, as it was then."""

    def observe_many(self, clicks: Sequence[Click]) -> NDArray[np.float32]:
        """The read-only vectors [n, len(FEATURES)] of `clicks`, each observed after those before it."""


class _Entity(msgspec.Struct, gc=False):
    """What is kept of one user or IP. Nothing in it is tracked by the garbage collector: millions cost it no pause."""

    arrival: int
    time: int
    rings: tuple[array, ...]
    seen: tuple[dict[str, int], ...]


class MemoryCounters:
    """Counters of one process, in bounded memory.

    An entity that was idle for longer than `HISTORY` is dropped, a few with every click, which changes no answer.
    Beyond `max_entities` users or as many IPs the least recently seen goes early (`evicted` counts them). A click id is
    remembered for `HISTORY`, at most `max_ids` of them (`forgotten` counts those that went early): a click that repeats
    it is answered as the first time and not counted again (`repeated`).

    Safe to call from several threads: one click is observed at a time, in the order in which the lock is won.
    """

    def __init__(self, max_entities: int = 1_000_000, max_ids: int = 1_000_000) -> None:
        """Start empty; `warm` fills the store from a log."""
        self.evicted = self.forgotten = self.repeated = 0
        self._max_entities, self._max_ids = max_entities, max_ids
        self._users: OrderedDict[str, _Entity] = OrderedDict()
        self._ips: OrderedDict[str, _Entity] = OrderedDict()
        self._answers: OrderedDict[str, tuple[int, bytes]] = OrderedDict()
        self._lock = Lock()

    def observe(self, click: Click) -> NDArray[np.float32]:
        """The read-only vector [len(FEATURES)] of `click` before it is counted; of a repeated one, as it was then."""
        return np.frombuffer(self._observe_click(click), dtype=np.float32)

    def observe_many(self, clicks: Sequence[Click]) -> NDArray[np.float32]:
        """The read-only vectors [n, len(FEATURES)] of `clicks`, each observed after those before it."""
        answers = b"".join([self._observe_click(click) for click in clicks])
        return np.frombuffer(answers, dtype=np.float32).reshape(-1, len(FEATURES))

    def warm(self, clicks: pl.DataFrame) -> None:
        """Observe a log of `clicks` (`features.COLUMNS`), in order of arrival however it stands."""
        times = [pl.col(name).dt.epoch("us") for name in ("event_time", "received_at")]
        names = ("click_id", "event_time", "received_at", "utc_offset_min", "user_id", "session_id", "ip", "logged_in")
        for part in clicks.sort("received_at", "click_id", maintain_order=True).select(names).iter_slices(50_000):
            for row in part.with_columns(times).iter_rows():
                self._observe(*row)

    @property
    def sizes(self) -> dict[str, int]:
        """Users, IPs and click ids that are held now."""
        return {"users": len(self._users), "ips": len(self._ips), "ids": len(self._answers)}

    def _observe_click(self, click: Click) -> bytes:
        event, received = micros(click.event_time), micros(click.received_at)
        return self._observe(
            click.click_id,
            event,
            received,
            click.utc_offset_min,
            click.user_id,
            click.session_id,
            click.ip,
            click.logged_in,
        )

    def _observe(
        self, click_id: str, event: int, received: int, offset: int, user: str, session: str, ip: str, logged_in: bool
    ) -> bytes:
        """The vector of a click as float32 in native order."""
        ip = _entity_of_ip(ip)
        minute = local_minute(event, offset)
        time = min(max(event, received - LATENESS), received)
        with self._lock:
            before = self._answers.get(click_id)
            if before is not None and received - before[0] <= HISTORY:
                self.repeated += 1
                return before[1]
            entity, idle = self._arrive(self._users, user, 1, time, received)
            user_clicks = _count(entity)
            user_velocity = _velocity(entity, user_clicks)
            (user_ips,) = _distinct(entity.seen[0], ip, entity.time, _OVER_DAY)
            entity, _ = self._arrive(self._ips, ip, 2, time, received)
            answer = _VECTOR.pack(
                *user_clicks,
                *user_velocity,
                idle / SECOND,
                user_ips,
                *_count(entity),
                *_distinct(entity.seen[0], session, entity.time, _OVER_HOUR_AND_DAY),
                *_distinct(entity.seen[1], user, entity.time, _OVER_HOUR_AND_DAY),
                *_MINUTE_OF_DAY[minute % 1440],
                *_WEEKDAY[minute // 1440 % 7],
                logged_in,
            )
            self._remember(click_id, received, answer)
        return answer

    def _arrive(
        self, entities: OrderedDict[str, _Entity], name: str, kinds: int, time: int, received: int
    ) -> tuple[_Entity, int]:
        """The entity `name`, its effective time moved on to this click, and the µs since the click before, capped."""
        entity = entities.get(name)
        if entity is None:
            rings = tuple(array("q", (0,)) for _ in WINDOWS)
            entity = entities[name] = _Entity(received, time, rings, tuple({} for _ in range(kinds)))
            idle = _LONGEST
            if len(entities) > self._max_entities:
                entities.popitem(last=False)
                self.evicted += 1
        else:
            entities.move_to_end(name)
            idle = min(max(time - entity.time, 0), _LONGEST)
            entity.time, entity.arrival = max(time, entity.time), received
        for _ in range(2):  # more than arrive, so what is idle cannot pile up
            oldest = next(iter(entities))
            if received - entities[oldest].arrival <= HISTORY:
                break
            del entities[oldest]
        return entity, idle

    def _remember(self, click_id: str, received: int, answer: bytes) -> None:
        answers = self._answers
        answers[click_id] = (received, answer)
        answers.move_to_end(click_id)
        if len(answers) > self._max_ids:
            answers.popitem(last=False)
            self.forgotten += 1
        for _ in range(2):
            oldest = next(iter(answers))
            if received - answers[oldest][0] <= HISTORY:
                break
            del answers[oldest]


def _count(entity: _Entity) -> list[int]:
    """Clicks that each window holds before the one at `entity.time`, which is then counted."""
    clicks = []
    for ring, (width, buckets) in zip(entity.rings, _OVER_ALL, strict=True):
        bucket, held = entity.time // width, ring[0]
        while held and ring[1] <= bucket - buckets:
            held -= ring[2]
            del ring[1:3]
        clicks.append(held)
        if held and ring[-2] == bucket:
            ring[-1] += 1
        else:
            ring.extend((bucket, 1))
        ring[0] = held + 1
    return clicks


def _velocity(entity: _Entity, clicks: list[int]) -> list[float]:
    """Clicks per second over the occupied buckets of each window, for the `clicks` that `_count` has just answered."""
    return [
        held / ((entity.time // width - ring[1] + 1) * width / SECOND)
        for held, ring, (width, _) in zip(clicks, entity.rings, _OVER_ALL, strict=True)
    ]


def _distinct(seen: dict[str, int], member: str, time: int, over: _Geometry) -> list[int]:
    """Distinct members that each window, longest last, holds at a click at `time`, whose `member` is then seen."""
    times = list(seen.values())  # ascending
    stale = [bisect_left(times, (time // width - buckets + 1) * width) for width, buckets in over]
    for name in list(islice(seen, stale[-1])):
        del seen[name]
    seen.pop(member, None)
    seen[member] = time
    if len(seen) > windows.DISTINCT_CAP:
        del seen[next(iter(seen))]
    return [len(times) - before for before in stale]
