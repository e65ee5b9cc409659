"""The rows of a table that count at an instant, and what of them DuckDB works out whole.

A raw row counts at an instant only if it had happened and was known by then. Sums and the like go by slots
(``features.slots``); distinct and latest values do not add up over slots, and are asked for here, beside the tables of
``SIGHT_SQL``.
"""

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from features.windows import Derived, Metric, Windowed

DAY_US: Final = 86_400_000_000
"""Whole microseconds rather than intervals: a day of a window is 24 hours."""


def used_parameters(sql: str, rows: str, as_of: datetime) -> dict[str, Any]:
    """The parameters that ``sql`` names, of ``$as_of``, ``$as_of_date`` and ``$rows`` (Parquet glob)."""
    parameters = {"as_of": as_of, "as_of_date": as_of.date(), "rows": rows}
    return {name: value for name, value in parameters.items() if re.search(rf"\${name}\b", sql)}


def seen_rows_sql(columns: str, history_days: int, after_days: int = 0) -> str:
    """Each row of the days from ``history_days`` to ``after_days`` ago: ``customer``, ``age_us`` and ``columns``."""
    return f"""
    SELECT
        customer_numbers.customer,
        epoch_us($as_of) - epoch_us(event_timestamp) AS age_us,
        {columns}
    FROM read_parquet($rows)
    JOIN customer_numbers USING (legal_entity, customer_id)
    WHERE event_timestamp <= make_timestamptz(epoch_us($as_of) - {after_days * DAY_US})
      AND event_timestamp > make_timestamptz(epoch_us($as_of) - {history_days * DAY_US})
      AND created_timestamp <= $as_of
      AND (superseded_at IS NULL OR superseded_at > $as_of)
    """  # noqa: S608 - every fragment is declared in this package


def distinct_sql(metric: Metric, features: Sequence[Windowed]) -> str:
    """How many values of a metric each viewer's rows have, by window: ``viewer``, then ``features`` in their order.

    What counts is when each value was last seen. A viewer without any row is left out.
    """
    counts = ",\n        ".join(
        f"count(CASE WHEN age_us < {feature.window_days * DAY_US} THEN 1 END)::DOUBLE AS {feature.name}"
        for feature in features
    )
    elsewhere = "AND is_elsewhere" if metric.scope == "elsewhere" else ""
    history_days = max(feature.window_days for feature in features)
    return f"""
    SELECT
        viewer,
        {counts}
    FROM (
        SELECT viewer, value, min(age_us) AS age_us
        FROM visible
        JOIN ({seen_rows_sql(f"({metric.expression}) AS value", history_days)}) USING (customer)
        WHERE value IS NOT NULL {elsewhere}
        GROUP BY ALL
    )
    GROUP BY viewer
    """  # noqa: S608 - every fragment is declared in this package


def latest_sql(features: Sequence[Windowed], row_id: str) -> str:
    """The latest value of metrics within their windows: ``viewer``, then ``features`` in their order.

    Of rows of one instant, the one with the greatest ``row_id``.
    """
    metrics = ", ".join(f"({feature.metric.expression}) AS value_{n}" for n, feature in enumerate(features))
    by_customer = ",\n            ".join(
        f"max(CASE WHEN {_within(feature)} AND value_{n} IS NOT NULL "
        f"THEN {{'at': -age_us, 'row': {row_id}, 'value': value_{n}}} END) AS latest_{n}"
        for n, feature in enumerate(features)
    )
    by_viewer = ",\n        ".join(
        f"(max({f'CASE WHEN is_elsewhere THEN latest_{n} END' if f.metric.scope == 'elsewhere' else f'latest_{n}'})"
        f").value::DOUBLE AS {f.name}"
        for n, f in enumerate(features)
    )
    history_days = max(feature.window_days for feature in features)
    return f"""
    SELECT
        viewer,
        {by_viewer}
    FROM visible
    JOIN (
        SELECT
            customer,
            {by_customer}
        FROM ({seen_rows_sql(f"{row_id}, {metrics}", history_days)})
        GROUP BY customer
    ) AS by_customer USING (customer)
    GROUP BY viewer
    """  # noqa: S608 - every fragment is declared in this package


def _within(feature: Windowed) -> str:
    return f"age_us >= {feature.after_days * DAY_US} AND age_us < {feature.window_days * DAY_US}"


def profile_sql(columns: Sequence[Derived]) -> str:
    """The query of the profile view: the customer's record as known to the company at ``$as_of``."""
    expressions = ",\n    ".join(f"({column.expression})::DOUBLE AS {column.name}" for column in columns)
    return f"""
WITH company_count AS (
    SELECT viewer, count(DISTINCT legal_entity) AS companies
    FROM visible
    JOIN customer_numbers USING (customer)
    GROUP BY viewer
),
one_record AS (
    SELECT DISTINCT ON (legal_entity, party_id) *
    FROM known
    ORDER BY legal_entity, party_id, event_timestamp DESC, customer_id
)
SELECT
    {expressions}
FROM one_record
JOIN viewers USING (legal_entity, party_id)
JOIN company_count USING (viewer)
ORDER BY viewer
"""  # noqa: S608 - every fragment is declared in this package
