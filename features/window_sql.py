"""What DuckDB is asked for beside the tables of ``SIGHT_SQL``: the rows that count at an instant, and the profile."""

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from features.windows import Derived

DAY_US: Final = 86_400_000_000
"""Whole microseconds rather than intervals: a day of a window is 24 hours."""


def used_parameters(sql: str, rows: str, as_of: datetime) -> dict[str, Any]:
    """The parameters that ``sql`` names, of ``$as_of``, ``$as_of_date`` and ``$rows`` (Parquet glob)."""
    parameters = {"as_of": as_of, "as_of_date": as_of.date(), "rows": rows}
    return {name: value for name, value in parameters.items() if re.search(rf"\${name}\b", sql)}


def seen_rows_sql(columns: str, history_days: int) -> str:
    """Each row of the days since ``history_days`` ago: ``customer``, ``age_us`` and ``columns``."""
    return f"""
SELECT
    known.customer,
    epoch_us($as_of) - epoch_us(event_timestamp) AS age_us,
    {columns}
FROM read_parquet($rows)
JOIN (SELECT legal_entity, customer_id, customer FROM known) AS known USING (legal_entity, customer_id)
WHERE event_timestamp <= $as_of
  AND event_timestamp > make_timestamptz(epoch_us($as_of) - {history_days * DAY_US})
  AND created_timestamp <= $as_of
  AND (superseded_at IS NULL OR superseded_at > $as_of)
"""  # noqa: S608 - every fragment is declared in this package


def profile_sql(columns: Sequence[Derived]) -> str:
    """The query of the profile view: the customer's record as known to the company at ``$as_of``."""
    expressions = ",\n    ".join(f"({column.expression})::DOUBLE AS {column.name}" for column in columns)
    return f"""
WITH company_count AS (
    SELECT viewer, count(DISTINCT legal_entity) AS companies
    FROM visible
    JOIN known USING (customer)
    GROUP BY viewer
),
one_record AS (
    SELECT party_id, filename, file_row_number
    FROM known
    QUALIFY row_number() OVER (
        PARTITION BY legal_entity, party_id ORDER BY event_timestamp DESC, customer_id
    ) = 1
)
SELECT
    {expressions}
FROM one_record
JOIN read_parquet($rows, filename = true, file_row_number = true) USING (filename, file_row_number)
JOIN viewers USING (legal_entity, party_id)
JOIN company_count USING (viewer)
ORDER BY viewer
"""  # noqa: S608 - every fragment is declared in this package
