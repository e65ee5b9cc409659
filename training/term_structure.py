"""From a 12-month PD to the PD by each month of a loan's life, and the loss that is to be expected over it.

One baseline of the portfolio (its cumulative hazard by month since the instant of scoring, as Nelson and Aalen estimate
it) is scaled for each party so that it meets the party's 12-month PD: proportional hazards (Cox 1972). So the curves
never cross: who is safer in a year is safer in every month.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from training.errors import InvalidTerms

Vector = npt.NDArray[np.float64]
Matrix = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

YEAR: Final = 12
_LEAST_AT_RISK: Final = 50
"""Months with fewer parties left say nothing of a hazard."""


@dataclass(frozen=True, slots=True)
class Baseline:
    """The portfolio's cumulative hazard at the end of each month since the instant, from month 1 on; it rises.

    ``observed_months`` were seen; what lies beyond goes on at the mean hazard of the last year that was.
    """

    cumulative_hazard: tuple[float, ...]
    observed_months: int


def estimated_baseline(months: Integers, defaulted: npt.NDArray[np.bool_], longest: int) -> Baseline:
    """Nelson and Aalen's estimate from when each party defaulted or was last seen, continued to ``longest`` months.

    Args:
        months: for each party, the month since the instant (from 1) in which it defaulted or was last seen.
        defaulted: whether it defaulted then; otherwise it left or the observation ended (it is censored).
        longest: how far the baseline has to reach, in months.

    Raises:
        InvalidTerms: fewer than twelve months were observed, or none defaulted.
    """
    if len(months) and months.min() < 1:
        raise InvalidTerms("Months count from 1.")
    ends = int(months.max()) if len(months) else 0
    at_risk = np.array([int((months >= month).sum()) for month in range(1, ends + 1)])
    seen = int((at_risk >= _LEAST_AT_RISK).sum())
    if seen < YEAR:
        raise InvalidTerms(f"{seen} months with {_LEAST_AT_RISK} parties were observed; a baseline needs {YEAR}.")
    defaults = np.bincount(months[defaulted], minlength=ends + 1)[1:]
    hazard = (defaults / np.maximum(at_risk, 1))[:seen]
    if not hazard[:YEAR].any():
        raise InvalidTerms("Nobody defaulted within a year: there is no hazard to scale.")
    beyond = np.full(max(longest - seen, 0), hazard[-YEAR:].mean())
    whole = np.concatenate([hazard, beyond])[:longest]
    return Baseline(tuple(np.cumsum(whole).tolist()), min(seen, longest))


def cumulative_pd(pd: Vector, baseline: Baseline) -> Matrix:
    """PD up to the end of each month ``(n, months)`` of 12-month PDs ``(n,)``; column 11 is the PD itself.

    1 − (1 − PD)^(H(t) / H(12)), H the baseline's cumulative hazard.
    """
    hazard = np.asarray(baseline.cumulative_hazard)
    share = hazard / hazard[YEAR - 1]
    with np.errstate(divide="ignore"):
        return np.asarray(-np.expm1(np.log1p(-pd)[:, None] * share[None, :]))


def marginal_pd(pd: Vector, baseline: Baseline) -> Matrix:
    """Probability of a default in each month and not before, ``(n, months)``; rows sum to the lifetime PD."""
    return np.diff(cumulative_pd(pd, baseline), axis=1, prepend=0.0)


def expected_loss(
    pd: Vector,
    loss_given_default: Vector,
    exposure: Matrix,
    baseline: Baseline,
    rate_per_annum: float = 0.0,
) -> Vector:
    """Lifetime expected loss ``(n,)``, CNY: Σ over months of marginal PD · LGD · exposure, discounted.

    Args:
        pd: 12-month PDs ``(n,)``.
        loss_given_default: shares ``(n,)``.
        exposure: CNY at the start of each month ``(n, months)``, 0 once the loan has ended.
        baseline: of at least as many months.
        rate_per_annum: what later losses are discounted at.

    Raises:
        InvalidTerms: the exposure reaches further than the baseline.
    """
    months = exposure.shape[1]
    if months > len(baseline.cumulative_hazard):
        raise InvalidTerms(f"The exposure reaches {months} months, the baseline {len(baseline.cumulative_hazard)}.")
    discount = (1 + rate_per_annum) ** (-np.arange(1, months + 1) / YEAR)
    marginal = marginal_pd(pd, baseline)[:, :months]
    return np.asarray((marginal * exposure * discount[None, :]).sum(axis=1) * loss_given_default)


def declining_exposure(principal: Vector, rate_per_annum: float, term_months: int) -> Matrix:
    """What is owed at the start of each month ``(n, term_months)`` of loans repaid in equal instalments.

    P · ((1 + r)^n − (1 + r)^k) / ((1 + r)^n − 1) after k payments, r = rate/12; in equal parts without interest.
    """
    if term_months < 1 or not 0 <= rate_per_annum <= 1:
        raise InvalidTerms("A term is at least a month, a rate from 0 to 1.")
    paid = np.arange(term_months)
    rate = rate_per_annum / YEAR
    left = 1 - paid / term_months if rate == 0 else 1 - np.expm1(paid * np.log1p(rate)) / np.expm1(
        term_months * np.log1p(rate)
    )  # fmt: skip
    return np.asarray(principal[:, None] * left[None, :])
