"""Routes of jobs: begin one, watch it, cancel it, take its result."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Collection
from dataclasses import asdict, replace
from http import HTTPStatus
from pathlib import Path as FilePath
from typing import Annotated, Final

from fastapi import APIRouter, Path, Query, Request, Response, Security
from fastapi.responses import FileResponse, StreamingResponse
from sqlalchemy import Connection
from starlette.concurrency import run_in_threadpool

from group.database import reading
from serving.backend import Backend
from serving.callers import allowed, backend_of, problems, require_company
from serving.decisions import ID_PATTERN, new_decision_id
from serving.formats import FORMATS, PARQUET
from serving.jobs.expiry import result_until
from serving.jobs.kept import (
    CANCELLED,
    DONE,
    QUEUED,
    UNFINISHED,
    ScoreJob,
    change_job,
    count_unfinished,
    find_job,
    jobs_of,
    keep_job,
    result_file,
    sent_file,
)
from serving.messages.fields import MODEL_PATTERN, LegalEntityCode
from serving.messages.jobs import JobReply, JobsReply
from serving.once import Answer, IdempotencyKey, Once, carry_out
from serving.paging import Cursor, Limit, cursor_after, place_of
from serving.problems import ApiError
from serving.tokens import Caller
from training import MODEL_NAME, scores_parties

jobs: Final = APIRouter(prefix="/v1/jobs", tags=["jobs"])

Scorer = Annotated[Caller, Security(allowed, scopes=["scores:batch"])]
JobId = Annotated[
    str,
    Path(
        pattern=f"^{ID_PATTERN}$",
        description="as the job was answered with",
        examples=["0198c2c3-8f7e-7d0e-9a53-6a1a4e1d2f10"],
    ),
]

_MOST_UNFINISHED: Final = 5
_LOOK_SECONDS: Final = 0.5
_PIECE_BYTES: Final = 1 << 20
_SENT: Final = {
    "requestBody": {
        "required": False,
        "content": {kind: {"schema": {"type": "string", "format": "binary"}} for kind in FORMATS},
    }
}


@jobs.post(
    "/score",
    status_code=HTTPStatus.ACCEPTED,
    summary="Score a file, or all parties of a company",
    responses=problems(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.UNSUPPORTED_MEDIA_TYPE),
    response_model=JobReply,
    openapi_extra=_SENT,
)
async def begin(
    request: Request,
    caller: Scorer,
    legal_entity: Annotated[LegalEntityCode, Query(description="the company that asks; it sees only what it may")],
    model: Annotated[str, Query(pattern=MODEL_PATTERN, description="the registered model that scores")] = MODEL_NAME,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """A body of parties or rows as for a batch, of any number, in the format that Content-Type names.

    Without a body, all parties of the company are scored. The job is queued and run beside the server; it survives the
    server's end. Of one caller, five jobs can be unfinished.
    """
    require_company(caller, legal_entity)
    kind = request.headers.get("content-type", PARQUET).split(";")[0].strip().lower()
    backend = backend_of(request)
    now = backend.now()
    job = ScoreJob(
        new_decision_id(now), legal_entity, caller.name, model, kind, QUEUED, None, 0, 0, None, None, None, now, None
    )
    path = sent_file(backend.settings.home, job.job_id)
    digest = await _received(request, path)
    try:
        _require_scorable(model, None if digest is None else kind)
        if digest is None:
            job = replace(job, sent_as=None)
        once = Once.of(caller.name, idempotency_key, f"job {legal_entity} {model} {job.sent_as}", str(digest))
        answer = await run_in_threadpool(_queued, backend, once, job)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    if answer.again:
        path.unlink(missing_ok=True)
    return answer.response


def _require_scorable(model: str, kind: str | None) -> None:
    if kind is None and not scores_parties(model):
        detail = f"'{model}' scores rows of features, not parties: send a table of them."
        raise ApiError(HTTPStatus.UNPROCESSABLE_ENTITY, "nothing_to_score", detail)
    if kind is not None and kind not in FORMATS:
        detail = f"'{kind}' is not read here; send {', '.join(FORMATS)}."
        raise ApiError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail)


async def _received(request: Request, path: FilePath) -> str | None:
    """Write the body to a file as it comes, and return its SHA-256; None, and no file, where it is empty."""
    digest, waiting, size = hashlib.sha256(), bytearray(), 0

    def write() -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab") as file:
            file.write(waiting)
        digest.update(waiting)
        waiting.clear()

    try:
        async for piece in request.stream():
            waiting += piece
            size += len(piece)
            if len(waiting) >= _PIECE_BYTES:
                await run_in_threadpool(write)
        if waiting:
            await run_in_threadpool(write)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return digest.hexdigest() if size else None


@jobs.get("", summary="Jobs of the caller's companies", responses=problems())
def listed(caller: Scorer, request: Request, cursor: Cursor = None, limit: Limit = 100) -> JobsReply:
    """The newest first."""
    backend = backend_of(request)
    place = place_of(cursor, str)
    with reading(backend.engine, caller.legal_entities) as connection:
        # One more than asked for tells whether there are more.
        found = jobs_of(connection, caller.legal_entities, limit + 1, str(place[0]) if place else None)
    shown = found[:limit]
    more = len(found) > limit
    return JobsReply(
        jobs=[_told(backend, job) for job in shown], next_cursor=cursor_after(shown[-1].job_id) if more else None
    )


@jobs.get("/{job_id}", summary="How far a job is", responses=problems(HTTPStatus.NOT_FOUND))
def job(job_id: JobId, caller: Scorer, request: Request) -> JobReply:
    """Queued, running with the rows done so far, done, failed with the reason, or cancelled."""
    backend = backend_of(request)
    return _told(backend, _looked_at(backend, job_id, caller.legal_entities))


@jobs.get(
    "/{job_id}/events",
    summary="How far a job is, as it goes on",
    response_class=StreamingResponse,
    responses={
        200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}},
        **problems(HTTPStatus.NOT_FOUND),
    },
)
async def watched(job_id: JobId, caller: Scorer, request: Request) -> StreamingResponse:
    """Server-sent events: one ``job`` event, with the job as JSON, at once, at each step, and at the end, the last."""
    backend, companies = backend_of(request), caller.legal_entities
    first = await run_in_threadpool(_looked_at, backend, job_id, companies)

    async def told() -> AsyncIterator[str]:
        now, said = first, None
        while True:
            if now != said:
                yield f"event: job\ndata: {_told(backend, now).model_dump_json()}\n\n"
                said = now
            if now.state not in UNFINISHED:
                return
            await asyncio.sleep(_LOOK_SECONDS)
            now = await run_in_threadpool(_looked_at, backend, job_id, companies)

    return StreamingResponse(told(), media_type="text/event-stream", headers={"Cache-Control": "no-store"})


@jobs.post(
    "/{job_id}/cancel", summary="Cancel a job", responses=problems(HTTPStatus.NOT_FOUND), response_model=JobReply
)
def cancel(job_id: JobId, caller: Scorer, request: Request, idempotency_key: IdempotencyKey = None) -> Response:
    """It ends before its next part. A job that has ended stays as it is."""
    backend = backend_of(request)
    now = backend.now()

    def work(connection: Connection) -> Answer:
        found = _found(connection, job_id, caller.legal_entities)
        if change_job(connection, job_id, state=CANCELLED, ended_at=now):
            found = replace(found, state=CANCELLED, ended_at=now)
        return Answer(HTTPStatus.OK, _told(backend, found).model_dump_json())

    once = Once.of(caller.name, idempotency_key, f"cancel {job_id}", "")
    answer = carry_out(backend.engine, once, now, work)
    sent_file(backend.settings.home, job_id).unlink(missing_ok=True)
    return answer.response


@jobs.get(
    "/{job_id}/result",
    summary="A job's answers",
    response_class=FileResponse,
    responses={
        200: {"content": {PARQUET: {"schema": {"type": "string", "format": "binary"}}}},
        **problems(HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT, HTTPStatus.GONE),
    },
)
def result(job_id: JobId, caller: Scorer, request: Request) -> FileResponse:
    """Parquet, an answer a row in the order of what was sent, once the job is done, until its ``result_until``."""
    backend = backend_of(request)
    found = _looked_at(backend, job_id, caller.legal_entities)
    until = result_until(found, backend.settings)
    if until is not None and until < backend.now():
        detail = f"The job's result was kept until {until:%Y-%m-%d %H:%M} UTC; begin another job."
        raise ApiError(HTTPStatus.GONE, "result_expired", detail)
    path = result_file(backend.settings.home, job_id)
    if found.state != DONE or not path.is_file():
        detail = f"The job is {found.state}; there is a result once it is done."
        raise ApiError(HTTPStatus.CONFLICT, "no_result", detail)
    headers = {"X-Content-SHA256": str(found.result_sha256)}
    return FileResponse(path, media_type=PARQUET, filename=f"{job_id}.parquet", headers=headers)


def _queued(backend: Backend, once: Once, job: ScoreJob) -> Answer:
    def work(connection: Connection) -> Answer:
        if count_unfinished(connection, job.caller) >= _MOST_UNFINISHED:
            detail = f"{_MOST_UNFINISHED} of your jobs are unfinished; wait for one, or cancel one."
            headers = {"Retry-After": "30"}
            raise ApiError(HTTPStatus.TOO_MANY_REQUESTS, "too_many_jobs", detail, headers=headers)
        keep_job(connection, job)
        return Answer(HTTPStatus.ACCEPTED, _told(backend, job).model_dump_json())

    answer = carry_out(backend.engine, once, job.created_at, work)
    if not answer.again:
        backend.jobs.see_to_it(now=True)
    return answer


def _looked_at(backend: Backend, job_id: str, companies: Collection[str]) -> ScoreJob:
    with reading(backend.engine, companies) as connection:
        found = _found(connection, job_id, companies)
    if found.state in UNFINISHED:
        backend.jobs.see_to_it()
    return found


def _found(connection: Connection, job_id: str, companies: Collection[str]) -> ScoreJob:
    found = find_job(connection, job_id, companies)
    if found is None:
        detail = f"There is no job '{job_id}' of a company that you act for."
        raise ApiError(HTTPStatus.NOT_FOUND, "unknown_job", detail)
    return found


def _told(backend: Backend, job: ScoreJob) -> JobReply:
    return JobReply.model_validate(asdict(job) | {"result_until": result_until(job, backend.settings)})
