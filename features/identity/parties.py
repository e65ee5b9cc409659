"""Put customers together into parties and give each person or company one group-wide ``party_id``."""

import base64
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import polars as pl

from features.identity.customers import known_customers
from features.identity.likelihood import probable_links
from features.identity.links import Basis, CustomerKey, Link, same_identity
from features.identity.rulings import Ruling, Verdict
from group.files import written_whole

PARTY_ID_LENGTH: Final = 12

MERGED_FROM: Final = 0.99
"""Probability from which two customers are taken for one without an officer."""

REVIEWED_FROM: Final = 0.05
"""Probability from which an officer is asked."""


@dataclass(frozen=True, slots=True)
class Resolution:
    """What linking found.

    Attributes:
        customers: how many there are.
        parties: how many they are.
        merged: the links that hold parties together, the surest first.
        uncertain: the links that an officer should rule on, the likeliest first.
    """

    customers: int
    parties: int
    merged: tuple[Link, ...]
    uncertain: tuple[Link, ...]


def resolve_parties(
    canonical: Path,
    rulings: Sequence[Ruling] = (),
    *,
    threads: int | None = None,
    memory_limit: str | None = None,
) -> Resolution:
    """Write ``canonical/parties`` from ``canonical/customers``.

    One row a customer: ``legal_entity``, ``customer_id``, ``party_id``, ``kind``, ``resolved_by`` (``ruling``,
    ``identity_token``, ``likelihood`` or ``alone``), ``owner_party_id`` (who owns an enterprise, null for persons),
    and the timestamps of the customer's first record.

    Officers' rulings come first, then equal identity tokens, then likelihood, the surest links first. Two customers
    that were ruled apart never become one party, whatever else holds them together. A party is named after its
    longest-known customer, so it keeps its id when others join it.
    """
    customers = known_customers(canonical)
    ruled = _ruled(customers, rulings)
    certain = same_identity(customers)
    likely = probable_links(customers, least=REVIEWED_FROM, threads=threads, memory_limit=memory_limit)
    sure = likely.filter(pl.col("probability") >= MERGED_FROM)
    doubtful = certain.filter("contradicted").drop("contradicted")
    # A number that both have is the rule's business, and a contradicted one the officer's.
    sure = sure.join(doubtful, on=["left", "right"], how="anti")
    groups = _Groups(len(customers), ruled.apart)
    accepted = [
        link
        for link in (
            *((left, right, Basis.RULING.value, None) for left, right in ruled.same),
            *certain.filter(~pl.col("contradicted")).drop("contradicted").iter_rows(),
            *sure.iter_rows(),
        )
        if groups.unite(link[0], link[1])
    ]
    parties = _named(customers, groups, accepted)
    folder = canonical / "parties"
    folder.mkdir(exist_ok=True)
    with written_whole(folder / "part-00000.parquet") as part:
        parties.write_parquet(part, compression="snappy")
    asked = pl.concat([doubtful, likely.filter(~(pl.col("probability") >= MERGED_FROM).fill_null(value=False))])
    uncertain = [
        link
        for link in asked.unique(["left", "right"], keep="first", maintain_order=True).iter_rows()
        if not groups.are_one(link[0], link[1]) and (link[0], link[1]) not in ruled.apart
    ]
    return Resolution(
        len(customers),
        parties["party_id"].n_unique(),
        tuple(_links(customers, accepted)),
        tuple(_links(customers, uncertain)),
    )


_Row = tuple[int, int, str, float | None]


@dataclass(frozen=True, slots=True)
class _Ruled:
    same: list[tuple[int, int]]
    apart: set[tuple[int, int]]


def _ruled(customers: pl.DataFrame, rulings: Sequence[Ruling]) -> _Ruled:
    rows = {
        CustomerKey(entity, customer): row
        for row, entity, customer in customers.select("row", "legal_entity", "customer_id").iter_rows()
    } if rulings else {}  # fmt: skip
    same, apart = [], set()
    for ruling in rulings:
        if ruling.left not in rows or ruling.right not in rows:
            continue  # a customer of a data set that is not loaded
        pair = tuple(sorted((rows[ruling.left], rows[ruling.right])))
        if ruling.verdict is Verdict.SAME:
            same.append((pair[0], pair[1]))
        elif ruling.verdict is Verdict.DIFFERENT:
            apart.add((pair[0], pair[1]))
    return _Ruled(sorted(same), apart)


