"""What a default costs: the share of what is owed then that is lost, and how much is owed then.

Both models are simple on purpose: a handful of columns that a risk officer knows by heart, each moving the amount one
way only, grown by LightGBM with few leaves.

Loss given default (EBA GL/2017/16, chapter 6): 1 − the present value of what is recovered within the workout over what
is owed at the default, discounted at the loan's rate, from 0 to 1. Cases whose workout is not over are left out.

Exposure at default is modelled as a share of the limit, or of the balance where that is higher, twelve months before
the default: of a term loan it falls as instalments are paid, of a revolving line it rises as it is drawn.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from features import query
from training.amounts import AmountCandidate, AmountRows, amount_evidence, grown_amount
from training.credit import Origin
from training.errors import TooFewDefaults
from training.frames import PARTY_FOLDS, data_hash, matrix, party_tickets
from training.provenance import git_commit, texts_sha256
from training.validation.report import ModelCard

Vector = npt.NDArray[np.float64]

LOSS_MODEL: Final = "loss_given_default"
EXPOSURE_MODEL: Final = "exposure_at_default"
WORKOUT_MONTHS: Final = 12
REFERENCE_MONTHS: Final = 12

_GUARANTEES: Final = ("credit", "guarantee", "ownership_retained", "receivables")
_LEAST_CASES: Final = 100
_EXAMPLE_ROWS: Final = 3
_SEED: Final = 20_260_101

LOSS_FEATURES: Final = {
    **dict.fromkeys((f"secured_by_{name}" for name in _GUARANTEES), 0),
    "owed_to_income_months": 1,
    "months_on_book": 0,
    "is_enterprise": 0,
}
"""Columns of the loss model and the way each may move it."""

EXPOSURE_FEATURES: Final = {"utilisation": 1, "is_revolving": 0, "remaining_term_share": 1, "months_on_book": 0}
"""Columns of the exposure model and the way each may move it."""


@dataclass(frozen=True)
class LossCases:
    """Defaults whose workout is over.

    ``rows`` has ``legal_entity, customer_id, loan_id, party_id, defaulted_at, owed, recovered`` (CNY, discounted),
    ``lost_share``, then the columns of ``LOSS_FEATURES``, by the instant of default.
    """

    rows: pl.DataFrame


@dataclass(frozen=True)
class ExposureCases:
    """Defaults with the statement of twelve months before.

    ``rows`` has the same keys, ``limit`` and ``owed`` (CNY), ``owed_share``, then the columns of
    ``EXPOSURE_FEATURES``.
    """

    rows: pl.DataFrame


def loss_cases(canonical: Path, observed_until: datetime) -> LossCases:
    """Read them.

    Raises:
        TooFewDefaults: there are no repayments, or fewer than 100 cases.
    """
    rows = query(_LOSS_SQL, _tables(canonical, "defaults", "statements", "loans", "repayments", "customers", "parties")
                 | {"until": observed_until, "workout": WORKOUT_MONTHS})  # fmt: skip
    _require(rows, "whose workout is over")
    shares = (1 - pl.col("recovered") / pl.col("owed")).clip(0, 1)
    return LossCases(rows.with_columns(*secured_by(), lost_share=shares))


def secured_by() -> list[pl.Expr]:
    """A column of 0 and 1 for each kind of guarantee."""
    return [
        (pl.col("guarantee_type") == name).fill_null(value=False).cast(pl.Float64).alias(f"secured_by_{name}")
        for name in _GUARANTEES
    ]


def exposure_cases(canonical: Path) -> ExposureCases:
    """Read them.

    Raises:
        TooFewDefaults: there are fewer than 100 cases.
    """
    rows = query(_EXPOSURE_SQL, _tables(canonical, "defaults", "statements", "loans", "parties")
                 | {"before": REFERENCE_MONTHS})  # fmt: skip
    _require(rows, "with a statement of a year before")
    base = pl.max_horizontal("credit_limit", "balance")
    return ExposureCases(
        rows.with_columns(
            utilisation=pl.col("balance") / base, limit=base, owed_share=(pl.col("owed") / base).clip(0, 1)
        )
    )


def _tables(canonical: Path, *names: str) -> dict[str, object]:
    absent = [name for name in names if not any((canonical / name).glob("*.parquet"))]
    if absent:
        raise TooFewDefaults(f"There are no {absent[0]}; what a default costs cannot be told without.")
    return {name: f"{canonical}/{name}/*.parquet" for name in names}


def _require(rows: pl.DataFrame, which: str) -> None:
    if len(rows) < _LEAST_CASES:
        raise TooFewDefaults(f"There are {len(rows)} defaults {which}; at least {_LEAST_CASES} are needed.")


# A loan's contract as it was drawn, its statement at the default, and what came in after it.
_DRAWN: Final = """
drawn AS (
    SELECT legal_entity, loan_id, customer_id, event_timestamp AS drawn_at, guarantee_type, rate_per_annum, term_months
    FROM read_parquet($loans)
    WHERE superseded_at IS NULL
    QUALIFY row_number() OVER (PARTITION BY legal_entity, loan_id ORDER BY event_timestamp) = 1
),
first_default AS (
    SELECT legal_entity, loan_id, customer_id, min(event_timestamp) AS defaulted_at
    FROM read_parquet($defaults)
    WHERE superseded_at IS NULL
    GROUP BY ALL
),
stated AS (
    SELECT legal_entity, loan_id, event_timestamp, statement_balance::DOUBLE AS balance,
           coalesce(credit_limit, 0)::DOUBLE AS credit_limit
    FROM read_parquet($statements)
    WHERE superseded_at IS NULL
),
owed AS (
    SELECT first_default.*, stated.balance AS owed
    FROM first_default
    JOIN stated USING (legal_entity, loan_id)
    WHERE stated.event_timestamp <= first_default.defaulted_at
    QUALIFY row_number() OVER (PARTITION BY legal_entity, loan_id ORDER BY stated.event_timestamp DESC) = 1
)"""

_LOSS_SQL: Final = f"""
WITH {_DRAWN},
paid AS (
    SELECT owed.legal_entity, owed.loan_id,
           sum((repayments.principal_paid + repayments.interest_paid + repayments.fee_paid + repayments.penalty_paid)
               ::DOUBLE
               / (1 + coalesce(drawn.rate_per_annum, 0))
                 ** (datediff('day', owed.defaulted_at, repayments.event_timestamp) / 365.0)) AS recovered
    FROM owed
    JOIN drawn USING (legal_entity, loan_id)
    JOIN read_parquet($repayments) AS repayments
      ON repayments.legal_entity = owed.legal_entity AND repayments.loan_id = owed.loan_id
     AND repayments.event_timestamp > owed.defaulted_at
     AND repayments.event_timestamp <= owed.defaulted_at + to_months($workout)
    WHERE repayments.superseded_at IS NULL
    GROUP BY ALL
),
known AS (
    SELECT legal_entity, customer_id, kind, income_per_month::DOUBLE AS income
    FROM read_parquet($customers)
    WHERE superseded_at IS NULL
    QUALIFY row_number() OVER (PARTITION BY legal_entity, customer_id ORDER BY event_timestamp DESC) = 1
)
SELECT
    owed.legal_entity, owed.customer_id, owed.loan_id, parties.party_id, owed.defaulted_at, owed.owed,
    coalesce(paid.recovered, 0) AS recovered, drawn.guarantee_type,
    owed.owed / nullif(known.income, 0) AS owed_to_income_months,
    datediff('month', drawn.drawn_at, owed.defaulted_at)::DOUBLE AS months_on_book,
    (known.kind = 'enterprise')::DOUBLE AS is_enterprise
