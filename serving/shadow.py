"""Shadow scores: what a challenger would have answered to what was answered.

They are made from the record, not from the request: what was seen stands in the audit log. So a shadow score changes
neither an answer nor how long it takes, nothing that was answered is left out, and a process that was away catches up.
"""

import logging
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import lru_cache
from multiprocessing import get_context
from typing import Any, Final

import orjson
from filelock import FileLock, Timeout
from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Engine,
    Float,
    Row,
    String,
    Table,
    bindparam,
    case,
    func,
    insert,
    select,
    update,
)

from group.audit import audit_head, audit_log
from group.database import metadata, migrated, reading
from group.entities import LEGAL_ENTITIES
from group.settings import Settings
from serving.batch_record import rows_of
from serving.decisions import PRECREDIT_DECIDED, SCORE_GIVEN, SCORES_GIVEN, row_id
from serving.scored import Scored
from serving.scorer import Asked, Scorer
from training import RegisteredModel

_LOG: Final = logging.getLogger(__name__)

_AT_ONCE: Final = 200
"""Records that are read in one go."""

shadow_scores: Final = Table(
    "shadow_scores",
    metadata,
    Column("model", String(80), primary_key=True),
    Column("version", String(32), primary_key=True),
    Column("decision_id", String(48), primary_key=True),
    Column("legal_entity", String(32), nullable=False),
    Column("answered_by", String(32), nullable=False),
    Column("answered", Float, nullable=False),
    Column("probability", Float, nullable=False),
    Column("answered_grade", String(8)),
    Column("grade", String(8)),
)

shadow_progress: Final = Table(
    "shadow_progress",
    metadata,
    Column("model", String(80), primary_key=True),
    Column("version", String(32), primary_key=True),
    Column("legal_entity", String(32), primary_key=True),
    Column("sequence", BigInteger, nullable=False),
)
"""Up to which record of a company's chain a version has scored."""


_NEXT: Final = (
    select(audit_log.c.sequence, audit_log.c.action, audit_log.c.subject, audit_log.c.payload)
    .where(audit_log.c.legal_entity == bindparam("company"), audit_log.c.sequence > bindparam("last"))
    .order_by(audit_log.c.sequence)
    .limit(_AT_ONCE)
)


@dataclass(frozen=True, slots=True)
class ShadowSummary:
    """A challenger beside a version that answered: over how many scores, and how they differ."""

    version: str
    answered_by: str
    scores: int
    mean_answered: float
    mean_shadow: float
    other_grade: float


def shadow_summaries(connection: Connection, name: str) -> list[ShadowSummary]:
    """All challengers of a model, the newest first."""
    table = shadow_scores.c
    moved = case((table.grade != table.answered_grade, 1.0), else_=0.0)
    rows = connection.execute(
        select(
            table.version, table.answered_by, func.count(), func.avg(table.answered), func.avg(table.probability),
            func.avg(moved),
        )
        .where(table.model == name)
        .group_by(table.version, table.answered_by)
        .order_by(table.version.desc(), table.answered_by.desc())
    )  # fmt: skip
    return [ShadowSummary(*row) for row in rows]


