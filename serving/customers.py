"""Routes of customers: one party across the group's companies, as far as the caller may see it."""

from collections.abc import Collection
from dataclasses import asdict
from datetime import datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated, Final

from fastapi import APIRouter, Path, Request, Security

from features.errors import UnknownParty
from features.place import canonical_folder
from group.database import reading
from group.settings import Settings
from serving.callers import allowed, backend_of, problems
from serving.messages.customers import CustomerReply, GivenScoreReply, ScoresReply
from serving.messages.precredit import PreCreditOffer
from serving.paging import Cursor, Limit, cursor_after, place_of
from serving.party_scores import PartyScore
from serving.problems import ApiError
from serving.score_history import scores_of_party
from serving.tokens import Caller
from workflow.pre_credit import offers_of_party

if TYPE_CHECKING:
    from features import GroupView

customers: Final = APIRouter(prefix="/v1/customers", tags=["customers"])

Viewer = Annotated[Caller, Security(allowed, scopes=["customers:read"])]
PartyId = Annotated[
    str, Path(min_length=1, max_length=64, description="one id across the group", examples=["PXR5Q2M7ZKCA"])
]

_LATEST_SCORES: Final = 20


@customers.get("/{party_id}", summary="A party across the group", responses=problems(HTTPStatus.NOT_FOUND))
def customer(party_id: PartyId, caller: Viewer, request: Request) -> CustomerReply:
    """Companies, loans, limits, what is owed, offers and the latest scores, by what is known now.

    Of the companies that the caller acts for, and of others where the customer consents to sharing within the group. A
    party that none of the caller's companies knows is not found.
    """
    backend = backend_of(request)
    now = backend.now()
    try:
        view = backend.aside.run(_view, backend.settings, party_id, sorted(caller.legal_entities), now)
    except UnknownParty as error:
        raise ApiError(HTTPStatus.NOT_FOUND, "unknown_party", str(error)) from None
    with reading(backend.engine, caller.legal_entities) as connection:
        given = scores_of_party(connection, party_id, caller.legal_entities, _LATEST_SCORES)
        offers = offers_of_party(connection, party_id, caller.legal_entities)
    told = [
        PreCreditOffer.model_validate(asdict(offer) | {"status": offer.status(now)})
        for offer in offers
        if offer.status(now) in ("open", "accepted")
    ]
    return CustomerReply.model_validate(
        asdict(view)
        | {"offers": told, "scores": [_told(one) for one in given], "seen_by": sorted(caller.legal_entities)}
    )


@customers.get("/{party_id}/scores", summary="A party's scores over time", responses=problems())
def scores_over_time(
    party_id: PartyId, caller: Viewer, request: Request, cursor: Cursor = None, limit: Limit = 100
) -> ScoresReply:
    """The newest first: those that the caller's companies asked for. Each decision id leads to what was seen."""
    place = place_of(cursor, str)
    before = str(place[0]) if place else None
    with reading(backend_of(request).engine, caller.legal_entities) as connection:
        # One more than asked for tells whether there are more.
        found = scores_of_party(connection, party_id, caller.legal_entities, limit + 1, before)
    shown = found[:limit]
    more = len(found) > limit
    return ScoresReply(
        scores=[_told(one) for one in shown], next_cursor=cursor_after(shown[-1].decision_id) if more else None
    )


def _told(given: PartyScore) -> GivenScoreReply:
    return GivenScoreReply.model_validate(given._asdict())


def _view(settings: Settings, party_id: str, companies: Collection[str], as_of: datetime) -> "GroupView":
    from features import group_view  # noqa: PLC0415 - imports DuckDB

    return group_view(canonical_folder(settings.home), party_id, companies, as_of)
