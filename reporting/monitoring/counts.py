"""Rows by bin of a column and by cell of the population: counted by DuckDB, over all rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import duckdb
import numpy as np
import numpy.typing as npt
import polars as pl

from training import ColumnProfile

Integers = npt.NDArray[np.int64]
Vector = npt.NDArray[np.float64]

DIMENSIONS: Final = ("legal_entity", "kind", "product")
"""What rows are told apart by: the company that asked, person or enterprise, the product that is held."""

_PARTY: Final = "party_id"
_ROW_KEYS: Final = ("decision_id", "legal_entity", "party_id", "event_timestamp", "probability")
"""What tells rows apart: those that a view has."""


@dataclass(frozen=True, slots=True, order=True)
class Segment:
    """Rows with one value in one dimension; all rows where both are empty."""

    dimension: str = ""
    value: str = ""

    def __str__(self) -> str:
        return f"{self.dimension}={self.value}" if self.dimension else "all"

    @property
    def legal_entity(self) -> str | None:
        """The company that the rows are of; None where they are of several."""
        return self.value if self.dimension == "legal_entity" else None


EVERYTHING: Final = Segment()
Cell = tuple[str, ...]
"""A row's values of ``DIMENSIONS``."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """How many rows a segment has, and how many of them count as independent: its parties, and rows of no party."""

    rows: int
    parties: int

    @property
    def share(self) -> float:
        """Of the rows that count as independent."""
        return self.parties / self.rows


@dataclass(frozen=True, slots=True)
class ColumnCounts:
    """A column's rows by segment and bin, as its profile has bins, and how many lie outside the range of training.

    ``far`` counts those of the latter that lie farther outside than the range is wide.
    """

    bins: dict[Segment, Integers]
    outside: dict[Segment, int]
    far: dict[Segment, int]


