"""Counters in Redis, shared by all serving processes: one Lua function an entity, both in one round trip.

The keys of an entity carry one hash tag, `{0}` to `{255}`, so that a click's user and IP may lie on different nodes of
a cluster and every call still touches one. Each tag has a mark: since when its counters have counted. A flushed store
has no marks, so it is noticed by the first click that comes, and `warming` adds what the decision log holds.

Where Redis does not answer within the deadline, the caller answers by default; after several times in a row at once,
until Redis is back. Clicks that may not have been counted are owed: they are asked again, which counts none twice, and
Redis does not serve before that unless what was asked in time is sure to be obeyed in its turn.
"""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from contextvars import Context
from functools import cache, lru_cache
from hashlib import blake2b
from importlib.resources import files
from struct import Struct
from typing import TYPE_CHECKING

from headgate.domains.adclicks.features import windows
from headgate.domains.adclicks.features.click import Click, micros, now
from headgate.domains.adclicks.features.counters import (
    LONGEST,
    Arrival,
    Observed,
    arrival_of,
    is_complete,
    user_part,
    vector,
    vectors,
)
from headgate.domains.adclicks.features.kernel import COUNTER_SCHEMA
from headgate.domains.adclicks.features.windows import HISTORY, WINDOWS
from headgate.errors import in_a_line
from headgate.serving.metrics import AWAY, OWED
from headgate.serving.redis import PATIENCE, Command, Line, ask, bring_functions

if TYPE_CHECKING:
    from headgate.serving.redis import Client

log = logging.getLogger(__name__)

DOMAIN = "adclicks"

#: Hash tags, each with its mark.
TAGS = 256

#: Keys live this long past the last click, in ms: longer than any window, whatever the clocks say.
EXPIRY = HISTORY // 1000 + 3_600_000

#: So many answers in a row that come too late, and Redis counts as away.
MISSES = 3

#: Clicks that are owed at most; then marks are set anew, since the windows miss some.
MOST_OWED = 100_000

#: Clicks that are counted at once where nobody waits for the answer.
PART = 500

#: Seconds that a batch may take longer for each click after its first.
EACH = 0.0002

#: Seconds between two attempts to reach Redis, at most.
PAUSE = 0.5

_SINCE, _USER, _IP = Struct("<d"), Struct("<dd8IH"), Struct("<dd8I4H")
_PREFIX = [f"{DOMAIN}:{{{tag}}}:".encode() for tag in range(TAGS)]


@lru_cache(maxsize=65_536)
def digest(kind: bytes, name: str) -> bytes:
    """What stands for a name in Redis: 12 bytes, whatever its length."""
    return blake2b(name.encode("utf-8", "surrogatepass"), digest_size=12, person=kind).digest()


def prefix(entity: bytes) -> bytes:
    """What all keys of an entity begin with."""
    return _PREFIX[entity[0]]


def mark(tag: int) -> bytes:
    """The key of a tag's mark."""
    return _PREFIX[tag] + b"since"


@cache
def library(expiry: int, cap: int) -> tuple[str, str]:
    """Name and source of the Lua library. The name tells what it counts, so that two Headgates can share a server."""
    values = {
        "WIDTHS": ", ".join(str(window.width) for window in WINDOWS),
        "BUCKETS": ", ".join(str(window.buckets) for window in WINDOWS),
        "CAP": str(cap),
        "HISTORY": str(HISTORY),
        "LONGEST": str(LONGEST),
        "EXPIRY": str(expiry),
    }
    source = (files(__package__) / "counters.lua").read_text(encoding="utf-8")
    for name, value in values.items():
        source = source.replace(f"@{name}@", value)
    name = f"{DOMAIN}_{COUNTER_SCHEMA}_{blake2b(source.encode(), digest_size=4).hexdigest()}"
    return name, source.replace("@LIBRARY@", name)


