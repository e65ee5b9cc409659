"""One customer across the group: give each person or company one group-wide ``party_id``.

The rule is deterministic: customers of any company with the same identity token and kind are one party; a customer
without a token is a party alone. What the rule misses (typos, missing numbers) stays apart rather than being merged
wrongly: a wrong merge would show one person another's debts.
"""

import base64
import hashlib
import shutil
from pathlib import Path
from typing import Final

import polars as pl

PARTY_ID_LENGTH: Final = 12


def resolve_parties(canonical: Path) -> int:
    """Write ``canonical/parties`` from ``canonical/customers`` and return the number of parties.

    One row a customer: ``legal_entity``, ``customer_id``, ``party_id``, ``kind``, ``resolved_by``
    (``identity_token`` or ``alone``), ``owner_party_id`` (the person who owns an enterprise, null for persons), and
    the timestamps of the customer's first record.
    """
    customers = (
        pl.read_parquet(canonical / "customers" / "*.parquet")
        .sort("created_timestamp", "event_timestamp")
        .group_by("legal_entity", "customer_id", maintain_order=True)
        .agg(
            pl.col("kind").last(),
            pl.col("identity_token").drop_nulls().last(),
            pl.col("owner_identity_token").drop_nulls().last(),
            pl.col("event_timestamp").min(),
            pl.col("created_timestamp").min(),
        )
    )
    parties = customers.with_columns(
        party_id=pl.Series(
            [
                _party_id(kind, token) if token else _party_id(legal_entity, customer_id)
                for legal_entity, customer_id, kind, token in customers.select(
                    "legal_entity", "customer_id", "kind", "identity_token"
                ).iter_rows()
            ],
            dtype=pl.String,
        ),
        owner_party_id=pl.Series(
            [_party_id("person", token) if token else None for token in customers["owner_identity_token"]],
            dtype=pl.String,
        ),
        resolved_by=pl.when(pl.col("identity_token").is_null())
        .then(pl.lit("alone"))
        .otherwise(pl.lit("identity_token")),
    ).select(
        "legal_entity",
        "customer_id",
        "party_id",
        "kind",
        "resolved_by",
        "owner_party_id",
        "event_timestamp",
        "created_timestamp",
    )
    folder = canonical / "parties"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    parties.sort("legal_entity", "customer_id").write_parquet(folder / "part-00000.parquet", compression="snappy")
    return parties["party_id"].n_unique()


def _party_id(*identity: str) -> str:
    """``P`` and 55 bits of a hash: two of a million parties share one with a probability of 1 in 70,000."""
    digest = hashlib.blake2b("\x1f".join(identity).encode(), digest_size=10).digest()
    return f"P{base64.b32encode(digest).decode()[: PARTY_ID_LENGTH - 1]}"
