"""Which statements are of credit that revolves: the schedule of an instalment loan says nothing of its debtor."""

from typing import Final

REVOLVES: Final = (
    "(payment_behaviour IN ('revolving', 'no_use') "
    "OR payment_behaviour = 'paid_in_full' AND amount_paid >= statement_balance)"
)
"""Nothing late: arrears are told by days past due. Who pays an instalment loan as it is due leaves a balance."""
