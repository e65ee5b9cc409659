"""Routes of whitelists: the released offers of a company by filter, as a file, and what became of contacts."""

import tempfile
from dataclasses import asdict
from http import HTTPStatus
from pathlib import Path as FilePath
from typing import Annotated, Final, Literal

from fastapi import APIRouter, Path, Query, Request, Response, Security
from sqlalchemy import Connection

from group.audit import AuditEvent, append
from group.database import migrated, reading
from serving.callers import allowed, backend_of, problems, require_company
from serving.events import push_once
from serving.messages.fields import LegalEntityCode
from serving.messages.whitelists import (
    ContactResult,
    FeedbackReply,
    FeedbackRequest,
    ListReply,
    ListsReply,
    OfferReply,
    VersionReply,
    VersionsReply,
    WhitelistReply,
)
from serving.once import IdempotencyKey, Once
from serving.paging import Cursor, Limit, cursor_after, place_of
from serving.problems import ApiError
from serving.tokens import Caller
from training.whitelist.kept import (
    KeptWhitelist,
    Offer,
    OfferFilter,
    offers_of,
    released_version,
    released_versions,
)

LIST_EXPORTED: Final = "whitelist.exported"

whitelists: Final = APIRouter(prefix="/v1/whitelists", tags=["whitelists"])

