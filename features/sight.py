"""What each company sees of each party at an instant.

A company sees its own customers' data, and other companies' data of the same party only where the customer there
consents to sharing within the group.
"""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import duckdb
import numpy as np
import pyarrow as pa

from features.windows import Scope

Numbers = np.ndarray[Any, np.dtype[np.float64]]
Flags = np.ndarray[Any, np.dtype[np.bool_]]
Integers = np.ndarray[Any, np.dtype[np.signedinteger[Any]]]

KNOWN_SQL: Final = """
CREATE TABLE known AS
SELECT *, (row_number() OVER (ORDER BY filename, file_row_number) - 1)::INTEGER AS customer
FROM (
    SELECT
        customers.legal_entity,
        customers.customer_id,
        parties.party_id,
        customers.event_timestamp,
        customers.share_within_group_consent,
        customers.income_per_month,
        customers.filename,
        customers.file_row_number
    FROM read_parquet($customers, filename = true, file_row_number = true) AS customers
    JOIN read_parquet($parties) AS parties USING (legal_entity, customer_id)
    WHERE customers.event_timestamp <= $as_of
      AND customers.created_timestamp <= $as_of
    QUALIFY row_number() OVER (
        PARTITION BY customers.legal_entity, customers.customer_id
        ORDER BY customers.event_timestamp DESC, customers.created_timestamp DESC
    ) = 1
)
"""
"""The customers, as their latest record says and where that is written, numbered from 0 in the order of their files, so
that those whose rows are near in other tables are near in memory too.

Parameters: ``$as_of``, ``$customers``, ``$parties`` (Parquet globs).
"""

SIGHT_SQL: Final = (
    """
CREATE TABLE viewers AS
SELECT legal_entity, party_id, (row_number() OVER (ORDER BY legal_entity, party_id) - 1)::INTEGER AS viewer
FROM (SELECT DISTINCT legal_entity, party_id FROM known)
""",
    """
CREATE TABLE visible AS
SELECT
    viewers.viewer,
    seen.customer,
    seen.legal_entity <> viewers.legal_entity AS is_elsewhere,
    seen.income_per_month
FROM viewers
JOIN known AS seen USING (party_id)
WHERE seen.legal_entity = viewers.legal_entity
   OR seen.share_within_group_consent
""",
)
"""``viewers`` has each party that a company of ``KNOWN_SQL`` knows, numbered from 0 in the order of feature rows,
``visible`` the customers that a viewer sees.
"""


@dataclass(frozen=True, slots=True)
class Sight:
    """``visible`` as arrays: the customers of viewer 0, then those of viewer 1, and so on. Every viewer sees one."""

    viewers: pa.Table
    """``legal_entity`` and ``party_id`` of each viewer."""
    customers: int
    """How many customers there are."""
    seen: Integers
    """The number of each customer that is seen."""
    is_elsewhere: Flags
    """Whether that customer is another company's."""
    firsts: Integers
    """Where each viewer's customers begin."""
    stated_income: Numbers
    """The highest monthly income (CNY) on the customer records that each viewer sees; NaN for none."""

    def over_customers(self, join: np.ufunc, by_customer: Numbers, *, nothing: float, scope: Scope) -> Numbers:
        """Values of customers brought together to values of viewers by ``join``, of which ``nothing`` is neutral."""
        values = by_customer[self.seen]
        if scope != "seen":
            values[~self._counts(scope)] = nothing
        return np.asarray(join.reduceat(values, self.firsts)) if len(values) else values

    def viewing(self, scope: Scope) -> "Viewing":
        """For whom each customer counts."""
        viewer = np.repeat(np.arange(len(self.firsts), dtype=np.int32), np.diff(self.firsts, append=len(self.seen)))
        sees = self._counts(scope)
        seen, viewer = self.seen[sees], viewer[sees]
        by_customer = np.argsort(seen)
        return Viewing(viewer[by_customer], np.searchsorted(seen[by_customer], np.arange(self.customers + 1)))

    def _counts(self, scope: Scope) -> Flags:
        match scope:
            case "seen":
                return np.ones(len(self.seen), np.bool_)
            case "own":
                return ~self.is_elsewhere
            case "elsewhere":
                return self.is_elsewhere


@dataclass(frozen=True, slots=True)
class Viewing:
    """The viewers of customer 0, then those of customer 1, and so on."""

    viewers: Integers
    firsts: Integers
    """Where those of each customer begin, and where the last one's end."""

    def of_customers(self, customer: Integers) -> tuple[Integers, Integers]:
        """Viewer and row for each row that a viewer sees, of rows whose ``customer`` is given."""
        first = self.firsts[customer]
        viewers = self.firsts[customer + 1] - first
        place_of_first = viewers.cumsum() - viewers
        row = np.repeat(np.arange(len(customer)), viewers)
        return self.viewers[np.repeat(first - place_of_first, viewers) + np.arange(len(row))], row


def create_known(connection: duckdb.DuckDBPyConnection, canonical: Path, as_of: datetime) -> None:
    """Create the table of ``KNOWN_SQL``."""
    parameters = {name: f"{canonical}/{name}/*.parquet" for name in ("customers", "parties")}
    connection.execute(KNOWN_SQL, {"as_of": as_of, **parameters})


def look(connection: duckdb.DuckDBPyConnection, canonical: Path, as_of: datetime) -> Sight:
    """Create the tables of ``KNOWN_SQL`` and ``SIGHT_SQL`` and return what they say."""
    create_known(connection, canonical, as_of)
    for statement in SIGHT_SQL:
        connection.execute(statement)
    viewers = connection.sql("SELECT legal_entity, party_id FROM viewers ORDER BY viewer").to_arrow_table()
    visible = connection.sql(
        "SELECT viewer, customer::BIGINT AS customer, is_elsewhere, "
        "coalesce(income_per_month::DOUBLE, 'nan') AS income FROM visible ORDER BY viewer"
    ).fetchnumpy()
    firsts = np.flatnonzero(np.diff(visible["viewer"], prepend=-1)).astype(np.int64)
    income = visible["income"]
    ((customers,),) = connection.execute("SELECT count(*) FROM known").fetchall()
    return Sight(
        viewers=viewers,
        customers=int(customers),
        seen=visible["customer"],
        is_elsewhere=visible["is_elsewhere"],
        firsts=firsts,
        # fmax, unlike maximum, passes over what is not stated.
        stated_income=np.fmax.reduceat(income, firsts) if len(income) else income,
    )
