"""Limits on what a caller may send: how often, and how much, counted as it arrives."""

import contextlib
import math
import re
import time
from collections.abc import Callable, Mapping
from http import HTTPStatus

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.problems import ApiError, problem_response


class Rates:
    """How often each caller may ask: a bucket that holds a second's requests and fills at their rate.

    Counted by each worker on its own; a caller is held to the sum.
    """

    def __init__(self, per_second: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_second = per_second
        self._clock = clock
        self._buckets: dict[str, tuple[float, float]] = {}

    def take(self, caller: str, per_second: float | None = None) -> None:
        """Count one request.

        Raises:
            ApiError: 429, it is one too many; Retry-After says when there is room.
        """
        rate = per_second or self._per_second
        most = max(rate, 1.0)
        now = self._clock()
        left, at = self._buckets.get(caller, (most, now))
        left = min(most, left + (now - at) * rate)
        if left < 1.0:
            wait = math.ceil((1.0 - left) / rate)
            raise ApiError(
                HTTPStatus.TOO_MANY_REQUESTS, "too_many_requests",
                f"'{caller}' may ask {rate:g} times a second; try again in {wait} s.",
                headers={"Retry-After": str(wait)},
            )  # fmt: skip
        self._buckets[caller] = left - 1.0, now


class _TooLarge(Exception):
    pass


class BodyLimit:
    """Answers 413 once a body is longer than ``most_bytes``, whatever its Content-Length claims.

    ``larger`` has the limits of paths that take more, by patterns of which one matches the whole path.
    """

    def __init__(self, app: ASGIApp, most_bytes: int, larger: Mapping[str, int]) -> None:
        self._app = app
        self._most_bytes = most_bytes
        self._larger = {re.compile(pattern): most for pattern, most in larger.items()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, counting its bytes."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        received = 0
        path = scope["path"]
        most_bytes = next((most for taken, most in self._larger.items() if taken.fullmatch(path)), self._most_bytes)

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > most_bytes:
                raise _TooLarge
            return message

        async def unless_too_large(message: Message) -> None:
            # The framework answers 400 to any error of reading a body; ours says what is wrong.
            if received <= most_bytes:
                await send(message)

        with contextlib.suppress(_TooLarge):
            await self._app(scope, counted, unless_too_large)
        if received > most_bytes:
            detail = f"The body is longer than {most_bytes} bytes; send less."
            status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
            await problem_response(status, "body_too_large", detail)(scope, receive, send)
