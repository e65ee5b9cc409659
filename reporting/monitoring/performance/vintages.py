"""Vintage curves of what was scored, and how arrears roll from month to month."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import polars as pl

from features import plus_months, query
from reporting.monitoring.periods import Period
from reporting.monitoring.scored import ScoredFiles, WatchedModel

_COHORTS: Final = 24
BUCKETS: Final = ("0", "1-30", "31-60", "61-90", "90+")
"""Days past due."""


@dataclass(frozen=True, slots=True)
class VintagePoint:
    """The share of a month's scored parties that had defaulted so many months later."""

    cohort: str
    months: int
    rows: int
    default_rate: float


@dataclass(frozen=True, slots=True)
class Roll:
    """How many customers of a company went from a bucket of days past due to another within a month."""

    legal_entity: str
    before: str
    after: str
    customers: int
    share: float


def vintage_curves(
    files: ScoredFiles, model: WatchedModel, canonical: Path, period: Period, horizon_months: int, known_at: datetime
) -> list[VintagePoint]:
    """Curves of the months up to a period, as far as outcomes were known: a point each month that was over then."""
    until = period.instants[1]
    first = plus_months(until, -_COHORTS)
    paths = [str(path) for path in files.files(model, first.date(), period.ends)]
    if not paths:
        return []
    asked = (
        pl.scan_parquet(paths, missing_columns="insert", extra_columns="ignore")
        .select("legal_entity", "party_id", "scored_at")
        .filter(pl.col("party_id").is_not_null(), pl.col("scored_at") >= first, pl.col("scored_at") < until)
        .collect()
    )
    found = query(
        _VINTAGES_SQL,
        {
            "defaults": f"{canonical}/defaults/*.parquet",
            "parties": f"{canonical}/parties/*.parquet",
            "known_at": known_at,
            "horizon": horizon_months,
        },
        asked=asked,
    )
    return [VintagePoint(*row) for row in found.iter_rows()]


def roll_rates(canonical: Path, period: Period) -> list[Roll]:
    """From the month before a period to the period: the last statement of each, as known at the end of the period."""
    begins, until = period.instants
    found = query(
        _ROLLS_SQL,
        {
            "statements": f"{canonical}/statements/*.parquet",
            "begins": begins,
            "until": until,
            "before": plus_months((begins - timedelta(days=begins.day - 1)), -1),
        },
    )
    return [
        Roll(row["legal_entity"], BUCKETS[row["before"]], BUCKETS[row["after"]], row["customers"], row["share"])
        for row in found.iter_rows(named=True)
    ]


_VINTAGES_SQL: Final = """
WITH first_default AS MATERIALIZED (
    SELECT defaults.legal_entity, parties.party_id, min(defaults.event_timestamp) AS defaulted_at
    FROM read_parquet($defaults) AS defaults
    JOIN read_parquet($parties) AS parties USING (legal_entity, customer_id)
    WHERE defaults.created_timestamp <= $known_at
      AND (defaults.superseded_at IS NULL OR defaults.superseded_at > $known_at)
    GROUP BY ALL
),
cohorts AS (
    SELECT
        strftime(asked.scored_at, '%Y-%m') AS cohort,
        asked.scored_at,
        max(asked.scored_at) OVER (PARTITION BY strftime(asked.scored_at, '%Y-%m')) AS last_scored_at,
        first_default.defaulted_at
    FROM asked
    LEFT JOIN first_default USING (legal_entity, party_id)
    WHERE first_default.defaulted_at IS NULL OR first_default.defaulted_at > asked.scored_at
)
SELECT
    cohort,
    months.number::INTEGER AS months,
    count(*) AS "rows",
    avg((coalesce(defaulted_at <= scored_at + to_months(months.number::INTEGER), false))::INTEGER) AS default_rate
FROM cohorts
JOIN range(1, $horizon + 1) AS months(number)
  ON last_scored_at + to_months(months.number::INTEGER) <= $known_at
GROUP BY ALL
ORDER BY ALL
"""

_ROLLS_SQL: Final = """
WITH monthly AS (
    SELECT
        legal_entity, customer_id,
        event_timestamp >= $begins AS is_now,
        arg_max(days_past_due, event_timestamp) AS days_past_due
    FROM read_parquet($statements)
    WHERE event_timestamp >= $before AND event_timestamp < $until
      AND created_timestamp <= $until AND (superseded_at IS NULL OR superseded_at > $until)
    GROUP BY ALL
),
buckets AS (
    SELECT legal_entity, customer_id, is_now,
           CASE WHEN days_past_due > 90 THEN 4 WHEN days_past_due > 60 THEN 3 WHEN days_past_due > 30 THEN 2
                WHEN days_past_due > 0 THEN 1 ELSE 0 END AS bucket
    FROM monthly
)
SELECT
    legal_entity,
    earlier.bucket AS before,
    later.bucket AS after,
    count(*) AS customers,
    count(*) / sum(count(*)) OVER (PARTITION BY legal_entity, earlier.bucket) AS share
FROM buckets AS earlier
JOIN buckets AS later USING (legal_entity, customer_id)
WHERE NOT earlier.is_now AND later.is_now
GROUP BY legal_entity, earlier.bucket, later.bucket
ORDER BY ALL
"""
