"""What a customer brings in twelve months: interest, fees and penalties that it pays to a company."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl
from feast import FeatureStore

from features import MARKETING_SERVICE, plus_months, point_in_time_frame, query, service_features
from training.amounts import AmountCandidate, AmountRows, amount_evidence, grown_amount
from training.credit import Origin
from training.errors import TooFewPayments
from training.frames import LATEST_STATEMENT_DAYS, ON_THE_BOOKS_SQL, PARTY_FOLDS, data_hash, matrix, party_tickets
from training.provenance import git_commit, texts_sha256
from training.validation.report import ModelCard

VALUE_MODEL: Final = "customer_value"
VALUE_MONTHS: Final = 12

_STEP_MONTHS: Final = 3
_LEAST_ROWS: Final = 500
_EXAMPLE_ROWS: Final = 3
_SEED: Final = 20_260_101


@dataclass(frozen=True)
class ValueFrame:
    """Customers on a company's books at past instants, and what each paid the company in the twelve months after.

    ``rows`` has ``legal_entity, party_id, event_timestamp, paid (CNY), test (bool)``, then ``features`` in order.
    """

    rows: pl.DataFrame
    features: tuple[str, ...]


def value_frame(
    store: FeatureStore, canonical: Path, instants: Sequence[datetime], observed_until: datetime
) -> ValueFrame:
    """Join what was known of each customer at every third month start, the latest of them the test.

    Where no year ends before the test's begins, a fifth of the parties at the latest instant is the test.

    Raises:
        TooFewPayments: there are no repayments, or too few customers with a known year after.
    """
    if not any((canonical / "repayments").glob("*.parquet")):
        raise TooFewPayments("There are no repayments, so nothing tells what customers bring in.")
    # From the last whole year backwards, so that the test is as late as can be.
    known = [instant for instant in instants if plus_months(instant, VALUE_MONTHS) <= observed_until][::-_STEP_MONTHS]
    windows = pl.DataFrame(
        {"as_of": known, "until": [plus_months(instant, VALUE_MONTHS) for instant in known]},
        schema={"as_of": pl.Datetime("us", "UTC"), "until": pl.Datetime("us", "UTC")},
    )
    paid = query(
        _PAID_SQL,
        {name: f"{canonical}/{name}/*.parquet" for name in ("statements", "repayments", "parties")}
        | {"recent": LATEST_STATEMENT_DAYS * 86_400_000_000},
        windows=windows,
    )
    if len(paid) < _LEAST_ROWS:
        raise TooFewPayments(
            f"{len(paid)} customers were on the books a year before the end of the data; {_LEAST_ROWS} are needed to "
            "tell what one brings in."
        )
    # A year that reaches into the test's would show what the test asks for.
    earlier = [instant for instant in known if plus_months(instant, VALUE_MONTHS) <= known[0]]
    if earlier:
        divided = paid.with_columns(test=pl.col("event_timestamp") == known[0])
        divided = divided.filter(pl.col("test") | pl.col("event_timestamp").is_in(earlier))
    else:
        latest = paid.filter(pl.col("event_timestamp") == known[0])
        tickets = pl.Series(party_tickets(latest["party_id"]))
        divided = latest.with_columns(test=tickets // PARTY_FOLDS % PARTY_FOLDS == 0)
    features = tuple(service_features(store, MARKETING_SERVICE))
    return ValueFrame(point_in_time_frame(store, divided, MARKETING_SERVICE), features)


_PAID_SQL: Final = f"""
WITH {ON_THE_BOOKS_SQL},
payments AS MATERIALIZED (
    SELECT repayments.legal_entity, parties.party_id, repayments.event_timestamp,
           repayments.interest_paid + repayments.fee_paid + repayments.penalty_paid AS earned
    FROM read_parquet($repayments) AS repayments
    JOIN read_parquet($parties) AS parties USING (legal_entity, customer_id)
    WHERE repayments.superseded_at IS NULL
),
earned AS (
    SELECT payments.legal_entity, payments.party_id, windows.as_of, sum(payments.earned) AS paid
    FROM payments
    JOIN windows ON payments.event_timestamp > windows.as_of AND payments.event_timestamp <= windows.until
    GROUP BY ALL
)
SELECT legal_entity, party_id, as_of AS event_timestamp, coalesce(paid, 0)::DOUBLE AS paid
FROM on_the_books
LEFT JOIN earned USING (legal_entity, party_id, as_of)
ORDER BY ALL
"""  # noqa: S608 - no value comes into the text


def train_value_candidate(
    frame: ValueFrame,
    origin: Origin,
    *,
    threads: int,
    progress: Callable[[float], None] = lambda _share: None,
) -> AmountCandidate:
    """Train on the earlier instants, judge on the latest."""
    train, test = frame.rows.filter(~pl.col("test")), frame.rows.filter("test")
    paid = _paid(train)
    model = grown_amount(
        AmountRows(matrix(train, frame.features), paid, party_tickets(train["party_id"]) % PARTY_FOLDS),
        VALUE_MODEL, frame.features, [0] * len(frame.features), "money", threads=threads,
    )  # fmt: skip
    progress(0.9)
    evidence = amount_evidence(
        model.amount(matrix(test, frame.features)), _paid(test), float(paid.mean()), unit="CNY"
    )  # fmt: skip
    progress(1.0)
    days = sorted({f"{instant:%Y-%m-%d}" for instant in train["event_timestamp"].to_list()})
    tested = sorted({f"{instant:%Y-%m-%d}" for instant in test["event_timestamp"].to_list()})
    card = ModelCard(
        name=VALUE_MODEL,
        task=VALUE_MODEL,
        purpose_en="Interest, fees and penalties that a customer pays a company within twelve months, CNY.",
        purpose_zh="客户未来十二个月向公司支付的利息、费用和罚息（人民币元）。",
        data=origin.source,
        target="the sum of interest, fees and penalties paid in the twelve months after the instant",
        population="Customers on a company's books at the start of a month",
        split=f"trained at {', '.join(days)}; tested at {', '.join(tested)}",
        algorithm=model.method,
        calibration="one factor, so that the sum on rows that trees never saw is what was paid",
        trained_at=datetime.now(UTC),
        trained_by=origin.trained_by,
        data_sha256=data_hash(frame.rows),
        model_sha256=texts_sha256(*model.to_texts()),
        code=git_commit(),
        seed=_SEED,
        not_for=("customers who have borrowed nothing yet", "what money and losses cost: that is taken off elsewhere"),
    )
    return AmountCandidate(model, evidence, card, train.select(frame.features).head(_EXAMPLE_ROWS).to_pandas())


def _paid(frame: pl.DataFrame) -> npt.NDArray[np.float64]:
    return frame["paid"].to_numpy()
