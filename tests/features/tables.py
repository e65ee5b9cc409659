"""Small canonical tables made by hand, for tests that look at single rows."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl

from features.contracts import CONTRACTS
from features.contracts.tables import INSTANT

JOINED = datetime(2024, 1, 1, tzinfo=UTC)

_CUSTOMER: dict[str, Any] = {
    "legal_entity": "consumer",
    "customer_id": "C1",
    "kind": "person",
    "name": "王芳",
    "identity_token": "T1",
    "phone_token": None,
    "owner_identity_token": None,
    "birth_or_founding_date": date(1990, 5, 17),
    "gender": "female",
    "marital_status": None,
    "education": "bachelor",
    "income_per_month": Decimal("9000.00"),
    "currency": "CNY",
    "region": "310000",
    "industry": None,
    "enterprise_size": None,
    "marketing_consent": False,
    "share_within_group_consent": True,
    "event_timestamp": JOINED,
    "created_timestamp": JOINED,
}
_STATEMENT: dict[str, Any] = {
    "legal_entity": "consumer",
    "customer_id": "C1",
    "loan_id": "L1",
    "statement_balance": Decimal("1000.00"),
    "amount_due": Decimal("50.00"),
    "amount_paid": Decimal("50.00"),
    "credit_limit": Decimal("5000.00"),
    "currency": "CNY",
    "days_past_due": 0,
    "payment_behaviour": "revolving",
}
_TRANSACTION: dict[str, Any] = {
    "legal_entity": "consumer",
    "account_id": "A1",
    "customer_id": "C1",
    "amount": Decimal("10.00"),
    "currency": "CNY",
    "direction": "out",
    "channel": None,
    "category": None,
    "counterparty": None,
    "balance": None,
}


def a_customer(**changes: Any) -> dict[str, Any]:
    """A person who joined the consumer-finance company on 2024-01-01 and consents to sharing."""
    return _CUSTOMER | changes


def a_statement(at: datetime, **changes: Any) -> dict[str, Any]:
    """A statement that was known a day after it was made, unless said otherwise."""
    return _STATEMENT | {"event_timestamp": at, "created_timestamp": at + timedelta(days=1)} | changes


def a_default(at: datetime, **changes: Any) -> dict[str, Any]:
    """A loan that defaulted at ``at``."""
    row = {"legal_entity": "consumer", "customer_id": "C1", "loan_id": "L1", "reason": "90 days past due"}
    return row | {"event_timestamp": at, "created_timestamp": at} | changes


def a_loan(at: datetime, **changes: Any) -> dict[str, Any]:
    """A card that was drawn at ``at``."""
    row = {
        "legal_entity": "consumer", "customer_id": "C1", "loan_id": "L1", "facility_id": None,
        "product": "revolving_card", "principal": Decimal("1000.00"), "currency": "CNY", "rate_per_annum": 0.1,
        "term_months": None, "guarantee_type": None, "status": "active", "five_class_grade": None,
        "event_timestamp": at, "created_timestamp": at,
    }  # fmt: skip
    return row | changes


def a_transaction(number: int, at: datetime, **changes: Any) -> dict[str, Any]:
    """A booking that was known at once, unless said otherwise."""
    row = {"transaction_id": f"T{number}", "event_timestamp": at, "created_timestamp": at}
    return _TRANSACTION | row | changes


def an_invoice(number: int, at: datetime, **changes: Any) -> dict[str, Any]:
    """An invoice of a supplier, known at once and due in 30 days, unless said otherwise."""
    row = {
        "legal_entity": "consumer",
        "customer_id": "C1",
        "invoice_id": f"I{number}",
        "buyer_id": "CORE1",
        "amount": Decimal("100.00"),
        "currency": "CNY",
        "due_date": (at + timedelta(days=30)).date(),
        "paid_date": None,
        "event_timestamp": at,
        "created_timestamp": at,
    }
    return row | changes


def frame(table: str, rows: Sequence[dict[str, Any]]) -> pl.DataFrame:
    """Rows as a frame with the contract's columns and types."""
    columns = CONTRACTS[table].columns
    return pl.DataFrame([{name: row[name] for name in columns} for row in rows], schema=columns)


def write(canonical: Path, table: str, rows: Sequence[dict[str, Any]]) -> None:
    """Write rows as the table's one file."""
    folder = canonical / table
    folder.mkdir(parents=True, exist_ok=True)
    rows_of_table = frame(table, rows).with_columns(superseded_at=pl.lit(None, INSTANT))
    rows_of_table.write_parquet(folder / "part-00000.parquet")
