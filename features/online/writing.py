"""Writing the online store as Feast lays it out, many rows at once: what materialising and pushing stand on.

Feast's own writers take one protobuf message and one statement a value. These write the same bytes into the same tables
and hashes; tests compare the two (but for ``value_text``, the values as text, which only Feast's search of documents
reads). A row that is older than what is there stays out, whatever order rows arrive in.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain, repeat
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt
from psycopg import sql

from features.online.address import StoreAddress, store_address
from features.online.encoding import encoded_doubles
from features.online.joined_rows import join_rows, keep_joined_rows
from features.online.layout import ViewLayout, served_views
from features.online.postgresql_store import postgresql_connection
from features.online.redis_rows import (
    JOINED_FIELD,
    join_redis_rows,
    redis_field,
    redis_instant_field,
    redis_row,
    redis_row_field,
)
from features.online.redis_store import redis_client
from features.online.stored import table_name
from features.online.whole_rows import absent_row, encoded_rows, keep_whole_rows, write_whole_rows

_LOCKED_SECONDS: Final = 60
"""How long to wait for another writer of the SQLite file."""


@dataclass(frozen=True, slots=True)
class ViewRows:
    """``n`` rows of a view: serialised ``keys``, ``values (n, k)`` with NaN for null, when true and when learnt."""

    keys: Sequence[bytes]
    values: npt.NDArray[np.float64]
    event_timestamps: Sequence[datetime]
    created_timestamps: Sequence[datetime]


class OnlineWriter(Protocol):
    """Puts rows of a view in place of those of the same keys that are no newer. Not shared between threads."""

    def write(self, view: ViewLayout, rows: ViewRows) -> None:
        """All of the rows, or none where the store can tell (SQLite, PostgreSQL)."""
        ...

    def close(self) -> None:
        """Let go of the store."""
        ...


def open_writer(url: str, home: Path, project: str) -> OnlineWriter:
    """The writer of the store that ``url`` names, or of the SQLite file of Feast's home folder."""
    if not url:
        return _SqliteWriter(home / "online.db", project)
    address = store_address(url)
    if address.kind == "redis":
        return _RedisWriter(address, project, served_views(home))
    return _PostgresqlWriter(address, project)


class _SqliteWriter:
    def __init__(self, path: Path, project: str) -> None:
        self._project = project
        self._connection = sqlite3.connect(f"file:{path}?mode=rw", uri=True, timeout=_LOCKED_SECONDS)
        self._written: set[bytes] = set()

    def write(self, view: ViewLayout, rows: ViewRows) -> None:
        table = table_name(self._project, view.name)
        upsert = (
            f'INSERT INTO "{table}" AS kept '  # noqa: S608 - names of our own catalogue
            "(entity_key, feature_name, value, event_ts, created_ts) VALUES (?, ?, ?, ?, ?) "
            "ON CONFLICT (entity_key, feature_name) DO UPDATE SET value = excluded.value, value_text = NULL, "
            "event_ts = excluded.event_ts, created_ts = excluded.created_ts WHERE excluded.event_ts >= kept.event_ts"
        )
        events, created = (
            [_sqlite_seconds(at) for at in of] for of in (rows.event_timestamps, rows.created_timestamps)
        )
        values = _narrow(view, rows, events, created)
        whole = zip(rows.keys, events, encoded_rows(view.features, rows.values), strict=True)
        with self._connection:
            # DDL does not begin a transaction by itself.
            self._connection.execute("BEGIN IMMEDIATE")
            keep_whole_rows(self._connection, self._project, view.name, table)
            keep_joined_rows(self._connection, self._project, view.name, len(absent_row(view.features)))
            write_whole_rows(
                self._connection, self._project, view.name, table, whole,
                lambda: self._connection.executemany(upsert, values),
            )  # fmt: skip
        self._written.update(rows.keys)

    def close(self) -> None:
        try:
            # Once a party, however many of its views were written.
            if self._written:
                join_rows(self._connection, self._project, self._written)
        finally:
            self._connection.close()


