"""Requests that are gathered: each gets its own answer, all that waits goes together, and a full queue says so."""

import asyncio
import threading
import time
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving import gathering
from serving.gathering import Gatherer, TooManyWaiting, WouldWait


@given(numbers=st.lists(st.integers(), min_size=1, max_size=60), at_once=st.integers(1, 9))
def test_each_gets_its_own_answer_or_its_own_error(numbers: list[int], at_once: int) -> None:
    batches: list[int] = []

    def work(some: Sequence[int]) -> list[int | Exception]:
        batches.append(len(some))
        return [ValueError(str(number)) if number % 3 == 0 else 2 * number for number in some]

    async def main() -> list[int | BaseException]:
        gatherer = Gatherer(work, most_at_once=at_once, most_waiting=100)
        try:
            return await asyncio.gather(*(gatherer.ask(number) for number in numbers), return_exceptions=True)
        finally:
            gatherer.close()

    answers = asyncio.run(main())
    for number, answer in zip(numbers, answers, strict=True):
        if number % 3 == 0:
            assert isinstance(answer, ValueError)
            assert str(answer) == str(number)
        else:
            assert answer == 2 * number
    assert sum(batches) == len(numbers)
    assert max(batches) == min(at_once, len(numbers))


def test_what_arrives_while_others_are_worked_on_goes_together_next() -> None:
    batches: list[list[int]] = []
    going, go = threading.Event(), threading.Event()

    def work(some: Sequence[int]) -> list[int]:
        batches.append(list(some))
        going.set()
        assert go.wait(10)
        return list(some)

    async def main() -> None:
        gatherer = Gatherer(work, most_at_once=100, most_waiting=3)
        first = asyncio.ensure_future(gatherer.ask(0))
        while not going.is_set():
            await asyncio.sleep(0.001)
        others = [asyncio.ensure_future(gatherer.ask(number)) for number in (1, 2, 3)]
        await asyncio.sleep(0)
        with pytest.raises(TooManyWaiting):
            await gatherer.ask(4)
        others[1].cancel()
        go.set()
        assert await first == 0
        one, cancelled, three = await asyncio.gather(*others, return_exceptions=True)
        assert (one, three) == (1, 3)
        assert isinstance(cancelled, asyncio.CancelledError)
        # The queue is open again.
        assert await gatherer.ask(5) == 5
        gatherer.close()

    asyncio.run(main())
    assert batches == [[0], [1, 2, 3], [5]]


def test_work_that_fails_tells_all_of_its_batch_and_the_next_goes_on() -> None:
    fails = [True]

    def work(some: Sequence[int]) -> list[int]:
        if fails.pop() if fails else False:
            raise OSError("the disk is full")
        return list(some)

    async def main() -> None:
        gatherer = Gatherer(work, most_at_once=9, most_waiting=9)
        failed = await asyncio.gather(gatherer.ask(1), gatherer.ask(2), return_exceptions=True)
        assert [str(error) for error in failed] == ["the disk is full"] * 2
        assert await gatherer.ask(3) == 3
        gatherer.close()

    asyncio.run(main())


def test_quick_work_is_done_by_the_loop_until_it_would_wait_or_was_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gathering, "_ASIDE_SECONDS", 0.2)
    here = threading.get_ident()
    done: list[tuple[str, bool]] = []
    would_wait = [False]

    def told(what: str, numbers: Sequence[int]) -> list[int]:
        done.append((what, threading.get_ident() == here))
        return list(numbers)

    def quick(numbers: Sequence[int]) -> list[int]:
        if would_wait[0]:
            raise WouldWait
        if numbers == [9]:
            time.sleep(0.15)
        return told("quick", numbers)

    async def main() -> None:
        gatherer = Gatherer(lambda numbers: told("work", numbers), quick, most_at_once=9, most_waiting=9)
        assert [*await asyncio.gather(gatherer.ask(1), gatherer.ask(2))] == [1, 2]
        would_wait[0] = True
        assert await gatherer.ask(3) == 3
        would_wait[0] = False
        assert await gatherer.ask(4) == 4
        await asyncio.sleep(0.25)
        assert await gatherer.ask(9) == 9
        assert await gatherer.ask(5) == 5
        await asyncio.sleep(0.25)
        assert await gatherer.ask(6) == 6
        gatherer.close()

    asyncio.run(main())
    assert done == [
        ("quick", True), ("work", False), ("work", False), ("quick", True), ("work", False), ("quick", True),
    ]  # fmt: skip
