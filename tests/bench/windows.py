"""Windowed features of a simulated group at one instant, against one plain sum by party over the same Parquet."""

from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import duckdb

from features.catalogue import VIEWS
from features.compute import compute_views
from group.settings import load_settings
from tests.bench.groups import a_group
from tests.bench.timing import medians, ratio

AS_OF = datetime(2025, 12, 1, tzinfo=UTC)
AMOUNTS = {
    "customers": "income_per_month",
    "statements": "statement_balance",
    "transactions": "amount",
    "bureau": "external_debt",
    "invoices": "amount",
    "applications": "amount",
    "contacts": "treated::INTEGER",
}
"""What the plain query sums of each table."""


def measure(folder: Path, rounds: int, scale: float) -> dict[str, Any]:
    """Each view, all of them, and the sums; ``scale`` below 1 takes the small group."""
    settings = load_settings({"JINKONG_HOME": str(folder / "home")})
    canonical = a_group(settings, scale)

    def views(table: str | None = None) -> None:
        chosen = [view.declared for view in VIEWS if table in (None, view.table)]
        compute_views(chosen, canonical, folder / "features", [AS_OF], threads=settings.threads)

    def sums(table: str | None = None) -> None:
        with duckdb.connect(config={"threads": settings.threads}) as connection:
            for name, amount in AMOUNTS.items():
                if table in (None, name):
                    connection.sql(sum_by_party(canonical, name, amount)).to_arrow_table()

    views()
    sums()
    everything = medians(rounds, windows=views, sums=sums)
    tables = {table: medians(rounds, windows=partial(views, table), sums=partial(sums, table)) for table in AMOUNTS}
    return {
        "features": sum(len(view.features) for view in VIEWS),
        "windows_over_sums": ratio(everything, "windows", "sums"),
        "by_table": {
            table: {
                "features": sum(len(view.features) for view in VIEWS if view.table == table),
                "windows_over_sum": ratio(times, "windows", "sums"),
                "times": times,
            }
            for table, times in tables.items()
        },
        "times": everything,
    }


def sum_by_party(canonical: Path, table: str, amount: str) -> str:
    """One sum by party over all rows of a table."""
    return f"""
        SELECT party_id, sum({amount})
        FROM read_parquet('{canonical}/{table}/*.parquet')
        JOIN read_parquet('{canonical}/parties/*.parquet') USING (legal_entity, customer_id)
        GROUP BY party_id
    """
