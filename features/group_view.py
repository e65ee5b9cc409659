"""One party across the group: which companies know it, what it has and owes there, as far as somebody may see it."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import duckdb

from features.connection import bounded_connection
from features.errors import UnknownParty


@dataclass(frozen=True, slots=True)
class Relationship:
    """A company that knows the party, by which number and since when."""

    legal_entity: str
    customer_id: str
    kind: str
    region: str | None
    industry: str | None
    marketing_consent: bool
    share_within_group_consent: bool
    since: datetime


@dataclass(frozen=True, slots=True)
class HeldLoan:
    """A loan of the party that is not settled, with the last statement of it; None where there is none."""

    legal_entity: str
    loan_id: str
    product: str
    principal: Decimal
    currency: str
    rate_per_annum: float | None
    status: str
    five_class_grade: str | None
    statement_balance: Decimal | None
    days_past_due: int | None
    statement_at: datetime | None


@dataclass(frozen=True, slots=True)
class HeldLimit:
    """A limit that a company has granted the party."""

    legal_entity: str
    facility_id: str
    product: str
    credit_limit: Decimal
    currency: str
    since: datetime


@dataclass(frozen=True, slots=True)
class Exposure:
    """What the party owes a company by the last statement of each loan; a balance in its favour counts as nothing."""

    legal_entity: str
    currency: str
    owed: Decimal
    loans: int
    days_past_due: int


@dataclass(frozen=True, slots=True)
class GroupView:
    """A party as companies see it at an instant."""

    party_id: str
    as_of: datetime
    companies: tuple[Relationship, ...]
    loans: tuple[HeldLoan, ...]
    limits: tuple[HeldLimit, ...]
    exposures: tuple[Exposure, ...]


def group_view(canonical: Path, party_id: str, companies: Collection[str], as_of: datetime) -> GroupView:
    """The party as these companies may see it together, as it was known at ``as_of``.

    They see their own customers' records, and those of other companies whose customer consents to sharing within the
    group; a party that none of them knows itself is not seen at all.

    Raises:
        UnknownParty: none of the companies knows it.
    """
    parameters: dict[str, Any] = {"party": party_id, "companies": sorted(companies), "as_of": as_of}
    with bounded_connection() as connection:
        connection.execute(
            _SEEN_SQL,
            parameters | {name: f"{canonical}/{name}/*.parquet" for name in ("customers", "parties")},
        )
        relationships = [
            Relationship(*row) for row in _rows(connection, "FROM seen ORDER BY legal_entity, customer_id")
        ]
        if not any(one.legal_entity in companies for one in relationships):
            raise UnknownParty(f"No company that you act for knows party '{party_id}'.")
        last = {"as_of": as_of, "statements": f"{canonical}/statements/*.parquet"}
        connection.execute(_LAST_STATEMENTS_SQL, last)
        exposures = [Exposure(*row) for row in _rows(connection, _EXPOSURES_SQL)]
        loans = [HeldLoan(*row) for row in _rows_of(connection, canonical, "loans", _LOANS_SQL, as_of)]
        limits = [HeldLimit(*row) for row in _rows_of(connection, canonical, "facilities", _LIMITS_SQL, as_of)]
    return GroupView(party_id, as_of, tuple(relationships), tuple(loans), tuple(limits), tuple(exposures))


def _rows_of(
    connection: duckdb.DuckDBPyConnection, canonical: Path, table: str, sql: str, as_of: datetime
) -> list[tuple[Any, ...]]:
    """Rows of a table that may not have been delivered; then there are none."""
    if not any((canonical / table).glob("*.parquet")):
        return []
    return _rows(connection, sql, **{"as_of": as_of, table: f"{canonical}/{table}/*.parquet"})


def _rows(connection: duckdb.DuckDBPyConnection, sql: str, **parameters: Any) -> list[tuple[Any, ...]]:
    return connection.execute(sql, parameters).fetchall()


_SEEN_SQL: Final = """
CREATE TEMP TABLE seen AS
SELECT
    legal_entity, customer_id, customers.kind, region, industry, marketing_consent, share_within_group_consent,
    customers.event_timestamp AS since
FROM read_parquet($customers) AS customers
JOIN (SELECT legal_entity, customer_id FROM read_parquet($parties) WHERE party_id = $party) AS parties
  USING (legal_entity, customer_id)
WHERE customers.event_timestamp <= $as_of AND customers.created_timestamp <= $as_of
QUALIFY row_number() OVER (
    PARTITION BY legal_entity, customer_id
    ORDER BY customers.event_timestamp DESC, customers.created_timestamp DESC
) = 1 AND (list_contains($companies, legal_entity) OR share_within_group_consent)
"""

_LAST_SQL: Final = """
SELECT * FROM read_parquet(${table})
SEMI JOIN seen USING (legal_entity, customer_id)
WHERE event_timestamp <= $as_of AND created_timestamp <= $as_of
  AND (superseded_at IS NULL OR superseded_at > $as_of)
QUALIFY row_number() OVER (
    PARTITION BY legal_entity, {key} ORDER BY event_timestamp DESC, created_timestamp DESC
) = 1
"""
"""The last row of each key of a table that was known by then, of the customers in sight."""

_LAST_STATEMENTS_SQL: Final = f"""
CREATE TEMP TABLE last_statements AS {_LAST_SQL.format(table="statements", key="loan_id")}
"""

_EXPOSURES_SQL: Final = """
SELECT legal_entity, currency, sum(statement_balance), count(*), max(days_past_due)
FROM last_statements
WHERE statement_balance > 0
GROUP BY legal_entity, currency
ORDER BY legal_entity, currency
"""

_LOANS_SQL: Final = f"""
SELECT
    loans.legal_entity, loans.loan_id, loans.product, loans.principal, loans.currency, loans.rate_per_annum,
    loans.status, loans.five_class_grade, last.statement_balance, last.days_past_due, last.event_timestamp
FROM ({_LAST_SQL.format(table="loans", key="loan_id")}) AS loans
LEFT JOIN last_statements AS last USING (legal_entity, loan_id)
WHERE loans.status <> 'settled'
ORDER BY loans.legal_entity, loans.loan_id
"""  # noqa: S608 - of our own texts

_LIMITS_SQL: Final = f"""
SELECT legal_entity, facility_id, product, credit_limit, currency, event_timestamp
FROM ({_LAST_SQL.format(table="facilities", key="facility_id")})
ORDER BY legal_entity, facility_id
"""  # noqa: S608 - of our own texts
