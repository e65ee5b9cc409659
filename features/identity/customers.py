"""What is known of each customer who is to be linked: one row each, the longest known first."""

from pathlib import Path
from typing import Final

import polars as pl

_DESCRIBING: Final = (
    "kind",
    "name",
    "identity_token",
    "phone_token",
    "owner_identity_token",
    "birth_or_founding_date",
    "gender",
    "region",
)


def known_customers(canonical: Path) -> pl.DataFrame:
    """Each customer of each company with the last value that is known of every column, and a ``row`` number.

    Rows are ordered by when the first record of the customer was learnt, so those that come later never move those
    that were there. ``event_timestamp`` and ``created_timestamp`` are the first record's.
    """
    records = pl.read_parquet(canonical / "customers" / "*.parquet")
    return (
        records.sort("created_timestamp", "event_timestamp")
        .group_by("legal_entity", "customer_id", maintain_order=True)
        .agg(
            *(pl.col(name).drop_nulls().last() for name in _DESCRIBING),
            pl.col("event_timestamp").min(),
            pl.col("created_timestamp").min(),
        )
        .sort("created_timestamp", "legal_entity", "customer_id")
        .with_row_index("row")
    )
