"""Routes that answer ahead of the framework: it describes them and could serve them, at three times the cost."""

from collections.abc import Awaitable, Callable, Mapping
from types import SimpleNamespace
from typing import TypeVar

from pydantic import BaseModel, ValidationError
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from serving.problems import ApiError, invalid_request, problem_of

Handler = Callable[[Request], Awaitable[Response]]
Body = TypeVar("Body", bound=BaseModel)


class Direct:
    """Answers ``handlers`` by method and path, and passes all else on to ``app``."""

    def __init__(self, app: ASGIApp, handlers: Mapping[tuple[str, str], Handler]) -> None:
        self._app = app
        self._handlers = {
            (method, path): (handler, SimpleNamespace(path=path)) for (method, path), handler in handlers.items()
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or pass the request on."""
        found = self._handlers.get((scope["method"], scope["path"])) if scope["type"] == "http" else None
        if found is None:
            await self._app(scope, receive, send)
            return
        # Measures are kept by route.
        handler, scope["route"] = found
        try:
            response = await handler(Request(scope, receive))
        except ApiError as error:
            response = problem_of(error)
        await response(scope, receive, send)


async def body_of(request: Request, kind: type[Body]) -> Body:
    """The request's JSON as ``kind``.

    Raises:
        ApiError: 422, with the path of each field that cannot be used.
    """
    try:
        return kind.model_validate_json(await request.body())
    except ValidationError as error:
        raise invalid_request(error.errors(include_url=False, include_input=False)) from None


def json_body(kind: type[BaseModel], examples: Mapping[str, object]) -> dict[str, object]:
    """What the API's page says of a body that a handler reads by ``body_of``."""
    content = {"schema": kind.model_json_schema(), "examples": dict(examples)}
    return {"requestBody": {"required": True, "content": {"application/json": content}}}
