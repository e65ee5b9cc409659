"""The HTTP API: scores, health, readiness, metrics."""

import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict
from http import HTTPStatus
from importlib.metadata import version
from typing import Annotated, Final

from fastapi import APIRouter, Body, Depends, FastAPI, Path, Request, Response
from fastapi.responses import JSONResponse, RedirectResponse
from fastapi_offline import FastAPIOffline
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from features import FeatureStoreUnavailable, UnknownParty
from group.audit import AuditEvent
from group.database import DatabaseUnavailable, require_current
from group.errors import JinkongError
from group.settings import Settings
from serving.backend import Backend, open_backend
from serving.callers import Caller, backend_of, problems
from serving.limits import BodyLimit
from serving.messages import (
    PARTY_EXAMPLE,
    Health,
    ModelName,
    ModelReply,
    Readiness,
    ReasonReply,
    ScoreReply,
    ScoreRequest,
    WrongField,
)
from serving.metrics import CONTENT_TYPE, Measured, Metrics
from serving.problems import ApiError, answer_with_problems
from serving.scorer import Scored, Scorer, WrongFeatureRow, audit_payload
from serving.whitelists import whitelists
from training import MODEL_NAME, ModelTampered, NoChampion, RegistryUnavailable, WrongTask

SCORE_GIVEN: Final = "score.given"

_UNAVAILABLE: Final = {
    NoChampion: "no_champion",
    RegistryUnavailable: "registry_unavailable",
    ModelTampered: "model_tampered",
    FeatureStoreUnavailable: "feature_store_unavailable",
    DatabaseUnavailable: "database_unavailable",
}

_DESCRIPTION: Final = """
Scores of the group's customers. A company names itself in each request and sees what it may: its own data of a party,
and other companies' where the customer consented to sharing within the group. Every score is in the audit log, with
the features and the model it rests on, before it is answered.
"""


def create_app(settings: Settings, connect: Callable[[Settings], Backend] = open_backend) -> FastAPI:
    """The application. It starts without a champion and answers 503 until there is one."""
    metrics = Metrics()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.backend = connect(settings)
        yield
        app.state.backend.close()

    app = FastAPIOffline(
        title="Jinkong",
        version=version("jinkong"),
        summary="Customer intelligence and risk scoring for financial holding groups (金控)",
        description=_DESCRIPTION,
        lifespan=lifespan,
        generate_unique_id_function=lambda route: route.name,
    )
    app.state.settings = settings
    app.state.metrics = metrics
    app.include_router(_operations)
    app.include_router(_scores)
    app.include_router(whitelists)
    answer_with_problems(app)
    app.add_middleware(BodyLimit, most_bytes=settings.max_body_bytes)
    app.add_middleware(Measured, metrics=metrics)
    return app


def _scorer(request: Request) -> Scorer:
    return _scorer_of(request, MODEL_NAME)


def _scorer_of(request: Request, name: str) -> Scorer:
    try:
        return backend_of(request).scorer(name)
    except WrongTask as error:
        raise ApiError(HTTPStatus.UNPROCESSABLE_ENTITY, "wrong_task", str(error)) from None
    except tuple(_UNAVAILABLE) as error:
        raise _unavailable(error) from None


def _unavailable(error: JinkongError) -> ApiError:
    code = next(code for kind, code in _UNAVAILABLE.items() if isinstance(error, kind))
    return ApiError(HTTPStatus.SERVICE_UNAVAILABLE, code, str(error))


_operations: Final = APIRouter(tags=["operations"])
_scores: Final = APIRouter(prefix="/v1", tags=["scores"])

ChampionScorer = Annotated[Scorer, Depends(_scorer)]


@_operations.get("/", include_in_schema=False)
def start() -> RedirectResponse:
    """Lead a person who opens the address to the API's page."""
    return RedirectResponse("/docs")


@_operations.get("/healthz", summary="Is the process alive?")
def healthz() -> Health:
    """Answers as long as the process runs, whatever it depends on."""
    return Health(version=version("jinkong"))


@_operations.get("/readyz", summary="Can requests be served?", responses={503: {"model": Readiness}})
def readyz(request: Request) -> JSONResponse:
    """Loads the champion if it is not loaded, asks the database, and names what is in the way."""
    reasons: list[str] = []
    model: ModelName | None = None
    try:
        model = _model_name(_scorer(request))
    except ApiError as error:
        reasons.append(str(error))
    try:
        require_current(backend_of(request).engine)
    except DatabaseUnavailable as error:
        reasons.append(str(error))
    answer = Readiness(status="not ready" if reasons else "ready", model=model, reasons=reasons)
    status = HTTPStatus.SERVICE_UNAVAILABLE if reasons else HTTPStatus.OK
    return JSONResponse(answer.model_dump(), status)


