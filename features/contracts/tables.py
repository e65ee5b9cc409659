"""The canonical tables: their columns, keys, references and rules. Later rooms rely on what is promised here.

Every table holds ``legal_entity``, ``event_timestamp`` (when a row became true) and ``created_timestamp`` (when it
became known). Amounts are decimals with two digits, never negative unless the rule says otherwise.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import pandera.polars as pa
import polars as pl

from group.entities import LEGAL_ENTITIES
from group.money import MINOR_DIGITS

AMOUNT: Final = pl.Decimal(18, 2)
INSTANT: Final = pl.Datetime("us", "UTC")


@dataclass(frozen=True, slots=True)
class TableContract:
    """What one table promises: its schema, the columns that identify a row, and whose customers it speaks of."""

    name: str
    schema: pa.DataFrameSchema
    key: tuple[str, ...]
    refers_to_customers: bool = True

    @property
    def columns(self) -> dict[str, Any]:
        """Column name to polars type, in the order in which the table is written."""
        return {name: column.dtype.type for name, column in self.schema.columns.items()}


def _text(*checks: pa.Check, nullable: bool = False) -> pa.Column:
    return pa.Column(
        pl.String, [_rule(pa.Check.str_length(1, 200), "has 1 to 200 characters"), *checks], nullable=nullable
    )


def _one_of(values: Sequence[str], *, nullable: bool = False) -> pa.Column:
    return pa.Column(pl.String, _rule(pa.Check.isin(list(values)), f"is one of {', '.join(values)}"), nullable=nullable)


def _amount(*, nullable: bool = False, signed: bool = False) -> pa.Column:
    checks = [] if signed else [_rule(pa.Check.ge(0), "is not negative")]
    return pa.Column(AMOUNT, checks, nullable=nullable)


def _count(low: int, high: int, *, nullable: bool = False) -> pa.Column:
    return pa.Column(pl.Int32, _rule(pa.Check.in_range(low, high), f"is from {low} to {high}"), nullable=nullable)


def _rule(check: pa.Check, sentence: str) -> pa.Check:
    check.error = sentence
    return check


def _known_after_it_happened(data: pa.PolarsData) -> pl.LazyFrame:
    return data.lazyframe.select(pl.col("created_timestamp") >= pl.col("event_timestamp"))


def _contract(
    name: str, key: Sequence[str], columns: dict[str, pa.Column], *, of_customers: bool = True
) -> TableContract:
    schema = pa.DataFrameSchema(
        {
            "legal_entity": _one_of(list(LEGAL_ENTITIES)),
            **({"customer_id": _text()} if "customer_id" not in columns else {}),
            **columns,
            "event_timestamp": pa.Column(INSTANT),
            "created_timestamp": pa.Column(INSTANT),
        },
        checks=pa.Check(_known_after_it_happened, error="created_timestamp is not before event_timestamp"),
        # A row with the same key that was learnt at another time corrects the earlier one.
        unique=list(dict.fromkeys(["legal_entity", *key, "created_timestamp"])),
        name=name,
    )
    return TableContract(name, schema, ("legal_entity", *key), of_customers)


_CURRENCY: Final = _one_of(list(MINOR_DIGITS))

_ALL: Final = (
    _contract(
        "customers",
        ["customer_id", "event_timestamp"],
        {
            "kind": _one_of(["person", "enterprise"]),
            "name": _text(nullable=True),
            "identity_token": _text(nullable=True),
            "phone_token": _text(nullable=True),
            "owner_identity_token": _text(nullable=True),
            "birth_or_founding_date": pa.Column(pl.Date, nullable=True),
            "gender": _one_of(["male", "female"], nullable=True),
            "marital_status": _one_of(["single", "married", "other"], nullable=True),
            "education": _one_of(["primary", "secondary", "bachelor", "postgraduate", "other"], nullable=True),
            "income_per_month": _amount(nullable=True),
            "currency": _CURRENCY,
            "region": _text(_rule(pa.Check.str_matches(r"^\d{6}$"), "is a six-digit GB/T 2260 code"), nullable=True),
            "industry": _text(
                _rule(pa.Check.str_matches(r"^[A-T]"), "begins with a GB/T 4754 section A to T"), nullable=True
            ),
            "enterprise_size": _one_of(["micro", "small", "medium", "large"], nullable=True),
            "marketing_consent": pa.Column(pl.Boolean),
            "share_within_group_consent": pa.Column(pl.Boolean),
        },
        of_customers=False,
    ),
    _contract("accounts", ["account_id"], {"account_id": _text(), "account_type": _text(), "currency": _CURRENCY}),
    _contract(
        "transactions",
        ["transaction_id"],
        {
            "transaction_id": _text(),
            "account_id": _text(),
            "amount": _amount(),
            "currency": _CURRENCY,
            "direction": _one_of(["in", "out"]),
            "channel": _text(nullable=True),
            "category": _text(nullable=True),
            "counterparty": _text(nullable=True),
            "balance": _amount(nullable=True, signed=True),
        },
    ),
    _contract(
        "applications",
        ["application_id"],
        {
            "application_id": _text(),
            "product": _text(),
            "amount": _amount(),
            "currency": _CURRENCY,
            "term_months": _count(1, 600, nullable=True),
            "purpose": _text(nullable=True),
            "channel": _text(nullable=True),
            "outcome": _one_of(["approved", "declined", "withdrawn", "pending"]),
        },
    ),
    _contract(
        "facilities",
        ["facility_id", "event_timestamp"],
        {"facility_id": _text(), "product": _text(), "credit_limit": _amount(), "currency": _CURRENCY},
    ),
    _contract(
        "loans",
        ["loan_id", "event_timestamp"],
        {
            "loan_id": _text(),
            "facility_id": _text(nullable=True),
            "product": _text(),
            "principal": _amount(),
            "currency": _CURRENCY,
            "rate_per_annum": pa.Column(pl.Float64, _rule(pa.Check.in_range(0, 1), "is from 0 to 1"), nullable=True),
            "term_months": _count(1, 600, nullable=True),
            "guarantee_type": _text(nullable=True),
            "status": _one_of(["active", "settled", "defaulted", "written_off"]),
            "five_class_grade": _one_of(
                ["normal", "special_mention", "substandard", "doubtful", "loss"], nullable=True
            ),
        },
    ),
    _contract(
        "schedule",
        ["loan_id", "instalment_number"],
        {
            "loan_id": _text(),
            "instalment_number": _count(1, 10_000),
            "due_date": pa.Column(pl.Date),
            "principal_due": _amount(),
            "interest_due": _amount(),
            "fee_due": _amount(),
            "currency": _CURRENCY,
        },
    ),
    _contract(
        "repayments",
        ["repayment_id"],
        {
            "loan_id": _text(),
            "repayment_id": _text(),
            "principal_paid": _amount(),
            "interest_paid": _amount(),
            "fee_paid": _amount(),
            "penalty_paid": _amount(),
            "currency": _CURRENCY,
        },
    ),
    _contract(
        "statements",
        ["loan_id", "event_timestamp"],
        {
            "loan_id": _text(),
            # A balance below zero is money that the lender owes: an overpaid card.
            "statement_balance": _amount(signed=True),
            "amount_due": _amount(nullable=True),
            "amount_paid": _amount(),
            "credit_limit": _amount(nullable=True),
            "currency": _CURRENCY,
            "days_past_due": _count(0, 10_000),
            "payment_behaviour": _one_of(["no_use", "paid_in_full", "revolving", "late"]),
        },
    ),
    _contract("defaults", ["loan_id"], {"loan_id": _text(), "reason": _text()}),
    _contract(
        "bureau",
        ["inquiry_id"],
        {
            "inquiry_id": _text(),
            "inquiries_6m": _count(0, 1_000, nullable=True),
            "open_accounts": _count(0, 10_000, nullable=True),
            "overdue_accounts_24m": _count(0, 10_000, nullable=True),
            "oldest_account_months": _count(0, 1_200, nullable=True),
            "external_debt": _amount(nullable=True),
            "currency": _CURRENCY,
        },
    ),
    _contract(
        "invoices",
        ["invoice_id"],
        {
            "invoice_id": _text(),
            "buyer_id": _text(),
            "amount": _amount(),
            "currency": _CURRENCY,
            "due_date": pa.Column(pl.Date),
            "paid_date": pa.Column(pl.Date, nullable=True),
        },
    ),
    _contract(
        "contacts",
        ["campaign_id", "customer_id"],
        {
            "campaign_id": _text(),
            "treated": pa.Column(pl.Boolean),
            "channel": _text(nullable=True),
            "responded": pa.Column(pl.Boolean),
            "took_up": pa.Column(pl.Boolean),
        },
    ),
)

CONTRACTS: Final[dict[str, TableContract]] = {contract.name: contract for contract in _ALL}
"""The contracts by table, in the order of loading: customers first, since the others refer to them."""

REQUIRED_TABLES: Final = ("customers", "statements", "defaults")
"""What a credit model cannot do without; the other tables add features where they are there."""
