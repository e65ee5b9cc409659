"""Scores as they are given: gathered, scored together, on record together, and only then answered."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from typing import TYPE_CHECKING, Any, Final

import orjson
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from features import UnknownParty
from group.audit import AuditEvent, AuditRecord, append_all
from group.database import DatabaseUnavailable
from group.errors import JinkongError
from serving.decisions import (
    SCORE_GIVEN,
    SCORES_GIVEN,
    answer,
    decision_payload,
    new_decision_id,
    part_payload,
    row_id,
)
from serving.gathering import Gatherer
from serving.messages import ScoreRequest
from serving.scorer import Asked, Scored, Scorer

if TYPE_CHECKING:
    from serving.batches import Answer, Batch

_MOST_AT_ONCE: Final = 256
_MOST_WAITING: Final = 512

_PART: Final = 500
"""Rows of a batch that are scored and recorded in one go."""


@dataclass(frozen=True, slots=True)
class _Wanted:
    request: ScoreRequest
    scorer: Scorer
    caller: str


@dataclass(frozen=True, slots=True)
class GivenScore:
    """A score that is on record, and the reply that tells it."""

    decision_id: str
    reply: bytes


class Scoring:
    """Gives scores of any loaded model, each with its record."""

    def __init__(self, engine: Engine, now: Callable[[], datetime]) -> None:
        self._engine = engine
        self._now = now
        self._gatherer = Gatherer(self._give, most_at_once=_MOST_AT_ONCE, most_waiting=_MOST_WAITING)

    async def score(self, request: ScoreRequest, scorer: Scorer, caller: str) -> GivenScore:
        """The score of what ``request`` asks for, once its record is on disk.

        Raises:
            UnknownParty, WrongFeatureRow: it cannot be scored.
            FeatureStoreUnavailable, DatabaseUnavailable, TooManyWaiting: not now.
        """
        return await self._gatherer.ask(_Wanted(request, scorer, caller))

    def score_batch(self, batch: "Batch", legal_entity: str, scorer: Scorer, caller: str) -> "Iterator[list[Answer]]":
        """The answers to a batch, a part at a time, each part once its record is on disk.

        Raises:
            FeatureStoreUnavailable, DatabaseUnavailable: not now.
        """
        asked = [Asked(legal_entity, party_id=party) for party in batch.parties]
        asked += [Asked(legal_entity, features=row) for row in batch.rows]
        for first in range(0, len(asked), _PART):
            part = asked[first : first + _PART]
            outcomes = scorer.score(part)
            given = [outcome for outcome in outcomes if isinstance(outcome, Scored)]
            of_whom = [one.party_id for one, outcome in zip(part, outcomes, strict=True) if isinstance(outcome, Scored)]
            now = self._now()
            record = new_decision_id(now)
            if given:
                payload = part_payload(legal_entity, scorer.registered, of_whom, given)
                self._record([AuditEvent(legal_entity, caller, SCORES_GIVEN, record, payload)], now)
            rows = count()
            yield [
                _told(number, one, outcome, row_id(record, next(rows)) if isinstance(outcome, Scored) else None)
                for number, (one, outcome) in enumerate(zip(part, outcomes, strict=True), first)
            ]

    def close(self) -> None:
        """Give what is being scored, and end."""
        self._gatherer.close()

    def _give(self, wanted: Sequence[_Wanted]) -> list[GivenScore | Exception]:
        outcomes = _outcomes(wanted)
        now = self._now()
        scored = [(one, outcome) for one, outcome in zip(wanted, outcomes, strict=True) if isinstance(outcome, Scored)]
        events = [
            AuditEvent(
                one.request.legal_entity, one.caller, SCORE_GIVEN, new_decision_id(now),
                decision_payload(_asked_for(one.request), one.scorer.registered, outcome),
            )
            for one, outcome in scored
        ]  # fmt: skip
        given = iter(
            [
                GivenScore(record.subject, _reply(one, outcome, record))
                for (one, outcome), record in zip(scored, self._record(events, now), strict=True)
            ]
        )
        return [outcome if isinstance(outcome, Exception) else next(given) for outcome in outcomes]

    def _record(self, events: Sequence[AuditEvent], now: datetime) -> list[AuditRecord]:
        if not events:
            return []
        try:
            with self._engine.begin() as connection:
                return append_all(connection, events, now)
        except (DBAPIError, PoolTimeoutError):
            raise DatabaseUnavailable(
                "The score could not be written to the audit log, so it is not given; try again."
            ) from None


def _outcomes(wanted: Sequence[_Wanted]) -> list[Scored | Exception]:
    """Each model's at once; where a model's features cannot be read, its askers alone are told."""
    outcomes: list[Scored | Exception] = [JinkongError("not scored")] * len(wanted)
    by_scorer: dict[Scorer, list[int]] = {}
    for place, one in enumerate(wanted):
        by_scorer.setdefault(one.scorer, []).append(place)
    for scorer, places in by_scorer.items():
        requests = [wanted[place].request for place in places]
        asked = [Asked(request.legal_entity, request.party_id, request.features) for request in requests]
        try:
            scored: Sequence[Scored | Exception] = scorer.score(asked)
        except JinkongError as error:
            scored = [error] * len(places)
        for place, outcome in zip(places, scored, strict=True):
            outcomes[place] = outcome
    return outcomes


def _told(number: int, asked: Asked, outcome: Scored | Exception, decision_id: str | None) -> "Answer":
    told: Answer = {"row": number, "decision_id": decision_id, "party_id": asked.party_id}
    if isinstance(outcome, Scored):
        return told | answer(outcome) | {"error": None}
    code = "unknown_party" if isinstance(outcome, UnknownParty) else "wrong_feature_row"
    return told | {
        "probability": None, "score": None, "grade": None, "reasons": None, "error": f"{code}: {outcome}"
    }  # fmt: skip


def _asked_for(request: ScoreRequest) -> dict[str, Any]:
    # A row that was given stands in the record as what was seen.
    asked: dict[str, Any] = {"legal_entity": request.legal_entity, "model": request.model}
    return asked if request.party_id is None else asked | {"party_id": request.party_id}


def _reply(wanted: _Wanted, scored: Scored, record: AuditRecord) -> bytes:
    registered = wanted.scorer.registered
    return orjson.dumps(
        {
            "decision_id": record.subject,
            "legal_entity": record.legal_entity,
            "party_id": wanted.request.party_id,
            "probability": scored.probability,
            "probability_of_default": scored.probability if scored.score is not None else None,
            "score": scored.score,
            "grade": scored.grade,
            "reasons": scored.reasons,
            "model": {"name": registered.name, "version": registered.version, "sha256": registered.sha256},
            "features_as_of": scored.features_as_of,
            "scored_at": record.recorded_at.astimezone(UTC),
        },
        option=orjson.OPT_UTC_Z,
    )