class _Groups:
    """Disjoint sets of customers that never bring together two who were ruled apart."""

    def __init__(self, count: int, apart: Iterable[tuple[int, int]]) -> None:
        self._parent = list(range(count))
        self._strangers: dict[int, set[int]] = {}
        for left, right in apart:
            self._strangers.setdefault(left, set()).add(right)
            self._strangers.setdefault(right, set()).add(left)

    def root(self, row: int) -> int:
        """The smallest row of the group, which is the longest known."""
        parent = self._parent
        while parent[row] != row:
            parent[row] = parent[parent[row]]
            row = parent[row]
        return row

    def are_one(self, left: int, right: int) -> bool:
        return self.root(left) == self.root(right)

    def unite(self, left: int, right: int) -> bool:
        """Bring two groups together; whether there were two, and they may be one."""
        left, right = sorted((self.root(left), self.root(right)))
        if left == right:
            return False
        strangers = self._strangers.get(right, set())
        if any(self.root(stranger) == left for stranger in strangers):
            return False
        self._parent[right] = left
        if strangers:
            # Each of the two sides must know it, whichever of them becomes part of another.
            self._strangers.setdefault(left, set()).update(strangers)
        return True


def _named(customers: pl.DataFrame, groups: _Groups, accepted: Sequence[_Row]) -> pl.DataFrame:
    tokens, kinds = customers["identity_token"].to_list(), customers["kind"].to_list()
    keys = customers.select("legal_entity", "customer_id").rows()
    roots = [groups.root(row) for row in range(len(customers))]
    names: dict[int, str] = {}
    taken: set[str] = set()
    for row in range(len(customers)):
        if roots[row] == row:
            token = tokens[row]
            name = _party_id(kinds[row], token) if token else _party_id(*keys[row])
            # Strangers with one token: the first is named after it, the other after itself.
            names[row] = name if name not in taken else _party_id(*keys[row])
            taken.add(names[row])
    persons = {token: names[root] for token, kind, root in _backwards(tokens, kinds, roots) if kind == "person"}
    owners = customers["owner_identity_token"].to_list()
    bases = _strongest(accepted)
    alone = [Basis.IDENTITY_TOKEN.value if token else "alone" for token in tokens]
    return (
        customers.with_columns(
            party_id=pl.Series([names[root] for root in roots], dtype=pl.String),
            owner_party_id=pl.Series(
                [persons.get(owner) or _party_id("person", owner) if owner else None for owner in owners],
                dtype=pl.String,
            ),
            resolved_by=pl.Series([bases.get(row, alone[row]) for row in range(len(customers))], dtype=pl.String),
        )
        .select(
            "legal_entity",
            "customer_id",
            "party_id",
            "kind",
            "resolved_by",
            "owner_party_id",
            "event_timestamp",
            "created_timestamp",
        )
        .sort("legal_entity", "customer_id")
    )


def _backwards(tokens: list[str | None], kinds: list[str], roots: list[int]) -> list[tuple[str, str, int]]:
    """Customers with a token, the last first: what is put into a dictionary last is then the longest known."""
    rows = zip(tokens, kinds, roots, strict=True)
    return [(token, kind, root) for token, kind, root in reversed(list(rows)) if token]


def _strongest(accepted: Sequence[_Row]) -> dict[int, str]:
    """Of each customer the first of the links that hold it, which is the strongest."""
    bases: dict[int, str] = {}
    for left, right, basis, _ in accepted:
        for row in (left, right):
            bases.setdefault(row, basis)
    return bases


def _links(customers: pl.DataFrame, rows: Sequence[_Row]) -> list[Link]:
    keys = [CustomerKey(*key) for key in customers.select("legal_entity", "customer_id").iter_rows()]
    return [Link(keys[left], keys[right], basis, probability) for left, right, basis, probability in rows]


def _party_id(*identity: str) -> str:
    """``P`` and 55 bits of a hash: two of a million parties share one with a probability of 1 in 70,000."""
    digest = hashlib.blake2b("\x1f".join(identity).encode(), digest_size=10).digest()
    return f"P{base64.b32encode(digest).decode()[: PARTY_ID_LENGTH - 1]}"
