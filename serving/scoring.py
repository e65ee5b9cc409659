"""Scores as they are given: gathered, scored together, on record together, and only then answered."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import orjson
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from features import FeatureStoreUnavailable
from group.audit import AuditEvent
from group.database import Checkpoints, open_database, reading
from group.errors import JinkongError
from group.settings import Settings
from serving.decisions import (
    SCORE_GIVEN,
    decision_payload,
    new_decision_ids,
    recorded,
    repeated_payload,
)
from serving.gathering import Gatherer, WouldWait
from serving.messages.scores import ScoreRequest
from serving.party_scores import keep_scores, party_score
from serving.recording import StandingConnection, not_recorded, put_on_record
from serving.score_history import last_score
from serving.scored import Scored
from serving.scorer import Asked, Scorer

_MOST_AT_ONCE: Final = 256
_MOST_WAITING: Final = 512
_QUICK_SECONDS: Final = 0.02
"""How long the loop waits for another writer before it leaves the writing to a thread."""


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
    degraded: bool


@dataclass(frozen=True, slots=True)
class _Earlier:
    """A party's last score, given again: what was put on record of it."""

    content: Mapping[str, Any]
    degraded: str


class Scoring:
    """Gives scores of any loaded model, each with its record."""

    def __init__(
        self, settings: Settings, engine: Engine, checkpoints: Checkpoints, now: Callable[[], datetime]
    ) -> None:
        self._engine = engine
        self._checkpoints = checkpoints
        self._now = now
        self._last_score = timedelta(days=settings.last_score_days)
        # A server elsewhere may take its time, which the loop must not wait for.
        here = engine.dialect.name == "sqlite"
        self._quick_engine = (
            open_database(settings.state_url, wait_seconds=_QUICK_SECONDS, leave_checkpoints=True) if here else None
        )
        self._quick_connection = StandingConnection(self._quick_engine) if self._quick_engine else None
        self._gatherer = Gatherer(
            self._give, self._give_quickly if here else None, most_at_once=_MOST_AT_ONCE, most_waiting=_MOST_WAITING
        )

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
        if self._quick_engine is not None and self._quick_connection is not None:
            self._quick_connection.close()
            self._quick_engine.dispose()

    def _give_quickly(self, wanted: Sequence[_Wanted]) -> list[GivenScore | Exception]:
        outcomes = _outcomes(wanted)
        if any(isinstance(outcome, FeatureStoreUnavailable) for outcome in outcomes) or self._quick_connection is None:
            raise WouldWait
        answers = self._answers(self._quick_connection, wanted, outcomes, quickly=True)
        self._checkpoints.after_commit()
        return answers

    def _give(self, wanted: Sequence[_Wanted]) -> list[GivenScore | Exception]:
        outcomes = [
            self._earlier(one, outcome) if isinstance(outcome, FeatureStoreUnavailable) else outcome
            for one, outcome in zip(wanted, _outcomes(wanted), strict=True)
        ]
        return self._answers(self._engine, wanted, outcomes)

    def _answers(
        self,
        engine: Engine | StandingConnection,
        wanted: Sequence[_Wanted],
        outcomes: "Sequence[Scored | _Earlier | Exception]",
        *,
        quickly: bool = False,
    ) -> list[GivenScore | Exception]:
        now = self._now()
        events, replies, of_parties = [], [], []
        names = iter(new_decision_ids(now, len(wanted)))
        for one, outcome in zip(wanted, outcomes, strict=True):
            if isinstance(outcome, Exception):
                continue
            name, asked = next(names), _asked_for(one.request)
            registered, party = one.scorer.registered, one.request.party_id
            if isinstance(outcome, _Earlier):
                payload = repeated_payload(asked, outcome.content, outcome.degraded)
                reply = _repeated(one.request, outcome, name, now)
            else:
                payload = decision_payload(asked, registered, outcome)
                reply = _reply(one, outcome, name, now)
                if party is not None:
                    of_parties.append(party_score(one.request.legal_entity, party, name, now, registered, outcome))
            events.append(AuditEvent(one.request.legal_entity, one.caller, SCORE_GIVEN, name, payload))
            replies.append(GivenScore(name, reply, isinstance(outcome, _Earlier)))
        put_on_record(engine, events, now, lambda connection: keep_scores(connection, of_parties), quickly=quickly)
        given = iter(replies)
        return [outcome if isinstance(outcome, Exception) else next(given) for outcome in outcomes]

    def _earlier(self, wanted: _Wanted, error: FeatureStoreUnavailable) -> "_Earlier | Exception":
        """The party's last score, where it is not too old, or else the error."""
        request = wanted.request
        if request.party_id is None:
            return error
        since = self._now() - self._last_score
        try:
            with reading(self._engine, [request.legal_entity]) as connection:
                last = last_score(connection, request.legal_entity, request.party_id, request.model, since)
                found = recorded(connection, [request.legal_entity], last.decision_id) if last else None
        except (DBAPIError, PoolTimeoutError):
            return not_recorded()
        return error if found is None else _Earlier(found.content | found.own, "feature_store_unavailable")


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


def _asked_for(request: ScoreRequest) -> dict[str, Any]:
    # A row that was given stands in the record as what was seen.
    asked: dict[str, Any] = {"legal_entity": request.legal_entity, "model": request.model}
    return asked if request.party_id is None else asked | {"party_id": request.party_id}


def _reply(wanted: _Wanted, scored: Scored, name: str, now: datetime) -> bytes:
    registered = wanted.scorer.registered
    return orjson.dumps(
        {
            "decision_id": name,
            "legal_entity": wanted.request.legal_entity,
            "party_id": wanted.request.party_id,
            "probability": scored.probability,
            "probability_of_default": scored.probability if scored.score is not None else None,
            "score": scored.score,
            "grade": scored.grade,
            "reasons": scored.reasons,
            "model": {"name": registered.name, "version": registered.version, "sha256": registered.sha256},
            "features_as_of": scored.features_as_of,
            "scored_at": now.astimezone(UTC),
            "degraded": None,
        },
        option=orjson.OPT_UTC_Z,
    )


def _repeated(request: ScoreRequest, earlier: _Earlier, name: str, now: datetime) -> bytes:
    then = earlier.content
    as_of = then["features_as_of"]
    return orjson.dumps(
        {
            "decision_id": name,
            "legal_entity": request.legal_entity,
            "party_id": request.party_id,
            "probability": then["probability"],
            "probability_of_default": then["probability"] if then["score"] is not None else None,
            "score": then["score"],
            "grade": then["grade"],
            "reasons": then["reasons"],
            "model": then["model"],
            "features_as_of": datetime.fromisoformat(as_of) if as_of else None,
            "scored_at": now.astimezone(UTC),
            "degraded": earlier.degraded,
        },
        option=orjson.OPT_UTC_Z,
    )
