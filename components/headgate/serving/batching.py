"""Requests that wait at the same time, worked off in one pass: one round trip, one call of a model, one write."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextvars import Context
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")


#: Passes under way at once: one computes while the other waits for what it asked.
PASSES = 2


class Batching(Generic[T, R]):
    """Works off items in passes: what comes while `PASSES` are under way is the next.

    Nothing waits for company, so that who comes alone is served alone; but the longer the queue, the larger its passes
    and the less each item costs (adaptive batching; Crankshaw et al., "Clipper", NSDI 2017). For one event loop.
    """

    def __init__(self, work: Callable[[Sequence[T]], Awaitable[Sequence[R]]], most: int) -> None:
        """`work` answers items in their order, `most` of them in a pass."""
        self._work, self._most = work, most
        self._waiting: list[tuple[T, asyncio.Future[R]]] = []
        self._workers: set[asyncio.Task[None] | None] = set()

    def __call__(self, item: T) -> "asyncio.Future[R]":
        """The answer to `item`, or what `work` raised for all of its pass."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[R] = loop.create_future()
        self._waiting.append((item, answer))
        if len(self._workers) < PASSES:
            self._workers.add(loop.create_task(self._work_off(), context=Context()))  # what it logs is of no request
        return answer

    async def _work_off(self) -> None:
        try:
            while self._waiting:
                now, self._waiting = self._waiting[: self._most], self._waiting[self._most :]
                await self._pass(now)
        finally:
            self._workers.discard(asyncio.current_task())

    async def _pass(self, now: "list[tuple[T, asyncio.Future[R]]]") -> None:
        try:
            answers = await self._work([item for item, _ in now])
        except Exception as error:
            for _, asked in now:
                if not asked.done():
                    asked.set_exception(error)
            return
        for (_, asked), answer in zip(now, answers, strict=True):
            if not asked.done():  # whoever asked may have gone
                asked.set_result(answer)
