"""The UCI data set "default of credit card clients" (Taiwan, April to September 2005) as canonical tables.

Thirty thousand cards with six monthly statements each; whether the holder defaulted in October 2005 is the label.
Source: Yeh and Lien (2009), UCI Machine Learning Repository, CC BY 4.0. UCI's own column names are read as well as
the longer ones of the OpenML copy.
"""

from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import pandera.polars as pa
import polars as pl

from features.contracts import TableContract, TableLoad
from features.contracts.tables import AMOUNT
from features.errors import ContractBroken
from features.sources.files import read_table
from features.sources.uci import documented_rows, load_of

LEGAL_ENTITY: Final = "consumer"
CURRENCY: Final = "TWD"
OBSERVED_UNTIL: Final = datetime(2005, 11, 1, tzinfo=UTC)
_BEFORE_FIRST_STATEMENT: Final = datetime(2005, 4, 1, tzinfo=UTC)
_STATEMENT_MONTHS: Final = (9, 8, 7, 6, 5, 4)
"""Calendar month of the columns numbered 1 to 6: the first is September 2005."""

_UCI_NAMES: Final = {
    "ID": "USER_ID",
    "LIMIT_BAL": "CREDIT_LIMIT",
    "MARRIAGE": "MARITALSTATUS",
    "PAY_0": "PAYMENTDELAY_1",
    **{f"PAY_{month}": f"PAYMENTDELAY_{month}" for month in range(2, 7)},
    **{f"PAY_AMT{month}": f"PAID_AMT{month}" for month in range(1, 7)},
    "default payment next month": "DID_DEFAULT_PAYMENT",
    "default.payment.next.month": "DID_DEFAULT_PAYMENT",
    "dpnm": "DID_DEFAULT_PAYMENT",
    "Y": "DID_DEFAULT_PAYMENT",
}


def _whole(low: int, high: int) -> pa.Column:
    return pa.Column(pl.Int64, pa.Check.in_range(low, high, error=f"is from {low} to {high}"))


def _money(*, positive: bool = False) -> pa.Column:
    return pa.Column(AMOUNT, pa.Check.ge(0, error="is not negative") if positive else None)


_CONTRACT: Final = TableContract(
    "uci_credit_card",
    pa.DataFrameSchema(
        {
            "USER_ID": pa.Column(pl.Int64, nullable=True),
            "CREDIT_LIMIT": _money(positive=True),
            "SEX": _whole(1, 2),
            "EDUCATION": _whole(0, 6),
            "MARITALSTATUS": _whole(0, 3),
            "AGE": _whole(18, 120),
            **{f"PAYMENTDELAY_{n}": _whole(-2, 99) for n in range(1, 7)},
            **{f"BILL_AMT{n}": _money() for n in range(1, 7)},
            **{f"PAID_AMT{n}": _money(positive=True) for n in range(1, 7)},
            "DID_DEFAULT_PAYMENT": _whole(0, 1),
        }
    ),
    key=(),
    refers_to_customers=False,
)


def read_uci_credit_card(path: Path, raw: Path, quarantine: Path, *, rejected_share_limit: float) -> TableLoad:
    """Write ``customers``, ``facilities``, ``loans``, ``statements`` and ``defaults`` below ``raw``.

    Rows of the file that are not what UCI documents go to ``quarantine/uci_credit_card``.

    Raises:
        UnreadableFile: the file cannot be read.
        ContractBroken: a column is missing, or more rows than allowed are rejected.
    """
    verdict = documented_rows(
        _with_known_names(read_table(path), path),
        _CONTRACT,
        path,
        quarantine,
        rejected_share_limit=rejected_share_limit,
    )
    cards = verdict.kept.with_row_index("card", offset=1).with_columns(
        customer_id=pl.format("CO{}", pl.coalesce("USER_ID", "card").cast(pl.String).str.zfill(8)),
        legal_entity=pl.lit(LEGAL_ENTITY),
        currency=pl.lit(CURRENCY),
        event_timestamp=pl.lit(_BEFORE_FIRST_STATEMENT),
        created_timestamp=pl.lit(_BEFORE_FIRST_STATEMENT),
    )
    cards = cards.with_columns(loan_id=pl.col("customer_id") + "L1", facility_id=pl.col("customer_id") + "F")
    for name, table in (
        ("customers", _customers(cards)),
        ("facilities", _facilities(cards)),
        ("loans", _loans(cards)),
        ("statements", _statements(cards)),
        ("defaults", _defaults(cards)),
    ):
        folder = raw / name
        folder.mkdir(parents=True, exist_ok=True)
        table.write_parquet(folder / "part-00000.parquet")
    return load_of(_CONTRACT, verdict)


def _with_known_names(frame: pl.DataFrame, path: Path) -> pl.DataFrame:
    known = {given: _UCI_NAMES.get(given.strip(), given.strip()) for given in frame.columns}
    by_name: dict[str, list[str]] = {}
    for given, name in known.items():
        by_name.setdefault(name, []).append(given)
    for name, columns in by_name.items():
        if len(columns) > 1:
            raise ContractBroken(f"{path}: the columns {', '.join(columns)} all mean {name}; keep one of them.")
    return frame.rename(known)