FROM owed
JOIN drawn USING (legal_entity, loan_id)
JOIN read_parquet($parties) AS parties
  ON parties.legal_entity = owed.legal_entity AND parties.customer_id = owed.customer_id
LEFT JOIN paid ON paid.legal_entity = owed.legal_entity AND paid.loan_id = owed.loan_id
LEFT JOIN known ON known.legal_entity = owed.legal_entity AND known.customer_id = owed.customer_id
WHERE owed.owed > 0 AND owed.defaulted_at + to_months($workout) <= $until
ORDER BY owed.defaulted_at, owed.legal_entity, owed.loan_id
"""  # noqa: S608 - no value comes into the text

_EXPOSURE_SQL: Final = f"""
WITH {_DRAWN},
reference AS (
    SELECT owed.*, stated.balance, stated.credit_limit, stated.event_timestamp AS as_of
    FROM owed
    JOIN stated USING (legal_entity, loan_id)
    WHERE stated.event_timestamp <= owed.defaulted_at - to_months($before)
    QUALIFY row_number() OVER (PARTITION BY legal_entity, loan_id ORDER BY stated.event_timestamp DESC) = 1
)
SELECT
    reference.legal_entity, reference.customer_id, reference.loan_id, parties.party_id, reference.defaulted_at,
    reference.owed, greatest(reference.balance, 0) AS balance, reference.credit_limit,
    (drawn.term_months IS NULL)::DOUBLE AS is_revolving,
    CASE WHEN drawn.term_months IS NOT NULL THEN
        greatest(0, 1 - datediff('month', drawn.drawn_at, reference.as_of) / drawn.term_months::DOUBLE)
    END AS remaining_term_share,
    datediff('month', drawn.drawn_at, reference.as_of)::DOUBLE AS months_on_book
