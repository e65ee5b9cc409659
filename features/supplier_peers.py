"""How the other suppliers of a customer's buyers pay: a table of our own making, a row a customer and month.

Suppliers of one core enterprise live on its orders and wait for its money: when some fall behind, others may follow.
What is known of them is put down at each month's start, once, and windows add the months up like the rows of any raw
table. A party's own statements do not count, nor do those of customers who do not consent to sharing within the group,
and a buyer with fewer than ``LEAST_PEERS`` other suppliers is left out: nobody can be read off a row.
"""

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import duckdb
import pyarrow.parquet as pq

from features.catalogue.supplier_peers import LEAST_PEERS, PEER_STATEMENTS
from features.compute import FINGERPRINT, rows_if_current
from features.connection import bounded_connection
from features.contracts.ledger import read_ledger, table_state
from features.fingerprints import parties_known
from features.query import query
from features.sight import create_known
from features.snapshots import month_start_after, plus_months
from group.files import written_whole

_TRADE_DAYS: Final = 360
"""Who invoiced a buyer within so many days is its supplier."""

_LATE_DAYS_PAST_DUE: Final = 30

_MADE_OF: Final = ("invoices", "statements", "customers")

_PEERS_SQL: Final = """
WITH trade AS (
    SELECT DISTINCT
        known.legal_entity, known.customer_id, known.party_id, known.share_within_group_consent AS consents, buyer_id
    FROM read_parquet($invoices) AS invoices
    JOIN known USING (legal_entity, customer_id)
    WHERE invoices.event_timestamp <= $as_of
      AND invoices.event_timestamp > $as_of::TIMESTAMPTZ - to_days($trade_days::INTEGER)
      AND invoices.created_timestamp <= $as_of
      AND (superseded_at IS NULL OR superseded_at > $as_of)
),
-- A statement counts in the month in which it was learnt: each once, and none before it was there to be seen.
standing AS (
    SELECT party_id, count(*) AS statements, count(*) FILTER (days_past_due >= $late_days) AS late
    FROM read_parquet($statements) AS statements
    JOIN known USING (legal_entity, customer_id)
    WHERE statements.created_timestamp <= $as_of
      AND statements.created_timestamp > $month_before
      AND statements.event_timestamp <= $as_of
      AND (superseded_at IS NULL OR superseded_at > $as_of)
      AND share_within_group_consent
    GROUP BY party_id
),
suppliers AS (
    SELECT buyer_id, party_id, statements, late
    FROM (SELECT DISTINCT buyer_id, party_id FROM trade WHERE consents)
    JOIN standing USING (party_id)
),
buyers AS (
    SELECT buyer_id, count(*) AS peers, sum(statements) AS statements, sum(late) AS late
    FROM suppliers
    GROUP BY buyer_id
)
SELECT
    trade.legal_entity,
    trade.customer_id,
    sum(buyers.peers - (own.party_id IS NOT NULL)::INTEGER)::INTEGER AS peers,
    sum(buyers.statements - coalesce(own.statements, 0))::INTEGER AS statements,
    sum(buyers.late - coalesce(own.late, 0))::INTEGER AS late_statements,
    $as_of::TIMESTAMPTZ AS event_timestamp,
    $as_of::TIMESTAMPTZ AS created_timestamp,
    NULL::TIMESTAMPTZ AS superseded_at
FROM trade
JOIN buyers USING (buyer_id)
LEFT JOIN suppliers AS own ON own.buyer_id = trade.buyer_id AND own.party_id = trade.party_id
WHERE buyers.peers - (own.party_id IS NOT NULL)::INTEGER >= $least_peers
GROUP BY trade.legal_entity, trade.customer_id
ORDER BY trade.legal_entity, trade.customer_id
"""


def write_supplier_peers(
    canonical: Path, *, threads: int | None = None, memory_limit: str | None = None, now: datetime | None = None
) -> int:
    """Write ``canonical/peer_statements``, a file a month; return how many months had to be written.

    The table: ``legal_entity, customer_id``, ``peers`` (other suppliers of the customer's buyers; who shares two of
    them counts twice), ``statements`` and ``late_statements`` (what was learnt of them in the month before,
    and how many of these were 30 days past due), and the timestamps, which are the month's start. Months that depend
    on nothing new stay as they are. Where there are no invoices or no statements, there is no such table.
    """
    target = canonical / PEER_STATEMENTS
    months = _months(canonical, now or datetime.now(UTC))
    paths = {month: target / f"month_{month:%Y%m%d}.parquet" for month in months}
    for path in target.glob("*.parquet"):
        if path not in paths.values():
            path.unlink()
    fingerprints = _fingerprints(canonical, months)
    waiting = [month for month in months if rows_if_current(paths[month], fingerprints[month]) is None]
    for month in waiting:
        with bounded_connection(threads, memory_limit) as connection:
            _write_month(connection, canonical, month, paths[month], fingerprints[month])
    return len(waiting)


def _months(canonical: Path, now: datetime) -> list[datetime]:
    """The month starts after the first statement that have come, up to the first one after the last statement."""
    if not all(any((canonical / table).glob("*.parquet")) for table in _MADE_OF):
        return []
    first, last = query(
        "SELECT min(created_timestamp), max(event_timestamp) FROM read_parquet($rows)",
        {"rows": f"{canonical}/statements/*.parquet"},
    ).row(0)
    months = []
    month = month_start_after(first) if first is not None else now
    while first is not None and month <= min(month_start_after(last), now):
        months.append(month)
        month = plus_months(month, 1)
    return months


def _write_month(
    connection: duckdb.DuckDBPyConnection, canonical: Path, month: datetime, path: Path, fingerprint: str
) -> None:
    create_known(connection, canonical, month)
    rows = connection.sql(
        _PEERS_SQL,
        params={
            "as_of": month,
            "month_before": plus_months(month, -1),
            "invoices": f"{canonical}/invoices/*.parquet",
            "statements": f"{canonical}/statements/*.parquet",
            "trade_days": _TRADE_DAYS,
            "late_days": _LATE_DAYS_PAST_DUE,
            "least_peers": LEAST_PEERS,
        },
    ).to_arrow_table()
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(path) as part:
        pq.write_table(rows.replace_schema_metadata({FINGERPRINT: fingerprint}), part, compression="snappy")


def _fingerprints(canonical: Path, months: Sequence[datetime]) -> dict[datetime, str]:
    """Of each month a hash of what its rows follow from."""
    if not months:
        return {}
    ledger = read_ledger(canonical)
    method = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()
    parties = parties_known(canonical, months)
    states = {month: [table_state(canonical, ledger, table, month) for table in _MADE_OF] for month in months}
    return {
        month: hashlib.sha256(repr((method, parties[month], states[month], month)).encode()).hexdigest()
        for month in months
    }