ListName = Annotated[str, Path(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,79}$", description="of the list's plan")]
Reader = Annotated[Caller, Security(allowed, scopes=["whitelists:read"])]
Reporter = Annotated[Caller, Security(allowed, scopes=["whitelists:feedback"])]
Company = Annotated[LegalEntityCode, Query(description="the company that asks; it sees its own offers alone")]
Version = Annotated[
    int | None, Query(ge=1, le=2**31 - 1, description="a released version; left out, the newest of them")
]
Text = Annotated[str | None, Query(max_length=80, description="only offers with this one")]
ExportFormat = Literal["csv", "parquet", "xlsx"]

_MEDIA_TYPES: Final[dict[str, str]] = {
    "csv": "text/csv",
    "parquet": "application/vnd.apache.parquet",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}


@whitelists.get("", summary="The released lists", responses=problems())
def lists(caller: Reader, request: Request, cursor: Cursor = None, limit: Limit = 100) -> ListsReply:
    """By name, each with its newest released version, where that has offers of the caller's companies."""
    place = place_of(cursor, str)
    with reading(backend_of(request).engine, caller.legal_entities) as connection:
        # One more than asked for tells whether there are more.
        found = released_versions(
            connection, caller.legal_entities, after_name=str(place[0]) if place else "", most=limit + 1
        )
    shown = found[:limit]
    return ListsReply(
        whitelists=[ListReply.model_validate(asdict(one)) for one in shown],
        next_cursor=cursor_after(shown[-1].name) if len(found) > limit else None,
    )


@whitelists.get("/{name}/versions", summary="A list's released versions", responses=problems(HTTPStatus.NOT_FOUND))
def versions(name: ListName, caller: Reader, request: Request) -> VersionsReply:
    """The newest first, those that have offers of the caller's companies, and how many. Drafts are not shown."""
    with reading(backend_of(request).engine, caller.legal_entities) as connection:
        found = released_versions(connection, caller.legal_entities, name=name)
    if not found:
        raise _unknown(name, None)
    return VersionsReply(name=name, versions=[VersionReply.model_validate(asdict(one)) for one in found])


@whitelists.get("/{name}", summary="The offers of a company on a list", responses=problems(HTTPStatus.NOT_FOUND))
def offers(
    name: ListName,
    legal_entity: Company,
    caller: Reader,
    request: Request,
    version: Version = None,
    product: Text = None,
    channel: Text = None,
    grade: Text = None,
    least_uplift: Annotated[float | None, Query(ge=-1, le=1, description="only offers with no less")] = None,
    cursor: Cursor = None,
    limit: Limit = 100,
) -> WhitelistReply:
    """By rank, of a released version; whoever is held out at random is not shown, so that nobody asks them.

    The pages of a list are of one version, whatever is released meanwhile.
    """
    require_company(caller, legal_entity)
    place = place_of(cursor, int, int)
    wanted = OfferFilter(legal_entity, product=product, channel=channel, grade=grade, least_uplift=least_uplift)
    with reading(backend_of(request).engine, [legal_entity]) as connection:
        kept = _released(connection, name, int(place[0]) if place else version)
        after_rank = int(place[1]) if place else 0
        found = list(offers_of(connection, kept, wanted, after_rank=after_rank, most=limit + 1))
    shown = found[:limit]
    return WhitelistReply(
        name=kept.name,
        version=kept.version,
        sha256=kept.sha256,
        as_of=kept.as_of,
        offers=[OfferReply(**asdict(offer)) for offer in shown],
        next_cursor=cursor_after(kept.version, shown[-1].rank) if len(found) > limit else None,
    )


@whitelists.get(
    "/{name}/parties/{party_id}", summary="The offer of a party on a list", responses=problems(HTTPStatus.NOT_FOUND)
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
    with reading(backend_of(request).engine, [legal_entity]) as connection:
        kept = _released(connection, name, None)
        found = list(offers_of(connection, kept, OfferFilter(legal_entity, [party_id]), most=1))
    if not found:
        detail = f"'{legal_entity}' has no offer to make to '{party_id}' by version {kept.version} of '{name}'."
        raise ApiError(HTTPStatus.NOT_FOUND, "not_listed", detail)
    return OfferReply(**asdict(found[0]))


@whitelists.get(
    "/{name}/export",
    summary="The offers of a company as a file",
    response_class=Response,
    responses={
        200: {"content": {kind: {"schema": {"type": "string", "format": "binary"}} for kind in _MEDIA_TYPES.values()}},
        **problems(HTTPStatus.NOT_FOUND),
    },
)
def export(
    name: ListName,
    legal_entity: Company,
    caller: Reader,
    request: Request,
    version: Version = None,
    written_as: Annotated[ExportFormat, Query(alias="format", description="csv opens in Excel as it is")] = "csv",
) -> Response:
    """Every offer that may be made, by rank. Who took which version with them is in the audit log."""
    require_company(caller, legal_entity)
    backend = backend_of(request)
    with reading(backend.engine, [legal_entity]) as connection:
        kept = _released(connection, name, version)
    file, content, sha256, rows = backend.aside.run(
        _written, backend.settings.state_url, kept, legal_entity, written_as
    )
    with backend.engine.begin() as connection:
        payload = {"rows": rows, "sha256": sha256, "format": written_as}
        event = AuditEvent(legal_entity, caller.name, LIST_EXPORTED, f"{kept.name}/{kept.version}", payload)
        append(connection, event, backend.now())
    headers = {"Content-Disposition": f'attachment; filename="{file}"', "X-Content-SHA256": sha256}
    return Response(content, media_type=_MEDIA_TYPES[written_as], headers=headers)


@whitelists.post(
    "/{name}/feedback",
    summary="Hand in what became of contacts",
    responses=problems(HTTPStatus.NOT_FOUND, HTTPStatus.REQUEST_ENTITY_TOO_LARGE),
    response_model=FeedbackReply,
)
def feedback(
    name: ListName, wanted: FeedbackRequest, caller: Reporter, request: Request, idempotency_key: IdempotencyKey = None
) -> Response:
    """All of the results, or none: they go to the contacts table, from which the next uplift model learns.

    A party is a campaign's once: a later result of the same party corrects the earlier one.
    """
    require_company(caller, wanted.legal_entity)
    backend = backend_of(request)
    with reading(backend.engine, [wanted.legal_entity]) as connection:
        kept = _released(connection, name, wanted.version)
        named = {result.party_id for result in wanted.results}
        listed = OfferFilter(wanted.legal_entity, named, with_held_out=True)
        by_party = {offer.party_id: offer for offer in offers_of(connection, kept, listed)}
    strangers = sorted(named - set(by_party))
    if strangers:
        detail = f"'{strangers[0]}' is not on version {kept.version} of '{name}' for '{wanted.legal_entity}'."
        raise ApiError(HTTPStatus.UNPROCESSABLE_ENTITY, "not_listed", detail)
    campaign = f"{kept.name}-v{kept.version}"
    rows = [_contact(campaign, by_party[result.party_id], result) for result in wanted.results]
    asked = wanted.model_dump_json()
    once = Once.of(caller.name, idempotency_key, f"feedback {name}", asked)
    return push_once(
        backend, once, "contacts", rows, asked,
        lambda done: FeedbackReply(taken=done.rows, campaign_id=campaign, learnt_at=done.at),
    ).response  # fmt: skip


def _contact(campaign: str, offer: Offer, result: ContactResult) -> dict[str, str | bool | None]:
    """A row of the contacts table, of the customer by whom the party is known."""
    return {
        "legal_entity": offer.source,
        "customer_id": offer.customer_id,
        "campaign_id": campaign,
        "treated": result.contacted,
        "channel": result.channel or (offer.channel if result.contacted else None),
        "responded": result.responded,
        "took_up": result.took_up,
        "event_timestamp": result.contacted_at.isoformat(),
    }


def _released(connection: Connection, name: str, version: int | None) -> KeptWhitelist:
    kept = released_version(connection, name, version)
    if kept is None:
        raise _unknown(name, version)
    return kept


def _unknown(name: str, version: int | None) -> ApiError:
    which = "version" if version is None else f"version {version}"
    detail = f"No {which} of a whitelist '{name}' is released."
    return ApiError(HTTPStatus.NOT_FOUND, "unknown_whitelist", detail)


def _written(state_url: str, kept: KeptWhitelist, legal_entity: str, written_as: str) -> tuple[str, bytes, str, int]:
    """In the process beside: the file's name, content, SHA-256 and rows."""
    from training.whitelist.exporting import write_offers  # noqa: PLC0415 - imports polars

    with (
        tempfile.TemporaryDirectory(prefix="jinkong-export-") as folder,
        migrated(state_url) as engine,
        reading(engine, [legal_entity]) as connection,
    ):
        found = offers_of(connection, kept, OfferFilter(legal_entity))
        written = write_offers(kept, found, FilePath(folder), written_as, legal_entity)
        return written.file, (FilePath(folder) / written.file).read_bytes(), written.sha256, written.rows
