"""The home folder of a deployment: one process at a time changes what lies in it."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from group.errors import Unavailable


class HomeBusy(Unavailable):
    """Another process works in the same home folder."""


@contextlib.contextmanager
def working_in(home: Path, wait_seconds: float = 0.0) -> Iterator[None]:
    """Keep other processes out of the home folder meanwhile, after waiting so long for one that is there.

    Raises:
        HomeBusy: another process works there.
    """
    home.mkdir(parents=True, exist_ok=True)
    lock = FileLock(home / ".lock")
    try:
        lock.acquire(timeout=wait_seconds)
    except Timeout:
        raise HomeBusy(f"Another jinkong works in {home}; wait until it is done.") from None
    try:
        yield
    finally:
        lock.release()
