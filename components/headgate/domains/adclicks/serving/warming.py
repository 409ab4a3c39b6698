"""Warm counters from the decision log: those of a process as it starts, and those of a Redis that was flushed.

What Redis has counted since the flush stays: to each entity is added what the log holds of it from before, once,
however often this is cut off and done again. Replicas that share a Redis must share the log's folder too.
"""

import asyncio
import logging
import os
import secrets
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING

import msgspec
import polars as pl

from headgate.decisions.reading import EPOCH, gaps, listed, read_part
from headgate.domains.adclicks.data.schema import CLICKS
from headgate.domains.adclicks.features import windows
from headgate.domains.adclicks.features.click import micros, now
from headgate.domains.adclicks.features.counters import arrival
from headgate.domains.adclicks.features.memory_counters import (
    COUNTED,
    Entities,
    Entity,
    MemoryCounters,
    count_ip,
    count_user,
)
from headgate.domains.adclicks.features.redis_counters import DOMAIN, EXPIRY, TAGS, digest, library, mark, prefix
from headgate.domains.adclicks.features.windows import HISTORY
from headgate.domains.adclicks.serving.log_rows import LOG
from headgate.errors import in_a_line
from headgate.serving.redis import Command, ask, bring_functions, connect
from headgate.settings import Settings, load
from headgate.telemetry import configure

if TYPE_CHECKING:
    from headgate.serving.redis import Client

log = logging.getLogger(__name__)

_HISTORY = timedelta(microseconds=HISTORY)
_COLUMNS = {"decided_at": pl.Datetime("us", "UTC")} | {name: CLICKS[name] for name in COUNTED}

#: Entities that are added in one round trip.
PART = 200

#: Whoever warms holds this key, for as many ms at once.
LOCK, HELD = f"{DOMAIN}:warming", 30_000

#: Seconds that warming may take.
DEADLINE = 600.0


def warm_memory(counters: MemoryCounters, settings: Settings) -> int:
    """Warm the counters of this process from the log; how many clicks that were."""
    clicks, since = logged(settings, datetime.now(UTC))
    if len(clicks):
        counters.warm(clicks, since)
        log.info("%s: counters are warm with %d logged clicks since %s", DOMAIN, len(clicks), since)
    return len(clicks)


def logged(settings: Settings, until: datetime) -> tuple[pl.DataFrame, datetime]:
    """The clicks decided before `until` that may still count, in order of arrival, and since when none is missing."""
    since = until - 2 * _HISTORY
    inside = pl.col("decided_at").is_between(since, until, closed="left")
    found = [read_part(settings, LOG, part, inside, _COLUMNS) for part in listed(settings, DOMAIN, since, until)]
    clicks = pl.concat(found) if found else pl.DataFrame(schema=_COLUMNS)
    if not len(clicks):
        return clicks, until
    first = clicks["decided_at"].min()
    assert isinstance(first, datetime)
    missing = [gap.until for gap in gaps(settings, DOMAIN, since, until)]
    return clicks.sort("received_at", "click_id", maintain_order=True), max([first, *missing])


async def warm_redis(client: "Client", settings: Settings, expiry: int = EXPIRY) -> int:
    """Add what the log holds to the counters of each tag that began to count within `HISTORY`; how many entities.

    One at a time: where another process warms, nothing is done.
    """
    name, source = library(expiry, windows.DISTINCT_CAP)
    await bring_functions(client, name, source)
    holder = secrets.token_hex(8)
    if not await client.set(LOCK, holder, nx=True, px=HELD):
        return 0
    try:
        begun = await _marks(client)
        horizon = micros(now()) - HISTORY
        young = {tag: since for tag, since in enumerate(begun) if since > horizon}
        if not young:
            return 0
        clicks, since = logged(settings, EPOCH + timedelta(microseconds=max(young.values())))
        added = 0
        states = _states(clicks, young, f"{name}_add")
        while part := list(islice(states, PART)):
            await ask(client, part)
            await client.set(LOCK, holder, px=HELD)
            added += len(part)
        whole: list[Command] = [("SET", mark(tag), micros(since)) for tag, at in young.items() if micros(since) < at]
        if whole:
            await ask(client, whole)
        return added
    finally:
        if await client.get(LOCK) == holder.encode():
            await client.delete(LOCK)


