"""What every route shares: who calls, what it stands on, and the problems that its page lists."""

import secrets
from http import HTTPStatus
from typing import Annotated, Any, Final

from fastapi import Depends, Request
from fastapi.security import HTTPBearer

from serving.backend import Backend
from serving.messages import Problem
from serving.problems import MEDIA_TYPE, ApiError

_bearer: Final = HTTPBearer(auto_error=False, description="needed where JINKONG_SERVICE_TOKEN is set")


def caller_of(request: Request) -> str:
    """Who calls, for the audit log.

    Raises:
        ApiError: 401, the service has a token and the caller did not send it.
    """
    wanted = request.app.state.settings.service_token
    if wanted is None:
        return "local"
    kind, _, given = request.headers.get("authorization", "").partition(" ")
    if kind.lower() != "bearer" or not secrets.compare_digest(given.encode(), wanted.get_secret_value().encode()):
        raise ApiError(
            HTTPStatus.UNAUTHORIZED, "unauthorized", "Send the service's token as 'Authorization: Bearer …'."
        )
    return "service"


async def _caller(request: Request, _shown: Annotated[object, Depends(_bearer)]) -> str:
    return caller_of(request)


Caller = Annotated[str, Depends(_caller)]


def backend_of(request: Request) -> Backend:
    """The database and the scorers that all requests of the process share."""
    backend: Backend = request.app.state.backend
    return backend


def problems(*statuses: HTTPStatus) -> dict[int | str, dict[str, Any]]:
    """The errors that a route answers with, for the API's page."""
    return {
        int(status): {"model": Problem, "description": status.phrase, "content": {MEDIA_TYPE: {}}}
        for status in statuses
    }
