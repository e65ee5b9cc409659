"""Windowed features of a simulated group at one instant, against plain sums by party over the same Parquet.

``windows_over_sums`` is against one sum a table, ``windows_over_all_sums`` against a sum of each column of numbers: the
windows read nearly all of them.
"""

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import duckdb

from features.catalogue import VIEWS
from features.compute import compute_views
from features.supplier_peers import write_supplier_peers
from group.settings import load_settings
from tests.bench.groups import a_group
from tests.bench.timing import medians, ratio

AS_OF = datetime(2025, 12, 1, tzinfo=UTC)
AMOUNTS = {
    "customers": ["income_per_month"],
    "statements": ["statement_balance", "amount_due", "amount_paid", "credit_limit", "days_past_due"],
    "transactions": ["amount", "balance"],
    "bureau": [
        "external_debt",
        "inquiries_6m",
        "open_accounts",
        "overdue_accounts_24m",
        "oldest_account_months",
    ],
    "invoices": ["amount"],
    "peer_statements": ["statements", "late_statements"],
    "applications": ["amount", "term_months"],
    "contacts": ["treated::INTEGER"],
}
"""The numbers of each table; the first is what one plain sum adds up."""


def measure(folder: Path, rounds: int, scale: float) -> dict[str, Any]:
    """Each view, all of them, and the sums; ``scale`` below 1 takes the small group."""
    settings = load_settings({"JINKONG_HOME": str(folder / "home")})
    canonical = a_group(settings, scale)
    began = time.perf_counter()
    months = write_supplier_peers(canonical, threads=settings.threads)
    peers = {"months": months, "seconds_a_month": round((time.perf_counter() - began) / months, 3)}

    def views(table: str | None = None) -> None:
        chosen = [view.declared for view in VIEWS if table in (None, view.table)]
        compute_views(chosen, canonical, folder / "features", [AS_OF], threads=settings.threads)

    def sums(table: str | None = None, *, of_all: bool = False) -> None:
        with duckdb.connect(config={"threads": settings.threads}) as connection:
            for name, amounts in AMOUNTS.items():
                if table in (None, name):
                    summed = amounts if of_all else amounts[:1]
                    connection.sql(sums_by_party(canonical, name, summed)).to_arrow_table()

    views()
    sums()
    everything = medians(rounds, windows=views, sums=sums, all_sums=partial(sums, of_all=True))
    tables = {table: medians(rounds, windows=partial(views, table), sums=partial(sums, table)) for table in AMOUNTS}
    return {
        "features": sum(len(view.features) for view in VIEWS),
        "windows_over_sums": ratio(everything, "windows", "sums"),
        "windows_over_all_sums": ratio(everything, "windows", "all_sums"),
        "by_table": {
            table: {
                "features": sum(len(view.features) for view in VIEWS if view.table == table),
                "windows_over_sum": ratio(times, "windows", "sums"),
                "times": times,
            }
            for table, times in tables.items()
        },
        "times": everything,
        "supplier_peers_made": peers,
    }


def sums_by_party(canonical: Path, table: str, amounts: Sequence[str]) -> str:
    """Sums by party over all rows of a table."""
    return f"""
        SELECT party_id, {", ".join(f"sum({amount})" for amount in amounts)}
        FROM read_parquet('{canonical}/{table}/*.parquet')
        JOIN read_parquet('{canonical}/parties/*.parquet') USING (legal_entity, customer_id)
        GROUP BY party_id
    """
