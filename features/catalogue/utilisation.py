"""How much of what was granted is drawn: balances and limits of the statements."""

from typing import Final

from features.catalogue.revolving import REVOLVES
from features.windows import Derived, Metric, WindowView, monthly, over, trend

# Cut to six digits as a decimal: a mean of decimals is exact, one of floats depends on the order. A limit of a cent
# must not make a number that no decimal holds.
_UTILISATION: Final = Metric(
    "utilisation",
    "CASE WHEN credit_limit > 0 THEN "
    "greatest(-1000, least(1000, statement_balance::DOUBLE / credit_limit::DOUBLE))::DECIMAL(18, 6) END",
    "share", "Balance over limit, 1000 at most", decimals=6,
)  # fmt: skip
_REVOLVING_UTILISATION: Final = Metric(
    "revolving_utilisation",
    f"CASE WHEN credit_limit > 0 AND {REVOLVES} THEN "
    "greatest(-1000, least(1000, statement_balance::DOUBLE / credit_limit::DOUBLE))::DECIMAL(18, 6) END",
    "share", "Balance over limit where credit revolves and nothing is late", decimals=6,
)  # fmt: skip
_OWN_LIMIT: Final = Metric("own_limit", "credit_limit", "CNY", "Credit limit of the company that looks", "own")
_OVER_LIMIT: Final = Metric(
    "over_limit", "CASE WHEN statement_balance > credit_limit THEN 1 END", "statements", "Statements above the limit"
)
_UNUSED: Final = Metric(
    "unused", "CASE WHEN payment_behaviour = 'no_use' THEN 1 END", "statements", "Statements without use"
)
_BALANCE: Final = Metric("statement_balance", "statement_balance", "CNY", "Balance of a statement")
_LIMIT: Final = Metric("credit_limit", "credit_limit", "CNY", "Credit limit of a statement's loan")
_PAID: Final = Metric("paid", "amount_paid", "CNY", "Paid in the month of a statement")
_MONTHLY_BALANCES: Final = monthly(_BALANCE, "sum", 6, risk=0)

UTILISATION: Final = WindowView(
    name="utilisation",
    table="statements",
    row_id="loan_id",
    windowed=(
        *monthly(_UTILISATION, "mean", 6, risk=0),
        *over(_UTILISATION, "mean", (90, 180, 360, 1080), risk=0),
        *over(_REVOLVING_UTILISATION, "mean", (30, 90, 180, 360, 1080), risk=1),
        *over(_UTILISATION, "max", (180,), risk=0),
        *over(_UTILISATION, "std", (360,), risk=0),
        *over(_OVER_LIMIT, "count", (180, 360), risk=1),
        *over(_UNUSED, "count", (180,), risk=0),
        *_MONTHLY_BALANCES,
        *over(_BALANCE, "max", (180,), risk=0),
        *over(_LIMIT, "max", (60,), risk=0),
    ),
    helpers=(*over(_PAID, "sum", (180,), risk=0), *over(_OWN_LIMIT, "max", (60,), risk=0)),
    derived=(
        Derived(
            "utilisation_change",
            "utilisation_mean_30d - utilisation_mean_180d",
            "share", 0, "Utilisation now against the last 180 days",
        ),
        Derived(
            "paid_to_limit_180d",
            "paid_sum_180d / nullif(credit_limit_max_60d, 0)",
            "ratio", -1, "Paid in 180 days over the limit",
        ),
        Derived(
            "own_limit_to_income",
            "own_limit_max_60d / nullif(stated_income, 0)",
            "months", 0, "Months of stated income that the company's own limit is worth",
        ),
        trend(
            "statement_balance_trend_6m",
            _MONTHLY_BALANCES,
            unit="share a month", risk=0, description="Slope of the monthly balances of six months, over their mean",
        ),
    ),
)  # fmt: skip
