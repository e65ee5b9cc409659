"""The point-in-time join: for each asked key and instant, the feature row that was known by then.

Of a key's rows the join takes the one with the latest event timestamp that is not after the instant; of several for
one event timestamp, the one created last. Only the row's place in the files is carried through the ``ASOF`` join,
whose cost is a sort: the features themselves are fetched once, for the rows that won.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

# Event and created timestamps as one number that sorts by the first, then by the second: 2^63 is more than any instant
# in microseconds.
_EVENT_STEP: Final = "9223372036854775808::HUGEINT"
_HALF_STEP: Final = "4611686018427387904"

# A row's place: its file and its number there, as one number, which makes the sorted rows narrower.
_PLACE: Final = "(file_index::BIGINT << 40) + file_row_number"

ROW: Final = "__row"


@dataclass(frozen=True, slots=True)
class FeatureRows:
    """Where a view's rows are, and what is wanted of them.

    ``keys`` maps the files' key columns to the asked table's; none means one series for all. ``features`` maps the
    files' feature columns to the names that they get. A row counts for ``time_to_live`` after its event, both ends
    included, or forever.
    """

    files: str | Sequence[str]
    event_timestamp: str
    created_timestamp: str | None
    keys: Mapping[str, str]
    features: Mapping[str, str]
    time_to_live: timedelta | None = None
    renamed: Mapping[str, str] = field(default_factory=dict)

    def stored(self, column: str) -> str:
        """The name in the files of a column that Feast's field mapping gave another."""
        return next((source for source, target in self.renamed.items() if target == column), column)


def as_known(
    connection: duckdb.DuckDBPyConnection,
    asked: pa.Table,
    views: Sequence[FeatureRows],
    *,
    instant: str,
    by_created: bool,
) -> list[pa.Table]:
    """For each view, its features for each row of ``asked``, in the order of ``asked``; null where nothing was known.

    Args:
        connection: where the queries run; its settings bound threads and memory.
        asked: the key columns, and ``instant``, a timestamp column; a row without an instant gets nulls.
        views: what to join.
        instant: the column of ``asked`` that says as of when.
        by_created: also demand that the row was created by then. Without it only the event's time counts.
    """
    # DuckDB answers an ASOF join of few asked rows by nested loops. One path for few and many is one path to trust.
    connection.execute("SET asof_loop_join_threshold = 0")
    joins = _AskedKeys(connection, asked, instant)
    return [_features_of(connection, joins, view, by_created=by_created) for view in views]


def read_rows(files: str | Sequence[str]) -> str:
    """DuckDB's table function over ``files``, which cannot be a parameter where the query makes a table."""
    paths = [files] if isinstance(files, str) else list(files)
    return f"read_parquet([{', '.join(map(quoted_text, paths))}], union_by_name = true)"


def microseconds(column: str) -> str:
    """A timestamp column, with or without a zone (then UTC) and of any unit, as microseconds since 1970."""
    return f"epoch_us({quoted(column)}::TIMESTAMPTZ)"


def quoted(name: str) -> str:
    """A name as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def quoted_text(text: str) -> str:
    """A text as an SQL literal."""
    return "'" + text.replace("'", "''") + "'"


class _AskedKeys:
    """The asked rows, with each distinct key as one small number: a number sorts faster than two texts."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, asked: pa.Table, instant: str) -> None:
        self._connection = connection
        self._tables: dict[tuple[str, ...], str] = {}
        self.rows = asked.num_rows
        numbered = asked.append_column(ROW, pa.array(np.arange(asked.num_rows, dtype=np.int32)))
        connection.register("asked_arrow", numbered)
        connection.execute(
            f"CREATE OR REPLACE TEMP TABLE asked AS SELECT *, {microseconds(instant)} AS __at "  # noqa: S608
            f"FROM asked_arrow WHERE {quoted(instant)} IS NOT NULL"
        )
        connection.unregister("asked_arrow")
        self.first, self.last = connection.execute("SELECT min(__at), max(__at) FROM asked").fetchall()[0]

    def table(self, columns: tuple[str, ...]) -> str:
        """The number of the temporary tables ``key_<n>`` (distinct keys) and ``at_<n>`` (asked rows by key)."""
        if columns not in self._tables:
            number = str(len(self._tables))
            self._tables[columns] = number
            names = ", ".join(map(quoted, columns)) or "0 AS __one"
            match = " AND ".join(f"asked.{quoted(c)} = distinct_keys.{quoted(c)}" for c in columns) or "true"
            self._connection.execute(
                f"CREATE OR REPLACE TEMP TABLE key_{number} AS "  # noqa: S608
                f"SELECT *, (row_number() OVER ())::INTEGER AS __key FROM (SELECT DISTINCT {names} FROM asked)"
            )
            self._connection.execute(
                f"CREATE OR REPLACE TEMP TABLE at_{number} AS SELECT {ROW}, __key, __at "  # noqa: S608
                f"FROM asked JOIN key_{number} AS distinct_keys ON {match}"
            )
        return self._tables[columns]


