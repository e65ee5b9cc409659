"""The raw rows of one table brought down to slots, and slots put together to windows.

A slot is the days between two neighbouring edges of windows. DuckDB adds each raw row up once, into the slot of its
customer, however many windows and views it is in; NumPy then adds slots up to windows.

Sums are of whole numbers (of the smallest unit a metric has), so they are exact, and the same in whichever order rows
come and whichever slots a window is put together from. That holds below 2**53 of the unit, some 90 trillion CNY; above,
15 digits are right.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Any, Final, Literal

import duckdb
import numpy as np

from features.sight import Numbers
from features.window_sql import DAY_US, seen_rows_sql, used_parameters
from features.windows import Windowed, WindowView

PartKind = Literal["sum", "squares_high", "squares_middle", "squares_low", "rows", "min", "max", "age"]

SQUARES: Final[tuple[PartKind, ...]] = ("squares_high", "squares_middle", "squares_low")
LIMB: Final = 2**18
"""A whole number is high * LIMB + low; its square is high² * LIMB² + 2 * high * low * LIMB + low², three sums of which
each is exact where the sum of the squares would not be."""

_HIGH: Final = f"floor({{metric}} / {LIMB})"
_LOW: Final = f"({{metric}} - {_HIGH} * {LIMB})"
_PART_SQL: Final[dict[PartKind, str]] = {
    "sum": "coalesce(sum({metric}), 0)",
    "squares_high": f"coalesce(sum({_HIGH} * {_HIGH}), 0)",
    "squares_middle": f"coalesce(sum({_HIGH} * {_LOW}), 0)",
    "squares_low": f"coalesce(sum({_LOW} * {_LOW}), 0)",
    "rows": "count({metric})::DOUBLE",
    "min": "coalesce(min({metric}), 'infinity')",
    "max": "coalesce(max({metric}), '-infinity')",
    # CASE rather than FILTER, which takes DuckDB 2.0 two to three times as long where there are many of them.
    "age": "coalesce(min(CASE WHEN {metric} IS NOT NULL THEN age_us END), 'infinity')",
}
"""What is kept of a metric's rows in a slot, from which each aggregate over slots follows exactly."""

JOINS: Final[dict[PartKind, tuple[np.ufunc, float]]] = {
    "sum": (np.add, 0.0),
    "squares_high": (np.add, 0.0),
    "squares_middle": (np.add, 0.0),
    "squares_low": (np.add, 0.0),
    "rows": (np.add, 0.0),
    "min": (np.minimum, np.inf),
    "max": (np.maximum, -np.inf),
    "age": (np.minimum, np.inf),
}
"""How parts are brought together, and what is neutral in it."""

_NEEDS: Final[dict[str, tuple[PartKind, ...]]] = {
    "sum": ("sum",),
    "mean": ("sum", "rows"),
    "std": ("sum", *SQUARES, "rows"),
    "min": ("min",),
    "max": ("max",),
    "count": ("rows",),
    "days_since": ("age",),
    "latest": (),
    "distinct": (),
}


@dataclass(frozen=True, slots=True)
class Part:
    """A kind of what is kept of one metric. Metrics of several views with one expression share their parts."""

    expression: str
    decimals: int
    kind: PartKind


@dataclass(frozen=True, slots=True)
class Needed:
    """A part over the days from ``window_days`` to ``after_days`` before the instant."""

    part: Part
    window_days: int
    after_days: int
    elsewhere: bool


def part_of(feature: Windowed, kind: PartKind) -> Needed:
    """What a feature needs of a kind."""
    metric = feature.metric
    part = Part(metric.expression, metric.decimals, kind)
    return Needed(part, feature.window_days, feature.after_days, metric.scope == "elsewhere")


def needed_by(views: Sequence[WindowView]) -> list[Needed]:
    """All that the views need, each once, those that reach less far back first."""
    needed = (part_of(f, kind) for view in views for f in view.computed for kind in _NEEDS[f.aggregate])
    return sorted(set(needed), key=lambda one: (one.window_days, repr(one)))


@dataclass(frozen=True, slots=True)
class Slots:
    """Parts by slot and customer; a slot without rows of a customer is not there."""

    edges: tuple[int, ...]
    customers: int
    places: np.ndarray[Any, np.dtype[np.int64]]
    """Of each row, slot * customers + customer."""
    values: dict[Part, Numbers]

    def by_slot(self, part: Part) -> Numbers:
        """Shape (slots, customers)."""
        spread = np.full((len(self.edges) - 1) * self.customers, JOINS[part.kind][1])
        spread[self.places] = self.values[part]
        return spread.reshape(len(self.edges) - 1, self.customers)

    def over(self, by_slot: Numbers, needed: Needed) -> Numbers:
        """A part of each customer over the days of a window. Shape (customers,)."""
        join, _ = JOINS[needed.part.kind]
        first, end = self.edges.index(needed.after_days), self.edges.index(needed.window_days)
        total: Numbers = by_slot[first].copy()
        for slot in range(first + 1, end):
            join(total, by_slot[slot], out=total)
        return total


def read_slots(
    connection: duckdb.DuckDBPyConnection, needed: Sequence[Needed], rows: str, as_of: datetime, customers: int
) -> Slots:
    """The slots of one table's ``rows`` (Parquet glob), beside the tables of ``SIGHT_SQL``."""
    parts = list(dict.fromkeys(one.part for one in needed))
    edges = tuple(sorted({days for one in needed for days in (one.window_days, one.after_days)}))
    sql = _slots_sql(parts, edges, customers)
    found = connection.sql(sql, params=used_parameters(sql, rows, as_of)).to_arrow_table()
    values = {part: found[f"part_{number}"].to_numpy() for number, part in enumerate(parts)}
    return Slots(edges, customers, found["place"].to_numpy(), values)


def _slots_sql(parts: Sequence[Part], edges: Sequence[int], customers: int) -> str:
    metrics = {(part.expression, part.decimals): 0 for part in parts}
    names = {metric: f"value_{number}" for number, metric in enumerate(metrics)}
    values = ", ".join(
        f"round(({expression})::DOUBLE * {10**decimals}) AS {name}" for (expression, decimals), name in names.items()
    )
    kept = ",\n    ".join(
        f"{_PART_SQL[part.kind].format(metric=names[part.expression, part.decimals])} AS part_{number}"
        for number, part in enumerate(parts)
    )
    whens = " ".join(f"WHEN age_us < {end * DAY_US} THEN {slot}" for slot, (_, end) in enumerate(pairwise(edges)))
    return f"""
SELECT
    (CASE {whens} END)::BIGINT * {customers} + customer AS place,
    {kept}
FROM (SELECT * REPLACE (age_us::DOUBLE AS age_us) FROM ({seen_rows_sql(values, edges[-1], edges[0])}))
GROUP BY place
"""  # noqa: S608 - every fragment is declared in this package
