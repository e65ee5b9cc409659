"""Training/serving skew: whether what a model was given is what the feature store says, computed anew."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import polars as pl

from training.reference import FEATURE

Recompute = Callable[[pl.DataFrame], pl.DataFrame]
"""From ``legal_entity, party_id, event_timestamp`` to the same rows with a column a feature, as known then."""


@dataclass(frozen=True, slots=True)
class ColumnSkew:
    """A feature whose values differ: in how many rows of those that were computed anew."""

    column: str
    differing: int


@dataclass(frozen=True, slots=True)
class Skew:
    """Rows that were computed anew, and the features that differ, the most rows first.

    ``gone`` are features that are no longer computed.
    """

    rows: int
    columns: tuple[ColumnSkew, ...]
    gone: tuple[str, ...]


def skew_of(rows: pl.DataFrame, columns: Sequence[str], recompute: Recompute) -> Skew | None:
    """Compare rows ``legal_entity, party_id, features_as_of, feature:…`` with what the store gives; None of no rows.

    Values are equal if they are so to the last bit; two that are missing are.
    """
    asked = rows.select("legal_entity", "party_id", event_timestamp="features_as_of")
    if asked.is_empty():
        return None
    anew = recompute(asked)
    names = {column: column.removeprefix(FEATURE) for column in columns if column.startswith(FEATURE)}
    there = {column: name for column, name in names.items() if name in anew.columns}
    differing = {
        name: int((rows[column].cast(pl.Float64).fill_nan(None).ne_missing(anew[name].fill_nan(None))).sum())
        for column, name in there.items()
    }
    most = sorted((ColumnSkew(name, count) for name, count in differing.items() if count), key=_order)
    return Skew(asked.height, tuple(most), tuple(name for column, name in names.items() if column not in there))


def _order(one: ColumnSkew) -> tuple[int, str]:
    return -one.differing, one.column
