"""Jobs as they are kept: what is to be scored, how far it is, and where its files lie."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from sqlalchemy import BigInteger, Column, Connection, Index, Select, String, Table, Text, func, insert, select, update

from group.database import UtcDateTime, metadata

QUEUED: Final = "queued"
RUNNING: Final = "running"
DONE: Final = "done"
FAILED: Final = "failed"
CANCELLED: Final = "cancelled"
UNFINISHED: Final = (QUEUED, RUNNING)

score_jobs: Final = Table(
    "score_jobs",
    metadata,
    Column("job_id", String(36), primary_key=True),
    Column("legal_entity", String(32), nullable=False),
    Column("caller", String(80), nullable=False),
    Column("model", String(80), nullable=False),
    Column("sent_as", String(80)),
    Column("state", String(16), nullable=False),
    Column("rows", BigInteger),
    Column("rows_done", BigInteger, nullable=False),
    Column("rows_failed", BigInteger, nullable=False),
    Column("version", String(32)),
    Column("error", Text),
    Column("result_sha256", String(64)),
    Column("created_at", UtcDateTime, nullable=False),
    Column("ended_at", UtcDateTime),
    Index(None, "legal_entity", "job_id"),
    Index(None, "state"),
)


@dataclass(frozen=True, slots=True)
class ScoreJob:
    """A job. ``sent_as`` is the media type of the file that was sent; None for all parties of the company.

    ``rows`` is None until they are counted; ``rows_failed`` of ``rows_done`` got no score.
    """

    job_id: str
    legal_entity: str
    caller: str
    model: str
    sent_as: str | None
    state: str
    rows: int | None
    rows_done: int
    rows_failed: int
    version: str | None
    error: str | None
    result_sha256: str | None
    created_at: datetime
    ended_at: datetime | None


_COLUMNS: Final = tuple(ScoreJob.__dataclass_fields__)
_EVERY: Final[Select[Any]] = select(*(score_jobs.c[name] for name in _COLUMNS))


def job_folder(home: Path, job_id: str) -> Path:
    """Where a job's files lie: what was sent, its parts, and the result."""
    return home.absolute() / "jobs" / job_id


def sent_file(home: Path, job_id: str) -> Path:
    """What was sent to be scored."""
    return job_folder(home, job_id) / "sent"


def result_file(home: Path, job_id: str) -> Path:
    """The answers, as Parquet, once the job is done."""
    return job_folder(home, job_id) / "result.parquet"


def keep_job(connection: Connection, job: ScoreJob) -> None:
    """Queue a job."""
    connection.execute(insert(score_jobs), {name: getattr(job, name) for name in _COLUMNS})


def find_job(connection: Connection, job_id: str, legal_entities: Collection[str]) -> ScoreJob | None:
    """A job of one of these companies."""
    row = connection.execute(
        _EVERY.where(score_jobs.c.job_id == job_id, score_jobs.c.legal_entity.in_(sorted(legal_entities)))
    ).first()
    return None if row is None else ScoreJob(*row)


def jobs_of(
    connection: Connection, legal_entities: Collection[str], most: int, before: str | None = None
) -> list[ScoreJob]:
    """Jobs of these companies, the newest first; those before a job if one is given."""
    rows = _EVERY.where(score_jobs.c.legal_entity.in_(sorted(legal_entities)))
    if before is not None:
        rows = rows.where(score_jobs.c.job_id < before)
    return [ScoreJob(*row) for row in connection.execute(rows.order_by(score_jobs.c.job_id.desc()).limit(most))]


def unfinished_jobs(connection: Connection) -> list[ScoreJob]:
    """Jobs that are queued or run, the oldest first."""
    rows = _EVERY.where(score_jobs.c.state.in_(UNFINISHED)).order_by(score_jobs.c.job_id)
    return [ScoreJob(*row) for row in connection.execute(rows)]


def ends_of_jobs(connection: Connection, job_ids: Collection[str]) -> dict[str, datetime | None]:
    """When each of these jobs ended, None where it has not; those that there are."""
    found = select(score_jobs.c.job_id, score_jobs.c.ended_at).where(score_jobs.c.job_id.in_(sorted(job_ids)))
    return {row.job_id: row.ended_at for row in connection.execute(found)}


def count_unfinished(connection: Connection, caller: str) -> int:
    """How many jobs of a caller are queued or run."""
    counted = select(func.count()).where(score_jobs.c.caller == caller, score_jobs.c.state.in_(UNFINISHED))
    return int(connection.execute(counted).scalar_one())


def change_job(connection: Connection, job_id: str, **values: Any) -> bool:
    """Change an unfinished job; False where it has ended meanwhile, and nothing is changed."""
    done = connection.execute(
        update(score_jobs).where(score_jobs.c.job_id == job_id, score_jobs.c.state.in_(UNFINISHED)).values(**values)
    )
    return done.rowcount == 1
