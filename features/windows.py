"""Windowed features: declared as metric, aggregate and window; compiled to one DuckDB query a view and instant.

A view holds one row for each party that a company knows at an instant. What the company sees of a party is its own
customers' data, and other companies' data of the same party only where the customer there consents to sharing within
the group. A raw row counts at an instant only if it had happened and was known by then.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final, Literal

import duckdb

from features.errors import ContractBroken

Aggregate = Literal["sum", "mean", "min", "max", "count", "latest"]
Direction = Literal[-1, 0, 1]
"""Which way risk is expected to move when the feature grows; 0 where nobody would sign for it."""

ENTITY_COLUMNS: Final = ("legal_entity", "party_id")

_SQL: Final[dict[Aggregate, str]] = {
    # Sums of decimals are exact, so the result does not depend on the order in which threads add them up.
    "sum": "coalesce(sum({value}) FILTER (WHERE {window}), 0)",
    "mean": "avg({value}) FILTER (WHERE {window})",
    "min": "min({value}) FILTER (WHERE {window})",
    "max": "max({value}) FILTER (WHERE {window})",
    "count": "count({value}) FILTER (WHERE {window})",
    "latest": "arg_max({value}, event_order) FILTER (WHERE {window} AND {value} IS NOT NULL)",
}


@dataclass(frozen=True, slots=True)
class Metric:
    """A value of each raw row. ``expression`` is DuckDB SQL over the row's columns, null where it does not apply."""

    name: str
    expression: str
    unit: str
    description: str


@dataclass(frozen=True, slots=True)
class Windowed:
    """An aggregate of a metric over the rows from ``window_days`` to ``after_days`` before the instant."""

    metric: Metric
    aggregate: Aggregate
    window_days: int
    risk: Direction
    after_days: int = 0

    @property
    def name(self) -> str:
        """For example ``inflow_sum_90d``, or ``days_past_due_max_60d_after_30d``."""
        earlier = f"_after_{self.after_days}d" if self.after_days else ""
        return f"{self.metric.name}_{self.aggregate}_{self.window_days}d{earlier}"

    @property
    def unit(self) -> str:
        """The unit of the value: the metric's, or rows."""
        return "rows" if self.aggregate == "count" else self.metric.unit

    @property
    def description(self) -> str:
        """A sentence for catalogues."""
        days = f"{self.after_days} to {self.window_days}" if self.after_days else f"{self.window_days}"
        return f"{self.metric.description}: {self.aggregate} over the last {days} days"


@dataclass(frozen=True, slots=True)
class Derived:
    """A value computed from other features of the same view. ``expression`` is DuckDB SQL over their names.

    In a windowed view it may also name ``stated_income``, the highest monthly income (CNY) on the customer records
    that the company sees.
    """

    name: str
    expression: str
    unit: str
    risk: Direction
    description: str


@dataclass(frozen=True, slots=True)
class WindowView:
    """The features that come from one raw table."""

    name: str
    table: str
    windowed: tuple[Windowed, ...]
    derived: tuple[Derived, ...] = ()
    row_id: str = "customer_id"

    @property
    def history_days(self) -> int:
        """How far back the view's longest window reaches."""
        return max(feature.window_days for feature in self.windowed)

    @property
    def features(self) -> tuple[Windowed | Derived, ...]:
        """All features in the order of the view's columns."""
        return (*self.windowed, *self.derived)


def over(metric: Metric, aggregate: Aggregate, windows_days: Sequence[int], *, risk: Direction) -> tuple[Windowed, ...]:
    """The same aggregate over several windows."""
    return tuple(Windowed(metric, aggregate, days, risk) for days in windows_days)


def monthly(metric: Metric, aggregate: Aggregate, months: int, *, risk: Direction) -> tuple[Windowed, ...]:
    """The same aggregate over each of the last ``months`` spans of 30 days, the latest first."""
    return tuple(Windowed(metric, aggregate, 30 * (month + 1), risk, after_days=30 * month) for month in range(months))


