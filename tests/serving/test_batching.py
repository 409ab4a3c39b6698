import asyncio

import pytest

from headgate.serving.batching import PASSES, Batching


class Work:
    """Doubles numbers; each pass waits for `go`, and numbers below zero are refused."""

    def __init__(self):
        self.passes, self.go = [], asyncio.Semaphore(0)

    async def __call__(self, items):
        self.passes.append(items)
        await self.go.acquire()
        if min(items) < 0:
            raise ValueError("below zero")
        return [2 * item for item in items]

    def release(self):
        for _ in range(100):
            self.go.release()


async def busy(work, together):
    """Requests 100, 101, … of which each has a pass of its own under way, as many as there may be."""
    first = []
    for number in range(100, 100 + PASSES):
        first.append(asyncio.ensure_future(together(number)))
        while len(work.passes) < len(first):
            await asyncio.sleep(0)
    return first


def test_what_comes_while_passes_are_under_way_is_the_next():
    async def story():
        work = Work()
        together = Batching(work, 3)
        first = await busy(work, together)
        others = [together(number) for number in range(1, 6)]
        await asyncio.sleep(0)
        assert work.passes == [[100], [101]]
        work.release()
        assert await asyncio.gather(*first, *others) == [200, 202, 2, 4, 6, 8, 10]
        assert work.passes == [[100], [101], [1, 2, 3], [4, 5]]

    asyncio.run(story())


def test_what_comes_in_one_turn_is_one_pass():
    async def story():
        work = Work()
        work.release()
        together = Batching(work, 3)
        assert await asyncio.gather(together(1), together(2)) == [2, 4]
        assert work.passes == [[1, 2]]

    asyncio.run(story())


def test_who_comes_alone_is_served_alone_and_later_again():
    async def story():
        work = Work()
        work.release()
        together = Batching(work, 3)
        for number in range(5):
            assert await together(number) == 2 * number
        assert work.passes == [[number] for number in range(5)]

    asyncio.run(story())


def test_a_fault_is_that_of_its_pass_alone():
    async def story():
        work = Work()
        together = Batching(work, 2)
        first = await busy(work, together)
        wrong, beside, after = together(-1), together(1), together(2)
        work.release()
        for asked in (wrong, beside):
            with pytest.raises(ValueError, match="below zero"):
                await asked
        assert await asyncio.gather(*first, after) == [200, 202, 4]
        assert await together(3) == 6

    asyncio.run(story())


def test_who_goes_away_takes_no_answer_from_others():
    async def story():
        work = Work()
        together = Batching(work, 3)
        first = await busy(work, together)
        gone, stays = together(1), together(2)
        gone.cancel()
        work.release()
        assert await asyncio.gather(*first, stays) == [200, 202, 4]
        assert work.passes[-1] == [1, 2]  # it was asked, so it is done

    asyncio.run(story())
