"""The plan of the simulated group: its calendar, its sizes, its companies' business."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

MONTHS: Final = 48
FIRST_MONTH: Final = np.datetime64("2022-01", "M")
LAST_INSTANT: Final = (FIRST_MONTH + MONTHS).astype("datetime64[us]")
"""The end of the simulated history, 2026-01-01T00:00Z: what an online score is asked for."""

CURRENCY: Final = "CNY"


@dataclass(frozen=True, slots=True)
class Size:
    """How large a group is made. Every partition holds ``parties_per_partition`` persons and companies."""

    name: str
    parties: int
    transactions: int
    parties_per_partition: int = 2_500

    @property
    def partitions(self) -> int:
        """Number of partitions, each made and written by itself."""
        return -(-self.parties // self.parties_per_partition)


SIZES: Final[dict[str, Size]] = {
    "small": Size("small", 5_000, 500_000),
    "medium": Size("medium", 50_000, 10_000_000),
    "large": Size("large", 500_000, 100_000_000),
}


@dataclass(frozen=True, slots=True)
class Business:
    """How one company lends, in the simulation.

    ``miss_index`` is the log-odds of missing a month's payment for an average customer in an average month. The
    reach is the share of persons and of enterprises who are its customers.
    """

    legal_entity: str
    product: str
    person_reach: float
    enterprise_reach: float
    miss_index: float
    revolving: bool
    limit_in_months_of_income: float
    rate_per_annum: float
    guarantee_type: str


BUSINESSES: Final = (
    Business(
        "credit", "instalment_loan", person_reach=0.40, enterprise_reach=0.36, miss_index=-3.73, revolving=False,
        limit_in_months_of_income=4.0, rate_per_annum=0.158, guarantee_type="credit",
    ),
    Business(
        "guarantee", "guaranteed_loan", person_reach=0.00, enterprise_reach=0.38, miss_index=-3.90, revolving=False,
        limit_in_months_of_income=6.0, rate_per_annum=0.062, guarantee_type="guarantee",
    ),
    Business(
        "leasing", "finance_lease", person_reach=0.12, enterprise_reach=0.30, miss_index=-3.87, revolving=False,
        limit_in_months_of_income=8.0, rate_per_annum=0.089, guarantee_type="ownership_retained",
    ),
    Business(
        "factoring", "factoring_line", person_reach=0.00, enterprise_reach=0.38, miss_index=-3.95, revolving=True,
        limit_in_months_of_income=2.5, rate_per_annum=0.095, guarantee_type="receivables",
    ),
    Business(
        "consumer", "revolving_card", person_reach=0.86, enterprise_reach=0.00, miss_index=-3.73, revolving=True,
        limit_in_months_of_income=1.8, rate_per_annum=0.179, guarantee_type="credit",
    ),
    Business(
        "supply_chain", "invoice_finance", person_reach=0.00, enterprise_reach=0.42, miss_index=-4.00, revolving=True,
        limit_in_months_of_income=2.0, rate_per_annum=0.078, guarantee_type="receivables",
    ),
)  # fmt: skip

REGIONS: Final = (
    "110000", "120000", "130000", "210000", "310000", "320000", "330000", "340000", "350000", "370000",
    "410000", "420000", "430000", "440000", "500000", "510000", "610000",
)  # fmt: skip
"""Provinces by their code in GB/T 2260."""

INDUSTRIES: Final = ("A", "C", "E", "F", "G", "H", "I", "L", "M", "N", "O", "R")
"""Sections of GB/T 4754-2017 that the simulated enterprises belong to."""

ENTERPRISE_SIZES: Final = ("micro", "small", "medium", "large")
EDUCATION_LEVELS: Final = ("primary", "secondary", "bachelor", "postgraduate")
CORE_ENTERPRISES: Final = 40
"""Core enterprises (核心企业) that the group's suppliers sell to."""


def month_starts() -> npt.NDArray[np.int64]:
    """First instants of the months, ``(MONTHS + 1,) int64`` microseconds since 1970 UTC."""
    return (FIRST_MONTH + np.arange(MONTHS + 1)).astype("datetime64[us]").astype(np.int64)
