"""Scores go on record: into the log of their companies, and what is kept beside it, in one commit."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from group.audit import AuditEvent, append_all
from group.database import DatabaseUnavailable, is_busy
from serving.gathering import WouldWait


class StandingConnection:
    """A connection that is kept for the transactions of one thread, so that none has to ask for one; as an ``Engine``.

    After an error it is made anew.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._connection: Connection | None = None

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """A transaction, which ends as the block does."""
        if self._connection is None:
            self._connection = self._engine.connect()
        try:
            with self._connection.begin():
                yield self._connection
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Give it back."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


def put_on_record(
    engine: Engine | StandingConnection,
    events: Sequence[AuditEvent],
    now: datetime,
    beside: Callable[[Connection], None],
    *,
    quickly: bool = False,
) -> None:
    """Write what happened, and what is kept ``beside`` it in one commit; it is on disk when this returns.

    Raises:
        DatabaseUnavailable: they could not be written.
        WouldWait: somebody else is writing, and it has to be done ``quickly``.
    """
    if not events:
        return
    try:
        with engine.begin() as connection:
            append_all(connection, events, now)
            beside(connection)
    except (DBAPIError, PoolTimeoutError) as error:
        if quickly and isinstance(error, DBAPIError) and is_busy(error):
            raise WouldWait from None
        raise not_recorded() from None


def not_recorded() -> DatabaseUnavailable:
    """The error of a score that is not given, because it could not be put on record."""
    return DatabaseUnavailable("The score could not be written to the audit log, so it is not given; try again.")