async def _marks(client: "Client") -> list[int]:
    """Since when each tag counts; those that have no mark begin now."""
    clock = micros(now())
    await ask(client, [("SET", mark(tag), clock, "NX") for tag in range(TAGS)])
    return [int(since) for since in await ask(client, [("GET", mark(tag)) for tag in range(TAGS)])]


def _states(clicks: pl.DataFrame, begun: dict[int, int], function: str) -> Iterator[Command]:
    """What to add for each user and each IP whose tag has `begun` to count after some of its `clicks`."""
    users, ips = (Entities(members, len(clicks) + 1, 1_000_000) for members in (1, 2))
    times = [pl.col(name).dt.epoch("us") for name in ("decided_at", "event_time", "received_at")]
    for decided, *columns in clicks.select("decided_at", *COUNTED).with_columns(times).iter_rows():
        click = arrival(*columns)
        if decided < begun.get(digest(b"user", click.user)[0], 0):
            count_user(users, click)
        if decided < begun.get(digest(b"ip", click.ip)[0], 0):
            count_ip(ips, click)
    for name, entity in users.held.items():
        yield _add(function, begun, b"u" + digest(b"user", name), entity, {b":i": b"ip"})
    for name, entity in ips.held.items():
        yield _add(function, begun, b"i" + digest(b"ip", name), entity, {b":s": b"session", b":u": b"user"})


def _add(function: str, begun: dict[int, int], named: bytes, entity: Entity, kinds: dict[bytes, bytes]) -> Command:
    """The call that adds one entity; `kinds` leads from the ending of a key to what its members are."""
    key = prefix(named[1:]) + named
    encode = msgspec.msgpack.encode
    members = [
        [part for name, time in seen.items() for part in (_raw(digest(kind, name)), time)]
        for kind, seen in zip(kinds.values(), entity.seen, strict=True)
    ]
    rings = [ring.tolist() for ring in entity.rings]
    state = b"".join(map(encode, (entity.time, entity.arrival, rings, members)))
    return ("FCALL", function, 1 + len(kinds), key, *(key + ending for ending in kinds), begun[named[1]], state)


def _raw(name: bytes) -> msgspec.Raw:
    """Bytes as Redis' MessagePack knows them: it has no type `bin`."""
    return msgspec.Raw(bytes([0xA0 | len(name)]) + name)


class Warmer:
    """Has Redis warmed in a process of its own, as serving starts and whenever it was flushed."""

    def __init__(self, settings: Settings) -> None:
        """Nothing runs yet."""
        self._settings = settings
        self._wanted = asyncio.Event()

    def wake(self) -> None:
        """Say that Redis was flushed."""
        self._wanted.set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Warm where it is wanted, for the block."""
        self.wake()
        task = asyncio.create_task(self._run())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _run(self) -> None:
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            env = os.environ | {"HEADGATE_HOME": str(self._settings.home)}
            process = await asyncio.create_subprocess_exec(sys.executable, "-m", __name__, env=env)
            try:
                async with asyncio.timeout(DEADLINE):
                    await process.wait()
            finally:
                if process.returncode is None:
                    process.kill()  # it can be cut off anywhere
                    await process.wait()
            if process.returncode:
                log.error(
                    "counters cannot be warmed (exit code %d): windows fill up as clicks come", process.returncode
                )


async def _warm(settings: Settings) -> int:
    client = connect(settings.redis or "")
    try:
        return await warm_redis(client, settings)
    finally:
        await client.aclose()


def main() -> None:
    """Warm Redis, giving way to whoever serves."""
    settings = load()
    configure(settings.log)
    os.nice(10)
    try:
        added = asyncio.run(_warm(settings))
    except Exception as error:
        log.error("%s: %s", DOMAIN, in_a_line(error))
        sys.exit(1)
    if added:
        log.info("%s: what the log holds of %d users and IPs was added to the counters", DOMAIN, added)


if __name__ == "__main__":
    main()
