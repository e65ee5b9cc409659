"""Batches as they are scored: a part at a time, the next ones ahead while one goes on record and is told."""

import logging
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from features import UnknownParty
from group.audit import AuditEvent, CanonicalJson
from group.database import Checkpoints
from group.errors import JinkongError
from serving.decisions import SCORES_GIVEN, new_decision_id, part_payload, row_id
from serving.recording import put_on_record
from serving.scored import ScoredColumns
from serving.scorer import Scorer
from serving.unsettled import ENOUGH, note, settle, unsettled_parts

if TYPE_CHECKING:
    from serving.batch_answers import Answer
    from serving.batches import Batch

Told = TypeVar("Told")

_LOG: Final = logging.getLogger("jinkong.serving")

_PART: Final = 500
"""Rows of a batch that are scored and recorded in one go."""

_AHEAD: Final = 1
"""Parts of a batch that are scored before it is their turn."""

_THREADS: Final = 4
"""Parts of all batches that are scored at a time."""


@dataclass(frozen=True, slots=True)
class ScoredPart(Generic[Told]):
    """A part of a batch that is on record: how many of it got a score, and all answers as they are ``told``."""

    scores: int
    told: Told


class BatchScoring:
    """Scores batches, each part with its record."""

    def __init__(self, engine: Engine, checkpoints: Checkpoints, now: Callable[[], datetime]) -> None:
        self._engine = engine
        self._checkpoints = checkpoints
        self._now = now
        self._scorers = ThreadPoolExecutor(_THREADS, thread_name_prefix="batches")
        self._settler = ThreadPoolExecutor(1, thread_name_prefix="settler")
        self._settled: Future[None] | None = None
        # Parts that may wait to be settled; whether an earlier process left some is not known yet.
        self._unsettled = ENOUGH

    def score(
        self,
        batch: "Batch",
        legal_entity: str,
        scorer: Scorer,
        caller: str,
        tell: "Callable[[Sequence[Answer]], Told]",
    ) -> Iterator[ScoredPart[Told]]:
        """The answers to a batch, a part at a time, each part once its record is on disk.

        What ``tell`` makes of a part's answers, it makes while other parts are scored.

        Raises:
            FeatureStoreUnavailable, DatabaseUnavailable: not now.
        """
        coming: deque[Future[_Ready[Told]]] = deque()
        try:
            for first in range(0, len(batch), _PART):
                part = batch.part(first, _PART)
                coming.append(self._scorers.submit(_made_ready, scorer, legal_entity, first, part, self._now, tell))
                if len(coming) > _AHEAD:
                    yield self._on_record(coming.popleft().result(), legal_entity, caller)
            while coming:
                yield self._on_record(coming.popleft().result(), legal_entity, caller)
        finally:
            self._settle()

    def close(self) -> None:
        """Give what is being scored, and end."""
        self._scorers.shutdown()
        self._settler.shutdown()

    def _settle(self) -> None:
        if self._unsettled >= ENOUGH and (self._settled is None or self._settled.done()):
            with suppress(RuntimeError):  # the server ends; the next one does it
                self._settled = self._settler.submit(self._settle_now)

    def _settle_now(self) -> None:
        # Parts that come meanwhile may be counted twice: then it is looked for them too early once.
        self._unsettled = 0
        try:
            while settle(self._engine):
                self._checkpoints.after_commit()
            self._unsettled += unsettled_parts(self._engine)
        except SQLAlchemyError as error:
            # Nothing is lost: they are found where they are, and after the next batch it is tried again.
            self._unsettled = ENOUGH
            _LOG.warning("Scores of batches could not be put in place by party: %s", type(error).__name__)

    def _on_record(self, ready: "_Ready[Told]", legal_entity: str, caller: str) -> ScoredPart[Told]:
        if ready.payload is not None:
            event = AuditEvent(legal_entity, caller, SCORES_GIVEN, ready.record, ready.payload)
            put_on_record(self._engine, [event], self._now(), partial(_note, legal_entity, ready.record, ready.parties))
            self._unsettled += 1
            self._checkpoints.after_commit()
        return ready.part


@dataclass(frozen=True, slots=True)
class _Ready(Generic[Told]):
    """A part that is scored, its record's name, whom it is of, and what goes on record; None if nobody got a score."""

    record: str
    parties: Sequence[str] | None
    payload: CanonicalJson | None
    part: ScoredPart[Told]


def _made_ready(
    scorer: Scorer,
    legal_entity: str,
    first: int,
    part: "Batch",
    now: Callable[[], datetime],
    tell: "Callable[[Sequence[Answer]], Told]",
) -> _Ready[Told]:
    """A part whose first row is the batch's ``first``.

    All that can be done before its turn to be written: parts are written one after the other, and scored side by side.
    """
    scored, record = scored_batch(scorer, legal_entity, part), new_decision_id(now())
    names = [row_id(record, row) for row in range(len(scored.places))]
    parties = [part.parties[place] for place in scored.places] if part.parties else None
    payload = part_payload(legal_entity, scorer.registered, parties, scored) if names else None
    told = tell(answers_to(range(first, first + len(part)), part, scored, names))
    return _Ready(record, parties, payload, ScoredPart(len(names), told))


def scored_batch(scorer: Scorer, legal_entity: str, part: "Batch") -> ScoredColumns:
    """The scores of parties as a company sees them, or of rows.

    Raises:
        FeatureStoreUnavailable: parties were asked for, and the online store does not answer.
    """
    if part.parties:
        return scorer.score_parties([(legal_entity, party) for party in part.parties])
    return scorer.score_rows(part.rows)


def answers_to(
    numbers: Sequence[int], part: "Batch", scored: ScoredColumns, decision_ids: Sequence[str | None]
) -> "list[Answer]":
    """An answer a row of a part, in its order; ``numbers`` are the rows' numbers in what was sent."""
    answers: dict[int, dict[str, Any]] = {}
    parties: Sequence[str | None] = part.parties or [None] * len(part)
    columns = (scored.places, decision_ids, scored.probability, scored.score, scored.grade, scored.reasons)
    for place, decision_id, probability, score, grade, reasons in zip(*columns, strict=True):
        answers[place] = {
            "row": numbers[place], "decision_id": decision_id, "party_id": parties[place], "probability": probability,
            "score": score, "grade": grade, "reasons": reasons, "error": None,
        }  # fmt: skip
    for place, error in scored.errors.items():
        answers[place] = {
            "row": numbers[place], "decision_id": None, "party_id": parties[place], "probability": None,
            "score": None, "grade": None, "reasons": None, "error": _refusal(error),
        }  # fmt: skip
    return [answers[place] for place in range(len(part))]


def _note(legal_entity: str, record: str, parties: Sequence[str] | None, connection: Connection) -> None:
    # Rows of features are nobody's.
    if parties:
        note(connection, legal_entity, record, parties)


def _refusal(error: JinkongError) -> str:
    code = "unknown_party" if isinstance(error, UnknownParty) else "wrong_feature_row"
    return f"{code}: {error}"
