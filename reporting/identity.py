"""The report on one customer across the group: who was recognised by what, what waits, what connected parties owe."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import polars as pl

from features.identity.accuracy import LinkAccuracy
from features.identity.reviews import ReviewCase
from group.page import write_page

_BASES: Final = {
    "identity_token": ("证件", "identity token"),
    "likelihood": ("概率匹配", "likelihood"),
    "ruling": ("人工裁定", "an officer's ruling"),
    "alone": ("独立", "nothing: a party alone"),
}


def write_identity_report(
    path: Path,
    *,
    source: str,
    parties: pl.DataFrame,
    waiting: int,
    reviews: Sequence[ReviewCase],
    exposures: pl.DataFrame,
    as_of: datetime,
    accuracy: LinkAccuracy | None,
    made_at: datetime,
) -> None:
    """Write the report as HTML.

    Args:
        path: the file to write.
        source: names the data set.
        parties: ``canonical/parties``.
        waiting: how many pairs wait for an officer.
        reviews: the first of them.
        exposures: the first rows of ``group_exposures``.
        as_of: the instant of the exposures.
        accuracy: against the truth, where there is one.
        made_at: when the report was made.
    """
    content: dict[str, Any] = {
        "source": source,
        "customers": len(parties),
        "parties": parties["party_id"].n_unique(),
        "waiting": waiting,
        "accuracy": accuracy,
        "bases": _bases(parties),
        "reach": _reach(parties),
        "reviews": reviews,
        "exposures": _with_share(exposures, "exposure"),
        "as_of": as_of,
    }
    write_page(path, "reporting", "identity", made_at, content)


def _bases(parties: pl.DataFrame) -> list[dict[str, Any]]:
    counts = dict(parties.group_by("resolved_by").len().iter_rows())
    return [
        {"zh": zh, "en": en, "count": counts[basis], "share": counts[basis] / len(parties)}
        for basis, (zh, en) in _BASES.items()
        if basis in counts
    ]


def _reach(parties: pl.DataFrame) -> list[dict[str, Any]]:
    companies = parties.group_by("party_id").agg(companies=pl.col("legal_entity").n_unique())
    return _with_share(companies.group_by("companies").agg(parties=pl.len()).sort("companies"), "parties")


def _with_share(rows: pl.DataFrame, column: str) -> list[dict[str, Any]]:
    most = pl.col(column).cast(pl.Float64)
    return rows.with_columns(share=most / most.max()).to_dicts()
