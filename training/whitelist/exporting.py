"""A whitelist's offers as a table, and that as a file."""

from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import polars as pl

from features.exports import ExportedFile, export
from training.whitelist.kept import OFFER_COLUMNS, KeptWhitelist, Offer

_SCHEMA: Final[dict[str, Any]] = {
    "rank": pl.Int64, "legal_entity": pl.String, "party_id": pl.String, "customer_id": pl.String, "source": pl.String,
    "product": pl.String, "credit_limit": pl.Decimal(18, 2), "rate_per_annum": pl.Float64, "term_months": pl.Int64,
    "channel": pl.String, "valid_from": pl.Date, "valid_until": pl.Date, "held_out": pl.Boolean,
    "expected_profit": pl.Float64, "uplift": pl.Float64, "response": pl.Float64, "probability_of_default": pl.Float64,
    "grade": pl.String, "customer_value": pl.Float64, "reason_zh": pl.String, "reason_en": pl.String,
}  # fmt: skip


def export_name(kept: KeptWhitelist, company: str | None) -> str:
    """What a file of a version is called, without the format."""
    return f"{kept.name}-v{kept.version}{f'-{company}' if company else ''}"


def write_offers(
    kept: KeptWhitelist, offers: Iterable[Offer], folder: Path, written_as: str, company: str | None
) -> ExportedFile:
    """Write offers of a version below ``folder``, of one company or of all.

    Raises:
        UnsupportedSource: an unknown format.
    """
    rows = pl.DataFrame([asdict(offer) for offer in offers], schema=_SCHEMA).select(OFFER_COLUMNS)
    return export(rows.lazy(), export_name(kept, company), folder, written_as)
