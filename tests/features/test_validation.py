"""Contracts: every raw row is kept or rejected, and a rejected one says where and why."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.contracts import CONTRACTS, validate
from features.errors import ContractBroken
from tests.features.tables import a_customer, a_statement, a_transaction, frame

AT = datetime(2025, 3, 1, tzinfo=UTC)


def as_texts(table: str, rows: list[dict[str, Any]]) -> pl.DataFrame:
    """The rows as a CSV file would hold them."""
    return frame(table, rows).select(pl.all().cast(pl.String))


def rejected(table: str, raw: pl.DataFrame) -> list[tuple[int, str, str | None, str]]:
    verdict = validate(raw, CONTRACTS[table], "file.csv")
    return list(verdict.rejections.select("row_number", "column", "value", "rule").iter_rows())


def test_right_rows_are_kept_with_the_types_of_the_contract() -> None:
    raw = as_texts("statements", [a_statement(AT), a_statement(AT, loan_id="L2")])
    verdict = validate(raw, CONTRACTS["statements"], "file.csv")
    assert verdict.rows_rejected == 0
    assert dict(verdict.kept.schema) == CONTRACTS["statements"].columns
    assert verdict.kept["statement_balance"].to_list() == [Decimal("1000.00")] * 2
    assert verdict.kept["event_timestamp"].to_list() == [AT, AT]


@pytest.mark.parametrize(
    ("column", "value", "rule"),
    [
        ("amount", "-1.00", "is not negative"),
        ("amount", "ten", "is an amount with at most two decimals"),
        ("amount", "1.005", "is an amount with at most two decimals"),
        ("currency", "RMB", "is one of CNY"),
        ("direction", "sideways", "is one of in, out"),
        ("legal_entity", "bank", "is one of credit"),
        ("event_timestamp", "the day before yesterday", "is an instant such as"),
        ("event_timestamp", "2025-02-30T00:00:00Z", "is an instant such as"),
        ("created_timestamp", "2025-02-28T23:59:59Z", "created_timestamp is not before event_timestamp"),
        ("customer_id", "", "is not empty"),
        ("transaction_id", "x" * 201, "has 1 to 200 characters"),
    ],
)
def test_a_broken_rule_names_row_column_value_and_rule(column: str, value: str, rule: str) -> None:
    raw = as_texts("transactions", [a_transaction(n, AT) for n in range(3)])
    raw = raw.with_columns(pl.when(pl.int_range(pl.len()) == 1).then(pl.lit(value)).otherwise(column).alias(column))
    found = rejected("transactions", raw)
    assert [(row, name) for row, name, _, _ in found] == [(2, column)]
    assert rule in found[0][3]
    if column != "created_timestamp":
        assert found[0][2] == (value or None)


@pytest.mark.parametrize(
    ("column", "values", "kept"),
    [
        (
            "statement_balance",
            [0.1 + 0.2, 1e12 + 0.01, -5.0],
            [Decimal("0.30"), Decimal("1000000000000.01"), Decimal(-5)],
        ),
        ("statement_balance", [1.005, 10 / 3, float("inf")], []),
        ("statement_balance", [3, -4, 0], [Decimal(3), Decimal(-4), Decimal(0)]),
        ("statement_balance", [Decimal("1.0010"), Decimal("2.0100"), Decimal("0.0001")], [Decimal("2.01")]),
        ("credit_limit", [float("nan"), None, 7.5], [None, None, Decimal("7.50")]),
        ("days_past_due", [30.0, 30.5, 1e10], [30]),
        ("days_past_due", [0, 2**40, -1], [0]),
    ],
)
def test_numbers_from_parquet_are_taken_exactly_or_not_at_all(column: str, values: list[Any], kept: list[Any]) -> None:
    raw = frame("statements", [a_statement(AT, loan_id=f"L{n}") for n in range(3)])
    verdict = validate(raw.with_columns(pl.Series(column, values)), CONTRACTS["statements"], "file.parquet")
    assert verdict.kept[column].to_list() == kept
    assert verdict.rows_rejected == 3 - len(kept)
    assert set(verdict.rejections["column"]) <= {column}


def test_every_broken_rule_of_a_row_is_reported_and_the_row_is_counted_once() -> None:
    raw = as_texts("transactions", [a_transaction(1, AT), a_transaction(2, AT)]).with_columns(
        amount=pl.Series(["-5.00", "1.00"]), direction=pl.Series(["up", "in"]), currency=pl.Series(["RMB", "CNY"])
    )
    verdict = validate(raw, CONTRACTS["transactions"], "file.csv")
    assert verdict.rows_rejected == 1
    assert set(verdict.rejections["column"]) == {"amount", "direction", "currency"}
    assert '"amount":"-5.00"' in verdict.rejections["row"][0]


def test_a_key_that_occurs_twice_rejects_the_rows_that_share_it() -> None:
    raw = as_texts("transactions", [a_transaction(1, AT), a_transaction(2, AT), a_transaction(1, AT)])
    verdict = validate(raw, CONTRACTS["transactions"], "file.csv")
    assert set(verdict.rejections["rule"]) == {"occurs once in the table"}
    assert verdict.kept["transaction_id"].to_list() == ["T2"]


def test_a_row_about_a_stranger_is_rejected() -> None:
    known = pl.DataFrame({"legal_entity": ["consumer", "credit"], "customer_id": ["C1", "C2"]})
    rows = [a_transaction(1, AT), a_transaction(2, AT, customer_id="C2")]
    verdict = validate(frame("transactions", rows), CONTRACTS["transactions"], "file.csv", known_customers=known)
    assert verdict.kept["transaction_id"].to_list() == ["T1"]
    assert "is a customer of the legal entity" in verdict.rejections["rule"][0]


def test_a_missing_column_is_named_and_an_optional_one_is_filled_with_nothing() -> None:
    raw = as_texts("transactions", [a_transaction(1, AT)])
    kept = validate(raw.drop("channel", "balance"), CONTRACTS["transactions"], "file.csv").kept
    assert kept["balance"].to_list() == [None]
    with pytest.raises(ContractBroken, match=r"file.csv: table 'transactions' needs the columns amount, currency"):
        validate(raw.drop("amount", "currency"), CONTRACTS["transactions"], "file.csv")


def test_a_column_nobody_asked_for_is_ignored_and_named() -> None:
    raw = as_texts("transactions", [a_transaction(1, AT)]).with_columns(remark=pl.lit("hello"))
    assert validate(raw, CONTRACTS["transactions"], "file.csv").ignored_columns == ("remark",)


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2025-03-01", datetime(2025, 3, 1, tzinfo=UTC)),
        ("2025-03-01 08:30:00", datetime(2025, 3, 1, 8, 30, tzinfo=UTC)),
        ("2025-03-01T08:30:00.250000Z", datetime(2025, 3, 1, 8, 30, 0, 250_000, tzinfo=UTC)),
        ("2025-03-01T08:30:00+08:00", datetime(2025, 3, 1, 0, 30, tzinfo=UTC)),
    ],
)
def test_instants_are_read_as_people_write_them(text: str, instant: datetime) -> None:
    raw = as_texts("customers", [a_customer()]).with_columns(
        event_timestamp=pl.lit(text), created_timestamp=pl.lit("2025-03-02")
    )
    assert validate(raw, CONTRACTS["customers"], "file.csv").kept["event_timestamp"].to_list() == [instant]


cells = st.one_of(
    st.none(), st.sampled_from(["", "1.00", "-1", "0.001", "CNY", "in", "x", "2025-03-01", "é" * 201, " "])
)


@given(st.lists(st.fixed_dictionaries(dict.fromkeys(CONTRACTS["transactions"].columns, cells)), max_size=12))
@settings(max_examples=60, deadline=None)
def test_no_row_is_lost_whatever_it_holds(rows: list[dict[str, str | None]]) -> None:
    raw = pl.DataFrame(rows, schema=dict.fromkeys(CONTRACTS["transactions"].columns, pl.String))
    verdict = validate(raw, CONTRACTS["transactions"], "file.csv")
    assert len(verdict.kept) + verdict.rows_rejected == len(rows)
    assert verdict.rejections["row_number"].n_unique() == verdict.rows_rejected
    assert verdict.rejections.select("column", "rule", "row").null_count().sum_horizontal().item() == 0


@given(st.lists(st.booleans(), min_size=1, max_size=30))
@settings(max_examples=30, deadline=None)
def test_exactly_the_spoiled_rows_are_rejected(spoiled: list[bool]) -> None:
    rows = [a_transaction(n, AT, amount=Decimal(-1) if bad else Decimal(1)) for n, bad in enumerate(spoiled)]
    verdict = validate(frame("transactions", rows), CONTRACTS["transactions"], "file.csv")
    assert sorted(verdict.rejections["row_number"]) == [n for n, bad in enumerate(spoiled, start=1) if bad]
    assert verdict.kept["transaction_id"].to_list() == [f"T{n}" for n, bad in enumerate(spoiled) if not bad]
