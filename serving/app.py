"""The HTTP API: every router, and health, readiness and metrics."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus
from importlib.metadata import version
from typing import Annotated, Final, cast

from fastapi import APIRouter, FastAPI, Request, Response, Security
from fastapi.responses import JSONResponse, RedirectResponse
from fastapi_offline import FastAPIOffline

from group.database import DatabaseUnavailable, require_current
from group.settings import Settings
from serving.backend import Backend, open_backend
from serving.callers import allowed, backend_of, problems
from serving.customers import customers
from serving.decided import decided
from serving.direct import DirectApi
from serving.events import events
from serving.jobs.routes import jobs
from serving.limits import BodyLimit, Rates
from serving.messages.operations import Health, Readiness
from serving.messages.scores import ModelName
from serving.metrics import CONTENT_TYPE, Measured, Metrics
from serving.precredit import precredit
from serving.problems import ApiError, answer_with_problems
from serving.scores import give_score, model_name, scorer_of, scores
from serving.signing_in import SignInError, sign_in_problem, signing_in
from serving.tokens import Caller, tokens_of
from serving.whitelists import whitelists

_DESCRIPTION: Final = """
Scores, pre-credit, whitelists and customers of the group. A company names itself in each request and sees what it may:
its own data of a party, and other companies' where the customer consented to sharing within the group.

Every decision is in the audit log, with the features, the model and the rules it rests on, before it is answered, and
can be replayed. A POST with an `Idempotency-Key` is carried out once: a retry gets the first answer again. Errors are
problem+json (RFC 9457) with a stable `code`. Lists come in pages; `next_cursor` asks for the next.
"""


def create_app(settings: Settings, connect: Callable[[Settings], Backend] = open_backend) -> DirectApi:
    """The application. It starts without a champion and answers 503 until there is one."""
    metrics = Metrics(settings.home)

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
    app.state.tokens = tokens_of(settings)
    app.state.rates = Rates(settings.requests_per_second)
    app.include_router(_operations)
    app.include_router(signing_in)
    app.include_router(scores)
    app.include_router(decided)
    app.include_router(precredit)
    app.include_router(events)
    app.include_router(customers)
    app.include_router(jobs)
    app.include_router(whitelists)
    answer_with_problems(app)
    app.add_exception_handler(SignInError, lambda _request, error: sign_in_problem(cast("SignInError", error)))
    many = ("/v1/score/batch", "/v1/events", "/v1/whitelists/[^/]+/feedback")
    larger = dict.fromkeys(many, settings.max_batch_bytes) | {"/v1/jobs/score": settings.max_job_bytes}
    app.add_middleware(BodyLimit, most_bytes=settings.max_body_bytes, larger=larger)
    app.add_middleware(Measured, metrics=metrics)
    api = DirectApi(app, metrics.answered)
    api.answer_directly("POST", "/v1/score", give_score, settings.max_body_bytes)
    return api


_operations: Final = APIRouter(tags=["operations"])


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
        model = model_name(scorer_of(request))
    except ApiError as error:
        reasons.append(str(error))
    try:
        require_current(backend_of(request).engine)
    except DatabaseUnavailable as error:
        reasons.append(str(error))
    notes = list(backend_of(request).models.notes.values())
    answer = Readiness(status="not ready" if reasons else "ready", model=model, reasons=reasons, notes=notes)
    status = HTTPStatus.SERVICE_UNAVAILABLE if reasons else HTTPStatus.OK
    return JSONResponse(answer.model_dump(), status)


@_operations.get("/metrics", summary="Measures for Prometheus", response_class=Response, responses=problems())
def metrics(request: Request, _caller: Annotated[Caller, Security(allowed, scopes=["operations:read"])]) -> Response:
    """Requests by route and answer, their duration, scores by company, the model in service."""
    loaded = backend_of(request).models.ready()
    in_service = (loaded.registered.name, loaded.registered.version) if loaded else None
    return Response(request.app.state.metrics.text(in_service), media_type=CONTENT_TYPE)
