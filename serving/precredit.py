"""Routes of pre-credit: what a company may offer a party ahead of an application, and an offer accepted once."""

from collections.abc import Collection
from dataclasses import asdict
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Annotated, Final

from fastapi import APIRouter, Path, Request, Response, Security
from sqlalchemy import Connection

from features import FeatureStoreUnavailable
from group.audit import AuditEvent, append, hold
from group.database import reading
from group.errors import JinkongError
from serving.callers import allowed, backend_of, problems, require_company
from serving.decisions import ID_PATTERN, PRECREDIT_DECIDED, assessed, new_decision_id, precredit_payload
from serving.messages.precredit import (
    Acceptance,
    PolicyName,
    PreCreditOffer,
    PreCreditReply,
    PreCreditRequest,
    RuleReply,
)
from serving.messages.scores import ModelName, ReasonReply
from serving.once import Answer, IdempotencyKey, Once, answered_before, carry_out
from serving.party_scores import keep_scores, party_score
from serving.problems import ApiError
from serving.scored import Scored
from serving.scorer import Asked, Scorer
from serving.scores import scorer_of, unavailable
from serving.tokens import Caller
from workflow.errors import NoPolicy, OfferClosed, UnknownProduct
from workflow.pre_credit import (
    Decision,
    Offer,
    ReleasedPolicy,
    accept,
    accepted_offer,
    decide,
    find_offer,
    make_offer,
    policy_in_force,
)

precredit: Final = APIRouter(prefix="/v1/precredit", tags=["pre-credit"])

Asker = Annotated[Caller, Security(allowed, scopes=["precredit:write"])]
OfferId = Annotated[
    str,
    Path(
        pattern=f"^{ID_PATTERN}$",
        description="as the decision was answered with",
        examples=["0198c2c3-8f7e-7d0e-9a53-6a1a4e1d2f10"],
    ),
]


@precredit.post(
    "",
    summary="What may the party be offered?",
    responses=problems(HTTPStatus.NOT_FOUND, HTTPStatus.REQUEST_ENTITY_TOO_LARGE),
    response_model=PreCreditReply,
)
def ask(wanted: PreCreditRequest, caller: Asker, request: Request, idempotency_key: IdempotencyKey = None) -> Response:
    """Score the party, ask every rule of the policy in force, and offer a limit at a price if none stops it.

    An earlier open offer of the product to the party gives way. Decision and offer are on record before the answer.
    """
    require_company(caller, wanted.legal_entity)
    backend = backend_of(request)
    once = Once.of(caller.name, idempotency_key, "precredit", wanted.model_dump_json())
    before = answered_before(backend.engine, once)
    if before is not None:
        return before.response
    scorer = scorer_of(request)
    try:
        scored = _scored(scorer, wanted)
        now = backend.now()
        answer = carry_out(
            backend.engine, once, now, lambda connection: _decided(connection, caller, wanted, scorer, scored, now)
        )
    except NoPolicy as error:
        raise ApiError(HTTPStatus.SERVICE_UNAVAILABLE, "no_policy", str(error)) from None
    except UnknownProduct as error:
        raise ApiError(HTTPStatus.UNPROCESSABLE_ENTITY, "unknown_product", str(error)) from None
    return answer.response


@precredit.get("/{offer_id}", summary="An offer as it stands", responses=problems(HTTPStatus.NOT_FOUND))
def offer(offer_id: OfferId, caller: Asker, request: Request) -> PreCreditOffer:
    """Whether it is open, accepted, superseded by a later one, or expired. Of the caller's companies alone."""
    backend = backend_of(request)
    with reading(backend.engine, caller.legal_entities) as connection:
        return _told(_found(connection, offer_id, caller.legal_entities), backend.now())


@precredit.post(
    "/{offer_id}/acceptance",
    summary="Accept an offer",
    responses=problems(HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT, HTTPStatus.REQUEST_ENTITY_TOO_LARGE),
    response_model=PreCreditOffer,
)
def acceptance(
    offer_id: OfferId, taken: Acceptance, caller: Asker, request: Request, idempotency_key: IdempotencyKey = None
) -> Response:
    """Take an open offer within its validity, once: whoever asks again, with whatever key, takes nothing more."""
    backend = backend_of(request)
    once = Once.of(caller.name, idempotency_key, f"accept {offer_id}", taken.model_dump_json())
    now = backend.now()

    def work(connection: Connection) -> Answer:
        found = _found(connection, offer_id, caller.legal_entities)
        done = accept(connection, found, amount=taken.amount, by=caller.name, at=now)
        return Answer(HTTPStatus.OK, _told(done, now).model_dump_json())

    try:
        return carry_out(backend.engine, once, now, work).response
    except OfferClosed as error:
        status = HTTPStatus.UNPROCESSABLE_ENTITY if error.code == "amount_above_limit" else HTTPStatus.CONFLICT
        raise ApiError(status, error.code, str(error)) from None


