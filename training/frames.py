"""Training frames: who could default, whether they did, and what was known of them, as of past instants."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final, Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from features import plus_months, query
from training.errors import TooFewDefaults

LATEST_STATEMENT_DAYS: Final = 35
"""A customer is on the books at an instant if a statement of the last 35 days was known by then: the month's own."""

_DEFAULT_DAYS_PAST_DUE: Final = 90
"""Days past due that are a default (EBA GL/2016/07; 商业银行金融资产风险分类办法 2023, article 11)."""

_OUT_OF_TIME_SNAPSHOTS: Final = 3
_MINIMUM_DEFAULTS: Final = 20
_TEST_EVERY: Final = 5
"""Where there is one instant, every fifth party is the test."""

Fold = Literal["train", "test", "unused"]

PARTY_FOLDS: Final = 5


@dataclass(frozen=True, slots=True)
class Split:
    """How a frame was divided.

    ``out_of_time``: the test lies after the instant at which every training label was known, so nothing that
    happened in the test period was seen in training. ``out_of_sample``: there is one instant only, and the test holds
    parties that training never saw.
    """

    kind: Literal["out_of_time", "out_of_sample"]
    train_instants: tuple[datetime, ...]
    test_instants: tuple[datetime, ...]


def labelled_population(
    canonical: Path, instants: Sequence[datetime], horizon_months: int, observed_until: datetime
) -> pl.DataFrame:
    """Who was on a company's books and not in default at each instant, and whether they defaulted within the horizon.

    Instants whose horizon ends after ``observed_until`` are left out: their labels are not known yet.

    Returns:
        ``legal_entity, party_id, event_timestamp, defaulted (bool), severity (0 to 1)``, sorted by these. Severity is
        the most days past due of the horizon over those of a default; a default's is 1. It says of the many who did
        not default how near they came.
    """
    known = [instant for instant in instants if plus_months(instant, horizon_months) <= observed_until]
    windows = pl.DataFrame(
        {"as_of": known, "until": [plus_months(instant, horizon_months) for instant in known]},
        schema={"as_of": pl.Datetime("us", "UTC"), "until": pl.Datetime("us", "UTC")},
    )
    return query(
        _POPULATION_SQL,
        {
            "statements": f"{canonical}/statements/*.parquet",
            "defaults": f"{canonical}/defaults/*.parquet",
            "parties": f"{canonical}/parties/*.parquet",
            "recent": LATEST_STATEMENT_DAYS * 86_400_000_000,
            "default_days": float(_DEFAULT_DAYS_PAST_DUE),
        },
        windows=windows,
    )


ON_THE_BOOKS_SQL: Final = """
on_the_books AS (
    SELECT DISTINCT statements.legal_entity, parties.party_id, windows.as_of, windows.until
    FROM read_parquet($statements) AS statements
    JOIN read_parquet($parties) AS parties USING (legal_entity, customer_id)
    JOIN windows
      ON statements.event_timestamp <= windows.as_of
     AND statements.created_timestamp <= windows.as_of
     AND (statements.superseded_at IS NULL OR statements.superseded_at > windows.as_of)
     AND epoch_us(windows.as_of) - epoch_us(statements.event_timestamp) < $recent
)"""
"""Parties with a recent statement at each ``as_of`` of ``windows``, as was known then: the start of a query."""

_POPULATION_SQL: Final = f"""
WITH {ON_THE_BOOKS_SQL},
first_default AS (
    SELECT defaults.legal_entity, parties.party_id, min(defaults.event_timestamp) AS defaulted_at
    FROM read_parquet($defaults) AS defaults
    JOIN read_parquet($parties) AS parties USING (legal_entity, customer_id)
    -- What happened is told by the last correction.
    WHERE defaults.superseded_at IS NULL
    GROUP BY ALL
),
arrears AS (
    SELECT statements.legal_entity, parties.party_id, statements.event_timestamp, statements.days_past_due
    FROM read_parquet($statements) AS statements
    JOIN read_parquet($parties) AS parties USING (legal_entity, customer_id)
    WHERE statements.superseded_at IS NULL AND statements.days_past_due > 0
),
worst AS (
    SELECT arrears.legal_entity, arrears.party_id, windows.as_of, max(arrears.days_past_due) AS days_past_due
    FROM arrears
    JOIN windows ON arrears.event_timestamp > windows.as_of AND arrears.event_timestamp <= windows.until
    GROUP BY ALL
)
SELECT
    on_the_books.legal_entity,
    on_the_books.party_id,
    on_the_books.as_of AS event_timestamp,
    coalesce(first_default.defaulted_at <= on_the_books.until, false) AS defaulted,
    CASE
        WHEN first_default.defaulted_at <= on_the_books.until THEN 1.0
        ELSE least(coalesce(worst.days_past_due, 0) / $default_days, 1.0)
    END AS severity
FROM on_the_books
LEFT JOIN first_default USING (legal_entity, party_id)
LEFT JOIN worst USING (legal_entity, party_id, as_of)
WHERE first_default.defaulted_at IS NULL
   OR first_default.defaulted_at > on_the_books.as_of
ORDER BY ALL
"""  # noqa: S608 - no value comes into the text


