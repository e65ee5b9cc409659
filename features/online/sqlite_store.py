"""The SQLite file as Feast lays it out: what it holds of a service, for many keys at once."""

import sqlite3
import threading
from collections.abc import Sequence
from datetime import datetime
from itertools import chain
from pathlib import Path
from typing import Any, Final

import numpy as np

from features.online.encoding import doubles
from features.online.joined_rows import JoinedRows, joined_table, sqlite_instant, views_table
from features.online.layout import ServiceLayout
from features.online.stored import SECONDS, Joined, Stored, WholeRows, joined_rows, oldest, table_name, with_the_others
from features.online.whole_rows import rows_table, trigger_names

_SQLITE_KEYS: Final = 500
"""Keys of one query; SQLite takes no more than 32,766 parameters, and fewer keys keep the rows in its cache."""

_FEW_KEYS: Final = 64
"""Parameters of a query up to which its rows are fetched one by one, which costs SQLite less than to join them."""


class SqliteValues:
    """One table a view, one row a key and feature."""

    def __init__(self, path: Path, layout: ServiceLayout) -> None:
        self._path = path
        self._layout = layout
        self._local = threading.local()
        self._tables = [f'"{table_name(layout.project, view.name)}"' for view in layout.views]
        # Rows come sorted by the feature's name, which saves reading it.
        self._sorted = [sorted(range(len(view.features)), key=view.features.__getitem__) for view in layout.views]
        self._whole = WholeRows(layout)
        self._views = sorted(view.name for view in layout.views)
        self._in_order = WholeRows(layout, self._views)
        self._nothing: tuple[int | None, bytes] = (None, b"".join(self._in_order.absent))
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
        # One transaction: what was made sure of still holds when the rows are read, and the file is locked once.
        connection.execute("BEGIN")
        try:
            return self._read_in_transaction(connection, keys)
        finally:
            connection.rollback()

    def _read_in_transaction(self, connection: sqlite3.Connection, keys: Sequence[bytes]) -> Stored:
        if not self._whole_rows_are_kept(connection):
            return self._value_by_value(keys)
        joined: JoinedRows | None = self._local.joined
        if joined is None:
            return self._row_by_row(keys)
        found = self._few_joined if len(keys) <= _FEW_KEYS else self._many_joined
        values, as_of, whole = found(connection, joined, keys)
        return with_the_others(Stored(values, as_of), keys, whole, self._row_by_row)

    def _few_joined(self, connection: sqlite3.Connection, joined: JoinedRows, keys: Sequence[bytes]) -> Joined:
        marks = ",".join("?" * len(keys))
        rows: dict[bytes, bytes] = dict(
            connection.execute(
                f'SELECT entity_key, row FROM "{joined_table(self._layout.project)}" WHERE entity_key IN ({marks})',  # noqa: S608 - names of our own catalogue
                keys,
            ).fetchall()
        )
        return joined.values([rows.get(key, b"") for key in keys])

    def _many_joined(self, connection: sqlite3.Connection, joined: JoinedRows, keys: Sequence[bytes]) -> Joined:
        """The same, all as one row: the interpreter is asked for once, not once a key, while others work with it."""
        distinct = sorted(set(keys))
        marks = ",".join("?" * len(distinct))
        found_keys, rows = connection.execute(
            "SELECT CAST(group_concat(entity_key, '') AS BLOB), CAST(group_concat(row, '') AS BLOB) FROM "  # noqa: S608 - as above
            f'(SELECT entity_key, row FROM "{joined_table(self._layout.project)}" '
            f"WHERE entity_key IN ({marks}) AND length(row) = ? ORDER BY entity_key)",
            [*distinct, joined.row_bytes],
        ).fetchone()
        place_of = places_in(found_keys or b"", distinct)
        if not place_of:
            return joined.values([b""] * len(keys))
        values, as_of, whole = joined.values_end_to_end(rows)
        places = np.array([place_of.get(key, -1) for key in keys])
        return values[places], [as_of[place] for place in places.tolist()], whole[places] & (places >= 0)

    def _row_by_row(self, keys: Sequence[bytes]) -> Stored:
        """Of keys that have no joined row."""
        keys_asked, views_asked = (",".join("?" * len(asked)) for asked in (keys, self._views))
        # A key's rows come one after the other, in the order of the table's key, so there is nothing to sort. The plus
        # has them read through, which is faster than to look each of them up. Each begins with its digest, so that no
        # other order passes for this one.
        found = _by_key(
            self._connection(),
            "SELECT entity_key, min(event_ts) AS at, CAST(group_concat(row, '') AS BLOB) AS rows "  # noqa: S608 - as above
            f'FROM "{rows_table(self._layout.project)}" '
            f"WHERE entity_key IN ({keys_asked}) AND +view IN ({views_asked}) GROUP BY entity_key",
            [*keys, *self._views],
        )
        # Neither a row nor a mark: the store has nothing of the key.
        known = [found.get(key, self._nothing) for key in keys]
        as_of = [None if at is None else sqlite_instant(at) for at, _ in known]
        return self._in_order.stored(keys, [rows for _, rows in known], as_of, self._view_by_view)

    def _view_by_view(self, keys: Sequence[bytes]) -> Stored:
        """Of keys that lack a view, or whose row of one has to be read value by value."""
        marks = ",".join("?" * len(keys))
        fetched = self._connection().execute(
            f'SELECT entity_key, view, event_ts, row FROM "{rows_table(self._layout.project)}" '  # noqa: S608 - as above
            f"WHERE entity_key IN ({marks})",
            keys,
        )
        rows: dict[bytes, list[bytes | None]] = {key: list(self._whole.absent) for key in keys}
        oldest: dict[bytes, int] = {}
        for key, view, at, row in fetched:
            place = self._view_places.get(view)
            if place is not None:
                rows[key][place] = row
                if at < oldest.get(key, at + 1):
                    oldest[key] = at
        as_of = [sqlite_instant(oldest[key]) if key in oldest else None for key in keys]
        return self._whole.stored(keys, [joined_rows(rows[key]) for key in keys], as_of, self._value_by_value)

    def _whole_rows_are_kept(self, connection: sqlite3.Connection) -> bool:
        """Whether every table of the service has its triggers, as of the schema's present version."""
        version = connection.execute("PRAGMA schema_version").fetchone()[0]
        if getattr(self._local, "schema_version", None) != version:
            marks = ",".join("?" * len(self._triggers))
            count = connection.execute(f"SELECT count(*) FROM sqlite_master WHERE name IN ({marks})", self._triggers)  # noqa: S608
            self._local.kept = count.fetchone()[0] == len(self._triggers)
            self._local.joined = self._joined_rows(connection)
            self._local.schema_version = version
        return bool(self._local.kept)

    def _joined_rows(self, connection: sqlite3.Connection) -> JoinedRows | None:
        """How joined rows are laid out; None where there are none with all views of the service."""
        try:
            views = connection.execute(
                f'SELECT view, row_bytes FROM "{views_table(self._layout.project)}" ORDER BY view'  # noqa: S608 - as above
            ).fetchall()
            return JoinedRows(self._layout, views)
        except (sqlite3.OperationalError, KeyError):
            return None

    def _value_by_value(self, keys: Sequence[bytes]) -> Stored:
        connection = self._connection()
        columns: list[list[list[bytes | None]]] = []
        instants: list[list[datetime | None]] = []
        for view, table in enumerate(self._tables):
            rows, at = self._view_rows(connection, view, table, keys)
            columns.append(rows)
            instants.append(at)
        values = [value for parts in zip(*columns, strict=True) for part in parts for value in part]
        return Stored(doubles(values).reshape(len(keys), -1), list(map(oldest, zip(*instants, strict=True))))

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
        return rows, [sqlite_instant(fetched[place[key]][1]) for key in keys]

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
            instants.append(None if at is None else sqlite_instant(at))
        return rows, instants

    def _connection(self) -> sqlite3.Connection:
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = sqlite3.connect(f"file:{self._path}?mode=ro", uri=True, timeout=SECONDS)
            connection.execute("PRAGMA mmap_size = 1073741824")
            self._local.connection = connection
        return connection


