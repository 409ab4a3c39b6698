"""Redis as a hot path wants it: many commands in one round trip, a deadline, and never a wait for an attempt anew."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from headgate.errors import UsageError

if TYPE_CHECKING:
    from redis.asyncio import Redis, RedisCluster

    Client = Redis | RedisCluster

Command = tuple[Any, ...]  # its name and its arguments: bytes, text or integers

#: Seconds that connecting may take.
PATIENCE = 2.0

#: Connections of a process: what is asked beyond them waits for one, while its deadline runs.
CONNECTIONS = 32


def connect(url: str) -> "Client":
    """A client of the server at redis://, rediss:// or unix://, or of the cluster at redis+cluster://."""
    import redis.asyncio as redis
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff

    once = Retry(NoBackoff(), 0)  # type: ignore[no-untyped-call]
    options: dict[str, Any] = {"retry": once, "socket_connect_timeout": PATIENCE, "max_connections": CONNECTIONS}
    try:
        if url.startswith("redis+cluster://"):
            return redis.RedisCluster.from_url(url.replace("+cluster", "", 1), **options)
        pool = redis.BlockingConnectionPool.from_url(url, timeout=PATIENCE, **options)
        return redis.Redis(connection_pool=pool)
    except ValueError as error:
        raise UsageError(
            f"HEADGATE_REDIS names no Redis ({error}): give redis://HOST:PORT, unix:///PATH or redis+cluster://HOST:PORT."
        ) from error


async def ask(client: "Client", commands: Sequence[Command]) -> list[Any]:
    """The answers to `commands`, sent together; those with keys on one node are obeyed in their order.

    Raises what redis-py raises; the commands may have been obeyed or not.
    """
    from redis.asyncio import Redis

    if isinstance(client, Redis):
        return await _ask_server(client, commands)
    pipeline: Any = client.pipeline()
    for command in commands:
        pipeline.execute_command(*command)
    return list(await pipeline.execute())


async def _ask_server(client: "Redis", commands: Sequence[Command]) -> list[Any]:
    """As `Redis.pipeline` does, at half its price: what is sent twice a thousand times a second counts."""
    from hiredis import pack_command

    pool = client.connection_pool
    connection = await pool.get_connection()  # type: ignore[no-untyped-call]
    try:
        await connection.send_packed_command(b"".join([pack_command(command) for command in commands]))
        return [await connection.read_response() for _ in commands]
    except BaseException:  # also where the deadline is over: what comes later is nobody's answer
        await connection.disconnect(nowait=True)
        raise
    finally:
        await pool.release(connection)


async def bring_functions(client: "Client", name: str, source: str) -> None:
    """Make a library of functions known to the server, or to every primary of a cluster."""
    from redis.asyncio import Redis

    everywhere: dict[str, Any] = {} if isinstance(client, Redis) else {"target_nodes": "primaries"}
    async with asyncio.timeout(PATIENCE):
        known = await client.execute_command("FUNCTION LIST", "LIBRARYNAME", name, **everywhere)
        if not (all(known.values()) if isinstance(known, dict) else known):
            await client.execute_command("FUNCTION LOAD", "REPLACE", source, **everywhere)


@asynccontextmanager
async def within(seconds: float) -> AsyncIterator[None]:
    """Raise TimeoutError after `seconds`, but never while the answer lies unread because this process was busy."""
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(None) as deadline:
        # When the time is over the loop first reads what has come, and only then gives up.
        timer = loop.call_later(seconds, lambda: deadline.reschedule(loop.time()))
        try:
            yield
        finally:
            timer.cancel()