class CountedRows:
    """Rows of a view of a DuckDB connection: references or scored rows.

    What was counted is remembered; with ``remember_values``, values in order too, for a reference that many periods are
    held against.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection, view: str, *, remember_values: bool = False) -> None:
        self._connection = connection
        self._view = view
        self._remember_values = remember_values
        self._counts: dict[str, ColumnCounts] = {}
        self._values: dict[str, Vector] = {}
        described = connection.execute(f'DESCRIBE "{view}"').fetchall()
        self.columns = frozenset(str(row[0]) for row in described)

    def sizes(self) -> dict[Segment, Sizes]:
        """Rows and parties of each segment that has any."""
        sets = ", ".join(f"({name})" for name in DIMENSIONS)
        # Rows of a party are alike; a row that is of none counts by itself.
        party = f"count(DISTINCT {_PARTY}) + count(*) FILTER (WHERE {_PARTY} IS NULL)"
        own = party if _PARTY in self.columns else "count(*)"
        rows = self._run(
            f"""
            SELECT {", ".join(DIMENSIONS)}, count(*) AS rows, {own} AS parties
            FROM ({self._with_dimensions()})
            GROUP BY GROUPING SETS ((), {sets})
            """  # noqa: S608 - names of ours
        ).fetchall()
        found = {}
        for *values, count, parties in rows:
            named = [(name, value) for name, value in zip(DIMENSIONS, values, strict=True) if value is not None]
            if count and all(value for _, value in named):
                found[Segment(*named[0]) if named else EVERYTHING] = Sizes(count, parties)
        return found

    def counts(self, profile: ColumnProfile) -> ColumnCounts:
        """Rows of a column by bin."""
        if profile.name not in self._counts:
            self._counts[profile.name] = self._counted(profile)
        return self._counts[profile.name]

    def _counted(self, profile: ColumnProfile) -> ColumnCounts:
        rows = self._run(
            f"""
            SELECT {", ".join(DIMENSIONS)}, bin, count(*) AS rows,
                   count(*) FILTER (WHERE outside) AS outside, count(*) FILTER (WHERE far) AS far
            FROM (
                SELECT {", ".join(DIMENSIONS)}, {_bin(profile)} AS bin,
                       {_outside(profile, 0.0)} AS outside, {_outside(profile, 1.0)} AS far
                FROM ({self._with_dimensions(profile.name)})
            )
            GROUP BY ALL
            """,  # noqa: S608 - names of ours, and numbers
            [list(profile.categories)] if profile.kind == "category" else [],
        ).fetchall()
        bins: dict[Segment, Integers] = {}
        outside: dict[Segment, int] = {}
        far: dict[Segment, int] = {}
        for *values, place, count, beyond, far_beyond in rows:
            for segment in (EVERYTHING, *map(Segment, DIMENSIONS, values)):
                if segment.value or not segment.dimension:
                    into = bins.setdefault(segment, np.zeros(len(profile.counts), np.int64))
                    into[place] += count
                    outside[segment] = outside.get(segment, 0) + beyond
                    far[segment] = far.get(segment, 0) + far_beyond
        return ColumnCounts(bins, outside, far)

    def sorted_values(self, column: str) -> Vector:
        """All values of a number column, ascending, without those that are missing."""
        if column in self._values:
            return self._values[column]
        found = self._run(
            f"""
            SELECT value FROM (SELECT {_quoted(column)}::DOUBLE AS value FROM "{self._view}")
            WHERE value IS NOT NULL AND NOT isnan(value)
            """  # noqa: S608 - as above
        ).fetchnumpy()["value"]
        values = np.ascontiguousarray(np.ma.getdata(found), np.float64)
        values.sort()
        if self._remember_values:
            self._values[column] = values
        return values

    def texts(self, column: str) -> dict[str, int]:
        """All texts of a column, and how many rows each has."""
        rows = self._run(
            f"""
            SELECT value, count(*) FROM (SELECT {_quoted(column)} AS value FROM "{self._view}")
            WHERE value IS NOT NULL GROUP BY 1 ORDER BY 1
            """  # noqa: S608 - as above
        ).fetchall()
        return dict(rows)

    def sample(self, columns: Sequence[str], count: int) -> pl.DataFrame:
        """At most so many rows with these columns and ``party``, spread evenly and the same each time."""
        keys: Sequence[str] = [name for name in _ROW_KEYS if name in self.columns] or columns
        order = f"hash({', '.join(map(_quoted, keys))})"
        party = f"concat(legal_entity, ' ', {_PARTY})" if _PARTY in self.columns else "NULL"
        rows = (
            self._connection.cursor()
            .sql(
                f"""
                SELECT {", ".join(map(_quoted, columns))}, coalesce({party}, {order}::VARCHAR) AS party
                FROM "{self._view}"
                ORDER BY {order} LIMIT {int(count)}
                """  # noqa: S608 - as above
            )
            .to_arrow_table()
        )
        return pl.DataFrame(pl.from_arrow(rows))

    def of_parties(self, columns: Sequence[str], count: int) -> pl.DataFrame:
        """At most so many rows that were answered from the online store, with whose and of when they are."""
        names = ["legal_entity", _PARTY, "features_as_of", *columns]
        found = self._connection.cursor().sql(
            f"""
            SELECT {", ".join(map(_quoted, names))} FROM "{self._view}"
            WHERE {_PARTY} IS NOT NULL AND features_as_of IS NOT NULL AND NOT degraded
            ORDER BY hash(decision_id) LIMIT {int(count)}
            """  # noqa: S608 - as above
        )
        rows = pl.DataFrame(pl.from_arrow(found.to_arrow_table()))
        return rows.with_columns(pl.col("features_as_of").dt.convert_time_zone("UTC"))

    def _with_dimensions(self, column: str | None = None) -> str:
        names = [f"coalesce({name}, '') AS {name}" if name in self.columns else f"'' AS {name}" for name in DIMENSIONS]
        if column is not None:
            names.append(f"{_quoted(column)} AS value")
        elif _PARTY in self.columns:
            names.append(_PARTY)
        return f'SELECT {", ".join(names)} FROM "{self._view}"'  # noqa: S608 - as above

    def _run(self, sql: str, parameters: Sequence[Any] = ()) -> duckdb.DuckDBPyConnection:
        # A cursor of its own, so that several threads may count at once.
        return self._connection.cursor().execute(sql, list(parameters))


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _double(value: float) -> str:
    # As a text: a number in SQL is a decimal first, and may come out as the double beside it.
    return f"'{value!r}'::DOUBLE"


def _bin(profile: ColumnProfile) -> str:
    last = len(profile.counts) - 1
    if profile.kind == "category":
        return f"""CASE
            WHEN value IS NULL THEN {last}
            ELSE coalesce(list_position(?::VARCHAR[], value) - 1, {last - 1}) END"""
    below = " ".join(f"WHEN value < {_double(edge)} THEN {place}" for place, edge in enumerate(profile.edges))
    return f"CASE WHEN value IS NULL OR isnan(value) THEN {last} {below} ELSE {last - 1} END"


def _outside(profile: ColumnProfile, widths: float) -> str:
    """Whether a value lies farther outside the range of training than so many times its width."""
    if profile.kind == "category" or profile.lowest is None or profile.highest is None:
        return "false"
    room = widths * (profile.highest - profile.lowest)
    low, high = profile.lowest - room, profile.highest + room
    return f"value IS NOT NULL AND NOT isnan(value) AND (value < {_double(low)} OR value > {_double(high)})"
