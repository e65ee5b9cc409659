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
from training.frames import LATEST_STATEMENT_DAYS, matrix
from training.losses import secured_by
from training.term_structure import YEAR, Baseline
from training.term_structure import expected_loss as lifetime_expected_loss

Vector = npt.NDArray[np.float64]

_CHUNK: Final = 100_000

LONGEST_MONTHS: Final = 60
"""How far the term structure reaches."""

_REVOLVING_MONTHS: Final = 36


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
        _RUNNING_SQL, parameters | {"as_of": as_of, "recent": LATEST_STATEMENT_DAYS}
    )  # fmt: skip
    base = pl.max_horizontal("credit_limit", "balance")
    return rows.with_columns(*secured_by(), utilisation=pl.col("balance") / base, limit=base)


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
    END AS remaining_term_share,
    drawn.term_months - datediff('month', drawn.drawn_at, $as_of) AS remaining_months
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


def time_to_default(canonical: Path, since: datetime) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Of each customer on a company's books at an instant, the month after it in which it defaulted or was last seen.

    Returns:
        Months ``(n,)`` from 1 on, and whether the customer defaulted then.
    """
    names = ("statements", "defaults")
    parameters = {name: f"{canonical}/{name}/*.parquet" for name in names}
    rows = query(_TIMES_SQL, parameters | {"since": since, "recent": LATEST_STATEMENT_DAYS})
    return rows["month"].to_numpy().astype(np.int64), rows["defaulted"].to_numpy()


_TIMES_SQL: Final = """
WITH on_the_books AS (
    SELECT DISTINCT legal_entity, customer_id
    FROM read_parquet($statements)
    WHERE superseded_at IS NULL AND event_timestamp <= $since AND event_timestamp > $since - to_days($recent)
),
first_default AS (
    SELECT legal_entity, customer_id, min(event_timestamp) AS defaulted_at
    FROM read_parquet($defaults)
    WHERE superseded_at IS NULL
    GROUP BY ALL
),
last_seen AS (
    SELECT legal_entity, customer_id, max(event_timestamp) AS seen_at
    FROM read_parquet($statements)
    WHERE superseded_at IS NULL
    GROUP BY ALL
)
SELECT
    greatest(1, datesub('month', $since, coalesce(first_default.defaulted_at, last_seen.seen_at)) + 1) AS month,
    first_default.defaulted_at IS NOT NULL AS defaulted
FROM on_the_books
JOIN last_seen USING (legal_entity, customer_id)
LEFT JOIN first_default USING (legal_entity, customer_id)
WHERE first_default.defaulted_at IS NULL OR first_default.defaulted_at > $since
ORDER BY ALL
"""


def portfolio_losses(
    loans: pl.DataFrame, probability: pl.DataFrame, models: LossModels, baseline: Baseline
) -> pl.DataFrame:
    """Loans with ``probability_of_default, lost_share, exposure``, and ``expected_loss`` of twelve months and for life.

    Args:
        loans: as ``running_loans`` gives them.
        probability: ``legal_entity, party_id, probability_of_default``; loans of others are left out.
        models: what a default costs.
        baseline: how defaults are spread over the months.
    """
    known = loans.join(probability, on=["legal_entity", "party_id"], how="inner", maintain_order="left")
    lost = models.loss.amount(matrix(known, models.loss.features))
    exposure = models.exposure.amount(matrix(known, models.exposure.features)) * known["limit"].to_numpy()
    pd = known["probability_of_default"].to_numpy()
    return known.with_columns(
        lost_share=pl.Series(lost), exposure=pl.Series(exposure),
        expected_loss=pl.Series(expected_loss(pd, lost, exposure)),
        lifetime_loss=pl.Series(_lifetime(known, pd, lost, exposure, baseline)),
    )  # fmt: skip


def _lifetime(loans: pl.DataFrame, pd: Vector, lost: Vector, exposure: Vector, baseline: Baseline) -> Vector:
    """The exposure at default holds for a year, as the model means it; then that of a term loan falls to its end.

    A term loan that ends within the year is lost until then alone, where the loss of twelve months takes all loans to
    run the year. A revolving line is taken to run on for three years. Nothing is discounted.
    """
    term = loans["remaining_months"].fill_null(_REVOLVING_MONTHS).clip(1, len(baseline.cumulative_hazard)).to_numpy()
    revolving = loans["remaining_months"].is_null().to_numpy()
    months = np.arange(len(baseline.cumulative_hazard))
    found = np.empty(len(pd))
    for begin in range(0, len(pd), _CHUNK):
        own = slice(begin, begin + _CHUNK)
        ends = term[own, None]
        falling = np.clip((ends - months[None, :]) / np.maximum(ends - YEAR, 1), 0, 1)
        left = np.where(revolving[own, None] | (months[None, :] < YEAR), 1.0, falling) * (months[None, :] < ends)
        found[own] = lifetime_expected_loss(pd[own], lost[own], exposure[own, None] * left, baseline)
    return found
