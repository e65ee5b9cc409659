"""Routes of whitelists: the released offers of one company, a page at a time, and that of one party."""

from dataclasses import asdict
from http import HTTPStatus
from typing import Annotated, Final

from fastapi import APIRouter, Path, Query, Request, Security
from sqlalchemy import Connection

from group.database import reading
from serving.callers import allowed, backend_of, problems, require_company
from serving.messages import LegalEntityCode, OfferReply, WhitelistReply
from serving.problems import ApiError
from serving.tokens import Caller
from training.whitelist.kept import KeptWhitelist, Offer, offers_of, released

_MOST_OFFERS: Final = 1_000

whitelists: Final = APIRouter(prefix="/v1/whitelists", tags=["whitelists"])

ListName = Annotated[str, Path(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,79}$", description="of the list's plan")]
Reader = Annotated[Caller, Security(allowed, scopes=["whitelists:read"])]
Company = Annotated[LegalEntityCode, Query(description="the company that asks; it sees its own offers alone")]


@whitelists.get(
    "/{name}",
    summary="The offers of a company on a whitelist",
    responses=problems(
        HTTPStatus.NOT_FOUND,
    ),
)
def offers(
    name: ListName,
    legal_entity: Company,
    caller: Reader,
    request: Request,
    after_rank: Annotated[int, Query(ge=0, description="offers that come after this rank; 0 for the first")] = 0,
    limit: Annotated[int, Query(ge=1, le=_MOST_OFFERS, description="at most so many offers")] = 100,
) -> WhitelistReply:
    """By rank, of the newest released version; whoever is held out at random is not shown, so that nobody asks them."""
    require_company(caller, legal_entity)
    # One more than asked for tells whether there are more.
    kept, found = _read(request, name, legal_entity, None, after_rank, limit + 1)
    shown = found[:limit]
    return WhitelistReply(
        name=kept.name,
        version=kept.version,
        sha256=kept.sha256,
        as_of=kept.as_of,
        offers=[OfferReply(**asdict(offer)) for offer in shown],
        next_after_rank=shown[-1].rank if len(found) > limit else None,
    )


@whitelists.get(
    "/{name}/parties/{party_id}",
    summary="The offer of a party on a whitelist",
    responses=problems(
        HTTPStatus.NOT_FOUND,
    ),
)
def offer_of_party(
    name: ListName,
    party_id: Annotated[str, Path(min_length=1, max_length=64)],
    legal_entity: Company,
    caller: Reader,
    request: Request,
) -> OfferReply:
    """What the company may offer the party by the newest released version."""
    require_company(caller, legal_entity)
    kept, found = _read(request, name, legal_entity, party_id, 0, 1)
    if not found:
        raise ApiError(
            HTTPStatus.NOT_FOUND,
            "not_listed",
            f"'{legal_entity}' has no offer to make to party '{party_id}' by version {kept.version} of '{name}'.",
        )
    return OfferReply(**asdict(found[0]))


def _read(
    request: Request, name: str, legal_entity: str, party_id: str | None, after_rank: int, most: int
) -> tuple[KeptWhitelist, list[Offer]]:
    with reading(backend_of(request).engine, [legal_entity]) as connection:
        kept = _released(connection, name)
        found = offers_of(
            connection, kept, legal_entity=legal_entity, party_id=party_id, after_rank=after_rank, most=most
        )
        return kept, list(found)


def _released(connection: Connection, name: str) -> KeptWhitelist:
    kept = released(connection, name)
    if kept is None:
        raise ApiError(HTTPStatus.NOT_FOUND, "unknown_whitelist", f"No version of a whitelist '{name}' is released.")
    return kept
