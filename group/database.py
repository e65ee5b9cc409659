"""The group's state: one SQL database, SQLite by default, PostgreSQL by URL, its tables made by migrations."""

import sqlite3
import threading
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from sqlite3 import Connection as SQLiteConnection
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import (
    Column,
    Connection,
    DateTime,
    Dialect,
    Engine,
    MetaData,
    String,
    Table,
    TypeDecorator,
    create_engine,
    event,
    func,
    inspect,
    make_url,
    select,
)
from sqlalchemy.exc import DBAPIError, OperationalError, SQLAlchemyError

from group.errors import Unavailable

if TYPE_CHECKING:
    from alembic.config import Config

_MIGRATIONS: Final = Path(__file__).parent / "migrations"
_MIGRATES: Final = 0x6A696E6B6F6E67
"""The lock of PostgreSQL that a migration holds: a number that other programs will hardly choose."""

_READS_ONLY: Final = "jinkong_reads_only"
_CHECKPOINT_SECONDS: Final = 0.25
_CHECKPOINTS_APART_SECONDS: Final = 0.02
_MOST_AHEAD: Final = 8_192
_ACTS_FOR: Final = "jinkong.legal_entities"

metadata: Final = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


_REVISION: Final = Table("alembic_version", MetaData(), Column("version_num", String(32)))


class DatabaseUnavailable(Unavailable):
    """The database cannot be opened, or its tables are not the ones this version needs."""


class UtcDateTime(TypeDecorator[datetime]):
    """An aware instant in UTC, to the microsecond, on databases with and without time zones.

    Raises:
        ValueError: a naive datetime is stored.
    """

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """To the database: UTC."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value!r} has no time zone; pass an aware datetime.")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """From the database: UTC, even where it kept no zone."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def open_database(url: str, *, wait_seconds: float = 30.0, leave_checkpoints: bool = False) -> Engine:
    """An engine for ``url``.

    Who wants to write on SQLite waits for so long for another to be done. With ``leave_checkpoints``, a commit leaves
    it to ``Checkpoints`` to move what was written ahead.

    On SQLite it writes ahead (WAL) and every commit reaches the disk before it returns; a transaction takes the
    write lock when it begins, so that two writers queue instead of failing half-way. ``reading`` takes no lock.

    Raises:
        DatabaseUnavailable: the folder of the SQLite file cannot be made.
    """
    address = make_url(url)
    if address.get_backend_name() != "sqlite":
        # Row-level security shows nobody anything who does not say for which companies they act; our own work is for
        # all of them unless it says otherwise.
        given = str(address.query.get("options", ""))
        options = f"{given} -c {_ACTS_FOR}=*".strip()
        return create_engine(address, pool_pre_ping=True, connect_args={"options": options})
    if address.database and address.database != ":memory:":
        try:
            Path(address.database).parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DatabaseUnavailable(f"The folder of {address.database} cannot be made: {error.strerror}.") from None
    engine = create_engine(address, connect_args={"timeout": wait_seconds})
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    if leave_checkpoints:
        event.listen(engine, "connect", _leave_checkpoints)
    return engine


def is_busy(error: DBAPIError) -> bool:
    """Whether SQLite refused only because somebody else was writing."""
    code = getattr(error.orig, "sqlite_errorcode", 0) or 0
    return code & 0xFF == sqlite3.SQLITE_BUSY


def _moved(connection: SQLiteConnection) -> int:
    """Move what SQLite wrote ahead so far, and return how many pages that was since the file was begun."""
    [(_busy, ahead, _moved)] = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
    return int(ahead)


class Checkpoints:
    """Moves what SQLite wrote ahead into its file, in a thread, so that no commit has to do it meanwhile.

    A commit that finds a thousand pages written ahead moves them itself, which takes milliseconds: too long where
    hundreds of commits a second each answer somebody. On PostgreSQL there is nothing to do.
    """

    def __init__(self, engine: Engine) -> None:
        """Begin, until ``close``."""
        self._path = engine.url.database or ""
        self._wanted = threading.Event()
        self._ended = False
        self._not_before = 0.0
        self._thread: threading.Thread | None = None
        if engine.dialect.name == "sqlite" and self._path not in ("", ":memory:"):
            self._thread = threading.Thread(target=self._run, name="checkpoints", daemon=True)
            self._thread.start()

    def after_commit(self) -> None:
        """Move what there is, unless that was just done.

        Commits that come while the disk is busy with a move wait for it. Right after a commit, whoever wrote has to
        think before the next: a short move then is in nobody's way.
        """
        now = time.monotonic()
        if now >= self._not_before:
            self._not_before = now + _CHECKPOINTS_APART_SECONDS
            self._wanted.set()

    def close(self) -> None:
        """End. What is left is moved when the last connection is closed."""
        self._ended = True
        self._wanted.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        connection = sqlite3.connect(self._path, timeout=1.0)
        while True:
            self._wanted.wait(_CHECKPOINT_SECONDS)
            self._wanted.clear()
            if self._ended:
                break
            with suppress(sqlite3.OperationalError):  # busy, or the disk is full: whoever writes is told
                # Writers begin the file anew once all of it was moved and none of them has added to it meanwhile. The
                # first move takes long enough for some to come; those after it are short.
                before, ahead = 0, _moved(connection)
                while ahead > max(before, _MOST_AHEAD) and not self._ended:
                    before, ahead = ahead, _moved(connection)
        connection.close()


