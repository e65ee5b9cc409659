"""What became of scored parties, as it was known at an instant: defaults, and arrears long before them."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

import polars as pl

from features import query

EARLY_MONTHS: Final = 3
EARLY_DAYS_PAST_DUE: Final = 30
"""More than so many days past due within so many months is the early sign of a default."""

_DEFAULT_DAYS_PAST_DUE: Final = 90


@dataclass(frozen=True)
class Outcomes:
    """What is known of rows.

    Attributes:
        rows: a row each of those asked for, in their order: ``defaulted`` (within the horizon) and ``early`` (30 days
            past due within 3 months), null where the time is not over yet or the party was in default already.
        contradicted: rows with a default on record and no arrears around it, or arrears of 90 days and no default on
            record.
    """

    rows: pl.DataFrame
    contradicted: int


def outcomes_of(canonical: Path, scored: pl.DataFrame, horizon_months: int, known_at: datetime) -> Outcomes:
    """Outcomes of ``legal_entity, party_id, scored_at``, from records that were known by ``known_at``.

    What was recorded later is not used, so that a past month gives the same figures whenever it is looked at.
    """
    asked = scored.select("legal_entity", "party_id", "scored_at").with_row_index("place")
    found = query(
        _OUTCOMES_SQL,
        {
            "statements": f"{canonical}/statements/*.parquet",
            "defaults": f"{canonical}/defaults/*.parquet",
            "parties": f"{canonical}/parties/*.parquet",
            "horizon": horizon_months,
            "early_months": EARLY_MONTHS,
            "early_days": EARLY_DAYS_PAST_DUE,
            "default_days": _DEFAULT_DAYS_PAST_DUE,
            "known_at": known_at,
        },
        asked=asked,
    )
    return Outcomes(found.select("defaulted", "early"), int(found["contradicted"].sum()))


FIRST_DEFAULT_SQL: Final = """
first_default AS MATERIALIZED (
    SELECT defaults.legal_entity, parties.party_id, min(defaults.event_timestamp) AS defaulted_at
    FROM read_parquet($defaults) AS defaults
    JOIN read_parquet($parties) AS parties USING (legal_entity, customer_id)
    WHERE defaults.created_timestamp <= $known_at
      AND (defaults.superseded_at IS NULL OR defaults.superseded_at > $known_at)
    GROUP BY ALL
)"""
"""When each party first defaulted, as it was known at ``$known_at``: the start of a query."""

_OUTCOMES_SQL: Final = f"""
WITH {FIRST_DEFAULT_SQL},
arrears AS MATERIALIZED (
    SELECT statements.legal_entity, parties.party_id, statements.event_timestamp, statements.days_past_due
    FROM read_parquet($statements) AS statements
    JOIN read_parquet($parties) AS parties USING (legal_entity, customer_id)
    WHERE statements.created_timestamp <= $known_at
      AND (statements.superseded_at IS NULL OR statements.superseded_at > $known_at)
      AND statements.days_past_due > 0
),
worst AS (
    SELECT
        asked.place,
        max(arrears.days_past_due) AS days_past_due,
        max(arrears.days_past_due) FILTER (
            WHERE arrears.event_timestamp <= asked.scored_at + to_months($early_months)
        ) AS early_days_past_due
    FROM asked
    JOIN arrears
      ON arrears.legal_entity = asked.legal_entity
     AND arrears.party_id = asked.party_id
     AND arrears.event_timestamp > asked.scored_at
     AND arrears.event_timestamp <= asked.scored_at + to_months($horizon)
    GROUP BY asked.place
),
seen AS (
    SELECT
        asked.place,
        first_default.defaulted_at,
        coalesce(first_default.defaulted_at <= asked.scored_at, false) AS in_default,
        asked.scored_at + to_months($horizon) <= $known_at AS is_over,
        asked.scored_at + to_months($early_months) <= $known_at AS early_is_over,
        coalesce(first_default.defaulted_at <= asked.scored_at + to_months($horizon), false) AS defaulted,
        coalesce(worst.early_days_past_due, 0) >= $early_days AS early,
        coalesce(worst.days_past_due, 0) AS days_past_due
    FROM asked
    LEFT JOIN first_default USING (legal_entity, party_id)
    LEFT JOIN worst USING (place)
)
SELECT
    CASE WHEN is_over AND NOT in_default THEN defaulted END AS defaulted,
    CASE WHEN early_is_over AND NOT in_default
         THEN early OR coalesce(defaulted_at <= asked.scored_at + to_months($early_months), false) END AS early,
    is_over AND NOT in_default AND (
        (defaulted AND days_past_due = 0) OR (NOT defaulted AND days_past_due >= $default_days)
    ) AS contradicted
FROM seen
JOIN asked USING (place)
ORDER BY place
"""  # noqa: S608 - no value comes into the text
