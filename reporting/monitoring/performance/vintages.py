"""Vintage curves of what was scored, and how arrears roll from month to month."""

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

from features import plus_months, query
from reporting.monitoring.month import Month
from reporting.monitoring.performance.outcomes import FIRST_DEFAULT_SQL
from reporting.monitoring.periods import Period

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


def vintage_curves(month: Month) -> list[VintagePoint]:
    """Curves of the months up to one, as far as outcomes were known: a point each month that was over then."""
    until = month.period.instants[1]
    asked = month.rows_between(plus_months(until, -_COHORTS), until, columns=())
    if asked.is_empty():
        return []
    found = query(
        _VINTAGES_SQL,
        {
            "defaults": f"{month.canonical}/defaults/*.parquet",
            "parties": f"{month.canonical}/parties/*.parquet",
            "known_at": month.known_at,
            "horizon": month.horizon_months,
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


_VINTAGES_SQL: Final = f"""
WITH {FIRST_DEFAULT_SQL},
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
"""  # noqa: S608 - no value comes into the text

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
