"""Durable workflows (DBOS), kept where the settings put the state."""

from collections.abc import Iterator
from contextlib import contextmanager

from dbos import DBOS, DBOSConfig
from dbos._serialization import DBOSPortableJSONSerializer

from group.settings import Settings


@contextmanager
def durable(settings: Settings, *, name: str, file: str, version: str, executor: str) -> Iterator[None]:
    """DBOS for as long as the block lasts; before it, every workflow has been declared.

    Args:
        settings: PostgreSQL's address, or the home folder.
        name: of the application.
        file: the SQLite file in the home folder, where there is no PostgreSQL.
        version: workflows that were begun by another one are left alone.
        executor: what it left undone goes on at once.
    """
    url = settings.database_url
    options: DBOSConfig = {
        "name": name,
        "system_database_url": url if url.startswith("postgresql") else f"sqlite:///{settings.home.absolute() / file}",
        # The default would pickle.
        "serializer": DBOSPortableJSONSerializer(),
        "log_level": "ERROR",
        "application_version": version,
        "executor_id": executor,
    }
    DBOS(config=options)
    DBOS.launch()
    try:
        yield
    finally:
        DBOS.destroy()
