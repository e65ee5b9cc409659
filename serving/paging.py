"""Pages of a list: where the next one begins is a text that only we read."""

import base64
import binascii
from http import HTTPStatus
from typing import Annotated

import orjson
from fastapi import Query

from serving.problems import ApiError

MOST_ON_A_PAGE = 1_000

Cursor = Annotated[
    str | None,
    Query(
        max_length=400,
        pattern=r"^[A-Za-z0-9_-]+$",
        description="next_cursor of the page before; left out for the first",
        examples=["WyJzcHJpbmciLDE3XQ"],
    ),
]
Limit = Annotated[int, Query(ge=1, le=MOST_ON_A_PAGE, description="at most so many")]


def cursor_after(*place: str | int) -> str:
    """The cursor of the page that begins after ``place``."""
    return base64.urlsafe_b64encode(orjson.dumps(place)).decode().rstrip("=")


def place_of(cursor: str | None, *kinds: type) -> list[str | int] | None:
    """The place that a cursor names, of values of these kinds; None for the first page.

    Raises:
        ApiError: 422, it is none of this list's.
    """
    if cursor is None:
        return None
    try:
        place = orjson.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (binascii.Error, ValueError):
        place = None
    # true is an int to Python, and to nobody else.
    if not isinstance(place, list) or [type(value) for value in place] != list(kinds):
        detail = "The cursor is not one that a page of this list ended with; leave it out for the first page."
        raise ApiError(HTTPStatus.UNPROCESSABLE_ENTITY, "wrong_cursor", detail)
    return place
