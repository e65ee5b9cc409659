"""Work for a process of its own, beside the one that answers.

What computes features and reads tables (DuckDB, polars, pandera) takes seconds to import and half a gigabyte at work:
neither is for a process that answers within milliseconds. The other process begins with the first such work and stays.
"""

import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import Final, ParamSpec, TypeVar

from group.errors import Unavailable

Asked = ParamSpec("Asked")
Given = TypeVar("Given")


_MOST_WAITING: Final = 8


class Busy(Unavailable):
    """So much waits for the process beside already that more would keep whoever answers from everything else."""


class Interrupted(Unavailable):
    """The process beside ended in the middle of its work: what became of that is not known."""


class Aside:
    """One process beside, which does one thing after the other. Safe to share between threads."""

    def __init__(self) -> None:
        self._one_at_a_time = threading.Lock()
        self._inside = threading.BoundedSemaphore(_MOST_WAITING)
        self._process: ProcessPoolExecutor | None = None

    def run(self, work: Callable[Asked, Given], *args: Asked.args, **kwargs: Asked.kwargs) -> Given:
        """What ``work`` gives there: a function of a module, its arguments and what it gives can be pickled.

        Raises:
            Busy: too many wait for it already.
            Interrupted: the process ended meanwhile; the next call begins another.
        """
        if not self._inside.acquire(blocking=False):
            raise Busy(f"{_MOST_WAITING} requests of this kind wait already; try again in a few seconds.")
        try:
            with self._one_at_a_time:
                if self._process is None:
                    self._process = ProcessPoolExecutor(1, mp_context=get_context("spawn"))
                try:
                    return self._process.submit(work, *args, **kwargs).result()
                except BrokenProcessPool:
                    self._process = None
                    raise Interrupted("The process that does this has ended in the middle of it; try again.") from None
        finally:
            self._inside.release()

    def close(self) -> None:
        """End the process after what it has in hand."""
        with self._one_at_a_time:
            if self._process is not None:
                self._process.shutdown()
                self._process = None
