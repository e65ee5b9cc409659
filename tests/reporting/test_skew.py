"""Skew: equal to the last bit, or told, the feature that differs most first."""

from datetime import UTC, datetime

import polars as pl

from reporting.monitoring.findings import skew_findings
from reporting.monitoring.skew import ColumnSkew, skew_of
from reporting.monitoring.thresholds import read_thresholds
from training.reference import FEATURE

_COLUMNS = [f"{FEATURE}{name}" for name in ("income", "age", "gone")]


def _rows(income: list[float | None], age: list[float | None]) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "legal_entity": "consumer", "party_id": [f"P{number}" for number in range(len(income))],
            "features_as_of": datetime(2026, 1, 1, tzinfo=UTC), _COLUMNS[0]: income, _COLUMNS[1]: age,
            _COLUMNS[2]: 1.0,
        },
        schema_overrides={_COLUMNS[0]: pl.Float64, _COLUMNS[1]: pl.Float64},
    )  # fmt: skip


def _store(income: list[float | None], age: list[float | None]) -> pl.DataFrame:
    return pl.DataFrame({"income": income, "age": age}, schema={"income": pl.Float64, "age": pl.Float64})


def test_equal_values_and_missing_ones_are_no_skew_and_the_last_bit_is() -> None:
    income = [0.1 + 0.2, None, 5.0]
    same = skew_of(_rows(income, [1.0, 2.0, None]), _COLUMNS, lambda _asked: _store(income, [1.0, 2.0, None]))
    assert same is not None
    assert (same.rows, same.columns, same.gone) == (3, (), ("gone",))
    other = skew_of(_rows(income, [1.0, 2.0, None]), _COLUMNS, lambda _asked: _store([0.3, 0.0, 5.0], [1.0, 2.0, 3.0]))
    assert other is not None
    assert other.columns == (ColumnSkew("income", 2), ColumnSkew("age", 1))
    first = skew_findings(other, read_thresholds())[0]
    assert (first.subject, first.level) == ("income", "act")
    assert first.en.startswith("2 of 3 rows")


def test_the_store_is_asked_of_the_instant_at_which_features_were_true() -> None:
    asked: list[pl.DataFrame] = []

    def store(rows: pl.DataFrame) -> pl.DataFrame:
        asked.append(rows)
        return _store([1.0], [1.0])

    assert skew_of(_rows([1.0], [1.0]), _COLUMNS, store) is not None
    assert asked[0].columns == ["legal_entity", "party_id", "event_timestamp"]
    assert asked[0]["event_timestamp"][0] == datetime(2026, 1, 1, tzinfo=UTC)
    assert skew_of(_rows([], []), _COLUMNS, store) is None
