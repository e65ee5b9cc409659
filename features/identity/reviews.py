"""What an officer sees of two customers: on what their records agree, and in what they differ."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import polars as pl

from features.identity.links import CustomerKey, Link

_COMPARED: Final = (
    "name",
    "birth_or_founding_date",
    "identity_token",
    "phone_token",
    "owner_identity_token",
    "region",
    "gender",
)


@dataclass(frozen=True, slots=True)
class ReviewCase:
    """Two customers, the columns on which both records agree, and those in which they differ (both filled)."""

    left: CustomerKey
    right: CustomerKey
    probability: float | None
    agree: tuple[str, ...]
    differ: tuple[str, ...]


def review_cases(customers: pl.DataFrame, links: Sequence[Link]) -> list[ReviewCase]:
    """The cases of ``links``, in their order, from ``known_customers``; links of customers who are gone are left out.

    Names and numbers themselves are not told: whether they agree is what an officer of one company may know of
    another company's customer.
    """
    keys = [key for link in links for key in (link.left, link.right)]
    wanted = pl.DataFrame(keys, schema={"legal_entity": pl.String, "customer_id": pl.String}, orient="row").unique()
    records = {
        CustomerKey(row["legal_entity"], row["customer_id"]): row
        for row in customers.join(wanted, on=["legal_entity", "customer_id"], how="semi").to_dicts()
    }
    cases = []
    for link in links:
        if link.left in records and link.right in records:
            left, right = records[link.left], records[link.right]
            filled = [name for name in _COMPARED if left[name] is not None and right[name] is not None]
            agree = tuple(name for name in filled if left[name] == right[name])
            differ = tuple(name for name in filled if name not in agree)
            cases.append(ReviewCase(link.left, link.right, link.probability, agree, differ))
    return cases
