"""A job's files are kept for some days after its end: scores of persons do not lie about for ever."""

import logging
import re
import shutil
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from group.database import reading
from group.settings import Settings
from serving.decisions import ID_PATTERN
from serving.jobs.kept import DONE, ScoreJob, ends_of_jobs, job_folder

_LOG: Final = logging.getLogger("jinkong.serving")
_LOOK_SECONDS: Final = 3_600.0
_AT_ONCE: Final = 500


def result_until(job: ScoreJob, settings: Settings) -> datetime | None:
    """Until when a job's result can be taken; None where there is none."""
    if job.state != DONE or job.ended_at is None:
        return None
    return job.ended_at + timedelta(days=settings.job_result_days)


def remove_expired(home: Path, engine: Engine, before: datetime) -> int:
    """Remove the files of jobs that ended before, and what was sent for jobs that never came to be; how many of both.

    That a job was, and what became of it, stays known.
    """
    removed = 0
    names = [path.name for path in job_folder(home, "").glob("*") if re.fullmatch(ID_PATTERN, path.name)]
    for first in range(0, len(names), _AT_ONCE):
        some = names[first : first + _AT_ONCE]
        with reading(engine) as connection:
            ends = ends_of_jobs(connection, some)
        for name in _expired(home, some, ends, before):
            try:
                shutil.rmtree(job_folder(home, name))
            except FileNotFoundError:  # another worker was faster
                continue
            except OSError as error:
                _LOG.warning("The expired files of job %s could not be removed: %s", name, type(error).__name__)
                continue
            removed += 1
    return removed


def _expired(home: Path, names: list[str], ends: dict[str, datetime | None], before: datetime) -> Iterator[str]:
    for name in names:
        if name in ends:
            ended = ends[name]
        else:
            try:
                ended = datetime.fromtimestamp(job_folder(home, name).stat().st_mtime, UTC)
            except OSError:  # another worker was faster
                continue
        if ended is not None and ended < before:
            yield name


class ResultExpiry:
    """Removes what has expired, at once and every hour, in a thread. Several workers may do it side by side."""

    def __init__(self, settings: Settings, engine: Engine, now: Callable[[], datetime]) -> None:
        self._settings = settings
        self._engine = engine
        self._now = now
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="result-expiry", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End."""
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        kept = timedelta(days=self._settings.job_result_days)
        while True:
            try:
                removed = remove_expired(self._settings.home, self._engine, self._now() - kept)
            except (SQLAlchemyError, OSError) as error:
                # Nobody is given what has expired, whether its files are there or not.
                _LOG.warning("Files of jobs that have expired could not be removed: %s", type(error).__name__)
            else:
                if removed:
                    _LOG.info("Removed the files of %d jobs that have expired", removed)
            if self._ended.wait(_LOOK_SECONDS):
                return
