"""PostgreSQL as Feast lays it out: what it holds of a service, for many keys at once."""

import threading
from collections.abc import Sequence
from datetime import UTC, datetime

import psycopg
from psycopg import sql

from features.online.address import StoreAddress
from features.online.encoding import doubles
from features.online.layout import ServiceLayout
from features.online.stored import SECONDS, Stored, oldest, table_name


def postgresql_connection(address: StoreAddress) -> psycopg.Connection:
    """A connection to the PostgreSQL at ``address``, on which each statement is a transaction of its own."""
    return psycopg.connect(
        host=address.host,
        port=address.port,
        dbname=address.database,
        user=address.user,
        password=address.password,
        connect_timeout=SECONDS,
        autocommit=True,
    )


class PostgresqlValues:
    """The tables of SQLite, in PostgreSQL."""

    def __init__(self, address: StoreAddress, layout: ServiceLayout) -> None:
        self._address = address
        self._layout = layout
        self._local = threading.local()
        self._queries = [
            sql.SQL(
                "SELECT entity_key, feature_name, value, event_ts FROM {} "
                "WHERE entity_key = ANY(%s) AND feature_name = ANY(%s)"
            ).format(sql.Identifier("public", table_name(layout.project, view.name)))
            for view in layout.views
        ]

    def read(self, keys: Sequence[bytes]) -> Stored:
        """See ``KeyValues``."""
        distinct = list(dict.fromkeys(keys))
        values: dict[tuple[bytes, str, str], bytes] = {}
        instants: list[dict[bytes, datetime]] = []
        try:
            with self._connection().cursor(binary=True) as cursor:
                for view, query in zip(self._layout.views, self._queries, strict=True):
                    at: dict[bytes, datetime] = {}
                    for key, name, value, instant in cursor.execute(query, (distinct, list(view.features))):
                        values[key, view.name, name] = value
                        at[key] = instant.replace(tzinfo=UTC)
                    instants.append(at)
        except psycopg.Error:
            self._local.connection = None
            raise
        names = [(view.name, name) for view in self._layout.views for name in view.features]
        found = doubles([values.get((key, view, name)) for key in keys for view, name in names])
        as_of = [oldest(at.get(key) for at in instants) for key in keys]
        return Stored(found.reshape(len(keys), len(names)), as_of)

    def _connection(self) -> psycopg.Connection:
        connection: psycopg.Connection | None = getattr(self._local, "connection", None)
        if connection is None or connection.closed:
            connection = postgresql_connection(self._address)
            self._local.connection = connection
        return connection
