"""Routes of scores: a party or a row, and the models that score them."""

from collections.abc import Iterable, Iterator
from http import HTTPStatus
from itertools import chain
from typing import TYPE_CHECKING, Annotated, Any, Final

from fastapi import APIRouter, Path, Query, Request, Response, Security
from fastapi.responses import StreamingResponse
from starlette.concurrency import iterate_in_threadpool, run_in_threadpool

from features import FeatureStoreUnavailable, UnknownParty
from group.database import DatabaseUnavailable
from group.errors import JinkongError
from serving.batch_scoring import ROWS_AT_ONCE, BatchRequest, ScoredPart
from serving.callers import allowed, backend_of, caller_of, problems, require_company
from serving.direct import json_body, overloaded, parsed
from serving.formats import FORMATS, JSON, MOST_ROWS
from serving.gathering import TooManyWaiting
from serving.messages.errors import WrongField
from serving.messages.fields import MODEL_PATTERN, PARTY_EXAMPLE, LegalEntityCode
from serving.messages.scores import BatchReply, ModelName, ModelReply, ScoreReply, ScoreRequest
from serving.metrics import Metrics
from serving.problems import ApiError
from serving.scorer import Scorer, WrongFeatureRow
from serving.tokens import Caller
from training import MODEL_NAME, ModelTampered, NoChampion, RegistryUnavailable, WrongTask, scores_parties

if TYPE_CHECKING:
    from serving.batch_answers import AnswerFormat

_UNAVAILABLE: Final = {
    NoChampion: "no_champion",
    RegistryUnavailable: "registry_unavailable",
    ModelTampered: "model_tampered",
    FeatureStoreUnavailable: "feature_store_unavailable",
    DatabaseUnavailable: "database_unavailable",
}

_SCORE_EXAMPLES: Final = {
    "party": {"summary": "a party whose features are online", "value": PARTY_EXAMPLE},
    "feature row": {
        "summary": "a full feature row, shortened here: GET /v1/model lists all features",
        "value": {"legal_entity": "credit", "features": {"age_years": 41.5, "income_per_month": None}},
    },
}

ModelReader = Annotated[Caller, Security(allowed, scopes=["models:read"])]

scores: Final = APIRouter(prefix="/v1", tags=["scores"])


def scorer_of(request: Request, name: str = MODEL_NAME) -> Scorer:
    """The scorer of a model's champion.

    Raises:
        ApiError: 422, it gives no probabilities; 503, there is none now.
    """
    try:
        return backend_of(request).models.scorer(name)
    except WrongTask as error:
        raise ApiError(HTTPStatus.UNPROCESSABLE_ENTITY, "wrong_task", str(error)) from None
    except NoChampion as error:
        # The group's own model is what a service is there for; any other name is just a name that nothing has.
        if name == MODEL_NAME:
            raise unavailable(error) from None
        raise ApiError(HTTPStatus.NOT_FOUND, "unknown_model", f"No model '{name}' is in service.") from None
    except tuple(_UNAVAILABLE) as error:
        raise unavailable(error) from None


def model_name(scorer: Scorer) -> ModelName:
    """The model behind a scorer."""
    registered = scorer.registered
    return ModelName(name=registered.name, version=registered.version, sha256=registered.sha256)


@scores.get(
    "/model",
    summary="The model in service and its features",
    responses=problems(),
)
def model(_caller: ModelReader, request: Request) -> ModelReply:
    """Names, in order, what a full feature row must hold."""
    scorer = scorer_of(request)
    model = scorer.registered.model
    return ModelReply(model=model_name(scorer), task=model.task, features=list(model.read_columns))


@scores.get(
    "/models/{name}",
    summary="Another model in service and its columns",
    responses=problems(HTTPStatus.NOT_FOUND),
)
def named_model(
    name: Annotated[str, Path(pattern=MODEL_PATTERN)], _caller: ModelReader, request: Request
) -> ModelReply:
    """The champion of a registered model, such as one of a table."""
    scorer = scorer_of(request, name)
    model = scorer.registered.model
    return ModelReply(model=model_name(scorer), task=model.task, features=list(model.read_columns))


@scores.post(
    "/score",
    summary="Score a party or a row of features",
    responses=problems(
        HTTPStatus.NOT_FOUND,
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    ),
    dependencies=[Security(allowed, scopes=["scores:write"])],
    response_model=ScoreReply,
    openapi_extra=json_body(ScoreRequest, _SCORE_EXAMPLES),
)
async def score(request: Request) -> Response:
    """The probability, its score and reasons. The record is on disk before the answer leaves."""
    return await give_score(request, await request.body())