def places_in(found: bytes, distinct: Sequence[bytes]) -> dict[bytes, int]:
    """Which of the sorted keys were ``found``, which has them end to end in their order, and at what place.

    No key is the beginning of another, as each tells the lengths of its texts.
    """
    places: dict[bytes, int] = {}
    end = 0
    for key in distinct:
        if found.startswith(key, end):
            places[key] = len(places)
            end += len(key)
    # Another order than was asked for; SQLite gives none today.
    return places if end == len(found) else {}


def _by_key(
    connection: sqlite3.Connection, query: str, parameters: Sequence[Any]
) -> dict[bytes, tuple[int, bytes | memoryview]]:
    """What ``query`` gives as ``entity_key``, ``at`` and ``rows``, by key."""
    if len(parameters) <= _FEW_KEYS:
        return {key: (at, rows or b"") for key, at, rows in connection.execute(query, parameters).fetchall()}
    return _as_one(connection, query, parameters)


def _as_one(
    connection: sqlite3.Connection, query: str, parameters: Sequence[Any]
) -> dict[bytes, tuple[int, bytes | memoryview]]:
    """The same of many keys.

    It all comes as one row, with the lengths that tell its parts from each other: the interpreter is asked for once,
    not once a key, while others work with it.
    """
    lengths, all_keys, all_rows = connection.execute(
        "SELECT group_concat(length(entity_key) || ' ' || at || ' ' || ifnull(length(rows), 0), ' '), "  # noqa: S608 - our own
        f"CAST(group_concat(entity_key, '') AS BLOB), CAST(group_concat(rows, '') AS BLOB) FROM ({query})",
        parameters,
    ).fetchone()
    found: dict[bytes, tuple[int, bytes | memoryview]] = {}
    rows = memoryview(all_rows or b"")
    numbers, key_end, rows_end = map(int, (lengths or "").split()), 0, 0
    for key_length, at, rows_length in zip(numbers, numbers, numbers, strict=True):
        key_begin, rows_begin = key_end, rows_end
        key_end, rows_end = key_end + key_length, rows_end + rows_length
        found[all_keys[key_begin:key_end]] = (at, rows[rows_begin:rows_end])
    return found