def _sqlite_seconds(instant: datetime) -> int:
    # Feast takes the UTC time as if it were the machine's own; so it has to be written.
    return int(_naive(instant).timestamp())


def _naive(instant: datetime) -> datetime:
    return instant.astimezone(UTC).replace(tzinfo=None)


class _PostgresqlWriter:
    def __init__(self, address: StoreAddress, project: str) -> None:
        self._project = project
        self._connection = postgresql_connection(address)

    def write(self, view: ViewLayout, rows: ViewRows) -> None:
        table = sql.Identifier("public", table_name(self._project, view.name))
        columns = sql.SQL("entity_key, feature_name, value, event_ts, created_ts")
        # Feast writes UTC without saying so, which the server takes for its own zone; so it has to be written.
        events = [_naive(at) for at in rows.event_timestamps]
        created = [_naive(at) for at in rows.created_timestamps]
        with self._connection.transaction(), self._connection.cursor() as cursor:
            cursor.execute(sql.SQL("CREATE TEMP TABLE incoming (LIKE {}) ON COMMIT DROP").format(table))
            with cursor.copy(sql.SQL("COPY incoming ({}) FROM STDIN").format(columns)) as copy:
                for row in _narrow(view, rows, events, created):
                    copy.write_row(row)
            cursor.execute(
                sql.SQL(
                    "INSERT INTO {table} AS kept ({columns}) SELECT {columns} FROM incoming "
                    "ON CONFLICT (entity_key, feature_name) DO UPDATE SET value = excluded.value, value_text = NULL, "
                    "event_ts = excluded.event_ts, created_ts = excluded.created_ts "
                    "WHERE excluded.event_ts >= kept.event_ts"
                ).format(table=table, columns=columns)
            )

    def close(self) -> None:
        self._connection.close()


class _RedisWriter:
    def __init__(self, address: StoreAddress, project: str, joined: Sequence[ViewLayout]) -> None:
        self._project = project.encode()
        self._client = redis_client(address)
        self._joined = joined
        self._written: set[bytes] = set()

    def write(self, view: ViewLayout, rows: ViewRows) -> None:
        from google.protobuf.timestamp_pb2 import Timestamp  # noqa: PLC0415 - only where Redis is in use

        fields = [redis_field(view.name, name) for name in view.features]
        instant_field = redis_instant_field(view.name)
        hashes = [key + self._project for key in rows.keys]
        with self._client.pipeline(transaction=False) as pipe:
            for name in hashes:
                pipe.hget(name, instant_field)  # type: ignore[arg-type] # bytes are as good as text
            there: list[bytes | None] = pipe.execute()
        values = iter(encoded_doubles(rows.values))
        whole_rows = encoded_rows(view.features, rows.values)
        row_field = redis_row_field(view.name)
        with self._client.pipeline(transaction=False) as pipe:
            for name, at, old, whole in zip(hashes, rows.event_timestamps, there, whole_rows, strict=True):
                row = {field: next(values) for field in fields}
                if old and Timestamp.FromString(old).ToDatetime(tzinfo=UTC) > at:
                    continue
                message = Timestamp()
                message.FromDatetime(at)
                instant = message.SerializeToString()
                row |= {instant_field: instant, row_field: redis_row(instant, whole), JOINED_FIELD: b""}
                pipe.hset(name, mapping=row)  # type: ignore[arg-type]
            pipe.execute()
        self._written.update(hashes)

    def close(self) -> None:
        try:
            # Once a party, however many of its views were written.
            if self._written:
                join_redis_rows(self._client, self._joined, self._written)
        finally:
            self._client.close()


def _narrow(
    view: ViewLayout, rows: ViewRows, events: Sequence[Any], created: Sequence[Any]
) -> Iterator[tuple[bytes, str, bytes, Any, Any]]:
    """One tuple a key and feature, as the tables hold them."""

    def each(of: Sequence[Any]) -> Iterator[Any]:
        return chain.from_iterable(repeat(item, len(view.features)) for item in of)

    names = chain.from_iterable(repeat(view.features, len(rows.keys)))
    return zip(each(rows.keys), names, encoded_doubles(rows.values), each(events), each(created), strict=True)