async def give_score(request: Request, body: bytes) -> Response:
    """The answer to a request of the route above.

    Raises:
        ApiError: it is not allowed, cannot be used, or cannot be answered now.
    """
    caller = caller_of(request, "scores:write")
    wanted = parsed(body, ScoreRequest)
    require_company(caller, wanted.legal_entity)
    backend = backend_of(request)
    scorer = backend.models.chosen(wanted.model, wanted.party_id)
    if scorer is None:
        scorer = await run_in_threadpool(scorer_of, request, wanted.model)
    try:
        given = await backend.scoring.score(wanted, scorer, caller.name)
    except UnknownParty as error:
        raise ApiError(HTTPStatus.NOT_FOUND, "unknown_party", str(error)) from None
    except WrongFeatureRow as error:
        wrong = [WrongField(path=f"$.features.{name}", message=fault) for name, fault in error.faults.items()]
        detail = f"{wrong[0].path} {wrong[0].message}."
        raise ApiError(HTTPStatus.UNPROCESSABLE_ENTITY, "wrong_feature_row", detail, wrong) from None
    except TooManyWaiting:
        raise overloaded() from None
    except tuple(_UNAVAILABLE) as error:
        raise unavailable(error) from None
    request.app.state.metrics.scored(wanted.legal_entity, degraded=given.degraded)
    return Response(given.reply, media_type="application/json")


_BATCH_BODY: Final = {
    "requestBody": {
        "required": True,
        "content": {
            JSON: {
                "schema": {
                    "oneOf": [
                        {
                            "type": "object",
                            "required": [name],
                            "additionalProperties": False,
                            "properties": {
                                name: {"type": "array", "minItems": 1, "maxItems": MOST_ROWS, "items": items}
                            },
                        }
                        for name, items in (("parties", {"type": "string"}), ("rows", {"type": "object"}))
                    ]
                },
                "example": {"parties": [PARTY_EXAMPLE["party_id"]]},
            },
            **{kind: {"schema": {"type": "string", "format": "binary"}} for kind in FORMATS if kind != JSON},
        },
    }
}


@scores.post(
    "/score/batch",
    summary="Score up to 10,000 parties or rows",
    responses={
        200: {
            "model": BatchReply,
            "content": {kind: {"schema": {"type": "string"}} for kind in FORMATS if kind != JSON},
        },
        **problems(
            HTTPStatus.NOT_FOUND,
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            HTTPStatus.NOT_ACCEPTABLE,
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        ),
    },
    response_class=StreamingResponse,
    openapi_extra=_BATCH_BODY,
)
async def score_batch(
    request: Request,
    caller: Annotated[Caller, Security(allowed, scopes=["scores:batch"])],
    legal_entity: Annotated[LegalEntityCode, Query(description="the company that asks; it sees only what it may")],
    model: Annotated[str, Query(pattern=MODEL_PATTERN, description="the registered model that scores")] = MODEL_NAME,
) -> Response:
    """Parties whose features are online, or full rows: as JSON, CSV, Parquet or an Arrow stream (Content-Type).

    Answers come as they are scored, in the format that Accept names, in the order of the request. Each has its decision
    id; a party that is not known, or a row that is not the model's, has the reason instead.
    """
    require_company(caller, legal_entity)
    wanted = request.headers.get("accept", "*/*").split(",")[0].split(";")[0].strip()
    answered_as = JSON if wanted in ("*/*", "application/*") else wanted
    if answered_as not in FORMATS:
        detail = f"'{answered_as}' is not written here; accept one of {', '.join(FORMATS)}."
        raise ApiError(HTTPStatus.NOT_ACCEPTABLE, "not_acceptable", detail)
    sent_as = request.headers.get("content-type", JSON).split(";")[0].strip().lower()
    body = await request.body()
    from serving.batch_answers import ANSWER_FORMATS  # noqa: PLC0415 - imports pyarrow

    told_as = ANSWER_FORMATS[answered_as]
    told = await run_in_threadpool(_begun, request, body, sent_as, legal_entity, model, caller.name, told_as)
    if isinstance(told, bytes):
        return Response(told, media_type=answered_as)
    return StreamingResponse(iterate_in_threadpool(told), media_type=answered_as)


def _begun(
    request: Request,
    body: bytes,
    sent_as: str,
    legal_entity: str,
    model: str,
    caller: str,
    told_as: "AnswerFormat",
) -> Iterator[bytes] | bytes:
    """The answer to a batch, whole or as it comes; its first part is scored, so that it can still be refused."""
    from serving.batches import UnusableBatch, read_batch  # noqa: PLC0415 - imports pyarrow

    try:
        batch = read_batch(body, sent_as, rows_alone=not scores_parties(model))
        wanted = BatchRequest(batch, legal_entity, caller, scorer_of(request, model), told_as.part)
        parts = backend_of(request).batches.score(wanted)
        first = next(parts)
    except UnusableBatch as error:
        status = (
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE
            if error.code == "unsupported_media_type"
            else HTTPStatus.UNPROCESSABLE_ENTITY
        )
        raise ApiError(status, error.code, str(error)) from None
    except tuple(_UNAVAILABLE) as error:
        raise unavailable(error) from None
    told = told_as.told(_counted(chain([first], parts), request.app.state.metrics, legal_entity))
    # A small one is scored by now: it need not be waited for piece by piece.
    return b"".join(told) if len(batch) <= ROWS_AT_ONCE else told


def _counted(parts: Iterable[ScoredPart[Any]], metrics: Metrics, legal_entity: str) -> Iterator[Any]:
    for part in parts:
        metrics.scored(legal_entity, part.scores)
        yield part.told


def unavailable(error: JinkongError) -> ApiError:
    """The error where something that a score needs is not there now."""
    code = next(code for kind, code in _UNAVAILABLE.items() if isinstance(error, kind))
    return ApiError(HTTPStatus.SERVICE_UNAVAILABLE, code, str(error))
