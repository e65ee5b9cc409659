"""What is left on the party's accounts after each booking."""

from typing import Final

from features.windows import Derived, Metric, WindowView, over

_BALANCE: Final = Metric("balance", "balance", "CNY", "Balance after a booking")
_OVERDRAWN: Final = Metric("overdrawn", "CASE WHEN balance < 0 THEN 1 END", "bookings", "Bookings that left a debt")
_SPENT: Final = Metric("spent", "CASE WHEN direction = 'out' THEN amount END", "CNY", "Money booked out")

BALANCE: Final = WindowView(
    name="balance",
    table="transactions",
    row_id="transaction_id",
    windowed=(
        *over(_BALANCE, "min", (30, 90, 360), risk=-1),
        *over(_BALANCE, "max", (360,), risk=-1),
        *over(_BALANCE, "mean", (90, 360), risk=-1),
        *over(_BALANCE, "std", (90, 360), risk=0),
        *over(_BALANCE, "latest", (360,), risk=-1),
        *over(_OVERDRAWN, "count", (90, 360), risk=1),
        *over(_OVERDRAWN, "days_since", (360,), risk=-1),
    ),
    helpers=over(_SPENT, "sum", (360,), risk=0),
    derived=(
        Derived(
            "balance_to_income",
            "balance_mean_360d / nullif(stated_income, 0)",
            "months", -1, "Months of stated income that the mean balance of 360 days holds",
        ),
        Derived(
            "balance_to_outflow",
            "balance_latest_360d / nullif(spent_sum_360d / 12, 0)",
            "months", -1, "Months of spending that the balance covers",
        ),
        Derived(
            "balance_change",
            "balance_mean_90d - balance_mean_360d",
            "CNY", -1, "Mean balance of 90 days against 360",
        ),
    ),
)  # fmt: skip
