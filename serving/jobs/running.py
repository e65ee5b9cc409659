"""What a job does with its rows: split into parts, each part scored by Ray Data, the parts put together.

A part that is written is never scored again: whoever goes on after a crash finds it.
"""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Final

import polars as pl
import pyarrow as pa
import pyarrow.parquet
import ray

from features import online_reader
from features.place import canonical_folder
from group.errors import InputError
from group.files import written_whole
from group.settings import Settings
from serving.batch_answers import SCHEMA, table_of
from serving.batch_scoring import Answers, scored_batch
from serving.batches import PARTY_COLUMN, UnusableBatch, batch_of_table, read_json
from serving.formats import ARROW, CSV, PARQUET
from serving.jobs.kept import ScoreJob, job_folder, result_file, sent_file
from serving.scorer import Scorer
from training import RegisteredModel, scores_parties

ROWS_A_PART: Final = 50_000
_ROWS_AT_ONCE: Final = 2_000
_FEW_ROWS: Final = 1_000
_ROW: Final = "row"
JOB_SCHEMA: Final = SCHEMA.remove(SCHEMA.get_field_index("decision_id")).set(
    SCHEMA.get_field_index("row"), pa.field("row", pa.int64())
)
"""An answer a row of what was sent, in its order."""


class UnusableJob(InputError):
    """What was sent is nothing that the model can score."""


def split(settings: Settings, job: ScoreJob) -> list[int]:
    """Write what is to be scored as numbered Parquet parts of the job's folder; return the rows of each.

    Raises:
        UnusableJob: it cannot be read, is empty, or is of parties where the model takes rows alone.
    """
    frame = _asked_for(settings, job)
    if frame.is_empty():
        raise UnusableJob("There is nothing to score: the table has no rows.")
    if PARTY_COLUMN in frame.columns:
        if not scores_parties(job.model):
            raise UnusableJob(f"'{job.model}' scores rows of features, not parties.")
        if len(frame.columns) > 1:
            raise UnusableJob(f"A table with '{PARTY_COLUMN}' has no other column; rows of features have none.")
        frame = frame.with_columns(pl.col(PARTY_COLUMN).cast(pl.String))
    parts = []
    for number, first in enumerate(range(0, len(frame), ROWS_A_PART)):
        part = frame.slice(first, ROWS_A_PART).with_row_index(_ROW, offset=first)
        with written_whole(_part(settings, job, number, "asked")) as file:
            part.write_parquet(file)
        parts.append(len(part))
    return parts


def score_part(
    settings: Settings, job: ScoreJob, number: int, registered: RegisteredModel, begin_ray: Callable[[], None]
) -> tuple[int, int]:
    """Score one part on Ray, and return its rows and how many of them got no score.

    A part of a few rows is scored here: Ray's workers take longer to begin than it takes.
    """
    target = _part(settings, job, number, "answers")
    if not target.is_file():
        asked = _part(settings, job, number, "asked")
        if pa.parquet.read_metadata(asked).num_rows <= _FEW_ROWS:
            table = _Scoring(settings, registered, job.legal_entity)(pa.parquet.read_table(asked))
        else:
            begin_ray()
            table = _scored_on_ray(settings, asked, registered, job.legal_entity)
        with written_whole(target) as file:
            pa.parquet.write_table(table, file)
    errors = pa.parquet.read_table(target, columns=["error"])["error"]
    return len(errors), len(errors) - errors.null_count


def _scored_on_ray(settings: Settings, asked: Path, registered: RegisteredModel, legal_entity: str) -> pa.Table:
    ray.data.DataContext.get_current().enable_progress_bars = False
    scored = ray.data.read_parquet(str(asked)).map_batches(
        _Scoring,
        fn_constructor_args=(settings, registered, legal_entity),
        batch_size=_ROWS_AT_ONCE,
        batch_format="pyarrow",
        compute=ray.data.ActorPoolStrategy(min_size=1, max_size=settings.threads),
        num_cpus=1,
    )
    # Blocks come as they are done.
    return pa.concat_tables(ray.get(scored.to_arrow_refs())).sort_by(_ROW).cast(JOB_SCHEMA)


def put_together(settings: Settings, job: ScoreJob, parts: int) -> str:
    """Write the result of all parts, and return its SHA-256."""
    target = result_file(settings.home, job.job_id)
    with written_whole(target) as file, pa.parquet.ParquetWriter(file, JOB_SCHEMA) as writer:
        for number in range(parts):
            writer.write_table(pa.parquet.read_table(_part(settings, job, number, "answers")))
    with target.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def clear(settings: Settings, job: ScoreJob) -> None:
    """Remove what a job that has ended needs no more."""
    folder = job_folder(settings.home, job.job_id)
    for path in [
        *folder.glob("*-asked.parquet"),
        *folder.glob("*-answers.parquet"),
        sent_file(settings.home, job.job_id),
    ]:
        path.unlink(missing_ok=True)


def _asked_for(settings: Settings, job: ScoreJob) -> pl.DataFrame:
    if job.sent_as is None:
        parties = pl.scan_parquet(canonical_folder(settings.home) / "parties" / "*.parquet")
        own = parties.filter(pl.col("legal_entity") == job.legal_entity).select(PARTY_COLUMN).unique()
        return own.sort(PARTY_COLUMN).collect()
    path = sent_file(settings.home, job.job_id)
    try:
        if job.sent_as == CSV:
            # A party's id may look like a number.
            return pl.read_csv(path, schema_overrides={PARTY_COLUMN: pl.String}, infer_schema_length=None)
        if job.sent_as == PARQUET:
            return pl.read_parquet(path)
        if job.sent_as == ARROW:
            return pl.read_ipc_stream(path)
        batch = read_json(path.read_bytes())
        if batch.parties:
            return pl.DataFrame({PARTY_COLUMN: list(batch.parties)})
        return pl.DataFrame(list(batch.rows), infer_schema_length=None)
    except (pl.exceptions.PolarsError, OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0].rstrip(".") if str(error).strip() else type(error).__name__
        raise UnusableJob(f"What was sent cannot be read as {job.sent_as}: {reason}.") from None
    except UnusableBatch as error:
        raise UnusableJob(str(error)) from None


def _part(settings: Settings, job: ScoreJob, number: int, what: str) -> Path:
    return job_folder(settings.home, job.job_id) / f"{number:06d}-{what}.parquet"


class _Scoring:
    """One Ray worker's scorer, made once."""

    def __init__(self, settings: Settings, registered: RegisteredModel, legal_entity: str) -> None:
        by_party = scores_parties(registered.name)
        reader = online_reader(settings, registered.model.features) if by_party else None
        self._scorer = Scorer(registered, reader)
        self._legal_entity = legal_entity

    def __call__(self, batch: pa.Table) -> pa.Table:
        rows = batch[_ROW].to_pylist()
        wanted = batch_of_table(batch.drop_columns([_ROW]))
        scored = scored_batch(self._scorer, self._legal_entity, wanted)
        # Rows of a job have no decision of their own.
        return table_of(Answers(rows, wanted.parties, scored, [None] * len(scored.places)), JOB_SCHEMA)
