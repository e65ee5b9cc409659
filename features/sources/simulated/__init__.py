"""A simulated financial holding group: all canonical tables, deterministic in the seed, with its truth kept apart.

The raw tables go to one folder, the truth (default probabilities, identities, uplifts) to another that no feature
reads. Each partition of 2,500 parties is made and written by itself, so memory does not grow with the group.
"""

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from features.sources.simulated.bookings import account_table, transaction_table
from features.sources.simulated.columns import instants, texts
from features.sources.simulated.credit_state import DEFAULTED, INACTIVE, DefaultOracle
from features.sources.simulated.faults import with_faults
from features.sources.simulated.lending import Lending
from features.sources.simulated.partition import Partition, make_partition
from features.sources.simulated.people import customer_table
from features.sources.simulated.plan import BUSINESSES, LAST_INSTANT, SIZES, Size
from features.sources.simulated.surroundings import bureau_table, contact_tables, invoice_table

__all__ = ["LAST_INSTANT", "SIZES", "SimulatedGroup", "Size", "simulate"]

_ROWS_PER_GROUP: Final = 512 * 1024


@dataclass(frozen=True, slots=True)
class SimulatedGroup:
    """Where a simulated group was written, and how many rows each of its raw tables has."""

    raw: Path
    truth: Path
    rows: dict[str, int]


def simulate(
    raw: Path,
    truth: Path,
    size: Size,
    *,
    seed: int,
    threads: int,
    progress: Callable[[int], None] = lambda _parties: None,
) -> SimulatedGroup:
    """Write the group as ``raw/<table>/part-<n>.parquet`` and its truth likewise below ``truth``.

    The same size and seed give the same rows whatever ``threads`` is. ``progress`` is called after each partition
    with the number of parties it held.
    """
    oracle = DefaultOracle()

    def write(number: int) -> Counter[str]:
        partition = make_partition(number, size, seed)
        lending = Lending(partition)
        rows = Counter[str]()
        for name, table in _raw_tables(partition, lending):
            _write(table, raw / name, number)
            rows[name] += len(table)
        for name, table in _truth_tables(partition, lending, oracle):
            _write(table, truth / name, number)
        progress(len(partition.parties))
        return rows

    total = Counter[str]()
    with ThreadPoolExecutor(threads) as pool:
        for rows in pool.map(write, range(size.partitions)):
            total += rows
    return SimulatedGroup(raw, truth, dict(total))


def _raw_tables(partition: Partition, lending: Lending) -> "list[tuple[str, pa.Table]]":
    contacts, _ = contact_tables(partition)
    return [
        ("customers", customer_table(partition)),
        ("accounts", account_table(partition)),
        ("transactions", with_faults(partition, transaction_table(partition))),
        *lending.tables().items(),
        ("bureau", bureau_table(partition)),
        ("invoices", invoice_table(partition)),
        ("contacts", contacts),
    ]


def _truth_tables(partition: Partition, lending: Lending, oracle: DefaultOracle) -> "list[tuple[str, pa.Table]]":
    _, uplift = contact_tables(partition)
    companies = [business.legal_entity for business in BUSINESSES]
    customers = partition.customers
    identity = pa.table({
        "legal_entity": texts(customers.business, companies),
        "customer_id": pa.array(partition.customer_ids),
        "true_party": pa.array(partition.parties.number[customers.party]),
    })  # fmt: skip
    return [
        ("identity", identity),
        ("uplift", uplift),
        ("default_probability", _true_default(partition, oracle)),
        ("declined", _declined(partition, lending, oracle)),
        ("recovery", _recovery(partition, lending)),
    ]


def _declined(partition: Partition, lending: Lending, oracle: DefaultOracle) -> pa.Table:
    """What would have become of each declined application, had it been granted: its PD, and an outcome drawn by it."""
    customer, month, _ = lending.declined
    party = partition.customers.party[customer]
    # As the customer stood at the end of the month before; one that was not there yet has no arrears.
    before = partition.history.arrears[customer, np.maximum(month - 1, 0)]
    arrears = np.where((month > 0) & (before > 0) & (before < DEFAULTED), before, 0).astype(np.int8)
    probability = oracle.probability(
        month, partition.customers.index[customer], partition.parties.stress[party, month], arrears
    )
    return pa.table({
        "legal_entity": texts(partition.customers.business[customer], [b.legal_entity for b in BUSINESSES]),
        "customer_id": texts(customer, partition.customer_ids),
        "application_id": lending.declined_ids,
        "probability_of_default_12m": pa.array(probability),
        "would_default_12m": pa.array(partition.rng("declined").random(len(customer)) < probability),
    })  # fmt: skip


def _recovery(partition: Partition, lending: Lending) -> pa.Table:
    """The share of each loan in default that is recovered at last, within the history or after it."""
    cells, share = lending.recovered_shares
    customer, month = partition.active[0][cells], partition.active[1][cells]
    return pa.table({
        "legal_entity": texts(partition.customers.business[customer], [b.legal_entity for b in BUSINESSES]),
        "customer_id": texts(customer, partition.customer_ids),
        "loan_id": texts(lending.loan[cells], lending.loan_ids),
        "defaulted_in": instants(partition.month_starts[month]),
        "recovered_share": pa.array(share),
    })  # fmt: skip


def _true_default(partition: Partition, oracle: DefaultOracle) -> pa.Table:
    """PD over the twelve months after the end of each month in which the customer was there and not in default."""
    arrears = partition.history.arrears
    customer, month = np.nonzero((arrears != INACTIVE) & (arrears < DEFAULTED))
    party = partition.customers.party[customer]
    probability = oracle.probability(
        month + 1,
        partition.customers.index[customer],
        partition.parties.stress[party, month + 1],
        arrears[customer, month],
    )
    return pa.table({
        "legal_entity": texts(partition.customers.business[customer], [b.legal_entity for b in BUSINESSES]),
        "customer_id": texts(customer, partition.customer_ids),
        "event_timestamp": instants(partition.month_starts[month + 1]),
        "probability_of_default_12m": pa.array(probability),
    })  # fmt: skip


def _write(table: pa.Table, folder: Path, number: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(
        table,
        folder / f"part-{number:05d}.parquet",
        compression="snappy",
        row_group_size=_ROWS_PER_GROUP,
        store_schema=False,
        store_decimal_as_integer=True,
        use_dictionary=[name for name in table.column_names if pa.types.is_dictionary(table.schema.field(name).type)],
    )
