"""Limits on what a caller may send: the size of a body, counted as it arrives."""

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
        answered = False

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._most_bytes:
                raise _TooLarge
            return message

        async def noted(message: Message) -> None:
            nonlocal answered
            answered = True
            await send(message)

        try:
            await self._app(scope, counted, noted)
        except _TooLarge:
            if answered:
                raise
            detail = f"The body is longer than {self._most_bytes} bytes; send less, or set JINKONG_MAX_BODY_BYTES."
            status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
            await problem_response(status, "body_too_large", detail)(scope, receive, send)
