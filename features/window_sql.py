"""Declarations compiled to one DuckDB query a view and instant.

A view holds one row for each party that a company knows at an instant. What the company sees of a party is its own
customers' data, and other companies' data of the same party only where the customer there consents to sharing within
the group. A raw row counts at an instant only if it had happened and was known by then.

Raw rows are first brought down to one row for each customer and slot, the days between two edges of the view's
windows; the windows are then put together from slots. So each raw row is added up once, however many windows it is
in.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from features.windows import Derived, Metric, Windowed, WindowView

_DAY_US: Final = 86_400_000_000
"""Whole microseconds rather than intervals: a day of a window is 24 hours."""

_PARTIALS: Final = {
    "sum": "sum({metric})",
    "squares": "sum({metric}::DECIMAL(38, 6) * {metric}::DECIMAL(38, 6))",
    "rows": "count({metric})",
    "min": "min({metric})",
    "max": "max({metric})",
    "latest": "max({{'at': event_us, 'row': row_id, 'value': {metric}}}) FILTER (WHERE {metric} IS NOT NULL)",
    "age": "min(age_us) FILTER (WHERE {metric} IS NOT NULL)",
}
"""What is kept of a metric's rows in a slot, from which each aggregate over slots follows exactly."""

_NEEDS: Final[dict[str, tuple[str, ...]]] = {
    "sum": ("sum",),
    "mean": ("sum", "rows"),
    "std": ("sum", "squares", "rows"),
    "min": ("min",),
    "max": ("max",),
    "count": ("rows",),
    "latest": ("latest",),
    "days_since": ("age",),
    "distinct": (),
}


def window_sql(view: WindowView) -> str:
    """The query of a view, beside the tables of ``VISIBLE_SQL``. Parameters: ``$as_of`` and ``$rows`` (Parquet glob).

    Columns: ``legal_entity, party_id, event_timestamp, created_timestamp``, then the features as DOUBLE.
    """
    metrics = list({feature.metric.name: feature.metric for feature in view.computed}.values())
    edges = _edges(view)
    values = ",\n        ".join(f"({metric.expression}) AS {metric.name}" for metric in metrics)
    features = ",\n        ".join(
        f"({_aggregate_sql(feature, edges)})::DOUBLE AS {feature.name}"
        for feature in view.computed
        if feature.aggregate != "distinct"
    )
    distinct = _distinct_metrics(view)
    outputs = ",\n    ".join(
        [
            *(_output_sql(feature) for feature in view.windowed),
            *(f"({feature.expression})::DOUBLE AS {feature.name}" for feature in view.derived),
        ]
    )
    return f"""
WITH seen_rows AS (
    SELECT
        customer_numbers.customer,
        epoch_us($as_of) - epoch_us(event_timestamp) AS age_us,
        epoch_us(event_timestamp) AS event_us,
        {view.row_id} AS row_id,
        {values}
    FROM read_parquet($rows)
    JOIN customer_numbers USING (legal_entity, customer_id)
    WHERE event_timestamp <= $as_of
      AND event_timestamp > make_timestamptz(epoch_us($as_of) - {view.history_days * _DAY_US})
      AND created_timestamp <= $as_of
      AND (superseded_at IS NULL OR superseded_at > $as_of)
),
slots AS (
    SELECT
        customer,
        {_slot_sql(edges)} AS slot,
        {_partials_sql(view, metrics)}
    FROM seen_rows
    GROUP BY ALL
),
aggregated AS (
    SELECT
        viewer,
        max(visible.income_per_month)::DOUBLE AS stated_income,
        {features}
    FROM visible
    LEFT JOIN slots USING (customer)
    GROUP BY viewer
){"".join(_distinct_sql(view, metric) for metric in distinct)}
SELECT
    legal_entity,
    party_id,
    $as_of AS event_timestamp,
    $as_of AS created_timestamp,
    {outputs}
FROM viewers
JOIN aggregated USING (viewer)
{"".join(f"LEFT JOIN distinct_{metric.name} USING (viewer){chr(10)}" for metric in distinct)}\
ORDER BY legal_entity, party_id
"""  # noqa: S608 - every fragment is declared in this package


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
    legal_entity,
    party_id,
    $as_of AS event_timestamp,
    $as_of AS created_timestamp,
    {expressions}
FROM one_record
JOIN viewers USING (legal_entity, party_id)
JOIN company_count USING (viewer)
ORDER BY legal_entity, party_id
"""  # noqa: S608 - every fragment is declared in this package


VISIBLE_SQL: Final = (
    """
CREATE OR REPLACE TEMP TABLE known AS
SELECT DISTINCT ON (customers.legal_entity, customers.customer_id)
    customers.*,
    parties.party_id
FROM read_parquet($customers) AS customers
JOIN read_parquet($parties) AS parties USING (legal_entity, customer_id)
WHERE customers.event_timestamp <= $as_of
  AND customers.created_timestamp <= $as_of
ORDER BY
    customers.legal_entity,
    customers.customer_id,
    customers.event_timestamp DESC,
    customers.created_timestamp DESC
""",
    """
CREATE OR REPLACE TEMP TABLE customer_numbers AS
SELECT legal_entity, customer_id, (row_number() OVER ())::INTEGER AS customer
FROM known
""",
    """
CREATE OR REPLACE TEMP TABLE viewers AS
SELECT legal_entity, party_id, (row_number() OVER ())::INTEGER AS viewer
FROM (SELECT DISTINCT legal_entity, party_id FROM known)
""",
    """
