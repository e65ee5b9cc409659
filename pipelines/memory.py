"""Peak memory of this process and all that it started, Ray's workers included."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psutil


@dataclass
class PeakMemory:
    """The largest sum of resident memory seen so far, in bytes. Pages that processes share count once a process."""

    peak_bytes: int = 0


@contextmanager
def peak_memory(every_seconds: float = 0.25) -> Iterator[PeakMemory]:
    """Sample the process tree while the block runs."""
    seen = PeakMemory()
    stop = threading.Event()

    def watch() -> None:
        while not stop.wait(every_seconds):
            seen.peak_bytes = max(seen.peak_bytes, _resident())

    watcher = threading.Thread(target=watch, daemon=True, name="peak-memory")
    watcher.start()
    try:
        yield seen
    finally:
        stop.set()
        watcher.join()
        seen.peak_bytes = max(seen.peak_bytes, _resident())


def _resident() -> int:
    this = psutil.Process()
    total = 0
    for process in (this, *this.children(recursive=True)):
        try:
            total += process.memory_info().rss
        except psutil.Error:
            # It ended between the listing and the question.
            continue
    return total
