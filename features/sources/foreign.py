"""Foreign tables one by one: the files of a folder (CSV, Parquet, Excel), or the tables of a database by its URL."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Protocol

import polars as pl
from polars.exceptions import PolarsError
from sqlalchemy import Engine, MetaData, Table, create_engine, inspect, select
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, NoSuchTableError, SQLAlchemyError

from features.contracts.tables import CONTRACTS
from features.errors import UnknownSource, UnreadableFile
from features.sources.files import SUFFIXES, read_table, table_files
from group.errors import Unavailable

_BATCH_ROWS: Final = 200_000


class DatabaseUnreachable(Unavailable):
    """A database that should deliver tables does not answer."""


class ForeignTables(Protocol):
    """Where foreign tables lie."""

    def names(self) -> list[str]:
        """The tables that may be read by their canonical names, where no mapping says otherwise."""
        ...

    def batches(self, origin: str) -> Iterator[tuple[str, pl.DataFrame]]:
        """The rows of one foreign table, a part at a time, with a name for each part."""
        ...


class FolderTables:
    """Files below a folder: ``origin`` is a file's name (``book.xlsx#Sheet``), or the name of a folder of files."""

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise UnknownSource(f"{folder} is no folder; give the one that holds the tables.")
        self._folder = folder.resolve()

    def names(self) -> list[str]:
        """See ``ForeignTables``."""
        return [name for name in CONTRACTS if table_files(self._folder, name)]

    def batches(self, origin: str) -> Iterator[tuple[str, pl.DataFrame]]:
        """See ``ForeignTables``.

        Raises:
            UnreadableFile: there is no such file, it lies outside the folder, or it cannot be read.
        """
        origin, _, sheet = origin.partition("#")
        path = (self._folder / origin).resolve()
        if not path.is_relative_to(self._folder):
            raise UnreadableFile(f"'{origin}' lies outside {self._folder}; name a file below it.")
        files = [path] if path.is_file() else table_files(self._folder, origin)
        if not files:
            raise UnreadableFile(
                f"{self._folder} holds no '{origin}'; name a file ({', '.join(SUFFIXES)}) or a folder of such files."
            )
        for file in files:
            yield file.name, read_table(file, sheet or None)


class DatabaseTables:
    """Tables and views of a database that SQLAlchemy can reach: SQLite, PostgreSQL, and MySQL where its driver is."""

    def __init__(self, url: str) -> None:
        try:
            address = make_url(url)
            self._shown = address.render_as_string(hide_password=True)
            if address.get_backend_name() == "sqlite" and address.database and not Path(address.database).is_file():
                raise UnknownSource(f"{address.database} is no SQLite file.")
            self._engine: Engine = create_engine(address)
        # The first is one of the second.
        except (NoSuchModuleError, ModuleNotFoundError) as error:
            raise UnknownSource(f"No driver for {self._shown} is installed ({error}); pip install it first.") from None
        except ArgumentError:
            raise UnknownSource(
                "The URL of the database cannot be read; write it as sqlite:///FILE, "
                "postgresql+psycopg://USER:PASSWORD@HOST/DATABASE or mysql+pymysql://USER:PASSWORD@HOST/DATABASE."
            ) from None

    def names(self) -> list[str]:
        """See ``ForeignTables``."""
        with self._told():
            found = inspect(self._engine)
            there = {*found.get_table_names(), *found.get_view_names()}
        return [name for name in CONTRACTS if name in there]

    def batches(self, origin: str) -> Iterator[tuple[str, pl.DataFrame]]:
        """See ``ForeignTables``. ``origin`` is a table or view, with its schema before a dot where it has one.

        Raises:
            UnknownSource: there is no such table.
            DatabaseUnreachable: the database does not answer.
        """
        schema, _, name = origin.rpartition(".")
        with self._told():
            try:
                table = Table(name, MetaData(), schema=schema or None, autoload_with=self._engine)
            except NoSuchTableError:
                raise UnknownSource(f"{self._shown} has no table '{origin}'.") from None
            # In the order of the key, so that unchanged rows come in unchanged parts.
            key = list(table.primary_key.columns) or [column for column in table.columns if column.name in _ORDER]
            with self._engine.connect().execution_options(stream_results=True) as connection:
                rows = pl.read_database(
                    select(table).order_by(*key), connection, iter_batches=True, batch_size=_BATCH_ROWS,
                    infer_schema_length=None,
                )  # fmt: skip
                for number, batch in enumerate(rows):
                    yield f"part-{number:05d}", batch

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except SQLAlchemyError as error:
            cause = getattr(error, "orig", None) or error
            reason = (str(cause).strip().splitlines() or [type(cause).__name__])[0].rstrip(".")
            raise DatabaseUnreachable(f"The database {self._shown} does not deliver: {reason}.") from None
        except PolarsError as error:
            raise UnreadableFile(f"A table of {self._shown} is of no type that is read here: {error}.") from None


_ORDER: Final = ("legal_entity", "customer_id", "event_timestamp", "created_timestamp")