def _customers(cards: pl.DataFrame) -> pl.DataFrame:
    # 0, 5 and 6 are undocumented levels of education, 0 of marital status: unknown, not "other".
    education = {1: "postgraduate", 2: "bachelor", 3: "secondary", 4: "other"}
    marital = {1: "married", 2: "single", 3: "other"}
    # Only the age in years is given; a birthday in mid-year is off by half a year at most.
    born = pl.datetime(2005 - pl.col("AGE"), 7, 1).cast(pl.Date)
    return cards.select(
        "legal_entity",
        "customer_id",
        kind=pl.lit("person"),
        name=pl.lit(None, pl.String),
        identity_token=pl.lit(None, pl.String),
        phone_token=pl.lit(None, pl.String),
        owner_identity_token=pl.lit(None, pl.String),
        birth_or_founding_date=born,
        gender=pl.when(pl.col("SEX") == 1).then(pl.lit("male")).otherwise(pl.lit("female")),
        marital_status=pl.col("MARITALSTATUS").replace_strict(marital, default=None, return_dtype=pl.String),
        education=pl.col("EDUCATION").replace_strict(education, default=None, return_dtype=pl.String),
        income_per_month=pl.lit(None, AMOUNT),
        currency="currency",
        region=pl.lit(None, pl.String),
        industry=pl.lit(None, pl.String),
        enterprise_size=pl.lit(None, pl.String),
        marketing_consent=pl.lit(value=False),
        share_within_group_consent=pl.lit(value=False),
        event_timestamp="event_timestamp",
        created_timestamp="created_timestamp",
    )


def _facilities(cards: pl.DataFrame) -> pl.DataFrame:
    return cards.select(
        "legal_entity",
        "facility_id",
        "customer_id",
        product=pl.lit("revolving_card"),
        credit_limit="CREDIT_LIMIT",
        currency="currency",
        event_timestamp="event_timestamp",
        created_timestamp="created_timestamp",
    )


def _loans(cards: pl.DataFrame) -> pl.DataFrame:
    return cards.select(
        "legal_entity",
        "loan_id",
        "facility_id",
        "customer_id",
        product=pl.lit("revolving_card"),
        principal="CREDIT_LIMIT",
        currency="currency",
        rate_per_annum=pl.lit(None, pl.Float64),
        term_months=pl.lit(None, pl.Int32),
        guarantee_type=pl.lit("credit"),
        status=pl.lit("active"),
        five_class_grade=pl.lit(None, pl.String),
        event_timestamp="event_timestamp",
        created_timestamp="created_timestamp",
    )


def _statements(cards: pl.DataFrame) -> pl.DataFrame:
    """One row a card and month; a delay of k months is 30·k days past due."""
    months = [
        cards.select(
            "legal_entity",
            "customer_id",
            "loan_id",
            statement_balance=f"BILL_AMT{column}",
            amount_due=pl.lit(None, AMOUNT),
            amount_paid=f"PAID_AMT{column}",
            credit_limit="CREDIT_LIMIT",
            currency="currency",
            days_past_due=(30 * pl.col(f"PAYMENTDELAY_{column}").clip(0)).cast(pl.Int32),
            payment_behaviour=_behaviour(cards, column),
            event_timestamp=pl.datetime(2005, month, 26, time_unit="us", time_zone="UTC"),
            created_timestamp=pl.datetime(2005, month, 27, time_unit="us", time_zone="UTC"),
        )
        for column, month in enumerate(_STATEMENT_MONTHS, start=1)
    ]
    return pl.concat(months)


def _behaviour(cards: pl.DataFrame, column: int) -> pl.Expr:
    """UCI's code: -2 no use, -1 paid in full, 0 revolving. Copies that keep no negative codes say 0 for all three.

    There, it is told from the amounts: what is paid in a month settles the bill of the month before.
    """
    delay = pl.col(f"PAYMENTDELAY_{column}")
    codes = [f"PAYMENTDELAY_{n}" for n in range(1, 7)]
    if cards.select(pl.min_horizontal(codes).min() < 0).item():
        unused, in_full = delay == -2, delay == -1
    else:
        billed = pl.col(f"BILL_AMT{min(column + 1, 6)}")
        paid = pl.col(f"PAID_AMT{column}")
        unused, in_full = (billed <= 0) & (paid == 0), (billed > 0) & (paid >= billed)
    return (
        pl.when(delay > 0)
        .then(pl.lit("late"))
        .when(unused)
        .then(pl.lit("no_use"))
        .when(in_full)
        .then(pl.lit("paid_in_full"))
        .otherwise(pl.lit("revolving"))
    )


def _defaults(cards: pl.DataFrame) -> pl.DataFrame:
    october = datetime(2005, 10, 31, tzinfo=UTC)
    return cards.filter(pl.col("DID_DEFAULT_PAYMENT") == 1).select(
        "legal_entity",
        "customer_id",
        "loan_id",
        reason=pl.lit("default_payment_next_month"),
        event_timestamp=pl.lit(october),
        created_timestamp=pl.lit(october),
    )
