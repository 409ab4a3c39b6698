import asyncio

import pytest

from headgate.serving.together import Together


class Work:
    """Doubles numbers; each pass waits for `go`, and numbers below zero are refused."""

    def __init__(self):
        self.passes, self.begun, self.go = [], asyncio.Event(), asyncio.Semaphore(0)

    async def __call__(self, items):
        self.passes.append(items)
        self.begun.set()
        await self.go.acquire()
        if min(items) < 0:
            raise ValueError("below zero")
        return [2 * item for item in items]


async def begun(work, number, together):
    """A request whose pass is under way."""
    asked = asyncio.ensure_future(together(number))
    await work.begun.wait()
    return asked


def test_what_comes_while_a_pass_is_under_way_is_the_next():
    async def story():
        work = Work()
        together = Together(work, 3)
        first = await begun(work, 0, together)
        others = [together(number) for number in range(1, 6)]
        for _ in range(3):
            work.go.release()
        assert await asyncio.gather(first, *others) == [0, 2, 4, 6, 8, 10]
        assert work.passes == [[0], [1, 2, 3], [4, 5]]

    asyncio.run(story())


def test_who_comes_alone_is_served_alone_and_later_again():
    async def story():
        work = Work()
        together = Together(work, 3)
        for number in range(3):
            work.go.release()
            assert await together(number) == 2 * number
        assert work.passes == [[0], [1], [2]]

    asyncio.run(story())


def test_a_fault_is_that_of_its_pass_alone():
    async def story():
        work = Work()
        together = Together(work, 2)
        first = await begun(work, 0, together)
        wrong, beside, after = together(-1), together(1), together(2)
        for _ in range(3):
            work.go.release()
        for asked in (wrong, beside):
            with pytest.raises(ValueError, match="below zero"):
                await asked
        assert (await first, await after) == (0, 4)

    asyncio.run(story())


def test_who_goes_away_takes_no_answer_from_others():
    async def story():
        work = Work()
        together = Together(work, 3)
        first = await begun(work, 0, together)
        gone, stays = together(1), together(2)
        gone.cancel()
        for _ in range(2):
            work.go.release()
        assert (await first, await stays) == (0, 4)
        assert work.passes[1] == [1, 2]  # it was asked, so it is done

    asyncio.run(story())
