"""The process that runs jobs: ``python -m serving.jobs.runner``, one a home, by the settings of the environment.

Each job is a durable workflow (DBOS): its steps are the parts. A runner that is killed leaves a workflow that the next
one goes on with, from the part that was not done.
"""

import logging
import os
import signal
import sys
import time
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Final

from group.libraries import prepare_libraries

# Before anything imports Ray.
prepare_libraries()

import ray  # noqa: E402
from dbos import DBOS, SetWorkflowID  # noqa: E402
from filelock import FileLock, Timeout  # noqa: E402
from sqlalchemy import Engine  # noqa: E402

from group.audit import AuditEvent, append  # noqa: E402
from group.database import migrated  # noqa: E402
from group.durable import durable  # noqa: E402
from group.errors import JinkongError  # noqa: E402
from group.settings import Settings, load_settings  # noqa: E402
from serving.jobs.kept import (  # noqa: E402
    DONE,
    FAILED,
    RUNNING,
    UNFINISHED,
    ScoreJob,
    change_job,
    find_job,
    unfinished_jobs,
)
from serving.jobs.running import clear, put_together, score_part, split  # noqa: E402
from training import champion, model_version, ray_session  # noqa: E402

JOB_DONE: Final = "scores.job_done"

_LOG: Final = logging.getLogger("jinkong.jobs")
_IDLE_SECONDS: Final = 20.0
"""How long a runner that has nothing to do stays, with its Ray, for the next job."""

_LOOK_SECONDS: Final = 0.5


class _Runner:
    """What workflows need and DBOS should not keep: settings hold secrets."""

    settings: Settings
    engine: Engine
    sessions: ExitStack
    """Ray, once a job has needed it: it takes longer to start than most jobs to run."""


def main() -> int:
    """Run what is queued, and end once nothing has been for a while. Another runner of the home ends this one."""
    # Everything that has to last is on disk: there is nothing to put in order, and what runs would not end by itself.
    signal.signal(signal.SIGINT, lambda *_: os._exit(0))
    settings = load_settings()
    logging.basicConfig(stream=sys.stderr, format="%(asctime)s %(name)s %(message)s")
    folder = settings.home.absolute() / "jobs"
    folder.mkdir(parents=True, exist_ok=True)
    try:
        # A runner that is about to end lets go of it within moments.
        with FileLock(folder / ".lock").acquire(timeout=3):
            _run(settings)
    except Timeout:
        _LOG.info("another runner works here")
    return 0


def _run(settings: Settings) -> None:
    with migrated(settings.state_url) as engine, ExitStack() as sessions:
        _Runner.settings, _Runner.engine, _Runner.sessions = settings, engine, sessions
        # Always the same executor: what a runner left undone is the next one's.
        with durable(settings, name="jinkong-jobs", file="jobs.db", version="1", executor="runner"):
            idle_since = time.monotonic()
            while time.monotonic() - idle_since < _IDLE_SECONDS:
                with engine.connect() as connection:
                    waiting = unfinished_jobs(connection)
                for job in waiting:
                    _go_on(job)
                    idle_since = time.monotonic()
                time.sleep(_LOOK_SECONDS)


def _go_on(job: ScoreJob) -> None:
    """Begin the job's workflow, or go on with the one that was cut off, and wait for its end."""
    with SetWorkflowID(job.job_id):
        handle = DBOS.start_workflow(_score, job.job_id)
    try:
        if handle.get_status().status in ("CANCELLED", "ERROR"):
            handle = DBOS.resume_workflow(job.job_id)
        handle.get_result()
        if _job(job.job_id) is None:
            # Done, or cancelled in the middle.
            clear(_Runner.settings, job)
    except Exception as error:
        ours = _cause(error)
        if ours is None:
            _LOG.exception("job %s failed", job.job_id)
        _end(job.job_id, FAILED, str(ours or "The job failed here; it was not the fault of what was sent."))


def _cause(error: BaseException | None) -> JinkongError | None:
    """The error of ours that Ray and DBOS have wrapped; None if it is none of ours."""
    while error is not None and not isinstance(error, JinkongError):
        error = getattr(error, "cause", None) or error.__cause__
    return error


@DBOS.workflow()
def _score(job_id: str) -> None:
    parts = _split(job_id)
    if parts is None:
        return
    done, failed = 0, 0
    for number in range(len(parts)):
        counts = _one_part(job_id, number, done, failed)
        if counts is None:
            return
        done, failed = counts
    _finish(job_id, len(parts))


@DBOS.step()
def _split(job_id: str) -> list[int] | None:
    job = _job(job_id)
    if job is None:
        return None
    registered = champion(_Runner.settings, job.model)
    parts = split(_Runner.settings, job)
    _change(job_id, state=RUNNING, rows=sum(parts), version=registered.version)
    return parts


@DBOS.step()
def _one_part(job_id: str, number: int, done: int, failed: int) -> list[int] | None:
    """Score a part; the rows done and failed with it, or None where the job was cancelled meanwhile."""
    job = _job(job_id)
    if job is None or job.version is None:
        return None
    registered = model_version(job.version, _Runner.settings, job.model)
    rows, without = score_part(_Runner.settings, job, number, registered, _begin_ray)
    counts = [done + rows, failed + without]
    return counts if _change(job_id, rows_done=counts[0], rows_failed=counts[1]) else None


def _begin_ray() -> None:
    if not ray.is_initialized():
        _Runner.sessions.enter_context(ray_session(_Runner.settings))


@DBOS.step()
def _finish(job_id: str, parts: int) -> None:
    job = _job(job_id)
    if job is None:
        return
    digest = put_together(_Runner.settings, job, parts)
    now = datetime.now(UTC)
    with _Runner.engine.begin() as connection:
        if change_job(connection, job_id, state=DONE, result_sha256=digest, ended_at=now):
            payload = {
                "model": {"name": job.model, "version": job.version}, "rows": job.rows, "rows_failed": job.rows_failed,
                "result_sha256": digest,
            }  # fmt: skip
            append(connection, AuditEvent(job.legal_entity, job.caller, JOB_DONE, job_id, payload), now)


def _job(job_id: str) -> ScoreJob | None:
    """The job, unless it has ended."""
    from group.entities import LEGAL_ENTITIES  # noqa: PLC0415

    with _Runner.engine.connect() as connection:
        found = find_job(connection, job_id, LEGAL_ENTITIES)
    return found if found is not None and found.state in UNFINISHED else None


def _change(job_id: str, **values: object) -> bool:
    with _Runner.engine.begin() as connection:
        return change_job(connection, job_id, **values)


def _end(job_id: str, state: str, error: str | None) -> None:
    job = _job(job_id)
    if job is not None:
        _change(job_id, state=state, error=error, ended_at=datetime.now(UTC))
        clear(_Runner.settings, job)


if __name__ == "__main__":
    sys.exit(main())
