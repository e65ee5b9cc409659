"""Routes of scores: a party or a row, and the models that score them."""

from http import HTTPStatus
from typing import Annotated, Final

from fastapi import APIRouter, Path, Request, Response
from starlette.concurrency import run_in_threadpool

from features import FeatureStoreUnavailable, UnknownParty
from group.database import DatabaseUnavailable
from group.errors import JinkongError
from serving.callers import Caller, backend_of, caller_of, problems
from serving.direct import body_of, json_body
from serving.gathering import TooManyWaiting
from serving.messages import PARTY_EXAMPLE, ModelName, ModelReply, ScoreReply, ScoreRequest, WrongField
from serving.problems import ApiError
from serving.scorer import Scorer, WrongFeatureRow
from training import MODEL_NAME, ModelTampered, NoChampion, RegistryUnavailable, WrongTask

_UNAVAILABLE: Final = {
    NoChampion: "no_champion",
    RegistryUnavailable: "registry_unavailable",
    ModelTampered: "model_tampered",
    FeatureStoreUnavailable: "feature_store_unavailable",
    DatabaseUnavailable: "database_unavailable",
    TooManyWaiting: "overloaded",
}

_SCORE_EXAMPLES: Final = {
    "party": {"summary": "a party whose features are online", "value": PARTY_EXAMPLE},
    "feature row": {
        "summary": "a full feature row, shortened here: GET /v1/model lists all features",
        "value": {"legal_entity": "credit", "features": {"age_years": 41.5, "income_per_month": None}},
    },
}

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
    except tuple(_UNAVAILABLE) as error:
        raise _unavailable(error) from None


def model_name(scorer: Scorer) -> ModelName:
    """The model behind a scorer."""
    registered = scorer.registered
    return ModelName(name=registered.name, version=registered.version, sha256=registered.sha256)


@scores.get(
    "/model",
    summary="The model in service and its features",
    responses=problems(HTTPStatus.UNAUTHORIZED, HTTPStatus.SERVICE_UNAVAILABLE),
)
def model(_caller_name: Caller, request: Request) -> ModelReply:
    """Names, in order, what a full feature row must hold."""
    scorer = scorer_of(request)
    model = scorer.registered.model
    return ModelReply(model=model_name(scorer), task=model.task, features=list(model.read_columns))


@scores.get(
    "/models/{name}",
    summary="Another model in service and its columns",
    responses=problems(HTTPStatus.UNAUTHORIZED, HTTPStatus.SERVICE_UNAVAILABLE),
)
def named_model(
    name: Annotated[str, Path(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,79}$")], _caller_name: Caller, request: Request
) -> ModelReply:
    """The champion of a registered model, such as one of a table."""
    scorer = scorer_of(request, name)
    model = scorer.registered.model
    return ModelReply(model=model_name(scorer), task=model.task, features=list(model.read_columns))


@scores.post(
    "/score",
    summary="Score a party or a row of features",
    responses=problems(
        HTTPStatus.UNAUTHORIZED,
        HTTPStatus.NOT_FOUND,
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        HTTPStatus.UNPROCESSABLE_ENTITY,
        HTTPStatus.SERVICE_UNAVAILABLE,
    ),
    response_model=ScoreReply,
    openapi_extra=json_body(ScoreRequest, _SCORE_EXAMPLES),
)
async def score(request: Request) -> Response:
    """The probability, its score and reasons. The record is on disk before the answer leaves."""
    caller = caller_of(request)
    wanted = await body_of(request, ScoreRequest)
    backend = backend_of(request)
    scorer = backend.models.ready(wanted.model)
    if scorer is None:
        scorer = await run_in_threadpool(scorer_of, request, wanted.model)
    try:
        given = await backend.scoring.score(wanted, scorer, caller)
    except UnknownParty as error:
        raise ApiError(HTTPStatus.NOT_FOUND, "unknown_party", str(error)) from None
    except WrongFeatureRow as error:
        wrong = [WrongField(path=f"$.features.{name}", message=fault) for name, fault in error.faults.items()]
        detail = f"{wrong[0].path} {wrong[0].message}."
        raise ApiError(HTTPStatus.UNPROCESSABLE_ENTITY, "wrong_feature_row", detail, wrong) from None
    except tuple(_UNAVAILABLE) as error:
        raise _unavailable(error) from None
    request.app.state.metrics.scored(wanted.legal_entity)
    return Response(given.reply, media_type="application/json")


def _unavailable(error: JinkongError) -> ApiError:
    code = next(code for kind, code in _UNAVAILABLE.items() if isinstance(error, kind))
    return ApiError(HTTPStatus.SERVICE_UNAVAILABLE, code, str(error))
