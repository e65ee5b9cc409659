"""Routes of events: a transaction or a repayment as it happens."""

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated, Any, Final

import orjson
from fastapi import APIRouter, Request, Response, Security
from pydantic import BaseModel
from sqlalchemy import Connection

from features.errors import ContractBroken, FeatureStoreUnavailable, UnknownSource
from group.audit import AuditEvent, append
from group.home import HomeBusy, working_in
from group.settings import Settings
from serving.backend import Backend
from serving.callers import allowed, backend_of, problems, require_company
from serving.messages.events import EventsReply, EventsRequest
from serving.once import Answer, IdempotencyKey, Once, answered_before, carry_out
from serving.problems import ApiError
from serving.tokens import Caller

if TYPE_CHECKING:
    from features import Pushed

EVENTS_PUSHED: Final = "events.pushed"

events: Final = APIRouter(prefix="/v1/events", tags=["events"])

Pusher = Annotated[Caller, Security(allowed, scopes=["events:write"])]

_UNAVAILABLE: Final = {
    HomeBusy: "home_busy",
    FeatureStoreUnavailable: "feature_store_unavailable",
}


_HOME_SECONDS: Final = 5.0
"""How long events wait for another process that works in the home folder."""


@events.post(
    "",
    summary="Push events as they happen",
    responses=problems(HTTPStatus.REQUEST_ENTITY_TOO_LARGE),
    response_model=EventsReply,
)
def push(wanted: EventsRequest, caller: Pusher, request: Request, idempotency_key: IdempotencyKey = None) -> Response:
    """All of the events, or none: kept with the table they are of, and at once in the features of their parties.

    The next score sees them. Whoever pushes the same events again changes nothing: a row with the key of one that is
    there corrects it.
    """
    for company in sorted({str(event.get("legal_entity")) for event in wanted.events}):
        require_company(caller, company)
    asked = orjson.dumps([wanted.table, wanted.events], option=orjson.OPT_SORT_KEYS).decode()
    once = Once.of(caller.name, idempotency_key, "events", asked)
    reply = push_once(
        backend_of(request), once, wanted.table, wanted.events, asked,
        lambda done: EventsReply(
            taken=done.rows, learnt_at=done.at, parties=list(done.parties), views=list(done.views)
        ),
    )  # fmt: skip
    return reply.response


def push_once(
    backend: Backend,
    once: Once,
    table: str,
    rows: Sequence[Mapping[str, Any]],
    asked: str,
    told: "Callable[[Pushed], BaseModel]",
) -> Answer:
    """Push rows of one table in the process beside, put on record by company who pushed how many, and answer.

    Where the answer was lost after the push, a retry pushes the same rows again, which corrects them to what they are.

    Raises:
        ApiError: 422, the table does not take them; 503, not now.
    """
    before = answered_before(backend.engine, once)
    if before is not None:
        return before
    try:
        done = backend.aside.run(_pushed, backend.settings, table, rows)
    except (ContractBroken, UnknownSource) as error:
        raise ApiError(HTTPStatus.UNPROCESSABLE_ENTITY, "events_refused", str(error)) from None
    except tuple(_UNAVAILABLE) as error:
        raise ApiError(HTTPStatus.SERVICE_UNAVAILABLE, _UNAVAILABLE[type(error)], str(error)) from None
    digest = hashlib.sha256(asked.encode()).hexdigest()
    companies = Counter(str(row["legal_entity"]) for row in rows)

    def work(connection: Connection) -> Answer:
        for company, count in sorted(companies.items()):
            payload: dict[str, Any] = {"table": table, "rows": count, "sha256": digest}
            append(connection, AuditEvent(company, once.caller, EVENTS_PUSHED, done.at.isoformat(), payload), done.at)
        return Answer(HTTPStatus.OK, told(done).model_dump_json())

    return carry_out(backend.engine, once, done.at, work)


def _pushed(settings: Settings, table: str, rows: Sequence[Mapping[str, Any]]) -> "Pushed":
    from features import push as take  # noqa: PLC0415 - imports polars and DuckDB
    from features import push_target  # noqa: PLC0415

    with working_in(settings.home, _HOME_SECONDS):
        return take(push_target(settings), table, rows)
