"""Routes that answer ahead of the framework: it describes them and could serve them, at three times the cost."""

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final, TypeVar

from fastapi import FastAPI
from pydantic import BaseModel, ValidationError
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from serving.problems import ApiError, invalid_request, problem_of

Handler = Callable[[Request, bytes], Awaitable[Response]]
"""Answers a request whose body has been read."""

Body = TypeVar("Body", bound=BaseModel)

_MOST_INSIDE: Final = 512
"""Requests of direct routes that are worked on or wait; what comes on top is shed at the door."""


@dataclass(frozen=True, slots=True)
class _Direct:
    handler: Handler
    path: str
    most_bytes: int


class DirectApi:
    """An application some of whose routes are answered before the framework begins."""

    def __init__(self, app: FastAPI, answered: Callable[[str, str, int, float], None]) -> None:
        """``answered`` is told route, method, status and seconds of each direct answer."""
        self.state = app.state
        self._app = app
        self._answered = answered
        self._direct: dict[tuple[str, str], _Direct] = {}
        self._inside = 0
        self._shed = problem_of(overloaded())

    def answer_directly(self, method: str, path: str, handler: Handler, most_bytes: int) -> None:
        """Answer this method and path by ``handler``; bodies have at most so many bytes."""
        self._direct[method, path] = _Direct(handler, path, most_bytes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or leave it to the framework."""
        direct = self._direct.get((scope["method"], scope["path"])) if scope["type"] == "http" else None
        if direct is None:
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        scope["app"] = self._app
        # A queue that grows only makes everybody late: whoever comes on top is told at once.
        if self._inside >= _MOST_INSIDE:
            response: Response = self._shed
        else:
            self._inside += 1
            try:
                response = await direct.handler(Request(scope, receive), await _read(receive, direct.most_bytes))
            except ApiError as error:
                response = problem_of(error)
            finally:
                self._inside -= 1
        await response(scope, receive, send)
        self._answered(direct.path, scope["method"], response.status_code, time.perf_counter() - began)


def overloaded() -> ApiError:
    """The error of a request that would wait too long."""
    detail = "More is asked for than can be answered in good time; try again in a second."
    return ApiError(HTTPStatus.SERVICE_UNAVAILABLE, "overloaded", detail, headers={"Retry-After": "1"})


def parsed(body: bytes, kind: type[Body]) -> Body:
    """JSON as ``kind``.

    Raises:
        ApiError: 422, with the path of each field that cannot be used.
    """
    try:
        return kind.model_validate_json(body)
    except ValidationError as error:
        raise invalid_request(error.errors(include_url=False, include_input=False)) from None


def json_body(kind: type[BaseModel], examples: Mapping[str, object]) -> dict[str, object]:
    """What the API's page says of a body that a handler reads by ``parsed``."""
    content = {"schema": kind.model_json_schema(), "examples": dict(examples)}
    return {"requestBody": {"required": True, "content": {"application/json": content}}}


async def _read(receive: Receive, most_bytes: int) -> bytes:
    message = await receive()
    body: bytes = message.get("body", b"")
    while message.get("more_body", False) and len(body) <= most_bytes:
        message = await receive()
        body += message.get("body", b"")
    if len(body) > most_bytes:
        detail = f"The body is longer than {most_bytes} bytes; send less."
        raise ApiError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "body_too_large", detail)
    return body
