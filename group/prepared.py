"""Statements that are put together once and go to the driver as they are.

SQLAlchemy's own execution of an insert costs several times what the database's does. It pays where one transaction
writes many small rows, and nowhere else.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Dialect
from sqlalchemy.engine.interfaces import DBAPICursor
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql import ClauseElement

from group.database import UtcDateTime


class Prepared:
    """A statement whose parameters are given by position, as the driver takes them: texts, numbers, ``driver_instant``.

    The order is that in which the statement names them. Errors are SQLAlchemy's.
    """

    def __init__(self, statement: ClauseElement) -> None:
        self._statement = statement
        self._texts: dict[str, str] = {}

    def first(self, connection: Connection, row: tuple[Any, ...]) -> tuple[Any, ...] | None:
        """Execute it with one row of parameters; the first row that it gives."""
        text = self._text(connection.dialect)
        with _cursor(connection, text) as cursor:
            cursor.execute(text, row)
            found: tuple[Any, ...] | None = cursor.fetchone()
            return found

    def many(self, connection: Connection, rows: Sequence[tuple[Any, ...]]) -> None:
        """Execute it for each row of parameters; there is at least one."""
        text = self._text(connection.dialect)
        with _cursor(connection, text) as cursor:
            cursor.executemany(text, rows)

    def _text(self, dialect: Dialect) -> str:
        text = self._texts.get(dialect.name)
        if text is None:
            kind: Callable[..., Dialect] = type(dialect)
            positional = kind(paramstyle="qmark" if dialect.name == "sqlite" else "format")
            text = self._texts[dialect.name] = str(self._statement.compile(dialect=positional))
        return text


@contextmanager
def _cursor(connection: Connection, text: str) -> Iterator[DBAPICursor]:
    if not connection.in_transaction():
        connection.begin()
    cursor = connection.connection.cursor()
    try:
        yield cursor
    except _driver_error(connection.dialect) as error:
        # Parameters are what customers are like: no place for them in an error's text.
        raise DBAPIError.instance(
            text, None, error, _driver_error(connection.dialect), hide_parameters=True, dialect=connection.dialect
        ) from error
    finally:
        cursor.close()


def _driver_error(dialect: Dialect) -> type[Exception]:
    assert dialect.dbapi is not None  # noqa: S101 - there is a connection
    return dialect.dbapi.Error


def driver_instant(dialect: Dialect, instant: datetime) -> Any:
    """An instant as the driver takes it for a column of ``UtcDateTime``."""
    process = _instant_processor(dialect)
    return instant if process is None else process(instant)


@lru_cache(maxsize=64)
def _instant_processor(dialect: Dialect) -> Callable[[datetime], Any] | None:
    return UtcDateTime().dialect_impl(dialect).bind_processor(dialect)