@_operations.get("/metrics", summary="Measures for Prometheus", response_class=Response)
def metrics(request: Request) -> Response:
    """Requests by route and answer, their duration, scores by company, the model in service."""
    loaded = backend_of(request).loaded
    in_service = (loaded.registered.name, loaded.registered.version) if loaded else None
    return Response(request.app.state.metrics.text(in_service), media_type=CONTENT_TYPE)


@_scores.get(
    "/model",
    summary="The model in service and its features",
    responses=problems(HTTPStatus.UNAUTHORIZED, HTTPStatus.SERVICE_UNAVAILABLE),
)
def model(_caller_name: Caller, scorer: ChampionScorer) -> ModelReply:
    """Names, in order, what a full feature row must hold."""
    model = scorer.registered.model
    return ModelReply(model=_model_name(scorer), task=model.task, features=list(model.read_columns))


@_scores.get(
    "/models/{name}",
    summary="Another model in service and its columns",
    responses=problems(HTTPStatus.UNAUTHORIZED, HTTPStatus.SERVICE_UNAVAILABLE),
)
def named_model(
    name: Annotated[str, Path(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,79}$")], _caller_name: Caller, request: Request
) -> ModelReply:
    """The champion of a registered model, such as one of a table."""
    scorer = _scorer_of(request, name)
    model = scorer.registered.model
    return ModelReply(model=_model_name(scorer), task=model.task, features=list(model.read_columns))


@_scores.post(
    "/score",
    summary="Score a party or a row of features",
    responses=problems(
        HTTPStatus.UNAUTHORIZED,
        HTTPStatus.NOT_FOUND,
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        HTTPStatus.UNPROCESSABLE_ENTITY,
        HTTPStatus.SERVICE_UNAVAILABLE,
    ),
)
def score(
    wanted: Annotated[
        ScoreRequest,
        Body(
            openapi_examples={
                "party": {"summary": "a party whose features are online", "value": PARTY_EXAMPLE},
                "feature row": {
                    "summary": "a full feature row, shortened here: GET /v1/model lists all features",
                    "value": {"legal_entity": "credit", "features": {"age_years": 41.5, "income_per_month": None}},
                },
            }
        ),
    ],
    request: Request,
    caller: Caller,
) -> ScoreReply:
    """The probability, its score and reasons. The record is on disk before the answer leaves."""
    scorer = _scorer_of(request, wanted.model)
    scored = _score(wanted, scorer)
    score_id = str(uuid.uuid4())
    payload = audit_payload(wanted.model_dump(exclude_none=True), scorer.registered, scored)
    try:
        record = backend_of(request).record(AuditEvent(wanted.legal_entity, caller, SCORE_GIVEN, score_id, payload))
    except (DBAPIError, PoolTimeoutError):
        detail = "The score could not be written to the audit log, so it is not given; try again."
        raise ApiError(HTTPStatus.SERVICE_UNAVAILABLE, "database_unavailable", detail) from None
    request.app.state.metrics.scored(wanted.legal_entity)
    return ScoreReply(
        score_id=score_id,
        legal_entity=wanted.legal_entity,
        party_id=wanted.party_id,
        probability=scored.probability,
        probability_of_default=scored.probability if scored.score is not None else None,
        score=scored.score,
        grade=scored.grade,
        reasons=[ReasonReply(**asdict(reason)) for reason in scored.reasons],
        model=_model_name(scorer),
        features_as_of=scored.features_as_of,
        scored_at=record.recorded_at,
    )


def _score(wanted: ScoreRequest, scorer: Scorer) -> Scored:
    try:
        if wanted.party_id is not None:
            return scorer.score_party(wanted.legal_entity, wanted.party_id)
        return scorer.score_features(wanted.features or {})
    except UnknownParty as error:
        raise ApiError(HTTPStatus.NOT_FOUND, "unknown_party", str(error)) from None
    except WrongFeatureRow as error:
        wrong = [WrongField(path=f"$.features.{name}", message=fault) for name, fault in error.faults.items()]
        detail = f"{wrong[0].path} {wrong[0].message}."
        raise ApiError(HTTPStatus.UNPROCESSABLE_ENTITY, "wrong_feature_row", detail, wrong) from None
    except FeatureStoreUnavailable as error:
        raise _unavailable(error) from None


def _model_name(scorer: Scorer) -> ModelName:
    registered = scorer.registered
    return ModelName(name=registered.name, version=registered.version, sha256=registered.sha256)
