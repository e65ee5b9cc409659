"""The three online stores as Feast lays them out: what each holds of a service, for many keys at once."""

import sqlite3
import struct
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import Final, Protocol

import mmh3
import numpy as np
import numpy.typing as npt
import psycopg
import redis
from psycopg import sql

from features.online.address import StoreAddress, store_address
from features.online.encoding import doubles
from features.online.layout import ServiceLayout
from features.online.whole_rows import absent_row, decoded_rows, features_digest, rows_table, trigger_names

SECONDS: Final = 5
"""How long a store may take to answer before it counts as away."""

_SQLITE_KEYS: Final = 500
"""Keys of one query; SQLite takes no more than 32,766 parameters, and fewer keys keep the rows in its cache."""


@dataclass(frozen=True, slots=True)
class Stored:
    """What a store holds of ``n`` keys.

    ``values (n, k)`` are in the layout's order of features, NaN where there is none; ``instants`` has for each view
    when the values of each of the ``n`` keys became true, None where there are none.
    """

    values: npt.NDArray[np.float64]
    instants: list[list[datetime | None]]


def table_name(project: str, view: str) -> str:
    """The table of a view in SQLite and PostgreSQL."""
    return f"{project}_{view}"


def redis_field(view: str, feature: str) -> bytes:
    """The field of a feature in a key's hash."""
    return struct.pack("<I", mmh3.hash(f"{view}:{feature}", signed=False))


def redis_instant_field(view: str) -> bytes:
    """The field in which a key's hash says when the view's values became true."""
    return f"_ts:{view}".encode()


def redis_row_field(view: str) -> bytes:
    """The field in which a key's hash has the view's values as one."""
    return f"_row:{view}".encode()


def redis_row(instant: bytes, row: bytes) -> bytes:
    """What stands in that field: the instant's message with its length, and the row.

    A writer that knows nothing of whole rows writes another instant, which tells that this one is out of date: Feast
    takes no second row of the same instant.
    """
    return bytes([len(instant)]) + instant + row


def redis_client(address: StoreAddress) -> redis.Redis:
    """A client of the Redis at ``address``."""
    return redis.Redis(
        host=address.host,
        port=address.port,
        db=int(address.database),
        password=address.password or None,
        socket_connect_timeout=SECONDS,
        socket_timeout=SECONDS,
    )


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


class KeyValues(Protocol):
    """Where the values of a service lie. Safe to share between threads."""

    def read(self, keys: Sequence[bytes]) -> Stored:
        """What the store holds of each key; there is at least one."""
        ...


def open_store_of(url: str, home: Path, layout: ServiceLayout) -> KeyValues:
    """The store that ``url`` names, or the SQLite file of Feast's home folder."""
    if not url:
        return SqliteValues(home / "online.db", layout)
    address = store_address(url)
    if address.kind == "redis":
        return RedisValues(address, layout)
    return PostgresqlValues(address, layout)


def _joined(parts: Sequence[Stored]) -> Stored:
    """What was read in several parts."""
    instants = zip(*(part.instants for part in parts), strict=True)
    return Stored(
        np.concatenate([part.values for part in parts]), [list(chain.from_iterable(view)) for view in instants]
    )


def _digests_and_absent(layout: ServiceLayout) -> tuple[list[bytes], list[bytes]]:
    """For each view how its whole rows begin, and what stands for one that is not there."""
    views = layout.views
    return [features_digest(view.features) for view in views], [absent_row(view.features) for view in views]


_Column = tuple[list[bytes | None], list[datetime | None]]
"""A view of ``n`` keys: whole rows, None where one has to be read value by value; and their instants."""


def _stored_of(
    columns: Sequence[_Column],
    keys: Sequence[bytes],
    absent: Sequence[bytes],
    value_by_value: Callable[[Sequence[bytes]], Stored],
) -> Stored:
    """The views side by side; a key that has no whole row in one of them is read ``value_by_value``.

    ``absent`` is for each view the row of a key that the store does not have.
    """
    apart = sorted({place for rows, _ in columns if None in rows for place, row in enumerate(rows) if row is None})
    whole = [decoded_rows([row or nothing for row in rows]) for (rows, _), nothing in zip(columns, absent, strict=True)]
    stored = Stored(np.concatenate(whole, axis=1), [instants for _, instants in columns])
    if apart:
        read = value_by_value([keys[place] for place in apart])
        stored.values[apart] = read.values
        for into, instants in zip(stored.instants, read.instants, strict=True):
            for place, instant in zip(apart, instants, strict=True):
                into[place] = instant
    return stored


