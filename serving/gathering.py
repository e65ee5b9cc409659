"""Requests that arrive together share one piece of work: one read, one prediction, one commit."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

from group.errors import Unavailable

Wanted = TypeVar("Wanted")
Given = TypeVar("Given")


class TooManyWaiting(Unavailable):
    """More is asked for than can be answered in good time."""


class Gatherer(Generic[Wanted, Given]):
    """Hands what waits to ``work``, all of it at once, in a thread of its own; meanwhile the next gather.

    Nothing is held back to wait for company: where one request comes alone, it is worked on alone. So the work for
    each grows smaller the more there are, and a queue empties at the pace of the work, not of its overheads. It is one
    thread, to which the loop hands over: two that compete for the interpreter double the time of each request.
    """

    def __init__(
        self,
        work: Callable[[Sequence[Wanted]], Sequence[Given | Exception]],
        *,
        most_at_once: int,
        most_waiting: int,
    ) -> None:
        """``work`` answers each of what it is given, in order, by a value or by the error to raise."""
        self._work = work
        self._most_at_once = most_at_once
        self._most_waiting = most_waiting
        self._waiting: list[tuple[Wanted, asyncio.Future[Given]]] = []
        self._working = False
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="gathered")

    async def ask(self, wanted: Wanted) -> Given:
        """What ``work`` gives for ``wanted``.

        Raises:
            TooManyWaiting: so many wait already that this one would wait too long.
        """
        if len(self._waiting) >= self._most_waiting:
            raise TooManyWaiting(f"{self._most_waiting} requests wait already; try again in a second.")
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Given] = loop.create_future()
        self._waiting.append((wanted, answer))
        if not self._working:
            self._working = True
            self._begin_soon(loop)
        return await answer

    def close(self) -> None:
        """End the thread after the work in hand."""
        self._thread.shutdown()

    def _begin_soon(self, loop: asyncio.AbstractEventLoop) -> None:
        # After the loop has taken in what has arrived by now, which may be more than this one.
        loop.call_later(0, self._begin, loop)

    def _begin(self, loop: asyncio.AbstractEventLoop) -> None:
        some, self._waiting = self._waiting[: self._most_at_once], self._waiting[self._most_at_once :]
        asked = [wanted for wanted, _ in some]
        answers = [answer for _, answer in some]

        def run() -> None:
            try:
                given = self._work(asked)
            except Exception as error:
                given = [error] * len(asked)
            loop.call_soon_threadsafe(self._finish, loop, answers, given)

        self._thread.submit(run)

    def _finish(
        self,
        loop: asyncio.AbstractEventLoop,
        answers: Sequence["asyncio.Future[Given]"],
        given: Sequence[Given | Exception],
    ) -> None:
        for answer, result in zip(answers, given, strict=True):
            if answer.done():  # whoever asked has gone
                continue
            if isinstance(result, Exception):
                answer.set_exception(result)
            else:
                answer.set_result(result)
        # The answers leave first.
        if self._waiting:
            self._begin_soon(loop)
        else:
            self._working = False
