"""Who stands behind whom: ultimate owners, groups of connected parties, and what such a group owes all companies.

Connected clients count as one risk where one of them controls another (银行业金融机构 大额风险暴露管理办法, 2018,
on groups of connected clients): what the group's companies lend to an owner and to all that he owns is one exposure.
"""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

import numpy as np
import polars as pl
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from features.query import query


def ultimate_owners(owner_of: Mapping[str, str]) -> dict[str, str]:
    """Who is at the end of each party's chain of owners.

    Args:
        owner_of: party and its owner, for the parties that have one.

    Returns:
        Every party of ``owner_of`` with the owner whom nobody owns. Parties that own each other in a circle have the
        first of the circle by name.
    """
    ends: dict[str, str] = {}
    for party in owner_of:
        path: dict[str, None] = {}
        at = party
        while at in owner_of and at not in path and at not in ends:
            path[at] = None
            at = owner_of[at]
        if at in path:
            circle = list(path)[list(path).index(at) :]
            end = min(circle)
        else:
            end = ends.get(at, at)
        ends |= dict.fromkeys(path, end)
    return ends


def connected_parties(parties: pl.DataFrame) -> pl.DataFrame:
    """Parties that ownership connects, through whatever others.

    Args:
        parties: ``party_id`` and ``owner_party_id`` (null for none); a party may have several rows and owners.

    Returns:
        One row a party or owner: ``party_id``, ``ultimate_owner_party_id`` (itself where nobody owns it; the first by
        name of several), ``connected_group`` (the smallest party id among all that are connected) and ``group_size``.
    """
    owned = parties.select("party_id", "owner_party_id").drop_nulls().unique().sort("party_id", "owner_party_id")
    names = pl.concat([parties["party_id"], owned["owner_party_id"]]).unique().sort()
    places = {name: place for place, name in enumerate(names)}
    edges = np.array([[places[a], places[b]] for a, b in owned.iter_rows()], dtype=np.int64).reshape(-1, 2)
    graph = coo_array((np.ones(len(edges)), (edges[:, 0], edges[:, 1])), shape=(len(names), len(names)))
    _, component = connected_components(graph, directed=False)
    first_owner = dict(owned.unique("party_id", keep="first", maintain_order=True).iter_rows())
    ends = ultimate_owners(first_owner)
    return (
        pl.DataFrame({"party_id": names, "component": component})
        .with_columns(
            ultimate_owner_party_id=pl.Series([ends.get(name, name) for name in names], dtype=pl.String),
            connected_group=pl.col("party_id").min().over("component"),
            group_size=pl.len().over("component").cast(pl.Int64),
        )
        .drop("component")
    )


def group_exposures(canonical: Path, as_of: datetime) -> pl.DataFrame:
    """What each group of connected parties owes the companies, as known at ``as_of``.

    Each loan counts with the balance of its last statement that was known by then; a balance in the customer's favour
    counts as nothing.

    Returns:
        ``connected_group``, ``ultimate_owner_party_id``, ``parties`` (with a debt), ``companies`` (that are owed),
        ``loans``, ``exposure`` (decimal, CNY), the largest first.
    """
    balances = query(
        """
        SELECT p.party_id, s.legal_entity, s.loan_id, s.statement_balance
        FROM (
            FROM read_parquet($statements)
            WHERE event_timestamp <= $as_of AND created_timestamp <= $as_of
              AND (superseded_at IS NULL OR superseded_at > $as_of)
            QUALIFY row_number() OVER (
                PARTITION BY legal_entity, loan_id ORDER BY event_timestamp DESC, created_timestamp DESC
            ) = 1
        ) AS s
        JOIN read_parquet($parties) AS p USING (legal_entity, customer_id)
        WHERE s.statement_balance > 0
        """,
        {
            "statements": f"{canonical}/statements/*.parquet",
            "parties": f"{canonical}/parties/*.parquet",
            "as_of": as_of,
        },
    )
    connected = connected_parties(pl.read_parquet(canonical / "parties" / "*.parquet"))
    return (
        balances.join(connected, on="party_id")
        .group_by("connected_group")
        .agg(
            pl.col("ultimate_owner_party_id").min(),
            parties=pl.col("party_id").n_unique(),
            companies=pl.col("legal_entity").n_unique(),
            loans=pl.len(),
            exposure=pl.col("statement_balance").sum(),
        )
        .sort("exposure", "connected_group", descending=[True, False])
    )