CREATE OR REPLACE TEMP TABLE visible AS
SELECT
    viewers.viewer,
    customer_numbers.customer,
    seen.legal_entity <> viewers.legal_entity AS is_elsewhere,
    count(*) OVER (PARTITION BY viewers.viewer) = 1 AS is_alone,
    seen.income_per_month
FROM viewers
JOIN known AS seen USING (party_id)
JOIN customer_numbers
  ON customer_numbers.legal_entity = seen.legal_entity AND customer_numbers.customer_id = seen.customer_id
WHERE seen.legal_entity = viewers.legal_entity
   OR seen.share_within_group_consent
""",
)
"""What each company sees of each party at ``$as_of``.

``known`` has the customer records, ``viewers`` each party that a company knows, ``visible`` the customers that a viewer
sees. Customers and viewers have small numbers, by which many rows are grouped faster than by texts. Parameters of the
first statement: ``$as_of``, ``$customers``, ``$parties`` (Parquet globs).
"""


def _output_sql(feature: Windowed) -> str:
    # A party without any row is in no count of distinct values.
    return f"coalesce({feature.name}, 0) AS {feature.name}" if feature.aggregate == "distinct" else feature.name


def _edges(view: WindowView) -> list[int]:
    """The days at which some window begins or ends, ascending from 0."""
    return sorted({0} | {days for feature in view.computed for days in (feature.window_days, feature.after_days)})


def _slot_sql(edges: Sequence[int]) -> str:
    whens = " ".join(f"WHEN age_us < {end * _DAY_US} THEN {slot}" for slot, (_, end) in enumerate(pairwise(edges)))
    return f"CASE {whens} END"


def _partials_sql(view: WindowView, metrics: Sequence[Metric]) -> str:
    needed = {
        metric.name: {
            partial
            for feature in view.computed
            if feature.metric.name == metric.name
            for partial in _NEEDS[feature.aggregate]
        }
        for metric in metrics
    }
    return ",\n        ".join(
        f"{sql.format(metric=metric.name)} AS {metric.name}__{partial}"
        for metric in metrics
        for partial, sql in _PARTIALS.items()
        if partial in needed[metric.name]
    )


def _aggregate_sql(feature: Windowed, edges: Sequence[int]) -> str:
    first, end = edges.index(feature.after_days), edges.index(feature.window_days)
    where = f"slot < {end}" if first == 0 else f"slot >= {first} AND slot < {end}"
    if feature.metric.scope == "elsewhere":
        where += " AND is_elsewhere"

    # CASE rather than FILTER, which takes DuckDB 2.0 two to three times as long where there are many of them.
    def over_slots(function: str, partial: str, otherwise: str = "") -> str:
        return f"{function}(CASE WHEN {where} THEN {feature.metric.name}__{partial}{otherwise} END)"

    total, rows = over_slots("sum", "sum", " ELSE 0"), over_slots("sum", "rows", " ELSE 0")
    match feature.aggregate:
        case "sum":
            return f"coalesce({total}, 0)"
        case "count":
            return f"coalesce({rows}, 0)"
        case "mean":
            return f"{total}::DOUBLE / nullif({rows}, 0)::DOUBLE"
        case "std":
            # The sample's: (Σx² − (Σx)²/n) / (n − 1), from exact sums.
            squares = over_slots("sum", "squares", " ELSE 0")
            spread = f"{squares}::DOUBLE - {total}::DOUBLE * {total}::DOUBLE / {rows}::DOUBLE"
            return f"CASE WHEN {rows} > 1 THEN sqrt(greatest({spread}, 0) / ({rows}::DOUBLE - 1)) END"
        case "latest":
            return f"({over_slots('max', 'latest')}).value"
        case "days_since":
            return f"{over_slots('min', 'age')} // {_DAY_US}"
        case "min" | "max":
            return over_slots(feature.aggregate, feature.aggregate)
        case "distinct":
            raise AssertionError("distinct values are counted apart, from the rows themselves")


def _distinct_metrics(view: WindowView) -> list[Metric]:
    return list({f.metric.name: f.metric for f in view.computed if f.aggregate == "distinct"}.values())


def _distinct_sql(view: WindowView, metric: Metric) -> str:
    """Distinct values do not add up over slots: what counts is when each was last seen."""
    counts = ",\n        ".join(
        f"count(*) FILTER (WHERE age_us < {feature.window_days * _DAY_US})::DOUBLE AS {feature.name}"
        for feature in view.computed
        if feature.aggregate == "distinct" and feature.metric.name == metric.name
    )
    elsewhere = " AND is_elsewhere" if metric.scope == "elsewhere" else ""
    return f""",
last_seen_{metric.name} AS (
    SELECT customer, {metric.name}, min(age_us) AS age_us
    FROM seen_rows
    WHERE {metric.name} IS NOT NULL
    GROUP BY ALL
),
distinct_{metric.name} AS (
    -- Most viewers see one customer, whose values need not be merged with another's.
    SELECT
        viewer,
        {counts}
    FROM (
        SELECT viewer, {metric.name}, min(age_us) AS age_us
        FROM visible
        JOIN last_seen_{metric.name} USING (customer)
        WHERE NOT is_alone{elsewhere}
        GROUP BY ALL
    )
    GROUP BY viewer
    UNION ALL
    SELECT visible.viewer, by_customer.* EXCLUDE (customer)
    FROM visible
    JOIN (
        SELECT
            customer,
            {counts}
        FROM last_seen_{metric.name}
        GROUP BY customer
    ) AS by_customer USING (customer)
    WHERE is_alone{elsewhere}
)"""  # noqa: S608