class SqliteValues:
    """One table a view, one row a key and feature."""

    def __init__(self, path: Path, layout: ServiceLayout) -> None:
        self._path = path
        self._layout = layout
        self._local = threading.local()
        self._tables = [f'"{table_name(layout.project, view.name)}"' for view in layout.views]
        # Rows come sorted by the feature's name, which saves reading it.
        self._sorted = [sorted(range(len(view.features)), key=view.features.__getitem__) for view in layout.views]
        self._digests, self._absent = _digests_and_absent(layout)
        self._triggers = [
            name for view in layout.views for name in trigger_names(table_name(layout.project, view.name))
        ]

    def read(self, keys: Sequence[bytes]) -> Stored:
        """See ``KeyValues``."""
        read = [self._read_some(keys[start : start + _SQLITE_KEYS]) for start in range(0, len(keys), _SQLITE_KEYS)]
        return read[0] if len(read) == 1 else _joined(read)

    def _read_some(self, keys: Sequence[bytes]) -> Stored:
        connection = self._connection()
        if not self._whole_rows_are_kept(connection):
            return self._value_by_value(keys)
        marks = ",".join("?" * len(keys))
        fetched = connection.execute(
            f'SELECT entity_key, view, event_ts, row FROM "{rows_table(self._layout.project)}" '  # noqa: S608 - as above
            f"WHERE entity_key IN ({marks})",
            keys,
        )
        there: dict[str, dict[bytes, tuple[bytes | None, int]]] = {view.name: {} for view in self._layout.views}
        for key, view, at, row in fetched:
            if view in there:
                there[view][key] = row, at
        columns = [
            self._column(there[view.name], keys, digest, absent)
            for view, digest, absent in zip(self._layout.views, self._digests, self._absent, strict=True)
        ]
        return _stored_of(columns, keys, self._absent, self._value_by_value)

    @staticmethod
    def _column(
        there: dict[bytes, tuple[bytes | None, int]], keys: Sequence[bytes], digest: bytes, absent: bytes
    ) -> _Column:
        rows: list[bytes | None] = []
        instants: list[datetime | None] = []
        for key in keys:
            # Neither a row nor a mark: the store has nothing of the key.
            row, at = there.get(key, (absent, None))
            rows.append(row if row is not None and row.startswith(digest) else None)
            instants.append(None if at is None else _sqlite_instant(at))
        return rows, instants

    def _whole_rows_are_kept(self, connection: sqlite3.Connection) -> bool:
        """Whether every table of the service has its triggers, as of the schema's present version."""
        version = connection.execute("PRAGMA schema_version").fetchone()[0]
        if getattr(self._local, "schema_version", None) != version:
            marks = ",".join("?" * len(self._triggers))
            count = connection.execute(f"SELECT count(*) FROM sqlite_master WHERE name IN ({marks})", self._triggers)  # noqa: S608
            self._local.kept = count.fetchone()[0] == len(self._triggers)
            self._local.schema_version = version
        return bool(self._local.kept)

    def _value_by_value(self, keys: Sequence[bytes]) -> Stored:
        connection = self._connection()
        columns: list[list[list[bytes | None]]] = []
        instants: list[list[datetime | None]] = []
        for view, table in enumerate(self._tables):
            rows, at = self._view_rows(connection, view, table, keys)
            columns.append(rows)
            instants.append(at)
        values = [value for parts in zip(*columns, strict=True) for part in parts for value in part]
        return Stored(doubles(values).reshape(len(keys), -1), instants)

    def _view_rows(
        self, connection: sqlite3.Connection, view: int, table: str, keys: Sequence[bytes]
    ) -> tuple[list[list[bytes | None]], list[datetime | None]]:
        order = self._sorted[view]
        distinct = sorted(set(keys))
        marks = ",".join("?" * len(distinct))
        fetched = connection.execute(
            f"SELECT value, event_ts FROM {table} WHERE entity_key IN ({marks}) ORDER BY entity_key, feature_name",  # noqa: S608 - the table's name comes from our own catalogue
            distinct,
        ).fetchall()
        if len(fetched) != len(distinct) * len(order):
            return self._one_by_one(connection, view, table, keys)
        place = {key: number * len(order) for number, key in enumerate(distinct)}
        # Position of each feature of the layout among the names in their order.
        back = sorted(range(len(order)), key=order.__getitem__)
        rows = [[fetched[place[key] + at][0] for at in back] for key in keys]
        return rows, [_sqlite_instant(fetched[place[key]][1]) for key in keys]

    def _one_by_one(
        self, connection: sqlite3.Connection, view: int, table: str, keys: Sequence[bytes]
    ) -> tuple[list[list[bytes | None]], list[datetime | None]]:
        """Where a key is absent, or the table holds features that the service does not have."""
        names = self._layout.views[view].features
        rows: list[list[bytes | None]] = []
        instants: list[datetime | None] = []
        for key in keys:
            found = connection.execute(
                f"SELECT feature_name, value, event_ts FROM {table} WHERE entity_key = ?",  # noqa: S608
                (key,),
            ).fetchall()
            by_name = {name: (value, at) for name, value, at in found}
            rows.append([by_name[name][0] if name in by_name else None for name in names])
            at = max((by_name[name][1] for name in names if name in by_name), default=None)
            instants.append(None if at is None else _sqlite_instant(at))
        return rows, instants

    def _connection(self) -> sqlite3.Connection:
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = sqlite3.connect(f"file:{self._path}?mode=ro", uri=True, timeout=SECONDS)
            connection.execute("PRAGMA mmap_size = 1073741824")
            self._local.connection = connection
        return connection


