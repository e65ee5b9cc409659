"""Rows by bin of a column and by cell of the population: counted by DuckDB, over all rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import duckdb
import numpy as np
import numpy.typing as npt

from training import ColumnProfile

Integers = npt.NDArray[np.int64]
Vector = npt.NDArray[np.float64]

DIMENSIONS: Final = ("legal_entity", "kind", "product")
"""What rows are told apart by: the company that asked, person or enterprise, the product that is held."""

_PARTY: Final = "party_id"


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
    """A column's rows by segment and bin, as its profile has bins, and how many lie outside the range of training."""

    bins: dict[Segment, Integers]
    outside: dict[Segment, int]


class CountedRows:
    """Rows of a view of a DuckDB connection: references or scored rows."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, view: str) -> None:
        self._connection = connection
        self._view = view
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
        rows = self._run(
            f"""
            SELECT {", ".join(DIMENSIONS)}, bin, count(*) AS rows, count(*) FILTER (WHERE outside) AS outside
            FROM (
                SELECT {", ".join(DIMENSIONS)}, {_bin(profile)} AS bin, {_outside(profile)} AS outside
                FROM ({self._with_dimensions(profile.name)})
            )
            GROUP BY ALL
            """,  # noqa: S608 - names of ours, and numbers
            [list(profile.categories)] if profile.kind == "category" else [],
        ).fetchall()
        bins: dict[Segment, Integers] = {}
        outside: dict[Segment, int] = {}
        for *values, place, count, beyond in rows:
            for segment in (EVERYTHING, *map(Segment, DIMENSIONS, values)):
                if segment.value or not segment.dimension:
                    into = bins.setdefault(segment, np.zeros(len(profile.counts), np.int64))
                    into[place] += count
                    outside[segment] = outside.get(segment, 0) + beyond
        return ColumnCounts(bins, outside)

    def sorted_values(self, column: str) -> Vector:
        """All values of a number column, ascending, without those that are missing."""
        found = self._run(
            f"""
            SELECT value FROM (SELECT {_quoted(column)}::DOUBLE AS value FROM "{self._view}")
            WHERE value IS NOT NULL AND NOT isnan(value)
            """  # noqa: S608 - as above
        ).fetchnumpy()["value"]
        values = np.ascontiguousarray(np.ma.getdata(found), np.float64)
        values.sort()
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


def _bin(profile: ColumnProfile) -> str:
    last = len(profile.counts) - 1
    if profile.kind == "category":
        return f"""CASE
            WHEN value IS NULL THEN {last}
            ELSE coalesce(list_position(?::VARCHAR[], value) - 1, {last - 1}) END"""
    below = " ".join(f"WHEN value < {edge!r}::DOUBLE THEN {place}" for place, edge in enumerate(profile.edges))
    return f"CASE WHEN value IS NULL OR isnan(value) THEN {last} {below} ELSE {last - 1} END"


def _outside(profile: ColumnProfile) -> str:
    if profile.kind == "category" or profile.lowest is None:
        return "false"
    return (
        f"value IS NOT NULL AND NOT isnan(value) "
        f"AND (value < {profile.lowest!r}::DOUBLE OR value > {profile.highest!r}::DOUBLE)"
    )
