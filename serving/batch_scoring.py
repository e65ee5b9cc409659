"""Batches as they are scored: some parts at a time, the next ones while these go on record and are told."""

import logging
import math
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
from group.audit import AuditEvent
from group.database import Checkpoints
from group.errors import JinkongError
from serving.decisions import SCORES_GIVEN, new_decision_id, part_payload, row_id
from serving.recording import put_on_record
from serving.scored import ScoredColumns
from serving.scorer import Scorer
from serving.unsettled import ENOUGH, note, settle, unsettled_parts

if TYPE_CHECKING:
    from serving.batches import Batch

Told = TypeVar("Told")

_LOG: Final = logging.getLogger("jinkong.serving")

_PART: Final = 500
"""Rows of a batch that are scored in one go and share a record, at most."""

_TOGETHER: Final = 2
"""Parts of a batch that are scored side by side and go on record in one commit, while the next ones are scored."""

ROWS_AT_ONCE: Final = _TOGETHER * _PART
"""Rows of a batch up to which all its answers are there with the first."""

_THREADS: Final = 4
"""Parts of all batches that are scored at a time."""


@dataclass(frozen=True, slots=True)
class BatchRequest(Generic[Told]):
    """A batch, the company that asks, who it is, what scores it, and how a part's answers are told."""

    batch: "Batch"
    legal_entity: str
    caller: str
    scorer: Scorer
    tell: Callable[["Answers"], Told]


@dataclass(frozen=True, slots=True)
class ScoredPart(Generic[Told]):
    """A part of a batch that is on record: how many of it got a score, and all answers as they are ``told``."""

    scores: int
    told: Told


@dataclass(frozen=True, slots=True)
class Answers:
    """The answers to ``n`` rows of a batch, as columns.

    ``numbers (n)`` are the rows' numbers in what was sent, ``parties (n)`` who they are of, empty for rows of features.
    ``scored`` are the scores of those that got one, and ``decision_ids`` theirs, None where a score has no record.
    """

    numbers: Sequence[int]
    parties: Sequence[str]
    scored: ScoredColumns
    decision_ids: Sequence[str | None]

    @property
    def errors(self) -> dict[int, str]:
        """By place why the others got none."""
        return {place: _refusal(error) for place, error in self.scored.errors.items()}


def _refusal(error: JinkongError) -> str:
    code = "unknown_party" if isinstance(error, UnknownParty) else "wrong_feature_row"
    return f"{code}: {error}"


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

    def score(self, wanted: BatchRequest[Told]) -> Iterator[ScoredPart[Told]]:
        """The answers to a batch, a part at a time, each part once its record is on disk.

        Raises:
            FeatureStoreUnavailable, DatabaseUnavailable: not now.
        """
        rows = len(wanted.batch)
        each = math.ceil(rows / math.ceil(rows / _PART)) if rows else 1
        firsts = range(0, rows, each)

        def begun(firsts: range) -> list[Future[_Ready[Told]]]:
            return [self._scorers.submit(_made_ready, wanted, first, each, self._now) for first in firsts]

        try:
            coming = begun(firsts[:_TOGETHER])
            for after in range(_TOGETHER, len(firsts) + _TOGETHER, _TOGETHER):
                ready = [part.result() for part in coming]
                coming = begun(firsts[after : after + _TOGETHER])
                self._put_on_record(ready)
                yield from (part.told for part in ready)
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
            while settle(self._engine, ENOUGH):
                self._checkpoints.after_commit()
            self._unsettled += unsettled_parts(self._engine)
        except SQLAlchemyError as error:
            # Nothing is lost: they are found where they are, and after the next batch it is tried again.
            self._unsettled = ENOUGH
            _LOG.warning("Scores of batches could not be put in place by party: %s", type(error).__name__)

    def _put_on_record(self, ready: "Sequence[_Ready[Any]]") -> None:
        events = [part.event for part in ready if part.event is not None]
        put_on_record(self._engine, events, self._now(), partial(_note, ready))
        self._unsettled += len(events)
        self._checkpoints.after_commit()


@dataclass(frozen=True, slots=True)
class _Ready(Generic[Told]):
    """A part that is scored: what goes on record of it, unless nobody got a score, and of whom it is."""

    event: AuditEvent | None
    parties: Sequence[str] | None
    told: ScoredPart[Told]


def _made_ready(wanted: BatchRequest[Told], first: int, rows: int, now: Callable[[], datetime]) -> _Ready[Told]:
    """A batch's part of so many rows from ``first``.

    All that can be done before it is written: parts are written one after the other, and scored side by side.
    """
    part, legal_entity = wanted.batch.part(first, rows), wanted.legal_entity
    scored, record = scored_batch(wanted.scorer, legal_entity, part), new_decision_id(now())
    names = [row_id(record, row) for row in range(len(scored.places))]
    parties = [part.parties[place] for place in scored.places] if part.parties else None
    event = None
    if names:
        payload = part_payload(legal_entity, wanted.scorer.registered, parties, scored)
        event = AuditEvent(legal_entity, wanted.caller, SCORES_GIVEN, record, payload)
    told = wanted.tell(Answers(range(first, first + len(part)), part.parties, scored, names))
    return _Ready(event, parties, ScoredPart(len(names), told))


def scored_batch(scorer: Scorer, legal_entity: str, part: "Batch") -> ScoredColumns:
    """The scores of parties as a company sees them, or of rows.

    Raises:
        FeatureStoreUnavailable: parties were asked for, and the online store does not answer.
    """
    if part.parties:
        return scorer.score_parties([(legal_entity, party) for party in part.parties])
    return scorer.score_rows(part.rows)


def _note(ready: "Sequence[_Ready[Any]]", connection: Connection) -> None:
    for part in ready:
        # Rows of features are nobody's.
        if part.event is not None and part.parties:
            note(connection, part.event.legal_entity, part.event.subject, part.parties)
