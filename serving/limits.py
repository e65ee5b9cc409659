"""Limits on what a caller may send: the size of a body, counted as it arrives."""

import contextlib
from http import HTTPStatus

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.problems import problem_response


class _TooLarge(Exception):
    pass


class BodyLimit:
    """Answers 413 once a body is longer than ``most_bytes``, whatever its Content-Length claims."""

    def __init__(self, app: ASGIApp, most_bytes: int) -> None:
        self._app = app
        self._most_bytes = most_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, counting its bytes."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        received = 0

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._most_bytes:
                raise _TooLarge
            return message

        async def unless_too_large(message: Message) -> None:
            # The framework answers 400 to any error of reading a body; ours says what is wrong.
            if received <= self._most_bytes:
                await send(message)

        with contextlib.suppress(_TooLarge):
            await self._app(scope, counted, unless_too_large)
        if received > self._most_bytes:
            detail = f"The body is longer than {self._most_bytes} bytes; send less, or set JINKONG_MAX_BODY_BYTES."
            status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
            await problem_response(status, "body_too_large", detail)(scope, receive, send)
