"""Requests that arrive together share one piece of work: one read, one prediction, one commit."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, Generic, TypeVar

from group.errors import Unavailable

Wanted = TypeVar("Wanted")
Given = TypeVar("Given")


class TooManyWaiting(Unavailable):
    """More is asked for than can be answered in good time."""


class WouldWait(Exception):
    """Quick work that would have had to wait for somebody else. It has changed nothing."""


_SLOW_SECONDS: Final = 0.1
"""Quick work that takes longer is not: whoever else asks this process for something waits for it."""

_ASIDE_SECONDS: Final = 5.0
"""How long work is done aside after it was slow."""


class Gatherer(Generic[Wanted, Given]):
    """Hands what waits to ``work``, all of it at once; meanwhile the next gather.

    Nothing is held back to wait for company: where one request comes alone, it is worked on alone. So the work for
    each grows smaller the more there are, and a queue empties at the pace of the work, not of its overheads.

    Work that is quick is done by the loop itself: a thread of its own competes with the loop for the interpreter, which
    costs more than what it could do meanwhile. Where work was slow, or would have to wait, it is done in a thread for
    some seconds, so that everything else that the loop answers goes on.
    """

    def __init__(
        self,
        work: Callable[[Sequence[Wanted]], Sequence[Given | Exception]],
        quick: Callable[[Sequence[Wanted]], Sequence[Given | Exception]] | None = None,
        *,
        most_at_once: int,
        most_waiting: int,
    ) -> None:
        """``work`` answers each of what it is given, in order, by a value or by the error to raise.

        ``quick`` does the same without waiting for anybody, or raises ``WouldWait``; left out, work is never quick.
        """
        self._work = work
        self._quick = quick
        self._most_at_once = most_at_once
        self._most_waiting = most_waiting
        self._waiting: list[tuple[Wanted, asyncio.Future[Given]]] = []
        self._working = False
        self._aside_until = 0.0
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
        # After the loop has taken in what has arrived by now, and that has come to ask: two rounds later.
        loop.call_soon(loop.call_soon, self._begin, loop)

    def _begin(self, loop: asyncio.AbstractEventLoop) -> None:
        some, self._waiting = self._waiting[: self._most_at_once], self._waiting[self._most_at_once :]
        asked = [wanted for wanted, _ in some]
        answers = [answer for _, answer in some]
        if self._quick is not None and time.monotonic() >= self._aside_until:
            with contextlib.suppress(WouldWait):
                self._finish(loop, answers, self._tried(self._quick, asked))
                return

        def run() -> None:
            loop.call_soon_threadsafe(self._finish, loop, answers, self._tried(self._work, asked))

        self._thread.submit(run)

    def _tried(
        self, work: Callable[[Sequence[Wanted]], Sequence[Given | Exception]], asked: Sequence[Wanted]
    ) -> Sequence[Given | Exception]:
        began = time.monotonic()
        try:
            return work(asked)
        except WouldWait:
            self._aside_until = began + _ASIDE_SECONDS
            raise
        except Exception as error:
            return [error] * len(asked)
        finally:
            ended = time.monotonic()
            if ended - began > _SLOW_SECONDS:
                self._aside_until = ended + _ASIDE_SECONDS

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