def _scored(scorer: Scorer, wanted: PreCreditRequest) -> Scored:
    try:
        [outcome] = scorer.score([Asked(wanted.legal_entity, wanted.party_id)])
    except FeatureStoreUnavailable as error:
        # Nothing is offered on what was true of the party at some other time.
        raise unavailable(error) from None
    if isinstance(outcome, JinkongError):
        raise ApiError(HTTPStatus.NOT_FOUND, "unknown_party", str(outcome))
    return outcome


def _decided(
    connection: Connection,
    caller: Caller,
    wanted: PreCreditRequest,
    scorer: Scorer,
    scored: Scored,
    now: datetime,
) -> Answer:
    hold(connection, wanted.legal_entity)
    released = policy_in_force(connection)
    product = released.policy.product(wanted.legal_entity, wanted.product)
    _require_features(released, scorer)
    before = accepted_offer(connection, wanted.legal_entity, wanted.party_id, wanted.product, now) is not None
    asked = wanted.model_dump(mode="json", exclude_none=True)
    decision = decide(released.policy, product, assessed(asked, scorer.model.read_columns, scored, has_accepted=before))
    payload = precredit_payload(asked, scorer.registered, scored, released, has_accepted=before, decision=decision)
    name = new_decision_id(now)
    append(connection, AuditEvent(wanted.legal_entity, caller.name, PRECREDIT_DECIDED, name, payload), now)
    kept = party_score(wanted.legal_entity, wanted.party_id, name, now, scorer.registered, scored)
    keep_scores(connection, [kept])
    valid_until = now + timedelta(days=released.policy.valid_days)
    if decision.credit_limit is not None and decision.rate_per_annum is not None:
        made = Offer(
            name, wanted.legal_entity, wanted.party_id, wanted.product, decision.credit_limit,
            decision.rate_per_annum, decision.term_months, released.version, now, valid_until,
        )  # fmt: skip
        make_offer(connection, made)
    reply = _reply(name, wanted, scorer, scored, released, decision, now, valid_until)
    return Answer(HTTPStatus.OK, reply.model_dump_json())


def _require_features(released: ReleasedPolicy, scorer: Scorer) -> None:
    missing = sorted(released.policy.features - set(scorer.model.read_columns))
    if missing:
        detail = (
            f"Version {released.version} of the policy reads '{missing[0]}', which version "
            f"{scorer.registered.version} of '{scorer.registered.name}' does not; release a policy that goes without."
        )
        raise ApiError(HTTPStatus.SERVICE_UNAVAILABLE, "policy_not_usable", detail)


def _reply(
    name: str,
    wanted: PreCreditRequest,
    scorer: Scorer,
    scored: Scored,
    released: ReleasedPolicy,
    decision: Decision,
    now: datetime,
    valid_until: datetime,
) -> PreCreditReply:
    registered = scorer.registered
    return PreCreditReply(
        decision_id=name,
        offer_id=name if decision.eligible else None,
        legal_entity=wanted.legal_entity,
        party_id=wanted.party_id,
        product=wanted.product,
        eligible=decision.eligible,
        credit_limit=decision.credit_limit,
        rate_per_annum=decision.rate_per_annum,
        term_months=decision.term_months,
        valid_until=valid_until if decision.eligible else None,
        rules=[RuleReply(code=fired.code, zh=fired.zh, en=fired.en) for fired in decision.fired],
        probability_of_default=scored.probability,
        score=scored.score or 0,
        grade=scored.grade or "",
        reasons=[ReasonReply(**reason) for reason in scored.reasons],
        policy=PolicyName(version=released.version, sha256=released.sha256),
        model=ModelName(name=registered.name, version=registered.version, sha256=registered.sha256),
        features_as_of=scored.features_as_of,
        decided_at=now,
    )


def _found(connection: Connection, offer_id: str, legal_entities: Collection[str]) -> Offer:
    found = find_offer(connection, offer_id, legal_entities)
    if found is None:
        detail = f"There is no offer '{offer_id}' of a company that you act for."
        raise ApiError(HTTPStatus.NOT_FOUND, "unknown_offer", detail)
    return found


def _told(found: Offer, at: datetime) -> PreCreditOffer:
    return PreCreditOffer.model_validate(asdict(found) | {"status": found.status(at)})