class RedisCounters:
    """Counters in the Redis that `client` speaks to; one a process, used within one event loop."""

    def __init__(
        self,
        client: "Client",
        deadline: float = 0.002,
        *,
        expiry: int = EXPIRY,
        on_flushed: Callable[[], None] = lambda: None,
    ) -> None:
        """`deadline` in seconds, `expiry` of keys in ms; `on_flushed` is called when a tag has lost its counters."""
        self._client, self._line = client, Line(client)
        self._deadline, self._on_flushed = deadline, on_flushed
        self._library, self._source = library(expiry, windows.DISTINCT_CAP)
        self._observe = f"{self._library}_observe"
        self._away = True  # until `running`
        self._owed: deque[Arrival] = deque(maxlen=MOST_OWED)
        self._missed = False
        self._late = 0  # answers in a row that came too late
        self._reviving: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Connect, and keep trying for the block where that fails."""
        try:
            await self._revive()
        except Exception as error:
            log.warning("counters are away, clicks are answered by default: %s", in_a_line(error))
            self._look_after()
        try:
            yield
        finally:
            if self._reviving is not None:
                self._reviving.cancel()
                with suppress(asyncio.CancelledError):
                    await self._reviving
            await self._settle()
            self._line.close()
            await self._client.aclose()

    async def observe(self, clicks: Sequence[Click]) -> Observed:
        """The vectors of `clicks`, each observed after those before it; None where Redis is away or slow."""
        arrivals = [arrival_of(click) for click in clicks]
        if self._away:
            self._owe(arrivals)
            return Observed(None, [False] * len(clicks))
        try:
            replies = await self._ask(arrivals, self._deadline + EACH * (len(clicks) - 1))
        except Exception as error:  # whatever the client raises, this request goes on
            self._owe(arrivals)
            self._late += 1
            if not isinstance(error, TimeoutError) or self._late >= MISSES or not self._line.keeps_order:
                self._lose(error)
            self._look_after()
            return Observed(None, [False] * len(clicks))
        self._late = 0
        return self._answers(arrivals, replies)

    def _answers(self, arrivals: Sequence[Arrival], replies: Sequence[bytes]) -> Observed:
        parts, complete = [], []
        for click, of_user, of_ip in zip(arrivals, replies[::2], replies[1::2], strict=True):
            user_since, gap, c0, c1, c2, c3, s0, s1, s2, s3, ips = _USER.unpack(of_user)
            ip_since, _, i0, i1, i2, i3, _, _, _, _, *members = _IP.unpack(of_ip)
            user = user_part((c0, c1, c2, c3), (s0, s1, s2, s3), gap, ips)
            parts.append(vector(user, (i0, i1, i2, i3, *members), click.context))
            complete.append(is_complete(max(user_since, ip_since), click.received))
        return Observed(vectors(parts), complete)

    async def _ask(self, arrivals: Iterable[Arrival], deadline: float) -> list[bytes]:
        """What the users and the IPs of clicks answer, in turn."""
        clock = micros(now())
        commands = [command for click in arrivals for command in self._commands(click, clock)]
        replies: list[bytes] = await self._line.ask(commands, deadline)
        if any(_SINCE.unpack_from(reply)[0] == clock for reply in replies):
            self._on_flushed()
        return replies

    def _commands(self, click: Arrival, clock: int) -> tuple[Command, Command]:
        """What to ask for the click's user and for its IP."""
        user, ip = digest(b"user", click.user), digest(b"ip", click.ip)
        session, once = digest(b"session", click.session), digest(b"click", click.click_id)
        of_user, of_ip = prefix(user) + b"u" + user, prefix(ip) + b"i" + ip
        times = (click.time, click.received, clock)
        users = (of_user, mark(user[0]), of_user + once, of_user + b":i")
        ips = (of_ip, mark(ip[0]), of_ip + once, of_ip + b":s", of_ip + b":u")
        observe = self._observe
        return ("FCALL", observe, 4, *users, *times, ip), ("FCALL", observe, 5, *ips, *times, session, user)

    def _owe(self, arrivals: Sequence[Arrival]) -> None:
        self._missed |= len(self._owed) + len(arrivals) > MOST_OWED  # the oldest are dropped
        self._owed.extend(arrivals)
        OWED.labels(DOMAIN).set(len(self._owed))

    def _lose(self, error: Exception) -> None:
        """Note that Redis is away."""
        if not self._away:
            log.warning("counters are away, clicks are answered by default: %s", in_a_line(error))
        self._away = True
        AWAY.labels(DOMAIN).set(1)

    def _look_after(self) -> None:
        """Count what is owed behind the requests, and try to reach Redis until that is done."""
        if self._reviving is None or self._reviving.done():
            nobodys = Context()  # what is logged there is of no request
            self._reviving = asyncio.get_running_loop().create_task(self._until_revived(), context=nobodys)

    async def _until_revived(self) -> None:
        pause = 0.0
        while True:
            await asyncio.sleep(pause)
            try:
                await self._revive()
                return
            except Exception as error:
                self._lose(error)
                self._line.close()  # it may lead to a server that is no more
                pause = min(max(2 * pause, 0.01), PAUSE)

    async def _revive(self) -> None:
        """Connect and bring the functions, if that is lost, and count what is owed; then Redis serves again."""
        if self._away:
            await self._line.open()
            await bring_functions(self._client, self._library, self._source)
        while self._missed or self._owed:
            if self._missed:
                await set_marks(self._client, micros(now()))
                self._missed = False
            part = [self._owed.popleft() for _ in range(min(PART, len(self._owed)))]
            try:
                await self._ask(part, PATIENCE)
            except BaseException:
                newer = list(self._owed)
                self._owed.clear()
                self._owe([*part, *newer])
                raise
        if self._away and self._reviving is not None:  # else nobody was told that they are away
            log.info("counters are back")
        self._away, self._late = False, 0
        AWAY.labels(DOMAIN).set(0)
        OWED.labels(DOMAIN).set(0)

    async def _settle(self) -> None:
        """Count what is still owed, as this process ends, if Redis is there by now."""
        if not self._owed:
            return
        try:
            async with asyncio.timeout(PATIENCE):
                await self._revive()
        except Exception as error:
            log.error("%d clicks were not counted: %s", len(self._owed), in_a_line(error))


async def set_marks(client: "Client", since: int) -> None:
    """Let all counters count as whole from `since` on, in µs."""
    async with asyncio.timeout(PATIENCE):
        await ask(client, [("SET", mark(tag), since) for tag in range(TAGS)])
