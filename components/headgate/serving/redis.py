"""Redis as a hot path wants it: many commands in one round trip, a deadline, and never a wait for an attempt anew.

redis-py opens connections, speaks to clusters, and does all that is not in a hurry. The commands of a decision go over
a `Line`, one connection that carries those of all requests at once, at a fraction of the price of a pool.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

from headgate.errors import UsageError

if TYPE_CHECKING:
    from redis.asyncio import Redis, RedisCluster

    Client = Redis | RedisCluster

Command = tuple[Any, ...]  # its name and its arguments: bytes, text or integers

#: Seconds that connecting may take.
PATIENCE = 2.0


def connect(url: str) -> "Client":
    """A client of the server at redis://, rediss:// or unix://, or of the cluster at redis+cluster://."""
    import redis.asyncio as redis
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff

    once = Retry(NoBackoff(), 0)  # type: ignore[no-untyped-call]
    options: dict[str, Any] = {"retry": once, "socket_connect_timeout": PATIENCE}
    try:
        if url.startswith("redis+cluster://"):
            return redis.RedisCluster.from_url(url.replace("+cluster", "", 1), **options)
        return redis.Redis.from_url(url, **options)
    except ValueError as error:
        raise UsageError(
            f"HEADGATE_REDIS names no Redis ({error}): give redis://HOST:PORT, unix:///PATH or redis+cluster://HOST:PORT."
        ) from error


async def ask(client: "Client", commands: Sequence[Command]) -> list[Any]:
    """The answers to `commands`, sent together; those with keys on one node are obeyed in their order.

    Raises what redis-py raises; the commands may have been obeyed or not.
    """
    from redis.asyncio import Redis

    pipeline: Any = client.pipeline(transaction=False) if isinstance(client, Redis) else client.pipeline()
    for command in commands:
        pipeline.execute_command(*command)
    return list(await pipeline.execute())


async def bring_functions(client: "Client", name: str, source: str) -> None:
    """Make a library of functions known to the server, or to every primary of a cluster."""
    from redis.asyncio import Redis

    everywhere: dict[str, Any] = {} if isinstance(client, Redis) else {"target_nodes": "primaries"}
    async with asyncio.timeout(PATIENCE):
        known = await client.execute_command("FUNCTION LIST", "LIBRARYNAME", name, **everywhere)
        if not (all(known.values()) if isinstance(known, dict) else known):
            await client.execute_command("FUNCTION LOAD", "REPLACE", source, **everywhere)


class Line:
    """Asks a server over one connection, or a cluster through its client, within a deadline."""

    def __init__(self, client: "Client") -> None:
        """To be opened before it is used, and again when it broke."""
        from redis.asyncio import Redis

        self._client = client
        self._server = isinstance(client, Redis)
        self._wire: _Wire | None = None

    @property
    def keeps_order(self) -> bool:
        """Whether what is asked is obeyed after all that was asked before, also of that which came too late."""
        return self._server

    async def open(self) -> None:
        """Connect, if that is not so already. Raises OSError, TimeoutError or redis-py's errors."""
        if not self._server:
            await self._client.initialize()
        elif self._wire is None or not self._wire.is_open:
            async with asyncio.timeout(PATIENCE):
                self._wire = await _wire_to(self._client)  # type: ignore[arg-type]

    def close(self) -> None:
        """Let go of the connection; who waits for an answer gets a ConnectionError."""
        if self._wire is not None:
            self._wire.close()
            self._wire = None

    async def ask(self, commands: Sequence[Command], deadline: float) -> list[Any]:
        """The answers to `commands`, in their order, within `deadline` seconds.

        Raises TimeoutError, ConnectionError, or what the server said; the commands may have been obeyed or not.
        """
        if not self._server:
            async with asyncio.timeout(deadline):
                return await ask(self._client, commands)
        if self._wire is None:
            raise ConnectionError("there is no connection to Redis")
        return await self._wire.ask(commands, deadline)


async def _wire_to(client: "Redis") -> "_Wire":
    """A connection with what the client's address says."""
    loop, told = asyncio.get_running_loop(), client.connection_pool.connection_kwargs
    if "path" in told:
        _, wire = await loop.create_unix_connection(_Wire, told["path"])
    else:
        from redis.asyncio import SSLConnection

        kind = client.connection_pool.connection_class
        # One that is never opened: it makes of the address' options what they mean for TLS.
        secure = kind(**told).ssl_context.get() if issubclass(kind, SSLConnection) else None
        _, wire = await loop.create_connection(_Wire, told.get("host", "localhost"), told.get("port", 6379), ssl=secure)
    greeting: list[Command] = []
    if told.get("password"):
        greeting.append(("AUTH", told.get("username") or "default", told["password"]))
    if told.get("db"):
        greeting.append(("SELECT", told["db"]))
    if greeting:
        await wire.ask(greeting, PATIENCE)
    return wire


class _Asked:
    """Commands whose answers are awaited."""

    __slots__ = ("answers", "done", "expected", "is_late")

    def __init__(self, expected: int, done: "asyncio.Future[list[Any]]") -> None:
        self.expected, self.done = expected, done
        self.answers: list[Any] = []
        self.is_late = False


class _Wire(asyncio.Protocol):
    """A connection that answers in the order in which it was asked; what comes too late is read and thrown away."""

    def __init__(self) -> None:
        from hiredis import Reader, pack_command

        self._reader, self._pack = Reader(), pack_command
        self._waiting: deque[_Asked] = deque()
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None

    @property
    def is_open(self) -> bool:
        return self._transport is not None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        waiting, self._waiting = self._waiting, deque()
        for asked in waiting:
            if not asked.done.done():
                asked.done.set_exception(ConnectionError("Redis has closed the connection"))

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()  # what is not sent by now would wait for a server that may be no more

    def data_received(self, data: bytes) -> None:
        self._reader.feed(data)
        while (answer := self._reader.gets()) is not False:
            asked = self._waiting[0]
            asked.answers.append(answer)
            if len(asked.answers) == asked.expected:
                self._waiting.popleft()
                if not asked.done.done():
                    asked.done.set_result(asked.answers)

    async def ask(self, commands: Sequence[Command], deadline: float) -> list[Any]:
        if self._transport is None:
            raise ConnectionError("there is no connection to Redis")
        if not commands:
            return []
        asked = _Asked(len(commands), self._loop.create_future())
        self._waiting.append(asked)
        self._transport.write(b"".join([self._pack(command) for command in commands]))
        timer = self._loop.call_later(deadline, self._late, asked)
        try:
            answers = await asked.done
        finally:
            timer.cancel()
        for answer in answers:
            if isinstance(answer, Exception):
                raise answer
        return answers

    def _late(self, asked: _Asked) -> None:
        """Give up, but not while the answer lies unread because this process was busy: read first, once."""
        if asked.is_late and not asked.done.done():
            asked.done.set_exception(TimeoutError())
        elif not asked.is_late:
            asked.is_late = True
            self._loop.call_later(0, self._late, asked)
