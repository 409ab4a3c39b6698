"""The counters of one process, in bounded memory.

Of each user and each IP it holds names and integers alone, the same that `redis_counters` keeps in Redis:

- the entity's latest effective time and latest arrival;
- for each window a ring, kept sparse: the number of clicks held, then pairs (bucket, clicks in it), oldest first;
- for each kind of member (a user's IPs, an IP's sessions and users) the `DISTINCT_CAP` most recently seen, each with
  the effective time it was last seen at, least recent first.
"""

from array import array
from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Callable, Sequence
from datetime import datetime
from itertools import islice
from typing import Any

import msgspec
import polars as pl

from headgate.domains.adclicks.features import windows
from headgate.domains.adclicks.features.click import Click, micros, now
from headgate.domains.adclicks.features.counters import (
    LONGEST,
    Arrival,
    Observed,
    arrival,
    arrival_of,
    is_complete,
    user_part,
    vector,
    vectors,
)
from headgate.domains.adclicks.features.windows import DAY, HISTORY, HOUR, WINDOWS

_Geometry = tuple[tuple[int, int], ...]

#: The columns of a log that `MemoryCounters.warm` takes.
COUNTED = ("click_id", "event_time", "received_at", "utc_offset_min", "user_id", "session_id", "ip", "logged_in")


def _geometry(*over: windows.Window) -> _Geometry:
    """Width and number of buckets of each window."""
    return tuple((window.width, window.buckets) for window in over)


_OVER_ALL, _OVER_HOUR_AND_DAY, _OVER_DAY = _geometry(*WINDOWS), _geometry(HOUR, DAY), _geometry(DAY)


class Entity(msgspec.Struct, gc=False):
    """What is kept of one user or IP. Nothing in it is tracked by the garbage collector: millions cost it no pause."""

    arrival: int
    time: int
    rings: tuple[array, ...]
    seen: tuple[dict[str, int], ...]


class Entities:
    """All users, or all IPs, the least recently seen first, and the answers that their last ids were given."""

    def __init__(self, members: int, most: int, most_ids: int) -> None:
        """Each entity has `members` kinds of members."""
        self.evicted = self.forgotten = self.repeated = 0
        self.held: OrderedDict[str, Entity] = OrderedDict()
        self.answers: OrderedDict[tuple[str, str], tuple[int, tuple[float, ...]]] = OrderedDict()
        self._members, self._most, self._most_ids = members, most, most_ids

    def before(self, name: str, click: Arrival) -> tuple[float, ...] | None:
        """What the entity `name` was answered for this id within `HISTORY`."""
        first = self.answers.get((name, click.click_id))
        if first is None or click.received - first[0] > HISTORY:
            return None
        self.repeated += 1
        return first[1]

    def arrive(self, name: str, click: Arrival) -> tuple[Entity, int]:
        """The entity `name`, its effective time moved on to `click`, and the µs since the click before, capped."""
        entity = self.held.get(name)
        if entity is None:
            rings = tuple(array("q", (0,)) for _ in WINDOWS)
            seen: tuple[dict[str, int], ...] = tuple({} for _ in range(self._members))
            entity = self.held[name] = Entity(click.received, click.time, rings, seen)
            idle = LONGEST
            if len(self.held) > self._most:
                self.held.popitem(last=False)
                self.evicted += 1
        else:
            self.held.move_to_end(name)
            idle = min(max(click.time - entity.time, 0), LONGEST)
            entity.time, entity.arrival = max(click.time, entity.time), click.received
        _drop_old(self.held, lambda oldest: click.received - oldest.arrival > HISTORY)
        return entity, idle

    def remember(self, name: str, click: Arrival, answer: tuple[float, ...]) -> tuple[float, ...]:
        """Keep `answer` for the click's id."""
        key = (name, click.click_id)
        self.answers[key] = (click.received, answer)
        self.answers.move_to_end(key)
        if len(self.answers) > self._most_ids:
            self.answers.popitem(last=False)
            self.forgotten += 1
        _drop_old(self.answers, lambda oldest: click.received - oldest[0] > HISTORY)
        return answer


