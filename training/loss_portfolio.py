"""The expected loss of the loans that run: PD by customer, exposure and loss by loan."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from features import query
from training.amounts import AmountModel
from training.frames import matrix

Vector = npt.NDArray[np.float64]

_LATEST_STATEMENT_DAYS: Final = 35


def expected_loss(probability_of_default: Vector, lost_share: Vector, exposure: Vector) -> Vector:
    """Expected loss ``(n,)`` of twelve months, CNY: PD · LGD · EAD (Basel framework, CRE32)."""
    return np.asarray(probability_of_default * lost_share * exposure)


@dataclass(frozen=True)
class LossModels:
    """Both models of ``training.losses``."""

    loss: AmountModel
    exposure: AmountModel


def running_loans(canonical: Path, as_of: datetime) -> pl.DataFrame:
    """Loans with a statement of the last 35 days that are not in default, as known at an instant, by company and loan.

    Returns:
        ``legal_entity, party_id, loan_id, limit`` (CNY; the balance where it is higher), ``balance``, and the columns
        that both models read.
    """
    names = ("statements", "loans", "customers", "parties", "defaults")
    parameters = {name: f"{canonical}/{name}/*.parquet" for name in names}
    rows = query(
        _RUNNING_SQL, parameters | {"as_of": as_of, "recent": _LATEST_STATEMENT_DAYS}
    )  # fmt: skip
    base = pl.max_horizontal("credit_limit", "balance")
    secured = [
        (pl.col("guarantee_type") == name).fill_null(value=False).cast(pl.Float64).alias(f"secured_by_{name}")
        for name in ("credit", "guarantee", "ownership_retained", "receivables")
    ]
    return rows.with_columns(*secured, utilisation=pl.col("balance") / base, limit=base)


_RUNNING_SQL: Final = """
WITH stated AS (
    SELECT legal_entity, customer_id, loan_id, greatest(statement_balance::DOUBLE, 0) AS balance,
           coalesce(credit_limit, 0)::DOUBLE AS credit_limit
    FROM read_parquet($statements)
    WHERE event_timestamp <= $as_of AND created_timestamp <= $as_of
      AND (superseded_at IS NULL OR superseded_at > $as_of)
      AND event_timestamp > $as_of - to_days($recent)
    QUALIFY row_number() OVER (PARTITION BY legal_entity, loan_id ORDER BY event_timestamp DESC) = 1
),
drawn AS (
    SELECT legal_entity, loan_id, event_timestamp AS drawn_at, guarantee_type, term_months, product
    FROM read_parquet($loans)
    WHERE event_timestamp <= $as_of AND created_timestamp <= $as_of
    QUALIFY row_number() OVER (PARTITION BY legal_entity, loan_id ORDER BY event_timestamp) = 1
),
known AS (
    SELECT legal_entity, customer_id, kind, income_per_month::DOUBLE AS income
    FROM read_parquet($customers)
    WHERE event_timestamp <= $as_of AND created_timestamp <= $as_of
      AND (superseded_at IS NULL OR superseded_at > $as_of)
    QUALIFY row_number() OVER (PARTITION BY legal_entity, customer_id ORDER BY event_timestamp DESC) = 1
)
SELECT
    stated.legal_entity, parties.party_id, stated.loan_id, drawn.product, stated.balance, stated.credit_limit,
    drawn.guarantee_type,
    stated.balance / nullif(known.income, 0) AS owed_to_income_months,
    datediff('month', drawn.drawn_at, $as_of)::DOUBLE AS months_on_book,
    (known.kind = 'enterprise')::DOUBLE AS is_enterprise,
    (drawn.term_months IS NULL)::DOUBLE AS is_revolving,
    CASE WHEN drawn.term_months IS NOT NULL THEN
        greatest(0, 1 - datediff('month', drawn.drawn_at, $as_of) / drawn.term_months::DOUBLE)
    END AS remaining_term_share
FROM stated
JOIN drawn USING (legal_entity, loan_id)
JOIN read_parquet($parties) AS parties USING (legal_entity, customer_id)
LEFT JOIN known USING (legal_entity, customer_id)
WHERE greatest(stated.balance, stated.credit_limit) > 0
  AND NOT EXISTS (
      SELECT 1 FROM read_parquet($defaults) AS defaults
      WHERE defaults.legal_entity = stated.legal_entity AND defaults.loan_id = stated.loan_id
        AND defaults.event_timestamp <= $as_of
  )
ORDER BY stated.legal_entity, stated.loan_id
"""


def portfolio_losses(loans: pl.DataFrame, probability: pl.DataFrame, models: LossModels) -> pl.DataFrame:
    """Loans with ``probability_of_default, lost_share, exposure`` and ``expected_loss`` (CNY, twelve months).

    Args:
        loans: as ``running_loans`` gives them.
        probability: ``legal_entity, party_id, probability_of_default``; loans of others are left out.
        models: what a default costs.
    """
    known = loans.join(probability, on=["legal_entity", "party_id"], how="inner", maintain_order="left")
    lost = models.loss.amount(matrix(known, models.loss.features))
    exposure = models.exposure.amount(matrix(known, models.exposure.features)) * known["limit"].to_numpy()
    pd = known["probability_of_default"].to_numpy()
    return known.with_columns(
        lost_share=pl.Series(lost), exposure=pl.Series(exposure),
        expected_loss=pl.Series(expected_loss(pd, lost, exposure)),
    )  # fmt: skip
