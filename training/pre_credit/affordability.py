"""What a party can carry: the loan whose instalments fit into what is left of its income."""

from collections.abc import Callable
from typing import Final

import numpy as np
import numpy.typing as npt

from training.errors import InvalidTerms

Vector = npt.NDArray[np.float64]

INCOME: Final = "income_per_month"
DUE_TO_THE_GROUP: Final = "due_sum_31d"
DEBT_ELSEWHERE: Final = "external_debt_latest_360d"
"""Features that say what a party earns and owes."""


def income_and_due(feature: Callable[[str], Vector], external_debt_due_a_month: float) -> tuple[Vector, Vector]:
    """Monthly income, and what is due a month to the group and, by the credit bureau, elsewhere; CNY ``(n,)``.

    Args:
        feature: the values of a feature by name, NaN where nothing is known.
        external_debt_due_a_month: share of the debt to other lenders that is due each month.
    """
    elsewhere = np.nan_to_num(feature(DEBT_ELSEWHERE)) * external_debt_due_a_month
    return feature(INCOME), np.nan_to_num(feature(DUE_TO_THE_GROUP)) + elsewhere


def affordable_principal(
    income_per_month: Vector,
    due_per_month: Vector,
    rate_per_annum: float,
    term_months: int,
    *,
    most_of_income: float,
) -> Vector:
    """The largest principal ``(n,)``, CNY, whose equal instalments a party can carry beside what it owes already.

    What is left is ``most_of_income · income − due``, not below zero; the principal is its present value,
    left · (1 − (1 + r)^−n) / r with r = rate/12. An income that is not known carries nothing.

    Args:
        income_per_month: CNY, NaN where it is not known.
        due_per_month: instalments due to all lenders known of, the group's companies included; NaN counts as none.
        rate_per_annum: of the new loan.
        term_months: of the new loan.
        most_of_income: share of the income that all instalments together may take.

    Raises:
        InvalidTerms: a rate or share outside 0 to 1, or a term below a month.
    """
    if not (0 <= rate_per_annum <= 1 and 0 <= most_of_income <= 1) or term_months < 1:
        raise InvalidTerms("A rate and a share of income are from 0 to 1, a term at least a month.")
    left = np.maximum(most_of_income * income_per_month - np.nan_to_num(due_per_month), 0.0)
    rate = rate_per_annum / 12
    annuity = term_months if rate == 0 else -np.expm1(-term_months * np.log1p(rate)) / rate
    return np.asarray(np.nan_to_num(left * annuity))