def who_they_are(canonical: Path, frame: pl.DataFrame) -> pl.DataFrame:
    """Kind, sex, age band and region (GB/T 2260 province) of each row's party, as the company knew it at the time.

    For segments and for reports on fairness; no model reads it. Text, empty where it is not known; rows as in
    ``frame``.
    """
    return query(_WHO_SQL, _tables(canonical, "customers", "parties"), asked=_asked(frame))


def products_held(canonical: Path, frame: pl.DataFrame) -> pl.Series:
    """The product of each row's loan, as its company knew it: a running one first, then the largest; else no text."""
    if not any((canonical / "loans").glob("*.parquet")):
        return pl.Series("product", [""] * len(frame), pl.String)
    return query(_PRODUCT_SQL, _tables(canonical, "loans", "parties"), asked=_asked(frame))["product"]


def _asked(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.select("legal_entity", "party_id", "event_timestamp").with_row_index("row")


def _tables(canonical: Path, *names: str) -> dict[str, object]:
    return {name: f"{canonical}/{name}/*.parquet" for name in names}


_PRODUCT_SQL: Final = """
WITH drawn AS MATERIALIZED (
    SELECT loans.*, parties.party_id
    FROM read_parquet($loans) AS loans
    JOIN read_parquet($parties) AS parties USING (legal_entity, customer_id)
),
latest AS (
    SELECT asked."row", drawn.product, drawn.principal, drawn.status
    FROM asked
    JOIN drawn
      ON drawn.legal_entity = asked.legal_entity
     AND drawn.party_id = asked.party_id
     AND drawn.event_timestamp <= asked.event_timestamp
     AND drawn.created_timestamp <= asked.event_timestamp
     AND (drawn.superseded_at IS NULL OR drawn.superseded_at > asked.event_timestamp)
    QUALIFY row_number() OVER (PARTITION BY asked."row", drawn.loan_id ORDER BY drawn.event_timestamp DESC) = 1
),
held AS (
    SELECT "row", product
    FROM latest
    QUALIFY row_number() OVER (PARTITION BY "row" ORDER BY status = 'active' DESC, principal DESC, product) = 1
)
SELECT coalesce(product, '') AS product
FROM asked
LEFT JOIN held USING ("row")
ORDER BY asked."row"
"""


# Materialised, so that no plan joins rows and customers by their company alone before it knows the party.
_WHO_SQL: Final = """
WITH records AS MATERIALIZED (
    SELECT customers.*, parties.party_id
    FROM read_parquet($customers) AS customers
    JOIN read_parquet($parties) AS parties USING (legal_entity, customer_id)
),
known AS (
    SELECT asked."row", asked.event_timestamp AS asked_at, records.*
    FROM asked
    JOIN records
      ON records.legal_entity = asked.legal_entity
     AND records.party_id = asked.party_id
     AND records.event_timestamp <= asked.event_timestamp
     AND records.created_timestamp <= asked.event_timestamp
     AND (records.superseded_at IS NULL OR records.superseded_at > asked.event_timestamp)
    QUALIFY row_number() OVER (
        PARTITION BY asked."row" ORDER BY records.event_timestamp DESC, records.customer_id
    ) = 1
)
SELECT
    coalesce(kind, '') AS kind,
    coalesce(gender, '') AS sex,
    CASE
        WHEN kind <> 'person' OR birth_or_founding_date IS NULL THEN ''
        WHEN datediff('year', birth_or_founding_date, asked_at::DATE) < 30 THEN 'under 30'
        WHEN datediff('year', birth_or_founding_date, asked_at::DATE) < 45 THEN '30 to 44'
        WHEN datediff('year', birth_or_founding_date, asked_at::DATE) < 60 THEN '45 to 59'
        ELSE '60 and over'
    END AS age_band,
    coalesce(left(region, 2), '') AS region
FROM asked
LEFT JOIN known USING ("row")
ORDER BY asked."row"
"""


def with_folds(population: pl.DataFrame, horizon_months: int) -> tuple[pl.DataFrame, Split]:
    """Add the columns ``fold`` and ``party_fold``, and say how the frame was divided.

    ``fold`` is ``train``, ``test``, or ``unused`` for instants between the two. ``party_fold`` (0 to 4) comes from a
    hash of ``party_id``: a party is in one fold at all instants.

    Raises:
        TooFewDefaults: the test, or one of the five training folds, would hold fewer than 20 defaults.
    """
    instants = population["event_timestamp"].unique().sort().to_list()
    tests = instants[-_OUT_OF_TIME_SNAPSHOTS:]
    trains = [instant for instant in instants if tests and plus_months(instant, horizon_months) <= tests[0]]
    ticket = pl.col("party_id").map_elements(_ticket, return_dtype=pl.Int64)
    if trains:
        split = Split("out_of_time", tuple(trains), tuple(tests))
        fold = (
            pl.when(pl.col("event_timestamp").is_in(tests)).then(pl.lit("test"))
            .when(pl.col("event_timestamp").is_in(trains)).then(pl.lit("train"))
            .otherwise(pl.lit("unused"))
        )  # fmt: skip
    else:
        split = Split("out_of_sample", tuple(instants), tuple(instants))
        fold = pl.when(ticket // PARTY_FOLDS % _TEST_EVERY == 0).then(pl.lit("test")).otherwise(pl.lit("train"))
    frame = population.with_columns(fold=fold, party_fold=ticket % PARTY_FOLDS)
    _require_defaults(frame)
    return frame, split


def matrix(frame: pl.DataFrame, features: Sequence[str]) -> npt.NDArray[np.float64]:
    """The features as ``(n, k) float64`` in the given order, NaN for null."""
    columns = frame.select(pl.col(name).cast(pl.Float64).fill_null(float("nan")) for name in features)
    return np.ascontiguousarray(columns.to_numpy())


def labels(frame: pl.DataFrame) -> npt.NDArray[np.float64]:
    """``defaulted`` as ``(n,) float64`` of 0 and 1."""
    return frame["defaulted"].cast(pl.Float64).to_numpy()


def long_run_default_rate(frame: pl.DataFrame) -> float:
    """The mean of the default rates of the frame's instants, each counting the same (EBA GL/2017/16, paragraph 81)."""
    rates = frame.group_by("event_timestamp").agg(pl.col("defaulted").mean())
    return float(rates.sort("event_timestamp")["defaulted"].to_numpy().mean())


def severities(frame: pl.DataFrame) -> npt.NDArray[np.float64] | None:
    """``severity`` as ``(n,) float64``; None if it says no more than the labels."""
    graded = frame["severity"].to_numpy()
    return graded if np.any((graded > 0) & (graded < 1)) else None


def data_hash(frame: pl.DataFrame) -> str:
    """SHA-256 over the columns' names, types and values in row order: the same frame has the same hash anywhere.

    Computed from the values themselves, since polars' own row hashes differ between its releases.
    """
    digest = hashlib.sha256()
    for column in frame:
        digest.update(f"{column.name}\0{column.dtype}\0{len(column)}\0".encode())
        digest.update(column.is_null().to_numpy().tobytes())
        if column.dtype == pl.String:
            texts = column.fill_null("")
            digest.update(texts.str.len_bytes().to_numpy().tobytes())
            digest.update("".join(texts).encode())
        else:
            digest.update(column.to_physical().fill_null(0).to_numpy().tobytes())
    return digest.hexdigest()


def party_tickets(party_ids: pl.Series) -> npt.NDArray[np.int64]:
    """A whole number ``(n,)`` for each party, by which it is dealt to a fold."""
    return party_ids.map_elements(_ticket, return_dtype=pl.Int64).to_numpy()


def _ticket(party_id: str) -> int:
    """A whole number that depends on the party alone, not on the run, the machine or the library's version."""
    return int.from_bytes(hashlib.blake2b(party_id.encode(), digest_size=6).digest())


def _require_defaults(frame: pl.DataFrame) -> None:
    defaults = frame.filter("defaulted")
    counts = {"test": len(defaults.filter(pl.col("fold") == "test"))}
    training = defaults.filter(pl.col("fold") == "train")["party_fold"].value_counts()
    counts |= {f"training (part {part} of {PARTY_FOLDS})": 0 for part in range(1, PARTY_FOLDS + 1)}
    counts |= {f"training (part {part + 1} of {PARTY_FOLDS})": count for part, count in training.iter_rows()}
    for name, count in counts.items():
        if count < _MINIMUM_DEFAULTS:
            raise TooFewDefaults(
                f"The rows for {name} hold {count} defaults; at least {_MINIMUM_DEFAULTS} are needed. "
                "Load a longer history or more customers."
            )