def _features_of(
    connection: duckdb.DuckDBPyConnection, asked: _AskedKeys, view: FeatureRows, *, by_created: bool
) -> pa.Table:
    number = asked.table(tuple(view.keys.values()))
    order = _order(connection, view, by_created=by_created)
    # A table of its own: as a subquery with a window function, DuckDB 2.0.0 joins it laterally and loses rows.
    connection.execute(f"""
        CREATE OR REPLACE TEMP TABLE known AS
        SELECT __key, __place, {order.known} AS __rank
        FROM ({_rows_sql(asked, view, number)})
        WHERE {order.where}
        {order.qualify}
    """)  # noqa: S608 - names and numbers of ours, and quoted names of files and columns
    connection.execute(f"""
        CREATE OR REPLACE TEMP TABLE winners AS
        SELECT
            asked.{ROW},
            asked.__at,
            known.__place >> 40 AS file_index,
            known.__place & {2**40 - 1} AS file_row_number
        FROM (SELECT *, {order.asked} AS __rank FROM at_{number}) AS asked
        ASOF JOIN known
          ON asked.__key = known.__key AND asked.__rank >= known.__rank
    """)  # noqa: S608
    wanted = ", ".join(
        f"feature_rows.{quoted(view.stored(source))} AS {quoted(target)}" for source, target in view.features.items()
    )
    alive = ""
    if view.time_to_live:
        event = microseconds(view.stored(view.event_timestamp))
        alive = f"WHERE winners.__at - {event} <= {view.time_to_live // timedelta(microseconds=1)}"
    found = connection.sql(f"""
        SELECT winners.{ROW}, {wanted}
        FROM winners
        JOIN {read_rows(view.files)} AS feature_rows
          ON feature_rows.file_row_number = winners.file_row_number AND feature_rows.file_index = winners.file_index
        {alive}
    """).to_arrow_table()  # noqa: S608
    place = np.full(asked.rows, -1, dtype=np.int64)
    place[found[ROW].to_numpy()] = np.arange(found.num_rows)
    indices = pa.array(place, mask=place < 0)
    return pa.table({name: pc.take(found[name], indices) for name in view.features.values()})


@dataclass(frozen=True, slots=True)
class _Order:
    """One comparable number for an asked row (``asked``) and for a known one (``known``): what the join compares."""

    asked: str
    known: str
    where: str = "true"
    qualify: str = ""


def _order(connection: duckdb.DuckDBPyConnection, view: FeatureRows, *, by_created: bool) -> _Order:
    if view.created_timestamp is None:
        return _Order("__at", "__event")
    both = f"__event::HUGEINT * {_EVENT_STEP} + coalesce(__created, -{_HALF_STEP})"
    up_to = f"__at::HUGEINT * {_EVENT_STEP} + {_HALF_STEP}"
    if not by_created:
        return _Order(up_to, both)
    if not _learnt_late(connection, view):
        return _Order(up_to, both, where="__created IS NOT NULL")
    # A row may be used once it has happened and is known. One that becomes usable after a better one never wins;
    # without those, what became usable last is the best.
    return _Order(
        "__at",
        "greatest(__event, __created)",
        where="__created IS NOT NULL",
        qualify=f"QUALIFY {both} >= max({both}) OVER (PARTITION BY __key ORDER BY __rank RANGE UNBOUNDED PRECEDING)",
    )


def _learnt_late(connection: duckdb.DuckDBPyConnection, view: FeatureRows) -> bool:
    event, created = (view.stored(name) for name in (view.event_timestamp, view.created_timestamp or ""))
    ((late,),) = connection.execute(
        f"SELECT coalesce(bool_or({microseconds(created)} > {microseconds(event)}), false) "  # noqa: S608
        f"FROM {read_rows(view.files)}"
    ).fetchall()
    return bool(late)


def _rows_sql(asked: _AskedKeys, view: FeatureRows, number: str) -> str:
    event = view.stored(view.event_timestamp)
    created = microseconds(view.stored(view.created_timestamp)) if view.created_timestamp else "NULL::BIGINT"
    match = " AND ".join(
        f"feature_rows.{quoted(view.stored(theirs))} = distinct_keys.{quoted(ours)}"
        for theirs, ours in view.keys.items()
    )
    return f"""
        SELECT distinct_keys.__key, {_PLACE} AS __place, {microseconds(event)} AS __event, {created} AS __created
        FROM {read_rows(view.files)} AS feature_rows
        JOIN key_{number} AS distinct_keys ON {match or "true"}
        WHERE {_within_reach(asked, view)}
    """  # noqa: S608


def _within_reach(asked: _AskedKeys, view: FeatureRows) -> str:
    """A condition on the files' own column, so that whole files and row groups are left unread."""
    if asked.first is None or asked.last is None:
        return "false"
    event = f"feature_rows.{quoted(view.stored(view.event_timestamp))}"
    first = asked.first - (view.time_to_live // timedelta(microseconds=1) if view.time_to_live else 0)
    low = f"{event} >= make_timestamptz({first}) AND " if view.time_to_live else ""
    return f"{low}{event} <= make_timestamptz({asked.last})"
