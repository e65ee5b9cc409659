"""What a party can carry: the loan whose instalments fit into what is left of its income."""

import numpy as np
import numpy.typing as npt

from training.errors import InvalidTerms

Vector = npt.NDArray[np.float64]


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
