"""A source of foreign tables, by a mapping or by canonical names; and a look at what would become of them."""

import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime

import polars as pl

from features.contracts.loading import TableLoad
from features.contracts.tables import CONTRACTS
from features.contracts.tokens import Tokens
from features.contracts.validation import rules_broken, validate
from features.errors import UnusableMapping
from features.sources.deliveries import Delivery, Landing
from features.sources.foreign import ForeignTables
from features.sources.manifest import Manifest
from features.sources.mapping import Mapping, mapped


@dataclass(frozen=True, slots=True)
class ForeignSource:
    """Foreign tables that are copied into the home folder as canonical ones, for the contracts to judge."""

    name: str
    tables: ForeignTables
    mapping: Mapping | None
    observed_until: datetime
    horizon_months: int

    @property
    def work(self) -> int:
        """The number of tables."""
        return len(self.origins())

    def identity(self) -> str:
        """Another one each time: what a foreign source holds is only known by reading it."""
        return f"{self.name} {uuid.uuid4().hex}"

    def deliver(self, landing: Landing, progress: Callable[[int], None]) -> Delivery:
        """Write the mapped tables as Parquet."""
        for table in self.origins():
            folder = landing.raw / table
            folder.mkdir(parents=True, exist_ok=True)
            for part, rows, _ in self.mapped(table):
                kept = landing.tokens.of(table, rows, part)
                kept.write_parquet(folder / f"{part}.parquet", compression="snappy")
            progress(1)
        return Delivery(landing.raw, Manifest(self.name, self.observed_until, self.horizon_months))

    def mapped(self, table: str) -> Iterator[tuple[str, pl.DataFrame, tuple[str, ...]]]:
        """Parts of a canonical table: a name, the rows, and the foreign columns that nothing is taken from."""
        for part, foreign in self.tables.batches(self.origins()[table]):
            name = part.removesuffix(".parquet")
            if self.mapping is None:
                known = CONTRACTS[table].columns
                yield name, foreign, tuple(column for column in foreign.columns if column not in known)
            else:
                found = mapped(table, self.mapping.tables[table], foreign)
                yield name, found.rows, found.unused

    def origins(self) -> dict[str, str]:
        """Canonical tables, in the order of loading, and where each comes from."""
        if self.mapping is None:
            names = self.tables.names()
            if not names:
                raise UnusableMapping(
                    f"'{self.name}' has no table of a canonical name; say with --mapping which foreign table is which."
                )
            return {name: name for name in names}
        return {name: self.mapping.tables[name].origin for name in CONTRACTS if name in self.mapping.tables}


@dataclass(frozen=True, slots=True)
class TablePreview:
    """What would become of a table: the load's figures, some rejected rows, and foreign columns left unused."""

    load: TableLoad
    rejections: pl.DataFrame
    unused: tuple[str, ...]


def preview(source: ForeignSource, *, examples: int, now: datetime, tokens: Tokens | None = None) -> list[TablePreview]:
    """Hold every table against its contract and keep nothing.

    Args:
        source: the foreign tables.
        examples: how many rejections of each table to show.
        now: what lies after it is in the future.
        tokens: what becomes of identity and phone numbers; left out, there must be none.
    """
    known: pl.DataFrame | None = None
    found = []
    for table in source.origins():
        contract = CONTRACTS[table]
        read = kept = rejected = 0
        rejections: list[pl.DataFrame] = []
        unused: dict[str, None] = {}
        customers: list[pl.DataFrame] = []
        for part, rows, left in source.mapped(table):
            tokenised = (tokens or Tokens(None)).of(table, rows, part)
            verdict = validate(tokenised, contract, part, known_customers=known, now=now)
            read += len(rows)
            kept += len(verdict.kept)
            rejected += verdict.rows_rejected
            rejections.append(verdict.rejections)
            unused |= dict.fromkeys(left)
            if table == "customers":
                customers.append(verdict.kept.select("legal_entity", "customer_id"))
        if customers:
            known = pl.concat(customers).unique()
        broken = pl.concat(rejections)
        load = TableLoad(table, read, kept, rejected, (), rules_broken(broken), files=len(rejections))
        found.append(TablePreview(load, broken.head(examples), tuple(unused)))
    return found
