"""What surrounds the loans of a partition: credit-bureau inquiries, trade invoices, marketing contacts."""

from typing import Final

import numpy as np
import pyarrow as pa

from features.sources.simulated.columns import amounts, constant, dates, instants, numbered, texts, to_cents
from features.sources.simulated.partition import DAY, HOUR, Partition
from features.sources.simulated.plan import BUSINESSES, CORE_ENTERPRISES, CURRENCY, MONTHS

_INVOICES_PER_MONTH: Final = 1.2
_CAMPAIGN_MONTHS: Final = range(2, MONTHS, 3)
_CONTACT_SHARE: Final = 0.25
_HELD_OUT_SHARE: Final = 0.15


def bureau_table(partition: Partition) -> pa.Table:
    """A credit-bureau report on each active customer, once a quarter."""
    rng = partition.rng("bureau")
    customer, month = partition.active
    asked = np.flatnonzero(month % 3 == customer % 3)
    customer, month, stress = customer[asked], month[asked], partition.stress_values[asked]
    party = partition.customers.party[customer]
    willingness = partition.parties.willingness[party]
    income = partition.parties.monthly_income[party]
    rows = len(asked)
    inquiries = rng.poisson(np.exp(0.1 + 0.40 * stress - 0.35 * willingness))
    overdue = rng.poisson(np.exp(-1.3 + 0.25 * stress - 0.60 * willingness))
    debt = income * np.exp(1.0 + 0.30 * stress + 0.5 * rng.standard_normal(rows))
    when = partition.month_starts[month] + rng.integers(0, 20 * 24, rows) * HOUR
    return pa.table({
        "legal_entity": texts(partition.customers.business[customer], [b.legal_entity for b in BUSINESSES]),
        "customer_id": texts(customer, partition.customer_ids),
        "inquiry_id": numbered("B", partition.row_numbers(rows), 12),
        "inquiries_6m": pa.array(inquiries.astype(np.int32)),
        "open_accounts": pa.array((1 + rng.poisson(2.0, rows)).astype(np.int32)),
        "overdue_accounts_24m": pa.array(overdue.astype(np.int32)),
        "oldest_account_months": pa.array((6 + rng.gamma(2.0, 25.0, rows)).astype(np.int32)),
        "external_debt": amounts(to_cents(debt), rng.random(rows) < 0.03),
        "currency": constant(CURRENCY, rows),
        "event_timestamp": instants(when),
        "created_timestamp": instants(when + HOUR // 12),
    })  # fmt: skip


def invoice_table(partition: Partition) -> pa.Table:
    """Invoices of the factoring and supply-chain customers to their core enterprises; a strained one pays late."""
    rng = partition.rng("trade")
    customer, month = partition.active
    trades = np.array([b.legal_entity in ("factoring", "supply_chain") for b in BUSINESSES])
    cells = np.flatnonzero(trades[partition.customers.business[customer]])
    cells = np.repeat(cells, rng.poisson(_INVOICES_PER_MONTH, len(cells)))
    customer, month, stress = customer[cells], month[cells], partition.stress_values[cells]
    party = partition.customers.party[customer]
    rows = len(cells)
    amount = 0.5 * partition.parties.monthly_income[party] * np.exp(0.5 * rng.standard_normal(rows) - 0.1 * stress)
    issued = partition.month_starts[month] + rng.integers(0, 27 * 24, rows) * HOUR
    due = issued + rng.choice(np.array([30, 60, 90]), rows) * DAY
    strained = np.sin(partition.parties.core_enterprise[party]) > 0.5
    paid = due + np.rint(rng.gamma(1.2, np.where(strained, 14.0, 4.0))).astype(np.int64) * DAY - 3 * DAY
    unpaid = rng.random(rows) < np.where(strained, 0.03, 0.005)
    buyers = [f"CORE{number:04d}" for number in range(CORE_ENTERPRISES)]
    return pa.table({
        "legal_entity": texts(partition.customers.business[customer], [b.legal_entity for b in BUSINESSES]),
        "invoice_id": numbered("I", partition.row_numbers(rows), 12),
        "customer_id": texts(customer, partition.customer_ids),
        "buyer_id": texts(partition.parties.core_enterprise[party], buyers),
        "amount": amounts(to_cents(amount)),
        "currency": constant(CURRENCY, rows),
        "due_date": dates(due),
        "paid_date": dates(paid, absent=unpaid),
        "event_timestamp": instants(issued),
        "created_timestamp": instants(issued + 2 * HOUR),
    })  # fmt: skip


def contact_tables(partition: Partition) -> tuple[pa.Table, pa.Table]:
    """Marketing contacts of quarterly campaigns, and the truth about them.

    Who is treated and who is held out is drawn at random among those a campaign selects, so that the difference
    between the two is what the contact caused.
    """
    rng = partition.rng("marketing")
    customer, month = partition.active
    campaign_month = np.isin(month, list(_CAMPAIGN_MONTHS))
    chosen = np.flatnonzero(campaign_month & (rng.random(len(month)) < _CONTACT_SHARE))
    customer, month, stress = customer[chosen], month[chosen], partition.stress_values[chosen]
    party = partition.customers.party[customer]
    parties = partition.parties
    rows = len(chosen)
    interest = -2.9 + 0.35 * stress + 0.25 * parties.willingness[party]
    effect = 0.55 + 0.5 * parties.ability[party] - 0.012 * (parties.age_years[party] - 38)
    untreated = 1 / (1 + np.exp(-interest))
    treated = 1 / (1 + np.exp(-(interest + effect)))
    is_treated = rng.random(rows) >= _HELD_OUT_SHARE
    takes_up = rng.random(rows) < np.where(is_treated, treated, untreated)
    responds = is_treated & (takes_up | (rng.random(rows) < 0.05))
    when = partition.month_starts[month] + (5 + rng.integers(0, 10, rows)) * DAY + 11 * HOUR
    key = {
        "legal_entity": texts(partition.customers.business[customer], [b.legal_entity for b in BUSINESSES]),
        "campaign_id": texts(month, [f"C{number:03d}" for number in range(MONTHS)]),
        "customer_id": texts(customer, partition.customer_ids),
    }
    contacts = pa.table({
        **key,
        "treated": pa.array(is_treated),
        "channel": texts(rng.integers(0, 3, rows), ("sms", "call", "mobile_app")),
        "responded": pa.array(responds),
        "took_up": pa.array(takes_up),
        "event_timestamp": instants(when),
        # The outcome of a contact is known a month later.
        "created_timestamp": instants(when + 30 * DAY),
    })  # fmt: skip
    truth = pa.table({**key, "take_up_untreated": pa.array(untreated), "uplift": pa.array(treated - untreated)})
    return contacts, truth