@contextmanager
def reading(engine: Engine, legal_entities: Collection[str] | None = None) -> Iterator[Connection]:
    """A connection that sees the database as of one instant and neither waits for writers nor holds them up.

    With ``legal_entities``, PostgreSQL shows it the rows of these companies alone.
    """
    options: dict[str, Any] = {_READS_ONLY: True}
    if engine.dialect.name == "postgresql":
        options |= {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
    with engine.connect().execution_options(**options) as connection, connection.begin():
        if legal_entities is not None and engine.dialect.name == "postgresql":
            acts_for = ",".join(sorted(legal_entities))
            connection.execute(select(func.set_config(_ACTS_FOR, acts_for, True)))  # noqa: FBT003 - for this transaction
        yield connection


def migrate(engine: Engine) -> None:
    """Bring the database's tables to this version. Nothing happens where they are.

    Raises:
        DatabaseUnavailable: the database does not answer or refuses.
    """
    try:
        with reading(engine) as connection:
            if _revision(connection) == newest_revision():
                return
        from alembic import command  # noqa: PLC0415 - a third of a second, for what most starts have no need of

        with engine.begin() as connection:
            if engine.dialect.name == "postgresql":
                # Replicas of a new database begin together; whoever comes second finds it done. SQLite lets one in.
                connection.execute(select(func.pg_advisory_xact_lock(_MIGRATES)))
            configuration = _alembic()
            configuration.attributes["connection"] = connection
            command.upgrade(configuration, "head")
    except (OperationalError, DBAPIError) as error:
        raise DatabaseUnavailable(f"The database {_shown(engine)} cannot be migrated: {_first_line(error)}.") from error


@contextmanager
def migrated(url: str) -> Iterator[Engine]:
    """The database at ``url`` with this version's tables, let go of at the end.

    Raises:
        DatabaseUnavailable: it does not answer or refuses.
    """
    engine = open_database(url)
    try:
        migrate(engine)
        yield engine
    finally:
        engine.dispose()


def require_current(engine: Engine) -> None:
    """Make sure that the database answers and has this version's tables.

    Raises:
        DatabaseUnavailable: it does not answer, or it has to be migrated first.
    """
    try:
        with engine.connect() as connection:
            found = _revision(connection)
    except SQLAlchemyError as error:
        raise DatabaseUnavailable(f"The database {_shown(engine)} does not answer: {_first_line(error)}.") from None
    wanted = newest_revision()
    if found != wanted:
        raise DatabaseUnavailable(
            f"The database {_shown(engine)} is at migration {found or 'none'}, this version needs {wanted}; "
            "run `jinkong doctor --migrate`."
        )


def newest_revision() -> str:
    """The migration that this version's tables are at: the last one by the number that its file begins with."""
    return max(path.name.partition("_")[0] for path in (_MIGRATIONS / "versions").glob("[0-9]*_*.py"))


def _revision(connection: Connection) -> str | None:
    """The migration that the database is at; None where there was none."""
    if not inspect(connection).has_table(_REVISION.name):
        return None
    return connection.execute(select(_REVISION.c.version_num)).scalar()


def _alembic() -> "Config":
    from alembic.config import Config  # noqa: PLC0415 - as above

    configuration = Config()
    configuration.set_main_option("script_location", str(_MIGRATIONS))
    return configuration


def _prepare_sqlite(connection: SQLiteConnection, _record: Any) -> None:
    # Transactions are begun by _begin_sqlite; the driver's own implicit BEGIN would come too late.
    connection.isolation_level = None
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _leave_checkpoints(connection: SQLiteConnection, _record: Any) -> None:
    # Not never: if the thread cannot keep up, or has died, the file must not grow without bounds.
    connection.execute(f"PRAGMA wal_autocheckpoint={8 * _MOST_AHEAD}")


def _begin_sqlite(connection: Connection) -> None:
    begin = "BEGIN" if connection.get_execution_options().get(_READS_ONLY, False) else "BEGIN IMMEDIATE"
    driver = connection.connection.driver_connection
    assert isinstance(driver, SQLiteConnection)  # noqa: S101 - whose event this is
    try:
        # SQLAlchemy's own execution takes several times as long as what it executes.
        driver.execute(begin)
    except sqlite3.Error as error:
        raise DBAPIError.instance(begin, None, error, sqlite3.Error, dialect=connection.dialect) from error


def _shown(engine: Engine) -> str:
    return engine.url.render_as_string(hide_password=True)


def _first_line(error: SQLAlchemyError) -> str:
    cause = getattr(error, "orig", None) or error
    return (str(cause).strip().splitlines() or [type(cause).__name__])[0].rstrip(".")
