"""A party's row of a view as one value, kept beside the many values that Feast reads one by one.

Reading two hundred values of a party costs the store more than the model costs to score them. So whoever writes rows
here also writes each as one value: a digest of the view's features, then their doubles. Feast and other writers know
nothing of it; that a whole row is still what they would read is made sure of in each store: in Redis the row names the
instant that it stands for, in SQLite triggers on Feast's tables mark what others wrote.
"""

import hashlib
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

DOUBLE_BYTES: Final = 8
"""A digest is as long, so that doubles begin where NumPy wants them."""


def features_digest(features: Sequence[str]) -> bytes:
    """Eight bytes that tell one order of features from another."""
    return hashlib.sha256("\n".join(features).encode()).digest()[:DOUBLE_BYTES]


def encoded_rows(features: Sequence[str], values: npt.NDArray[np.float64]) -> list[bytes]:
    """Rows ``(n, k)`` as one value each; NaN is the null that Feast reads."""
    digest = features_digest(features)
    doubles = np.ascontiguousarray(np.where(np.isnan(values), np.nan, values), "<f8")
    return [digest + row.tobytes() for row in doubles]


def absent_row(features: Sequence[str]) -> bytes:
    """What stands for a row that the store does not have: all null."""
    return encoded_rows(features, np.full((1, len(features)), np.nan))[0]


def rows_table(project: str) -> str:
    """SQLite's table of whole rows: null where a row has to be read value by value."""
    return f"{project}_whole_rows"


def trigger_names(table: str) -> list[str]:
    """The triggers that keep whole rows true to one of Feast's tables."""
    return [f"{table}_marks_{change}" for change in ("insert", "update", "delete")]


def write_whole_rows(
    connection: sqlite3.Connection,
    project: str,
    view: str,
    table: str,
    rows: Iterable[tuple[bytes, int, bytes]],
    write_values: Callable[[], object],
) -> None:
    """Write the values of ``rows`` (key, seconds, encoded row) by ``write_values``, then the rows themselves.

    ``keep_whole_rows`` came before.
    Triggers that would mark each value rest meanwhile: nobody else sees the table before the transaction ends.
    """
    for name in trigger_names(table):
        connection.execute(f'DROP TRIGGER "{name}"')
    write_values()
    # By the rule of the values: what is newer than a row keeps its place.
    connection.executemany(
        f'INSERT INTO "{rows_table(project)}" AS kept VALUES (?, ?, ?, ?) '  # noqa: S608 - names of our own catalogue
        "ON CONFLICT (entity_key, view) DO UPDATE SET event_ts = excluded.event_ts, row = excluded.row "
        "WHERE excluded.event_ts >= kept.event_ts",
        ((key, view, seconds, row) for key, seconds, row in rows),
    )
    _make_triggers(connection, rows_table(project), view, table)


def keep_whole_rows(connection: sqlite3.Connection, project: str, view: str, table: str) -> None:
    """Make the table of whole rows and the triggers on Feast's ``table``, where they are not there yet.

    The triggers mark what anybody writes into ``table`` as to be read value by value, until our own writer puts the
    whole row in place. So a key that is in neither state has no row at all.
    """
    own = rows_table(project)
    connection.execute(
        f'CREATE TABLE IF NOT EXISTS "{own}" (entity_key BLOB NOT NULL, view TEXT NOT NULL, event_ts INTEGER, '
        "row BLOB, PRIMARY KEY (entity_key, view)) WITHOUT ROWID"
    )
    names = trigger_names(table)
    marks = ", ".join("?" * len(names))
    there = connection.execute(f"SELECT count(*) FROM sqlite_master WHERE name IN ({marks})", names)  # noqa: S608
    if there.fetchone()[0] == len(names):
        return
    # What stood there before the triggers did.
    connection.execute(
        f'INSERT OR REPLACE INTO "{own}" SELECT entity_key, ?, max(event_ts), NULL FROM "{table}" GROUP BY entity_key',  # noqa: S608
        (view,),
    )
    _make_triggers(connection, own, view, table)


def _make_triggers(connection: sqlite3.Connection, own: str, view: str, table: str) -> None:
    for name, change, row in zip(
        trigger_names(table), ("INSERT", "UPDATE", "DELETE"), ("NEW", "NEW", "OLD"), strict=True
    ):
        connection.execute(
            f'CREATE TRIGGER "{name}" AFTER {change} ON "{table}" '  # noqa: S608 - names of our own catalogue
            f"WHEN NOT EXISTS (SELECT 1 FROM \"{own}\" WHERE entity_key = {row}.entity_key AND view = '{view}' "
            f"AND row IS NULL AND event_ts IS {row}.event_ts) "
            # Not INSERT OR REPLACE: the statement that fires a trigger decides how its conflicts are met.
            f"BEGIN DELETE FROM \"{own}\" WHERE entity_key = {row}.entity_key AND view = '{view}'; "
            f"INSERT INTO \"{own}\" VALUES ({row}.entity_key, '{view}', {row}.event_ts, NULL); END"
        )