def window_sql(view: WindowView) -> str:
    """The query of a view. Parameters: ``$as_of`` (instant), ``$customers``, ``$parties``, ``$rows`` (Parquet globs).

    Columns: ``legal_entity, party_id, event_timestamp, created_timestamp``, then the features as DOUBLE.
    """
    metrics = {feature.metric.name: feature.metric for feature in view.windowed}
    values = ",\n        ".join(f"({metric.expression}) AS {metric.name}" for metric in metrics.values())
    aggregates = ",\n        ".join(
        f"({_aggregate_sql(feature)})::DOUBLE AS {feature.name}" for feature in view.windowed
    )
    derived = "".join(f",\n    ({feature.expression})::DOUBLE AS {feature.name}" for feature in view.derived)
    return f"""
WITH {_VISIBLE_SQL},
seen_rows AS (
    SELECT
        legal_entity AS source_entity,
        customer_id,
        epoch_us($as_of) - epoch_us(event_timestamp) AS age_us,
        {{'at': epoch_us(event_timestamp), 'id': {view.row_id}}} AS event_order,
        {values}
    FROM read_parquet($rows)
    WHERE event_timestamp <= $as_of
      AND created_timestamp <= $as_of
      AND epoch_us($as_of) - epoch_us(event_timestamp) < {_days(view.history_days)}
),
aggregated AS (
    SELECT
        visible.legal_entity,
        visible.party_id,
        max(visible.income_per_month)::DOUBLE AS stated_income,
        {aggregates}
    FROM visible
    LEFT JOIN seen_rows USING (source_entity, customer_id)
    GROUP BY ALL
)
SELECT
    legal_entity,
    party_id,
    $as_of AS event_timestamp,
    $as_of AS created_timestamp,
    aggregated.* EXCLUDE (legal_entity, party_id, stated_income){derived}
FROM aggregated
ORDER BY legal_entity, party_id
"""  # noqa: S608 - every fragment is declared in this package


def profile_sql(columns: Sequence[Derived]) -> str:
    """The query of the profile view: the customer's record as known to the company at the instant."""
    expressions = ",\n    ".join(f"({column.expression})::DOUBLE AS {column.name}" for column in columns)
    return f"""
WITH {_VISIBLE_SQL},
company_count AS (
    SELECT legal_entity, party_id, count(DISTINCT source_entity) AS companies
    FROM visible
    GROUP BY ALL
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
JOIN company_count USING (legal_entity, party_id)
ORDER BY legal_entity, party_id
"""  # noqa: S608 - every fragment is declared in this package


_VISIBLE_SQL: Final = """known AS (
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
),
visible AS (
    SELECT
        viewer.legal_entity,
        viewer.party_id,
        seen.legal_entity AS source_entity,
        seen.customer_id,
        seen.income_per_month
    FROM (SELECT DISTINCT legal_entity, party_id FROM known) AS viewer
    JOIN known AS seen USING (party_id)
    WHERE seen.legal_entity = viewer.legal_entity
       OR seen.share_within_group_consent
)"""


@dataclass(frozen=True, slots=True)
class ViewQuery:
    """A view's name, its query, and the raw table it reads beside customers and parties."""

    name: str
    sql: str
    table: str


def compute_views(
    queries: Sequence[ViewQuery],
    canonical: Path,
    features: Path,
    instants: Sequence[datetime],
    *,
    threads: int,
    progress: Callable[[str, datetime], None] = lambda _view, _instant: None,
) -> dict[str, int]:
    """Write ``features/<view>/as_of_<date>.parquet`` for each view and instant; return the rows of each view.

    Raises:
        ContractBroken: a view reads a table that was not loaded.
    """
    rows = dict.fromkeys((query.name for query in queries), 0)
    with duckdb.connect(config={"threads": threads}) as connection:
        for query in queries:
            if not any((canonical / query.table).glob("*.parquet")):
                raise ContractBroken(f"View '{query.name}' reads table '{query.table}', which was not loaded.")
            folder = features / query.name
            folder.mkdir(parents=True, exist_ok=True)
            for instant in instants:
                rows[query.name] += _write_view(connection, query, canonical, folder, instant)
                progress(query.name, instant)
    return rows


def _write_view(
    connection: duckdb.DuckDBPyConnection, query: ViewQuery, canonical: Path, folder: Path, instant: datetime
) -> int:
    target = folder / f"as_of_{instant:%Y%m%dT%H%M%S}.parquet"
    parameters = {
        "as_of": instant,
        "as_of_date": instant.date(),
        "customers": f"{canonical}/customers/*.parquet",
        "parties": f"{canonical}/parties/*.parquet",
        "rows": f"{canonical}/{query.table}/*.parquet",
    }
    used = {name: value for name, value in parameters.items() if re.search(rf"\${name}\b", query.sql)}
    result = connection.sql(query.sql, params=used).to_arrow_table()
    connection.register("view_rows", result)
    # COPY takes no parameters: the path is quoted as an SQL text.
    path = str(target).replace("'", "''")
    connection.execute(f"COPY view_rows TO '{path}' (FORMAT parquet, COMPRESSION snappy)")
    connection.unregister("view_rows")
    return int(result.num_rows)


def _days(days: int) -> str:
    # Whole microseconds rather than intervals: DuckDB needs its ICU extension, a download, to subtract those from
    # instants with a time zone.
    return str(days * 86_400_000_000)


def _aggregate_sql(feature: Windowed) -> str:
    window = f"age_us < {_days(feature.window_days)}"
    if feature.after_days:
        window += f" AND age_us >= {_days(feature.after_days)}"
    return _SQL[feature.aggregate].format(value=feature.metric.name, window=window)
