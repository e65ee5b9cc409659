"""Accounts and transactions of a partition: the bulk of the data, made column by column without a Python loop."""

from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from features.sources.simulated.columns import amounts, constant, instants, numbered, texts
from features.sources.simulated.credit_state import STRESS_LEVELS
from features.sources.simulated.partition import DAY, HOUR, Partition
from features.sources.simulated.plan import BUSINESSES, CURRENCY, MONTHS

# Category, whether money comes in, channel, share of a person's and of an enterprise's bookings, how the share moves
# with a standard deviation of stress (log), size of a booking in monthly incomes for both, its log spread.
_CATEGORIES: Final = (
    ("salary", True, "bank_transfer", 0.16, 0.00, -0.10, 0.80, 0.00, 0.10),
    ("sales_receipt", True, "bank_transfer", 0.00, 0.30, -0.12, 0.00, 0.36, 0.70),
    ("transfer_in", True, "mobile_app", 0.08, 0.06, 0.10, 0.25, 0.20, 0.90),
    ("tax_refund", True, "bank_transfer", 0.01, 0.02, 0.00, 0.10, 0.08, 0.60),
    ("groceries", False, "point_of_sale", 0.20, 0.00, 0.02, 0.035, 0.00, 0.60),
    ("dining", False, "mobile_app", 0.13, 0.01, -0.12, 0.02, 0.01, 0.60),
    ("transport", False, "mobile_app", 0.09, 0.04, -0.03, 0.03, 0.03, 0.60),
    ("housing", False, "bank_transfer", 0.06, 0.03, 0.00, 0.35, 0.12, 0.20),
    ("utilities", False, "mobile_app", 0.06, 0.05, 0.00, 0.03, 0.03, 0.40),
    ("health", False, "point_of_sale", 0.03, 0.00, 0.06, 0.08, 0.00, 1.00),
    ("leisure", False, "web", 0.07, 0.00, -0.20, 0.06, 0.00, 0.90),
    ("cash_withdrawal", False, "atm", 0.03, 0.02, 0.35, 0.15, 0.06, 0.50),
    ("other_lender", False, "web", 0.02, 0.03, 0.55, 0.15, 0.10, 0.50),
    ("supplier_payment", False, "bank_transfer", 0.00, 0.26, -0.05, 0.00, 0.26, 0.70),
    ("payroll", False, "bank_transfer", 0.00, 0.09, -0.03, 0.00, 0.22, 0.20),
    ("tax", False, "bank_transfer", 0.02, 0.07, 0.00, 0.05, 0.08, 0.40),
    ("transfer_out", False, "mobile_app", 0.04, 0.02, 0.05, 0.20, 0.15, 0.80),
)
_SHELF: Final = 2_048
"""Entries of a look-up table from a uniform number to a category: shares are exact to 1/2048."""

_COUNTERPARTIES: Final = 4_000
_MONTH_BITS: Final = 22
"""Seconds within a month fit into 22 bits (2^22 s = 48 days)."""


def account_table(partition: Partition) -> pa.Table:
    """One settlement account for each customer who was active in the history."""
    customer, first = np.unique(partition.active[0], return_index=True)
    opened = partition.month_starts[partition.active[1][first]]
    return pa.table({
        "legal_entity": texts(partition.customers.business[customer], [b.legal_entity for b in BUSINESSES]),
        "account_id": pa.array(_account_ids(partition)).take(pa.array(customer)),
        "customer_id": texts(customer, partition.customer_ids),
        "account_type": constant("settlement", len(customer)),
        "currency": constant(CURRENCY, len(customer)),
        "event_timestamp": instants(opened),
        "created_timestamp": instants(opened),
    })  # fmt: skip


