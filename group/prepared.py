"""Statements that are put together once and go to the driver as they are.

SQLAlchemy's own execution of an insert costs several times what the database's does. It pays where one transaction
writes many small rows, and nowhere else.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, CursorResult, Dialect
from sqlalchemy.sql import ClauseElement

from group.database import UtcDateTime


class Prepared:
    """A statement whose parameters are given by position, as the driver takes them: texts, numbers, ``driver_instant``.

    The order is that in which the statement names them.
    """

    def __init__(self, statement: ClauseElement) -> None:
        self._statement = statement
        self._texts: dict[str, str] = {}

    def once(self, connection: Connection, row: tuple[Any, ...]) -> CursorResult[Any]:
        """Execute it with one row of parameters."""
        return connection.exec_driver_sql(self._text(connection.dialect), row)

    def many(self, connection: Connection, rows: Sequence[tuple[Any, ...]]) -> None:
        """Execute it for each row of parameters; there is at least one."""
        connection.exec_driver_sql(self._text(connection.dialect), list(rows))

    def _text(self, dialect: Dialect) -> str:
        text = self._texts.get(dialect.name)
        if text is None:
            kind: Callable[..., Dialect] = type(dialect)
            positional = kind(paramstyle="qmark" if dialect.name == "sqlite" else "format")
            text = self._texts[dialect.name] = str(self._statement.compile(dialect=positional))
        return text


def driver_instant(dialect: Dialect, instant: datetime) -> Any:
    """An instant as the driver takes it for a column of ``UtcDateTime``."""
    process = UtcDateTime().dialect_impl(dialect).bind_processor(dialect)
    return instant if process is None else process(instant)