@lru_cache(maxsize=4_096)
def _sqlite_instant(seconds: int) -> datetime:
    # Feast takes the UTC time as if it were the machine's own; so it has to be read.
    return datetime.fromtimestamp(seconds).replace(tzinfo=UTC)  # noqa: DTZ006


class RedisValues:
    """One hash a key, for all views: a field a feature, and one for a view's instant."""

    def __init__(self, address: StoreAddress, layout: ServiceLayout) -> None:
        self._layout = layout
        self._client = redis_client(address)
        self._fields: list[bytes] = [redis_field(view.name, name) for view in layout.views for name in view.features]
        instants = [redis_instant_field(view.name) for view in layout.views]
        self._fields += instants
        self._row_fields = [redis_row_field(view.name) for view in layout.views] + instants
        self._digests, self._absent = _digests_and_absent(layout)

    def read(self, keys: Sequence[bytes]) -> Stored:
        """See ``KeyValues``."""
        replies = list(zip(*self._hashes(keys, self._row_fields), strict=True))
        views = len(self._layout.views)
        columns = [
            self._column(*column)
            for column in zip(replies[:views], replies[views:], self._digests, self._absent, strict=True)
        ]
        return _stored_of(columns, keys, self._absent, self._value_by_value)

    @staticmethod
    def _column(
        fetched: Sequence[bytes | None], instants: Sequence[bytes | None], digest: bytes, absent: bytes
    ) -> _Column:
        heads = {instant: redis_row(instant, digest) for instant in set(instants) if instant}
        length = len(absent)
        rows: list[bytes | None] = [
            absent if not instant else row[-length:] if row and row.startswith(heads[instant]) else None
            for row, instant in zip(fetched, instants, strict=True)
        ]
        return rows, [_redis_instant(instant) for instant in instants]

    def _value_by_value(self, keys: Sequence[bytes]) -> Stored:
        replies = self._hashes(keys, self._fields)
        count = len(self._fields) - len(self._layout.views)
        return Stored(
            doubles([value for reply in replies for value in reply[:count]]).reshape(len(keys), count),
            [[_redis_instant(reply[place]) for reply in replies] for place in range(count, len(self._fields))],
        )

    def _hashes(self, keys: Sequence[bytes], fields: list[bytes]) -> list[list[bytes | None]]:
        project = self._layout.project.encode()
        with self._client.pipeline(transaction=False) as pipe:
            for key in keys:
                pipe.hmget(key + project, fields)  # type: ignore[arg-type] # bytes are as good as text
            replies: list[list[bytes | None]] = pipe.execute()
        return replies


@lru_cache(maxsize=4_096)
def _redis_instant(message: bytes | None) -> datetime | None:
    # Most parties share the instant of the last materialisation.
    if not message:
        return None
    from google.protobuf.timestamp_pb2 import Timestamp  # noqa: PLC0415 - only where Redis is in use

    instant: datetime = Timestamp.FromString(message).ToDatetime(tzinfo=UTC)
    return instant


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
        return Stored(found.reshape(len(keys), len(names)), [[at.get(key) for key in keys] for at in instants])

    def _connection(self) -> psycopg.Connection:
        connection: psycopg.Connection | None = getattr(self._local, "connection", None)
        if connection is None or connection.closed:
            connection = postgresql_connection(self._address)
            self._local.connection = connection
        return connection
