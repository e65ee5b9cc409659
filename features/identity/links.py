"""Links between customers, and the rules by which one is certain."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple

import polars as pl

LINK_SCHEMA: Final = pl.Schema({
    "left": pl.UInt32,
    "right": pl.UInt32,
    "basis": pl.String,
    "probability": pl.Float64,
})  # fmt: skip
"""``left < right`` are rows of ``known_customers``; ``probability`` that the two are one, null where none was told."""


class CustomerKey(NamedTuple):
    """A customer as one company knows it."""

    legal_entity: str
    customer_id: str

    def __str__(self) -> str:
        return f"{self.legal_entity}/{self.customer_id}"


class Basis(StrEnum):
    """Why two customers are taken for one."""

    RULING = "ruling"
    IDENTITY_TOKEN = "identity_token"  # noqa: S105 - the name of a column
    LIKELIHOOD = "likelihood"


@dataclass(frozen=True, slots=True)
class Link:
    """Two customers, why they may be one, and how probable it is (None where it is a matter of rule)."""

    left: CustomerKey
    right: CustomerKey
    basis: str
    probability: float | None


def same_identity(customers: pl.DataFrame) -> pl.DataFrame:
    """Pairs of one kind with one identity token, each with ``contradicted``: name and date of birth both differ.

    A token that two strangers share (a clerk's own number, a mistyped digit) shows in that both differ.

    Returns:
        ``LINK_SCHEMA`` with ``contradicted``. Each customer is paired with the first of its token, which is enough to
        bring all of them together.
    """
    with_token = customers.filter(pl.col("identity_token").is_not_null()).select(
        "row", "kind", "identity_token", "name", "birth_or_founding_date"
    )
    first = with_token.unique(["kind", "identity_token"], keep="first", maintain_order=True)
    pairs = with_token.join(first, on=["kind", "identity_token"], suffix="_first").filter(
        pl.col("row") != pl.col("row_first")
    )
    differ = [pl.col(name) != pl.col(f"{name}_first") for name in ("name", "birth_or_founding_date")]
    return pairs.select(
        pl.col("row_first").alias("left"),
        pl.col("row").alias("right"),
        basis=pl.lit(Basis.IDENTITY_TOKEN.value),
        probability=pl.lit(None, pl.Float64),
        contradicted=pl.all_horizontal(differ).fill_null(value=False),
    ).sort("left", "right")
