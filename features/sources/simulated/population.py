"""Who the group's customers are: persons and enterprises with hidden traits, and their dealings with each company."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from features.sources.simulated.credit_state import stress_chain
from features.sources.simulated.plan import (
    BUSINESSES,
    CORE_ENTERPRISES,
    EDUCATION_LEVELS,
    ENTERPRISE_SIZES,
    INDUSTRIES,
    MONTHS,
    REGIONS,
)

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

_INDUSTRY_RISK: Final = np.array([0.10, 0.0, 0.30, 0.05, 0.05, 0.35, -0.20, 0.10, -0.20, -0.25, 0.15, 0.20])
_SIZE_RISK: Final = np.array([0.30, 0.05, -0.20, -0.45])
_EDUCATION_RISK: Final = np.array([0.25, 0.10, -0.12, -0.25])
_UNDERWRITING_STRICTNESS: Final = 2.5
_UNDERWRITING_CUTOFF: Final = 0.7
_DRIFT_OVER_HISTORY: Final = 0.25
"""How much riskier the customers who join at the end of the history are than those who were there before it."""


@dataclass(frozen=True, slots=True)
class Parties:
    """The true persons and companies of one partition; arrays of length ``n`` but for ``stress (n, MONTHS + 1)``.

    ``ability`` and ``willingness`` (to pay) are standard normal and never written to a table that features read.
    """

    number: Ints
    enterprise: Bools
    ability: Floats
    willingness: Floats
    monthly_income: Floats
    age_years: Floats
    education: Ints
    region: Ints
    industry: Ints
    enterprise_size: Ints
    core_enterprise: Ints
    risk: Floats
    stress: npt.NDArray[np.int8]

    def __len__(self) -> int:
        return len(self.number)


@dataclass(frozen=True, slots=True)
class Customers:
    """Dealings of parties with companies: one row a (company, party) pair, ordered by party.

    ``index`` is the log-odds of a missed payment before stress, economy and arrears. ``start_month`` counts from the
    first month of the history and is negative for those who were customers before it.
    """

    party: Ints
    business: Ints
    start_month: Ints
    index: Floats
    limit: Floats
    term_months: Ints
    share_within_group: Bools
    marketing_consent: Bools

    def __len__(self) -> int:
        return len(self.party)


def make_parties(first: int, count: int, core_risk: Floats, rng: np.random.Generator) -> Parties:
    """Draw the parties with numbers ``first … first + count - 1``."""
    enterprise = rng.random(count) < 0.27
    ability = rng.standard_normal(count)
    willingness = 0.25 * ability + np.sqrt(1 - 0.25**2) * rng.standard_normal(count)
    education = np.clip(np.digitize(0.5 * ability + rng.standard_normal(count), [-1.1, 0.5, 1.6]), 0, 3)
    size = np.clip(np.digitize(0.6 * ability + rng.standard_normal(count), [0.3, 1.3, 2.4]), 0, 3)
    log_income = np.where(
        enterprise,
        12.0 + 1.1 * size + 0.35 * ability + 0.4 * rng.standard_normal(count),
        8.9 + 0.20 * education + 0.32 * ability + 0.25 * rng.standard_normal(count),
    )
    age = np.where(enterprise, rng.gamma(2.2, 4.0, count) + 0.5, np.clip(rng.normal(38, 11, count), 20, 66))
    industry = rng.integers(0, len(INDUSTRIES), count)
    core = rng.integers(0, CORE_ENTERPRISES, count)
    demographic = np.where(
        enterprise,
        _INDUSTRY_RISK[industry] + _SIZE_RISK[size] + 0.25 * np.exp(-age / 3) + core_risk[core],
        _EDUCATION_RISK[education] + 0.35 * ((age - 45) / 20) ** 2 - 0.1,
    )
    return Parties(
        number=np.arange(first, first + count),
        enterprise=enterprise,
        ability=ability,
        willingness=willingness,
        monthly_income=np.asarray(np.round(np.exp(log_income), 2), np.float64),
        age_years=age,
        education=np.minimum(education, len(EDUCATION_LEVELS) - 1),
        region=rng.integers(0, len(REGIONS), count),
        industry=industry,
        enterprise_size=np.minimum(size, len(ENTERPRISE_SIZES) - 1),
        core_enterprise=core,
        risk=demographic - 0.40 * ability - 0.40 * willingness,
        stress=stress_chain().paths(count, rng),
    )


def make_customers(parties: Parties, rng: np.random.Generator) -> Customers:
    """Decide which companies each party deals with (at least one), since when, and how much it may borrow."""
    reach = np.array([[business.person_reach, business.enterprise_reach] for business in BUSINESSES])
    chance = reach[:, parties.enterprise.astype(np.int64)].T
    # Each company turned risky applicants away before the history began; some it took all the same.
    granted = 1 / (1 + np.exp(_UNDERWRITING_STRICTNESS * (parties.risk - _UNDERWRITING_CUTOFF)))
    deals = rng.random(chance.shape) < chance * granted[:, None]
    without = np.flatnonzero(~deals.any(axis=1))
    cumulative = (chance / chance.sum(axis=1, keepdims=True)).cumsum(axis=1)
    deals[without, (rng.random(len(without))[:, None] > cumulative[without]).sum(axis=1)] = True
    party, business = np.nonzero(deals)
    count = len(party)

    start_month = np.where(rng.random(count) < 0.55, -rng.integers(1, 60, count), rng.integers(0, MONTHS - 3, count))
    miss_index = np.array([b.miss_index for b in BUSINESSES])[business]
    joined_late = np.clip(start_month, 0, MONTHS) / MONTHS
    limit_in_months = np.array([b.limit_in_months_of_income for b in BUSINESSES])[business]
    generosity = np.exp(0.15 * parties.ability[party] + 0.3 * rng.standard_normal(count))
    limit = np.maximum(np.round(parties.monthly_income[party] * limit_in_months * generosity, -3), 1_000)
    return Customers(
        party=party,
        business=business,
        start_month=start_month,
        index=miss_index + parties.risk[party] + _DRIFT_OVER_HISTORY * joined_late,
        limit=limit,
        term_months=rng.choice(np.array([12, 18, 24, 36]), count),
        share_within_group=rng.random(count) < 0.7,
        marketing_consent=rng.random(count) < 0.6,
    )
