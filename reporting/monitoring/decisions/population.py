"""How scores are spread over grades, against training; and what pre-credit offered."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from training.scale import MASTER_SCALE, grade_places


@dataclass(frozen=True, slots=True)
class GradeShare:
    """A grade's share of rows, now and at training."""

    grade: str
    rows: int
    share: float
    reference_share: float


@dataclass(frozen=True, slots=True)
class ProductOffers:
    """What pre-credit answered for a product of a company.

    Attributes:
        legal_entity: the company.
        product: asked for.
        asked: requests.
        eligible: of these.
        mean_limit: CNY, of the eligible; None of none.
        mean_rate: a year, of the eligible.
        rules: how often each rule stopped somebody, the most frequent first.
    """

    legal_entity: str
    product: str
    asked: int
    eligible: int
    mean_limit: float | None
    mean_rate: float | None
    rules: tuple[tuple[str, int], ...]


def grade_shares(probability: np.ndarray[Any, np.dtype[np.float64]], reference: Sequence[float]) -> list[GradeShare]:
    """Each grade's share of probabilities ``(n,)``, beside that of ``reference``."""
    rows = np.bincount(grade_places(probability), minlength=len(MASTER_SCALE))
    return [
        GradeShare(grade.name, int(count), float(count / max(rows.sum(), 1)), before)
        for grade, count, before in zip(MASTER_SCALE, rows, reference, strict=True)
    ]


def reference_shares(probability: np.ndarray[Any, np.dtype[np.float64]]) -> list[float]:
    """Each grade's share at training."""
    rows = np.bincount(grade_places(probability), minlength=len(MASTER_SCALE))
    return [float(share) for share in rows / max(rows.sum(), 1)]


def product_offers(rows: pl.DataFrame) -> list[ProductOffers]:
    """Pre-credit's answers by company and product, of scored rows; none where nobody asked."""
    if "product_asked" not in rows.columns:
        return []
    asked = rows.filter(pl.col("product_asked").is_not_null())
    found = []
    for (company, product), own in asked.partition_by(
        ["legal_entity", "product_asked"], as_dict=True, maintain_order=True
    ).items():
        eligible = own.filter("eligible")
        rules = own["rules_fired"].explode().drop_nulls().value_counts(sort=True)
        counted = sorted(rules.iter_rows(), key=lambda one: (-one[1], one[0]))
        found.append(
            ProductOffers(
                legal_entity=str(company),
                product=str(product),
                asked=own.height,
                eligible=eligible.height,
                mean_limit=_mean(eligible["credit_limit"]),
                mean_rate=_mean(eligible["rate_per_annum"]),
                rules=tuple((str(rule), int(count)) for rule, count in counted),
            )
        )
    return sorted(found, key=lambda one: (one.legal_entity, one.product))


def _mean(column: pl.Series) -> float | None:
    present = column.drop_nulls().to_numpy()
    return float(present.mean()) if len(present) else None
