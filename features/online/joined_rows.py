"""All of a party's whole rows as one value: where nothing changed since they were joined, one look-up reads them.

Beside the table of whole rows of a SQLite file stand a table of views, with the length of their rows, and a table of
joined rows: for each key the blocks of all of these views in the order of their names, each the instant in sixteen
digits and the view's whole row. A trigger takes a joined row away when any of its parts changes, whoever changes it;
whoever writes rows of ours joins them again. So a joined row is always what its parts are, and where there is none, the
parts are read.
"""

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from features.online.layout import ServiceLayout
from features.online.stored import RowCells
from features.online.whole_rows import rows_table

_DIGITS: Final = 16
_POWERS: Final = 10 ** np.arange(_DIGITS - 1, -1, -1, dtype=np.int64)
_SHIFT: Final = 10**12
"""Added to seconds, so that those before 1970 have no sign."""

_KEYS_AT_ONCE: Final = 500


def joined_table(project: str) -> str:
    """SQLite's table of joined rows."""
    return f"{project}_joined_rows"


def views_table(project: str) -> str:
    """SQLite's table of the views whose rows are joined."""
    return f"{project}_joined_views"


def keep_joined_rows(connection: sqlite3.Connection, project: str, view: str, row_bytes: int) -> None:
    """Make what joined rows need, where it is not there, and have rows of ``view`` among them.

    In the caller's transaction. If rows of the view were not joined yet, or had another length, no joined row stays.
    """
    joined, views, rows = joined_table(project), views_table(project), rows_table(project)
    connection.execute(f'CREATE TABLE IF NOT EXISTS "{views}" (view TEXT PRIMARY KEY, row_bytes INTEGER NOT NULL)')
    # With a rowid: its rows are too long to stand in a tree that is searched.
    connection.execute(f'CREATE TABLE IF NOT EXISTS "{joined}" (entity_key BLOB PRIMARY KEY, row BLOB NOT NULL)')
    for change, row in (("INSERT", "NEW"), ("UPDATE", "NEW"), ("DELETE", "OLD")):
        connection.execute(
            f'CREATE TRIGGER IF NOT EXISTS "{joined}_lose_{change.lower()}" AFTER {change} ON "{rows}" '  # noqa: S608 - names of our own catalogue
            f'BEGIN DELETE FROM "{joined}" WHERE entity_key = {row}.entity_key; END'
        )
    known = connection.execute(f'SELECT row_bytes FROM "{views}" WHERE view = ?', (view,)).fetchone()  # noqa: S608
    if known != (row_bytes,):
        connection.execute(f'INSERT OR REPLACE INTO "{views}" VALUES (?, ?)', (view, row_bytes))  # noqa: S608
        connection.execute(f'DELETE FROM "{joined}"')  # noqa: S608


def join_rows(connection: sqlite3.Connection, project: str, keys: Iterable[bytes]) -> None:
    """Join the rows of ``keys`` that have one of every view, in transactions of its own."""
    waiting = sorted(set(keys))
    for first in range(0, len(waiting), _KEYS_AT_ONCE):
        some = waiting[first : first + _KEYS_AT_ONCE]
        marks = ",".join("?" * len(some))
        with connection:
            connection.execute(
                f'INSERT OR REPLACE INTO "{joined_table(project)}" '  # noqa: S608 - as above
                "SELECT entity_key, "
                f"CAST(group_concat(printf('%0{_DIGITS}d', event_ts + {_SHIFT}) || row, '') AS BLOB) "
                f'FROM "{rows_table(project)}" WHERE entity_key IN ({marks}) GROUP BY entity_key '
                f'HAVING count(row) = (SELECT count(*) FROM "{views_table(project)}")',
                some,
            )


class JoinedRows:
    """Takes a service's values out of joined rows."""

    def __init__(self, layout: ServiceLayout, views: Sequence[tuple[str, int]]) -> None:
        """``views`` are those that are joined, in the order of their names, and the bytes of their rows.

        Raises:
            KeyError: a view of the service is not among them, or has fewer features there.
        """
        *blocks, row_bytes = np.cumsum([0, *(_DIGITS + of_row for _, of_row in views)]).tolist()
        block = dict(zip((name for name, _ in views), blocks, strict=True))
        self._cells = RowCells(layout, {name: begin + _DIGITS for name, begin in block.items()}, row_bytes)
        self._digits = np.concatenate([block[view.name] + np.arange(_DIGITS) for view in layout.views])

    def values(
        self, joined: Sequence[bytes]
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
        """Values ``(n, k)``, the oldest view's seconds ``(n,)``, and which of the ``n`` rows are such rows.

        What is told of the others means nothing.
        """
        cells, whole = self._cells.of(joined)
        digits = np.take(cells.view(np.uint8), self._digits, axis=1).astype(np.int64) - ord("0")
        seconds = digits.reshape(len(joined), -1, _DIGITS) @ _POWERS - _SHIFT
        return self._cells.values(cells), seconds.min(axis=1), whole
