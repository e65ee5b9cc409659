"""Sees to it that somebody runs the jobs of this home."""

import os
import signal
import subprocess
import sys
import threading
import time
from typing import Final

from group.settings import Settings, environment_of

_AGAIN_SECONDS: Final = 5.0
"""How long to wait before looking again whether a runner that was begun elsewhere is still there."""


class JobRunner:
    """The process that runs jobs, begun when there is something to run. Safe to share between threads.

    Of several workers, each may begin one; all but the first find the home taken, and end.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._process: subprocess.Popen[bytes] | None = None
        self._begun = 0.0
        self._lock = threading.Lock()

    def see_to_it(self, *, now: bool = False) -> None:
        """Begin a runner unless one that we began is there; ``now`` does not wait for another's to be missed."""
        with self._lock:
            if self._process is not None and self._process.poll() is None:
                return
            if not now and time.monotonic() - self._begun < _AGAIN_SECONDS:
                return
            self._begun = time.monotonic()
            folder = self._settings.home.absolute() / "jobs"
            folder.mkdir(parents=True, exist_ok=True)
            with (folder / "runner.log").open("ab") as log:
                self._process = subprocess.Popen(
                    [sys.executable, "-m", "serving.jobs.runner"],
                    env=os.environ | environment_of(self._settings),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                )

    def close(self) -> None:
        """End the runner that we began; what it has not finished goes on with the next one."""
        with self._lock:
            if self._process is not None and self._process.poll() is None:
                # Not SIGTERM, at which Ray dies on the spot, with pages of its insides in the log.
                self._process.send_signal(signal.SIGINT)
                try:
                    self._process.wait(timeout=10)
                except subprocess.TimeoutExpired:
                    self._process.kill()
                    self._process.wait()