class Shadow:
    """Has challengers score what is on record, in a process of low priority. Safe to share between threads."""

    def __init__(self, settings: Settings, challengers: Callable[[], Sequence[str]]) -> None:
        """``challengers`` names the models that have one."""
        self._settings = settings
        self._challengers = challengers
        self._ended = threading.Event()
        self._process: ProcessPoolExecutor | None = None
        self._thread = threading.Thread(target=self._run, name="shadow", daemon=True)

    def begin(self) -> None:
        """Look every few seconds from now on, until ``close``."""
        self._thread.start()

    def close(self) -> None:
        """End after what is in hand."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join()
        if self._process is not None:
            self._process.shutdown()

    def _run(self) -> None:
        while not self._ended.wait(self._settings.model_refresh_seconds):
            for name in self._challengers():
                try:
                    while not self._ended.is_set() and self._others().submit(score_some, self._settings, name).result():
                        pass
                except BrokenProcessPool:
                    self._process = None
                except Exception:
                    # What nobody thought of must not end the watch: the next look may go well.
                    _LOG.exception("Shadow scores of '%s' could not be made", name)

    def _others(self) -> ProcessPoolExecutor:
        if self._process is None:
            self._process = ProcessPoolExecutor(1, mp_context=get_context("spawn"), initializer=os.nice, initargs=(19,))
        return self._process


def score_some(settings: Settings, name: str) -> int:
    """Have the challenger of a model score what is next on record; return how many records were looked at.

    A challenger begins with what is answered after it was first looked at. Another process of the home that does the
    same leaves nothing to do.
    """
    from training import challenger  # noqa: PLC0415 - imports MLflow

    try:
        with FileLock(settings.home / ".shadow.lock").acquire(timeout=0), migrated(settings.state_url) as engine:
            registered = challenger(settings, name)
            if registered is None:
                return 0
            scorer = _scorer(registered.texts, registered)
            return sum(_score_company(engine, settings, scorer, company) for company in LEGAL_ENTITIES)
    except Timeout:
        return 0


@lru_cache(maxsize=2)
def _scorer(_texts: tuple[str, str], registered: RegisteredModel) -> Scorer:
    return Scorer(registered)


@lru_cache(maxsize=8)
def _columns(settings_home: str, tracking_uri: str, name: str, version: str) -> tuple[str, ...]:
    """What a version that answered had seen, in the order in which it is on record."""
    from training import model_version  # noqa: PLC0415 - imports MLflow

    settings = Settings.model_validate({"home": settings_home, "mlflow_tracking_uri": tracking_uri})
    return tuple(model_version(version, settings, name).model.read_columns)


def _score_company(engine: Engine, settings: Settings, scorer: Scorer, company: str) -> int:
    """Score what is next on a company's record. Nobody who writes waits for more than the rows that come of it."""
    registered = scorer.registered
    key = {"model": registered.name, "version": registered.version, "legal_entity": company}
    of_key = [shadow_progress.c[name] == value for name, value in key.items()]
    with reading(engine) as connection:
        last = connection.execute(select(shadow_progress.c.sequence).where(*of_key)).scalar()
        head = connection.execute(select(audit_head.c.sequence).where(audit_head.c.legal_entity == company)).scalar()
        records = connection.execute(_NEXT, {"company": company, "last": (head or 0) if last is None else last}).all()
    if last is None:
        with engine.begin() as connection:
            connection.execute(insert(shadow_progress), key | {"sequence": head or 0})
    if last is None or not records:
        return 0
    rows = [key | row for row in _shadows(records, settings, scorer)]
    with engine.begin() as connection:
        if rows:
            connection.execute(insert(shadow_scores), rows)
        connection.execute(update(shadow_progress).where(*of_key).values(sequence=records[-1].sequence))
    return len(records)


def _shadows(records: Sequence[Row[*tuple[Any, ...]]], settings: Settings, scorer: Scorer) -> Iterator[dict[str, Any]]:
    asked, answered = [], []
    for record in records:
        for decision_id, model, own in _decisions(record.action, record.subject, record.payload):
            # A score that was given again was looked at when it was new.
            if model["name"] != scorer.registered.name or model["version"] == scorer.registered.version:
                continue
            if "degraded" in own:
                continue
            columns = _columns(
                str(settings.home.absolute()), settings.mlflow_tracking_uri, model["name"], model["version"]
            )
            # What lacks a feature of the challenger is not scored: unknown to the record is not unknown of the party.
            seen = dict(zip(columns, own["features"], strict=True))
            asked.append(Asked("", features={name: seen[name] for name in scorer.model.read_columns if name in seen}))
            answered.append(
                {
                    "decision_id": decision_id, "answered_by": model["version"], "answered": own["probability"],
                    "answered_grade": own["grade"],
                }
            )  # fmt: skip
    for before, outcome in zip(answered, scorer.score(asked), strict=True):
        if isinstance(outcome, Scored):
            yield before | {"probability": outcome.probability, "grade": outcome.grade}


def _decisions(action: str, subject: str, payload: str) -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    if action in (SCORE_GIVEN, PRECREDIT_DECIDED):
        content = orjson.loads(payload)
        yield subject, content["model"], content
    elif action == SCORES_GIVEN:
        content = orjson.loads(payload)
        for number, row in enumerate(rows_of(content)):
            yield row_id(subject, number), content["model"], row