FROM reference
JOIN drawn USING (legal_entity, loan_id)
JOIN read_parquet($parties) AS parties
  ON parties.legal_entity = reference.legal_entity AND parties.customer_id = reference.customer_id
WHERE greatest(reference.balance, reference.credit_limit) > 0
ORDER BY reference.defaulted_at, reference.legal_entity, reference.loan_id
"""  # noqa: S608 - no value comes into the text


def train_loss_candidate(
    cases: LossCases, origin: Origin, *, threads: int, progress: Callable[[float], None] = lambda _share: None
) -> AmountCandidate:
    """Train on the earlier four fifths of the defaults, judge on the latest."""
    return _candidate(
        cases.rows, "lost_share", LOSS_FEATURES, origin, threads, progress,
        name=LOSS_MODEL,
        purpose=("Share of what is owed at a default that is lost.", "违约时欠款中最终损失的比例（LGD）。"),
        target=f"1 − what is recovered in {WORKOUT_MONTHS} months, discounted at the loan's rate, over what is owed",
        population="Defaulted loans whose workout is over",
    )  # fmt: skip


def train_exposure_candidate(
    cases: ExposureCases, origin: Origin, *, threads: int, progress: Callable[[float], None] = lambda _share: None
) -> AmountCandidate:
    """Train on the earlier four fifths of the defaults, judge on the latest."""
    return _candidate(
        cases.rows, "owed_share", EXPOSURE_FEATURES, origin, threads, progress,
        name=EXPOSURE_MODEL,
        purpose=("Share of the limit that is owed at a default.", "违约时欠款占授信额度的比例（EAD）。"),
        target=f"the balance at the default over the limit, or the balance, {REFERENCE_MONTHS} months before",
        population=f"Defaulted loans with a statement {REFERENCE_MONTHS} months before",
    )  # fmt: skip


def _candidate(
    rows: pl.DataFrame,
    outcome: str,
    features: dict[str, int],
    origin: Origin,
    threads: int,
    progress: Callable[[float], None],
    *,
    name: str,
    purpose: tuple[str, str],
    target: str,
    population: str,
) -> AmountCandidate:
    boundary = rows["defaulted_at"].sort()[int(0.8 * len(rows))]
    train, test = rows.filter(pl.col("defaulted_at") < boundary), rows.filter(pl.col("defaulted_at") >= boundary)
    names = list(features)
    amounts = train[outcome].to_numpy()
    model = grown_amount(
        AmountRows(matrix(train, names), amounts, party_tickets(train["party_id"]) % PARTY_FOLDS),
        name, names, list(features.values()), "share", threads=threads,
    )  # fmt: skip
    progress(0.9)
    evidence = amount_evidence(
        model.amount(matrix(test, names)), test[outcome].to_numpy(), float(amounts.mean()), unit="share"
    )
    progress(1.0)
    moves = ", ".join(f"{column} {'up' if way > 0 else 'down'}" for column, way in features.items() if way)
    return AmountCandidate(
        model,
        evidence,
        ModelCard(
            name=name,
            task=name,
            purpose_en=purpose[0],
            purpose_zh=purpose[1],
            data=origin.source,
            target=target,
            population=population,
            split=f"by time: {len(train):,} defaults before {boundary:%Y-%m-%d} to train, {len(test):,} since to judge",
            algorithm=f"{model.method}; monotone: {moves}",
            calibration="none: shares as they are",
            trained_at=datetime.now(UTC),
            trained_by=origin.trained_by,
            data_sha256=data_hash(rows),
            model_sha256=texts_sha256(*model.to_texts()),
            code=git_commit(),
            seed=_SEED,
            not_for=("guarantees and products that no default was seen of",),
        ),
        train.select(names).head(_EXAMPLE_ROWS).to_pandas(),
    )
