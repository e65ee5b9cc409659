"""Errors as the API answers them: problem+json (RFC 9457) with a stable code, never an echo of what was sent."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from starlette.exceptions import HTTPException

from group.errors import JinkongError
from serving.aside import Busy, Interrupted
from serving.messages.errors import Problem, WrongField

MEDIA_TYPE: Final = "application/problem+json"


_HEADERS: Final[dict[int, dict[str, str]]] = {
    HTTPStatus.SERVICE_UNAVAILABLE: {"Retry-After": "5"},
    HTTPStatus.UNAUTHORIZED: {"WWW-Authenticate": "Bearer"},
}


class ApiError(JinkongError):
    """An answer other than success, with its status and stable code."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        errors: Sequence[WrongField] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.errors = list(errors)
        self.headers = dict(headers or _HEADERS.get(status, {}))


def problem_response(
    status: int, code: str, detail: str, errors: Sequence[WrongField] = (), headers: dict[str, str] | None = None
) -> JSONResponse:
    """The response for an error."""
    problem = Problem(
        type="about:blank",
        title=HTTPStatus(status).phrase,
        status=status,
        code=code,
        detail=detail,
        errors=list(errors),
    )
    return JSONResponse(problem.model_dump(), status, headers, MEDIA_TYPE)


def problem_of(error: ApiError) -> JSONResponse:
    """The response for an error of ours."""
    return problem_response(error.status, error.code, str(error), error.errors, error.headers)


def invalid_request(details: Sequence[Any]) -> ApiError:
    """The error for what pydantic found wrong with a request."""
    wrong = [WrongField(path=json_path(detail["loc"]), message=_message(detail)) for detail in details]
    first = f"{wrong[0].path}: {wrong[0].message}" if wrong else "The request cannot be used."
    return ApiError(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid_request", first, wrong)


def answer_with_problems(app: FastAPI) -> None:
    """Make every error of ``app`` a problem."""

    @app.exception_handler(ApiError)
    def own(_request: Request, error: ApiError) -> JSONResponse:
        return problem_of(error)

    @app.exception_handler(RequestValidationError)
    def invalid(_request: Request, error: RequestValidationError) -> JSONResponse:
        return problem_of(invalid_request(error.errors()))

    @app.exception_handler(HTTPException)
    def http(_request: Request, error: HTTPException) -> JSONResponse:
        status = HTTPStatus(error.status_code)
        return problem_response(status, status.name.lower(), str(error.detail), (), dict(error.headers or {}))

    @app.exception_handler(DBAPIError)
    @app.exception_handler(PoolTimeoutError)
    def database_away(_request: Request, _error: Exception) -> JSONResponse:
        # What a transaction had done when the database went away is undone.
        detail = "The database does not answer; try again."
        return problem_of(ApiError(HTTPStatus.SERVICE_UNAVAILABLE, "database_unavailable", detail))

    @app.exception_handler(Busy)
    @app.exception_handler(Interrupted)
    def beside(_request: Request, error: Exception) -> JSONResponse:
        code = "overloaded" if isinstance(error, Busy) else "interrupted"
        return problem_of(ApiError(HTTPStatus.SERVICE_UNAVAILABLE, code, str(error)))

    @app.exception_handler(Exception)
    def unexpected(_request: Request, _error: Exception) -> JSONResponse:
        # The cause is in the server's log; a caller learns nothing of our insides.
        return problem_response(
            HTTPStatus.INTERNAL_SERVER_ERROR, "internal_error", "The request failed here; it was not your fault."
        )


def json_path(location: Sequence[Any]) -> str:
    """``('body', 'features', 'age_years')`` as ``$.features.age_years``."""
    inside = [part for part in location if part != "body"]
    return "$" + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in inside)


def _message(detail: Any) -> str:
    if detail["type"] == "json_invalid":
        where = f" at character {detail['loc'][-1]}" if detail["loc"] else ""
        return f"is not JSON: {detail['ctx']['error']}{where}"
    # pydantic's messages name what is wanted; its `input` is left out, since it may hold personal data.
    return str(detail["msg"]).removeprefix("Value error, ")
