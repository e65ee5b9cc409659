"""One partition of the simulated group: its parties, customers and payment history, from which all tables follow."""

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import numpy.typing as npt

from features.sources.simulated.credit_state import INACTIVE, PaymentHistory, simulate_payments
from features.sources.simulated.plan import BUSINESSES, CORE_ENTERPRISES, Size, month_starts
from features.sources.simulated.population import Customers, Parties, make_customers, make_parties

HOUR: Final = 3_600 * 1_000_000
DAY: Final = 24 * HOUR
_ID_SPACE: Final = 10**8

_STREAMS: Final = (
    "population", "payments", "names", "bookings", "lending", "bureau", "trade", "marketing", "faults", "recoveries",
    "declined",
)  # fmt: skip


@dataclass(frozen=True)
class Partition:
    """All that is hidden and decided of one partition, before it is written as tables."""

    number: int
    size: Size
    seed: int
    parties: Parties
    customers: Customers
    history: PaymentHistory

    def rng(self, stream: str) -> np.random.Generator:
        """Random numbers of one subject, so that a change in one table leaves the others as they are."""
        return _generator(self.seed, stream, self.number)

    def row_numbers(self, rows: int) -> npt.NDArray[np.int64]:
        """Numbers for a table's rows that no other partition gives out."""
        return np.int64(self.number) * 10**7 + np.arange(rows)

    @cached_property
    def customer_ids(self) -> list[str]:
        """Each company numbers its customers by itself: nothing in the number tells that two are one party."""
        codes = np.array([_PREFIX[business.legal_entity] for business in BUSINESSES])[self.customers.business]
        # Multiplication by a number coprime to 10^8 is a bijection on the eight digits, another one for each company.
        factor = 38_462_113 + 2_000 * self.customers.business
        numbers = (self.parties.number[self.customers.party] * factor + 7_919 * self.customers.business) % _ID_SPACE
        return [f"{code}{number:08d}" for code, number in zip(codes, numbers, strict=True)]

    @cached_property
    def active(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Customer and month of each active customer-month, by customer, then month."""
        customer, month = np.nonzero(self.history.arrears != INACTIVE)
        return customer, month

    @cached_property
    def stress_values(self) -> npt.NDArray[np.float64]:
        """Stress in each active customer-month, standardised."""
        customer, month = self.active
        level = self.parties.stress[self.customers.party[customer], month + 1]
        return np.asarray((level - 4.0) / np.sqrt(2.0))

    @cached_property
    def month_starts(self) -> npt.NDArray[np.int64]:
        """First instants of the months in microseconds, one more than there are months."""
        return month_starts()


def make_partition(number: int, size: Size, seed: int) -> Partition:
    """Make partition ``number`` (from 0). The same arguments make the same partition, in any order of making."""
    first = number * size.parties_per_partition
    count = min(size.parties_per_partition, size.parties - first)
    population = _generator(seed, "population", number)
    core_risk = 0.35 * _generator(seed, "population", 2**31).standard_normal(CORE_ENTERPRISES)
    parties = make_parties(first, count, core_risk, population)
    customers = make_customers(parties, population)
    history = simulate_payments(
        customers.index,
        parties.stress[customers.party],
        customers.start_month,
        _generator(seed, "payments", number),
    )
    return Partition(number, size, seed, parties, customers, history)


def _generator(seed: int, stream: str, number: int) -> np.random.Generator:
    return np.random.Generator(np.random.SFC64([seed, _STREAMS.index(stream), number]))


_PREFIX: Final = {
    "credit": "CR", "guarantee": "GU", "leasing": "LE", "factoring": "FA", "consumer": "CO", "supply_chain": "SC",
}  # fmt: skip
