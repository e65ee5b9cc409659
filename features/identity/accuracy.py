"""How good the linking is, where the truth is known: pairs of customers, found and true."""

from dataclasses import dataclass

import polars as pl


@dataclass(frozen=True, slots=True)
class LinkAccuracy:
    """Pairs of customers that are one: how many truly, how many were found, and how many of those found are true."""

    true_pairs: int
    found_pairs: int
    correct_pairs: int

    @property
    def precision(self) -> float:
        """Correct among found; 1 where nothing was found."""
        return self.correct_pairs / self.found_pairs if self.found_pairs else 1.0

    @property
    def recall(self) -> float:
        """Correct among true; 1 where there is nothing to find."""
        return self.correct_pairs / self.true_pairs if self.true_pairs else 1.0


def link_accuracy(parties: pl.DataFrame, truth: pl.DataFrame) -> LinkAccuracy:
    """Compare ``parties`` with ``truth`` (``true_party``), both by ``legal_entity, customer_id``.

    Every pair of customers of one party counts, also those that only a third customer connects.
    """
    joined = truth.join(parties, on=["legal_entity", "customer_id"])
    return LinkAccuracy(
        _pairs(joined, "true_party"), _pairs(joined, "party_id"), _pairs(joined, "true_party", "party_id")
    )


def _pairs(customers: pl.DataFrame, *columns: str) -> int:
    sizes = customers.group_by(columns).len()["len"].cast(pl.Int64)
    return int((sizes * (sizes - 1) // 2).sum())
