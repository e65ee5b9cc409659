"""The three online stores as Feast lays them out: what each holds of a service, for many keys at once."""

import sqlite3
import struct
import threading
from collections.abc import Callable, Iterable, Sequence
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
from redis.backoff import NoBackoff
from redis.retry import Retry

from features.online.address import StoreAddress, store_address
from features.online.encoding import doubles
from features.online.layout import ServiceLayout
from features.online.whole_rows import DOUBLE_BYTES, absent_row, features_digest, rows_table, trigger_names

SECONDS: Final = 5
"""How long a store may take to answer before it counts as away."""

READ_SECONDS: Final = 1.0
"""The same where a request waits for it."""

_SQLITE_KEYS: Final = 500
"""Keys of one query; SQLite takes no more than 32,766 parameters, and fewer keys keep the rows in its cache."""


@dataclass(frozen=True, slots=True)
class Stored:
    """What a store holds of ``n`` keys.

    ``values (n, k)`` are in the layout's order of features, NaN where there is none; ``as_of`` has for each key when
    its values became true, of several views the oldest, None where there are none.
    """

    values: npt.NDArray[np.float64]
    as_of: list[datetime | None]


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


def redis_client(address: StoreAddress, seconds: float = SECONDS) -> redis.Redis:
    """A client of the Redis at ``address``, which counts as away if it does not answer within so many seconds.

    A connection that was kept may have ended meanwhile: that alone is tried once more.
    """
    return redis.Redis(
        host=address.host,
        port=address.port,
        db=int(address.database),
        password=address.password or None,
        socket_connect_timeout=seconds,
        socket_timeout=seconds,
        retry=Retry(NoBackoff(), 1, (redis.ConnectionError,)),
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


class _WholeRows:
    """Puts a service's values together from whole rows, and has those read value by value that lack one."""

    def __init__(self, layout: ServiceLayout) -> None:
        self.absent = [absent_row(view.features) for view in layout.views]
        """For each view what stands for the row of a key that the store does not have."""
        self._bytes = sum(map(len, self.absent))
        ends = np.cumsum([len(row) // DOUBLE_BYTES for row in self.absent])
        # A row begins with its digest, which is as long as a double.
        digests = np.concatenate([[0], ends[:-1]])
        self._digest_places = digests
        self._digests = np.frombuffer(b"".join(features_digest(view.features) for view in layout.views), "<u8")
        self._places = np.delete(np.arange(ends[-1]), digests)

    def stored(
        self,
        keys: Sequence[bytes],
        rows: Sequence[Sequence[bytes | None]],
        as_of: list[datetime | None],
        value_by_value: Callable[[Sequence[bytes]], Stored],
    ) -> Stored:
        """``rows`` are for each key those of its views; None for one that has to be read value by value."""
        whole = [b"" if None in row else b"".join(row) for row in rows]  # type: ignore[arg-type] # None is told before
        nothing = bytes(self._bytes)
        fitting = [row if len(row) == self._bytes else nothing for row in whole]
        cells = np.frombuffer(b"".join(fitting), "<f8").reshape(len(keys), -1)
        known = (cells.view("<u8")[:, self._digest_places] == self._digests).all(axis=1)
        values = cells[:, self._places]
        apart = np.flatnonzero(~known).tolist()
        if apart:
            read = value_by_value([keys[place] for place in apart])
            values[apart] = read.values
            for place, at in zip(apart, read.as_of, strict=True):
                as_of[place] = at
        return Stored(values, as_of)


def _oldest(instants: Iterable[datetime | None]) -> datetime | None:
    return min((at for at in instants if at is not None), default=None)


class SqliteValues:
    """One table a view, one row a key and feature."""

    def __init__(self, path: Path, layout: ServiceLayout) -> None:
        self._path = path
        self._layout = layout
        self._local = threading.local()
        self._tables = [f'"{table_name(layout.project, view.name)}"' for view in layout.views]
        # Rows come sorted by the feature's name, which saves reading it.
        self._sorted = [sorted(range(len(view.features)), key=view.features.__getitem__) for view in layout.views]
        self._whole = _WholeRows(layout)
        self._view_places = {view.name: place for place, view in enumerate(layout.views)}
        self._triggers = [
            name for view in layout.views for name in trigger_names(table_name(layout.project, view.name))
        ]

    def read(self, keys: Sequence[bytes]) -> Stored:
        """See ``KeyValues``."""
        read = [self._read_some(keys[start : start + _SQLITE_KEYS]) for start in range(0, len(keys), _SQLITE_KEYS)]
        if len(read) == 1:
            return read[0]
        return Stored(
            np.concatenate([part.values for part in read]), list(chain.from_iterable(part.as_of for part in read))
        )

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
        # Neither a row nor a mark: the store has nothing of the key.
        rows: dict[bytes, list[bytes | None]] = {key: list(self._whole.absent) for key in keys}
        oldest: dict[bytes, int] = {}
        for key, view, at, row in fetched:
            place = self._view_places.get(view)
            if place is not None:
                rows[key][place] = row
                if at < oldest.get(key, at + 1):
                    oldest[key] = at
        as_of = [_sqlite_instant(oldest[key]) if key in oldest else None for key in keys]
        return self._whole.stored(keys, [rows[key] for key in keys], as_of, self._value_by_value)

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
        return Stored(doubles(values).reshape(len(keys), -1), list(map(_oldest, zip(*instants, strict=True))))

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
        self._client = redis_client(address, READ_SECONDS)
        self._fields: list[bytes] = [redis_field(view.name, name) for view in layout.views for name in view.features]
        instants = [redis_instant_field(view.name) for view in layout.views]
        self._fields += instants
        self._row_fields = [redis_row_field(view.name) for view in layout.views] + instants
        self._whole = _WholeRows(layout)

    def read(self, keys: Sequence[bytes]) -> Stored:
        """See ``KeyValues``."""
        views = len(self._layout.views)
        rows: list[list[bytes | None]] = []
        as_of: list[datetime | None] = []
        for reply in self._hashes(keys, self._row_fields):
            instants = reply[views:]
            rows.append(list(map(_redis_whole_row, reply, instants, self._whole.absent)))
            as_of.append(_oldest(map(_redis_instant, set(instants))))
        return self._whole.stored(keys, rows, as_of, self._value_by_value)

    def _value_by_value(self, keys: Sequence[bytes]) -> Stored:
        replies = self._hashes(keys, self._fields)
        count = len(self._fields) - len(self._layout.views)
        return Stored(
            doubles([value for reply in replies for value in reply[:count]]).reshape(len(keys), count),
            [_oldest(map(_redis_instant, reply[count:])) for reply in replies],
        )

    def _hashes(self, keys: Sequence[bytes], fields: list[bytes]) -> list[list[bytes | None]]:
        project = self._layout.project.encode()
        with self._client.pipeline(transaction=False) as pipe:
            for key in keys:
                pipe.hmget(key + project, fields)  # type: ignore[arg-type] # bytes are as good as text
            replies: list[list[bytes | None]] = pipe.execute()
        return replies


def _redis_whole_row(row: bytes | None, instant: bytes | None, absent: bytes) -> bytes | None:
    """The row without its head; None where its instant is not the view's, so that somebody else wrote the view."""
    if not instant:
        return absent
    head = 1 + len(instant)
    return row[head:] if row and row[1:head] == instant and row[0] == len(instant) else None


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
        as_of = [_oldest(at.get(key) for at in instants) for key in keys]
        return Stored(found.reshape(len(keys), len(names)), as_of)

    def _connection(self) -> psycopg.Connection:
        connection: psycopg.Connection | None = getattr(self._local, "connection", None)
        if connection is None or connection.closed:
            connection = postgresql_connection(self._address)
            self._local.connection = connection
        return connection
