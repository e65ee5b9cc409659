"""Routes of decisions: what was seen and decided, and the same again."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Annotated, Any, Final

from fastapi import APIRouter, Path, Request, Security

from group.database import reading
from serving.callers import allowed, backend_of, problems
from serving.decisions import ID_PATTERN, PRECREDIT_DECIDED, Recorded, recorded, replay
from serving.messages.decisions import DecisionReply, ReplayReply
from serving.messages.precredit import PolicyName, PreCreditDecided
from serving.messages.scores import ModelName, ReasonReply
from serving.problems import ApiError
from serving.scorer import Scorer
from serving.scores import unavailable
from serving.tokens import Caller
from training import ModelTampered, RegistryUnavailable
from workflow.pre_credit import Policy, policy_version

decided: Final = APIRouter(prefix="/v1/decisions", tags=["decisions"])

Reader = Annotated[Caller, Security(allowed, scopes=["decisions:read"])]
DecisionId = Annotated[
    str,
    Path(
        pattern=f"^{ID_PATTERN}(-[0-9]{{1,5}})?$",
        description="as the score was answered with",
        examples=["0198c2c3-8f7e-7d0e-9a53-6a1a4e1d2f10"],
    ),
]


@decided.get("/{decision_id}", summary="What was seen and decided", responses=problems(HTTPStatus.NOT_FOUND))
def decision(decision_id: DecisionId, caller: Reader, request: Request) -> DecisionReply:
    """The record of a score: who asked, what was asked and seen, which model answered what.

    Of the companies that the caller acts for; another's decision is not found.
    """
    found = _found(request, caller, decision_id)
    content, own, record = found.content, found.own, found.record
    return DecisionReply(
        decision_id=decision_id,
        legal_entity=record.legal_entity,
        party_id=own.get("party_id") or content["request"].get("party_id"),
        decided_at=record.recorded_at,
        asked_by=record.actor,
        model=ModelName(**content["model"]),
        features=own["features"],
        features_as_of=own["features_as_of"],
        probability=own["probability"],
        score=own["score"],
        grade=own["grade"],
        reasons=[ReasonReply(**reason) for reason in own["reasons"]],
        precredit=_precredit(content),
        degraded=content.get("degraded"),
        record_hash=record.record_hash,
    )


@decided.get("/{decision_id}/replay", summary="Decide the same again", responses=problems(HTTPStatus.NOT_FOUND))
def replayed(decision_id: DecisionId, caller: Reader, request: Request) -> ReplayReply:
    """Score again what was seen then, with the model that answered then, and compare the record's bytes."""
    found = _found(request, caller, decision_id)
    asked = found.content["model"]
    try:
        scorer = Scorer(backend_of(request).models.version(asked["name"], asked["version"], asked["sha256"]))
        again = replay(found.record.payload, scorer, _policy_of(request, found))
    except (ModelTampered, RegistryUnavailable) as error:
        raise unavailable(error) from None
    return ReplayReply(
        decision_id=decision_id, same=again == found.record.payload, recorded=found.record.payload, replayed=again
    )


def _precredit(content: Mapping[str, Any]) -> PreCreditDecided | None:
    if "decision" not in content:
        return None
    request = content["request"]
    return PreCreditDecided(product=request["product"], policy=PolicyName(**content["policy"]), **content["decision"])


def _policy_of(request: Request, found: Recorded) -> Policy | None:
    if found.record.action != PRECREDIT_DECIDED:
        return None
    with reading(backend_of(request).engine) as connection:
        return policy_version(connection, found.content["policy"]["version"]).policy


def _found(request: Request, caller: Caller, decision_id: str) -> Recorded:
    with reading(backend_of(request).engine, caller.legal_entities) as connection:
        found = recorded(connection, caller.legal_entities, decision_id)
    if found is None:
        detail = f"There is no decision '{decision_id}' of a company that you act for."
        raise ApiError(HTTPStatus.NOT_FOUND, "unknown_decision", detail)
    return found