def transaction_table(partition: Partition) -> pa.Table:
    """The partition's share of the group's transactions, by account, then time."""
    rng = partition.rng("bookings")
    cell = _cells_of_bookings(partition, rng)
    rows = len(cell)
    customer, month = partition.active
    seconds_in_month = (np.diff(partition.month_starts) // 1_000_000)[month]
    seconds = (rng.random(rows, np.float32) * seconds_in_month[cell].astype(np.float32)).astype(np.int64)
    # Sorting (cell, second) packed in one integer orders each account by time; what is drawn after that is
    # independent of it, so no other column needs to be moved.
    packed = (cell << _MONTH_BITS) | np.minimum(seconds, seconds_in_month[cell] - 1)
    packed.sort()
    cell = packed >> _MONTH_BITS
    booked = partition.month_starts[month][cell] + (packed & ((1 << _MONTH_BITS) - 1)) * 1_000_000

    who = customer[cell]
    bits = rng.integers(0, 2**32, rows, np.uint32)
    category = _category(partition, cell, bits & np.uint32(_SHELF - 1))
    cents = _cents(partition, cell, category, rng)
    inflow = np.array([entry[1] for entry in _CATEGORIES])[category]
    delay = ((bits >> 11) & 31).astype(np.int64) * HOUR // 2
    late = (bits >> 24) == 7
    created = booked + delay + np.where(late, ((bits >> 16) & 15).astype(np.int64) * DAY, 0)
    channels = [entry[2] for entry in _CATEGORIES]
    return pa.table({
        "legal_entity": texts(partition.customers.business[who], [b.legal_entity for b in BUSINESSES]),
        "transaction_id": numbered("T", partition.row_numbers(rows), 12),
        "account_id": texts(who, _account_ids(partition)),
        "customer_id": texts(who, partition.customer_ids),
        "amount": amounts(cents),
        "currency": constant(CURRENCY, rows),
        "direction": texts(inflow.astype(np.int32), ("out", "in")),
        "channel": _channel(category, channels),
        "category": texts(category, [entry[0] for entry in _CATEGORIES]),
        "counterparty": texts((bits >> 20) % _COUNTERPARTIES, [f"M{n:06d}" for n in range(_COUNTERPARTIES)]),
        "balance": amounts(_balances(partition, who, np.where(inflow, cents, -cents), rng)),
        "event_timestamp": instants(booked),
        "created_timestamp": instants(created),
    })  # fmt: skip


def _account_ids(partition: Partition) -> list[str]:
    return [f"{customer_id}A" for customer_id in partition.customer_ids]


def _cells_of_bookings(partition: Partition, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Customer-month of each booking, ascending. Busy customers book more, and December and January are busy."""
    customer, month = partition.active
    busy = np.exp(0.35 * rng.standard_normal(len(partition.customers)))[customer]
    season = np.where(np.isin(month % 12, (0, 11)), 1.15, 1.0) * (1 + 0.1 * month / MONTHS)
    weight = busy * season
    share = partition.size.transactions * len(partition.parties) / partition.size.parties
    counts = rng.poisson(weight * (share / weight.sum()))
    return np.repeat(np.arange(len(customer)), counts)


def _category(
    partition: Partition, cell: npt.NDArray[np.int64], ticket: npt.NDArray[np.uint32]
) -> npt.NDArray[np.uint8]:
    stress = (np.arange(STRESS_LEVELS) - 4.0) / np.sqrt(2.0)
    shelves = np.empty((2, STRESS_LEVELS, _SHELF), np.uint8)
    for kind in (0, 1):
        base = np.array([entry[3 + kind] for entry in _CATEGORIES])
        tilt = np.array([entry[5] for entry in _CATEGORIES])
        for level in range(STRESS_LEVELS):
            share = base * np.exp(tilt * stress[level])
            edges = (share / share.sum()).cumsum()
            shelves[kind, level] = np.minimum(
                np.searchsorted(edges, (np.arange(_SHELF) + 0.5) / _SHELF), len(_CATEGORIES) - 1
            )
    customer, month = partition.active
    party = partition.customers.party[customer]
    shelf = partition.parties.enterprise[party] * STRESS_LEVELS + partition.parties.stress[party, month + 1]
    return np.asarray(shelves.reshape(-1)[(shelf.astype(np.int64) * _SHELF)[cell] + ticket])


def _cents(
    partition: Partition, cell: npt.NDArray[np.int64], category: npt.NDArray[np.uint8], rng: np.random.Generator
) -> npt.NDArray[np.int64]:
    """Amounts of the bookings: log-normal around a share of monthly income; income itself falls under stress."""
    customer, _ = partition.active
    party = partition.customers.party[customer]
    enterprise = partition.parties.enterprise[party]
    log_income = np.log(partition.parties.monthly_income[party]).astype(np.float32)
    with np.errstate(divide="ignore"):
        log_share = np.log(np.array([[entry[6], entry[7]] for entry in _CATEGORIES])).astype(np.float32)
    log_share[~np.isfinite(log_share)] = np.float32(-4.0)
    inflow = np.array([entry[1] for entry in _CATEGORIES])
    spread = np.array([entry[8] for entry in _CATEGORIES], np.float32)
    # Under stress what comes in shrinks and what goes out does not: that is what the balance shows.
    stress = partition.stress_values.astype(np.float32)
    effect = np.where(inflow, -0.16, 0.03).astype(np.float32)
    log_amount = (
        log_income[cell]
        + log_share.reshape(-1)[category.astype(np.int64) * 2 + enterprise.astype(np.int64)[cell]]
        + effect[category] * stress[cell]
        + spread[category] * rng.standard_normal(len(cell), np.float32)
    )
    return np.asarray(np.maximum((np.exp(log_amount) * np.float32(100)).astype(np.int64), 1))


def _balances(
    partition: Partition,
    customer: npt.NDArray[np.int64],
    signed_cents: npt.NDArray[np.int64],
    rng: np.random.Generator,
) -> npt.NDArray[np.int64]:
    """Balance after each booking: opening balance plus all that was booked on the account so far."""
    income = partition.parties.monthly_income[partition.customers.party]
    ability = partition.parties.ability[partition.customers.party]
    savings = np.exp(0.5 * ability + 0.7 * rng.standard_normal(len(income)))
    opening = (2 * income * savings * 100).astype(np.int64)
    running = np.cumsum(signed_cents)
    starts = np.searchsorted(customer, np.arange(len(income)))
    before = np.where(starts > 0, running[np.maximum(starts, 1) - 1], 0)
    return np.asarray(running + (opening - before)[customer])


def _channel(category: npt.NDArray[np.uint8], channels: list[str]) -> pa.Array:
    names = sorted(set(channels))
    return texts(np.array([names.index(channel) for channel in channels])[category], names)
