"""Scores as they are given: gathered, scored together, on record together, and only then answered."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import orjson
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from group.audit import AuditEvent, AuditRecord, append_all
from group.database import DatabaseUnavailable
from group.errors import JinkongError
from serving.decisions import SCORE_GIVEN, decision_payload, new_decision_id
from serving.gathering import Gatherer
from serving.messages import ScoreRequest
from serving.scorer import Asked, Scored, Scorer

_MOST_AT_ONCE: Final = 256
_MOST_WAITING: Final = 512


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

    def close(self) -> None:
        """Give what is being scored, and end."""
        self._gatherer.close()

    def _give(self, wanted: Sequence[_Wanted]) -> list[GivenScore | Exception]:
        outcomes = _scored(wanted)
        now = self._now()
        events: dict[int, AuditEvent] = {
            place: AuditEvent(
                one.request.legal_entity, one.caller, SCORE_GIVEN, new_decision_id(now),
                decision_payload(_asked_for(one.request), one.scorer.registered, outcome),
            )
            for place, (one, outcome) in enumerate(zip(wanted, outcomes, strict=True))
            if isinstance(outcome, Scored)
        }  # fmt: skip
        records = dict(zip(events, self._record(list(events.values()), now), strict=True))
        return [
            outcome
            if isinstance(outcome, Exception)
            else GivenScore(records[place].subject, _reply(one, outcome, records[place]))
            for place, (one, outcome) in enumerate(zip(wanted, outcomes, strict=True))
        ]

    def _record(self, events: Sequence[AuditEvent], now: datetime) -> list[AuditRecord]:
        try:
            with self._engine.begin() as connection:
                return append_all(connection, events, now)
        except (DBAPIError, PoolTimeoutError):
            raise DatabaseUnavailable(
                "The score could not be written to the audit log, so it is not given; try again."
            ) from None


def _scored(wanted: Sequence[_Wanted]) -> list[Scored | Exception]:
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
