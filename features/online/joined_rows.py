"""All of a party's whole rows as one value: where nothing changed since they were joined, one look-up reads them.

Beside the table of whole rows of a SQLite file stand a table of views, with the length of their rows, and a table of
joined rows: for each key the blocks of all of these views in the order of their names, each the instant in sixteen
digits and the view's whole row. A trigger takes a joined row away when any of its parts changes, whoever changes it;
whoever writes rows of ours joins them again. So a joined row is always what its parts are, and where there is none, the
parts are read.
"""

import sqlite3
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt

from features.online.layout import ServiceLayout
from features.online.stored import Joined, RowCells
from features.online.whole_rows import rows_table

_DIGITS: Final = 16
_SHIFT: Final = 10**12
"""Added to seconds, so that those before 1970 have no sign, and the digits sort as the instants do."""

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
        *blocks, self.row_bytes = np.cumsum([0, *(_DIGITS + of_row for _, of_row in views)]).tolist()
        block = dict(zip((name for name, _ in views), blocks, strict=True))
        self._cells = RowCells(layout, {name: begin + _DIGITS for name, begin in block.items()}, self.row_bytes)
        self._digits = np.concatenate([block[view.name] + np.arange(_DIGITS) for view in layout.views])

    def values(self, joined: Sequence[bytes | memoryview]) -> Joined:
        """What joined rows hold, each of one key."""
        return self._values(*self._cells.of(joined))

    def values_end_to_end(self, joined: bytes) -> Joined:
        """The same of joined rows that come as one, each of ``row_bytes``."""
        return self._values(*self._cells.end_to_end(joined))

    def _values(self, cells: npt.NDArray[np.float64], whole: npt.NDArray[np.bool_]) -> Joined:
        digits = np.take(cells.view(np.uint8), self._digits, axis=1)
        instants: list[bytes] = digits.view(f"V{len(self._digits)}").ravel().tolist()
        as_of = [
            _oldest_instant(instant) if is_whole else None
            for instant, is_whole in zip(instants, whole.tolist(), strict=True)
        ]
        return self._cells.values(cells), as_of, whole


@lru_cache(maxsize=4_096)
def _oldest_instant(digits: bytes) -> datetime:
    """The first of instants that stand side by side; most parties share those of the last materialisation."""
    first = min(digits[begin : begin + _DIGITS] for begin in range(0, len(digits), _DIGITS))
    return sqlite_instant(int(first) - _SHIFT)


@lru_cache(maxsize=4_096)
def sqlite_instant(seconds: int) -> datetime:
    """An instant as it stands in the SQLite file."""
    # Feast takes the UTC time as if it were the machine's own; so it has to be read.
    return datetime.fromtimestamp(seconds).replace(tzinfo=UTC)  # noqa: DTZ006
