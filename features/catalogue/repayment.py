"""How the party pays what is due: days past due, missed and full payments."""

from typing import Final

from features.catalogue.revolving import REVOLVES
from features.windows import Metric, WindowView, longest_run, monthly, over

_DAYS_PAST_DUE: Final = Metric("days_past_due", "days_past_due", "days", "Days past due at a statement")
_LATE: Final = Metric("late", "CASE WHEN days_past_due >= 30 THEN 1 END", "statements", "Statements 30 days past due")
_SLIP: Final = Metric("slip", "CASE WHEN days_past_due > 0 THEN 1 END", "statements", "Statements past due at all")
_SLIPPED: Final = Metric("slipped", "(days_past_due > 0)::INTEGER", "share", "Share of statements past due at all")
_MISSED: Final = Metric("missed", "(days_past_due >= 30)::INTEGER", "share", "Share of statements 30 days past due")
_REVOLVED: Final = Metric(
    "revolved", "CASE WHEN payment_behaviour = 'revolving' THEN 1 END", "statements", "Statements revolved"
)
_IN_FULL: Final = Metric(
    "paid_in_full", "CASE WHEN payment_behaviour = 'paid_in_full' THEN 1 END", "statements", "Statements paid in full"
)
# Ratios are cut to six digits as decimals: a mean of decimals is exact, one of floats depends on the order.
_PAID_SHARE: Final = Metric(
    "paid_share",
    "CASE WHEN statement_balance > 0 THEN "
    "least(amount_paid::DOUBLE / statement_balance::DOUBLE, 10)::DECIMAL(18, 6) END",
    "share", "Paid over balance", decimals=6,
)  # fmt: skip
_REVOLVING_PAID_SHARE: Final = Metric(
    "revolving_paid_share",
    f"CASE WHEN statement_balance > 0 AND {REVOLVES} THEN "
    "least(amount_paid::DOUBLE / statement_balance::DOUBLE, 1)::DECIMAL(18, 6) END",
    "share", "Paid over balance where credit revolves and nothing is late", decimals=6,
)  # fmt: skip
_OWN_DAYS_PAST_DUE: Final = Metric(
    "own_days_past_due", "days_past_due", "days", "Days past due at a statement of the company that looks", "own"
)
_PAID: Final = Metric("amount_paid", "amount_paid", "CNY", "Paid in the month of a statement")
_MONTHLY_SLIPS: Final = monthly(_SLIP, "count", 12, risk=1)

REPAYMENT: Final = WindowView(
    name="repayment",
    table="statements",
    row_id="loan_id",
    windowed=(
        *monthly(_DAYS_PAST_DUE, "max", 6, risk=1),
        *over(_DAYS_PAST_DUE, "max", (90, 180, 360), risk=1),
        *over(_DAYS_PAST_DUE, "mean", (90, 180, 360, 1080), risk=1),
        *over(_SLIPPED, "mean", (360, 1080), risk=1),
        *over(_MISSED, "mean", (720, 1080), risk=1),
        *over(_OWN_DAYS_PAST_DUE, "latest", (60,), risk=1),
        *over(_OWN_DAYS_PAST_DUE, "max", (90, 180, 360), risk=1),
        *over(_OWN_DAYS_PAST_DUE, "mean", (180, 360, 1080), risk=1),
        *over(_LATE, "count", (90, 180, 360), risk=1),
        *over(_SLIP, "count", (90, 180, 360), risk=1),
        *over(_SLIP, "days_since", (1080,), risk=-1),
        *over(_REVOLVED, "count", (90, 180, 360), risk=0),
        *over(_IN_FULL, "count", (90, 180, 360), risk=0),
        *monthly(_PAID_SHARE, "mean", 3, risk=0),
        *over(_PAID_SHARE, "mean", (90, 180, 360, 1080), risk=0),
        *over(_PAID_SHARE, "min", (180,), risk=0),
        *over(_REVOLVING_PAID_SHARE, "mean", (30, 90, 180, 360, 1080), risk=-1),
        *monthly(_PAID, "sum", 6, risk=-1),
        *over(_PAID, "sum", (90, 180), risk=-1),
        *over(_PAID, "min", (180,), risk=-1),
        *over(_PAID, "std", (360,), risk=0),
    ),
    helpers=_MONTHLY_SLIPS,
    derived=(
        longest_run(
            "slip_longest_run_12m",
            _MONTHLY_SLIPS, "> 0",
            risk=1, description="Longest run of months with a statement past due, in twelve",
        ),
    ),
)  # fmt: skip