def _drop_old(kept: OrderedDict[Any, Any], is_old: Callable[[Any], bool]) -> None:
    """Drop what is old: two at most, more than arrive, so that it cannot pile up."""
    for _ in range(2):
        oldest = next(iter(kept))
        if not is_old(kept[oldest]):
            break
        del kept[oldest]


class MemoryCounters:
    """Counters of one process, in bounded memory.

    An entity that was idle for longer than `HISTORY` is dropped, a few with every click, which changes no answer.
    Beyond `max_entities` users or as many IPs the least recently seen goes early (`evicted`). Of each kind `max_ids`
    click ids are remembered for `HISTORY` (`forgotten` counts those that went early).
    """

    def __init__(self, max_entities: int = 1_000_000, max_ids: int = 1_000_000) -> None:
        """Start empty, with windows that are complete from now on; `warm` fills the store from a log."""
        self.users = Entities(1, max_entities, max_ids)
        self.ips = Entities(2, max_entities, max_ids)
        self._since = micros(now())

    async def observe(self, clicks: Sequence[Click]) -> Observed:
        """The vectors of `clicks`, each observed after those before it."""
        arrivals = [arrival_of(click) for click in clicks]
        found = vectors([self._observe(one) for one in arrivals])
        return Observed(found, [is_complete(self._since, one.received) for one in arrivals])

    def warm(self, clicks: pl.DataFrame, since: datetime) -> None:
        """Observe a log of `clicks` (`COUNTED`), whole `since` an instant, in order of arrival however it stands."""
        self._since = min(self._since, micros(since))
        times = [pl.col(name).dt.epoch("us") for name in ("event_time", "received_at")]
        for part in clicks.sort("received_at", "click_id", maintain_order=True).select(COUNTED).iter_slices(50_000):
            for row in part.with_columns(times).iter_rows():
                self._observe(arrival(*row))

    @property
    def sizes(self) -> dict[str, int]:
        """Users, IPs and click ids that are held now."""
        ids = max(len(self.users.answers), len(self.ips.answers))
        return {"users": len(self.users.held), "ips": len(self.ips.held), "ids": ids}

    def _observe(self, click: Arrival) -> bytes:
        """The vector of a click as float32 in native order."""
        return vector(count_user(self.users, click), count_ip(self.ips, click), click.context)


def count_user(users: Entities, click: Arrival) -> tuple[float, ...]:
    """The features of the click's user before it, which is then counted."""
    if (before := users.before(click.user, click)) is not None:
        return before
    user, idle = users.arrive(click.user, click)
    clicks, spans = _count(user)
    (ips,) = _distinct(user.seen[0], click.ip, user.time, _OVER_DAY)
    return users.remember(click.user, click, user_part(clicks, spans, idle, ips))


def count_ip(ips: Entities, click: Arrival) -> tuple[float, ...]:
    """The features of the click's IP before it, which is then counted."""
    if (before := ips.before(click.ip, click)) is not None:
        return before
    ip, _ = ips.arrive(click.ip, click)
    clicks, _ = _count(ip)
    sessions = _distinct(ip.seen[0], click.session, ip.time, _OVER_HOUR_AND_DAY)
    users = _distinct(ip.seen[1], click.user, ip.time, _OVER_HOUR_AND_DAY)
    return ips.remember(click.ip, click, (*clicks, *sessions, *users))


def _count(entity: Entity) -> tuple[list[int], list[int]]:
    """For each window the clicks it holds before the one at `entity.time`, which is then counted, and its span.

    The span is the number of buckets from the oldest occupied one to the click's own.
    """
    clicks, spans = [], []
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
        spans.append(bucket - ring[1] + 1)
    return clicks, spans


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
