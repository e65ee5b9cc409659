"""Money in and out of the party's accounts: how much, how often, from and to whom, for what."""

from typing import Final

from features.windows import Derived, Metric, WindowView, over, share

_INFLOW: Final = Metric("inflow", "CASE WHEN direction = 'in' THEN amount END", "CNY", "Money booked in")
_OUTFLOW: Final = Metric("outflow", "CASE WHEN direction = 'out' THEN amount END", "CNY", "Money booked out")
_CASH: Final = Metric("cash_withdrawal", "CASE WHEN category = 'cash_withdrawal' THEN amount END", "CNY", "Cash drawn")
_OTHER_LENDER: Final = Metric(
    "other_lender", "CASE WHEN category = 'other_lender' THEN amount END", "CNY", "Paid to lenders outside the group"
)
_REGULAR: Final = Metric(
    "regular_income", "CASE WHEN category IN ('salary', 'sales_receipt') THEN amount END", "CNY", "Salary or sales"
)
_STRAINED: Final = Metric(
    "strained", "CASE WHEN category IN ('cash_withdrawal', 'other_lender') THEN 1 END",
    "bookings", "Cash drawn or other lenders paid",
)  # fmt: skip
_AT_EASE: Final = Metric(
    "at_ease", "CASE WHEN category IN ('dining', 'leisure') THEN 1 END", "bookings", "Spent on dining or leisure"
)
_HOUSING: Final = Metric("housing", "CASE WHEN category = 'housing' THEN amount END", "CNY", "Paid for housing")
_DINING: Final = Metric("dining", "CASE WHEN category = 'dining' THEN amount END", "CNY", "Spent on dining")
_COUNTERPARTY: Final = Metric("counterparty", "counterparty", "counterparties", "Who the party deals with")

CASH_FLOW: Final = WindowView(
    name="cash_flow",
    table="transactions",
    row_id="transaction_id",
    windowed=(
        *over(_INFLOW, "sum", (7, 30, 90, 180, 360), risk=-1),
        *over(_INFLOW, "count", (90, 360), risk=0),
        *over(_INFLOW, "max", (90,), risk=0),
        *over(_INFLOW, "std", (360,), risk=0),
        *over(_INFLOW, "days_since", (360,), risk=1),
        *over(_OUTFLOW, "sum", (7, 30, 90, 180, 360), risk=0),
        *over(_OUTFLOW, "count", (90, 360), risk=0),
        *over(_OUTFLOW, "max", (90,), risk=0),
        *over(_CASH, "sum", (90, 360), risk=1),
        *over(_CASH, "count", (90, 360), risk=1),
        *over(_OTHER_LENDER, "sum", (90, 360), risk=1),
        *over(_OTHER_LENDER, "count", (90, 180, 360), risk=1),
        *over(_OTHER_LENDER, "days_since", (360,), risk=-1),
        *over(_REGULAR, "sum", (90, 180, 360), risk=-1),
        *over(_REGULAR, "mean", (90, 360), risk=-1),
        *over(_COUNTERPARTY, "distinct", (30, 90, 360), risk=0),
    ),
    helpers=(
        *over(_REGULAR, "mean", (180,), risk=-1),
        *over(_STRAINED, "count", (90, 360), risk=1),
        *over(_AT_EASE, "count", (90, 360), risk=-1),
        *over(_HOUSING, "sum", (360,), risk=0), *over(_DINING, "sum", (360,), risk=0),
    ),
    derived=(
        Derived(
            "net_flow_share_90d",
            "(inflow_sum_90d - outflow_sum_90d) / nullif(inflow_sum_90d + outflow_sum_90d, 0)",
            "share", -1, "Money in less money out, over both, in 90 days",
        ),
        Derived(
            "net_flow_share_360d",
            "(inflow_sum_360d - outflow_sum_360d) / nullif(inflow_sum_360d + outflow_sum_360d, 0)",
            "share", -1, "Money in less money out, over both, in 360 days",
        ),
        Derived(
            "inflow_change",
            "4 * inflow_sum_90d / nullif(inflow_sum_360d, 0)",
            "ratio", -1, "Money in of the last 90 days against the average quarter of the last 360",
        ),
        Derived(
            "regular_income_change",
            "regular_income_mean_90d / nullif(regular_income_mean_360d, 0)",
            "ratio", -1, "Mean salary or sales booking of 90 days against 360",
        ),
        Derived(
            "regular_income_to_stated",
            "regular_income_mean_90d / nullif(stated_income, 0)",
            "ratio", -1, "Mean salary or sales booking of 90 days over the stated monthly income",
        ),
        *(
            Derived(
                f"regular_income_to_stated_{days}d",
                f"regular_income_mean_{days}d / nullif(stated_income, 0)",
                "ratio", -1, f"Mean salary or sales booking of {days} days over the stated monthly income",
            )
            for days in (180, 360)
        ),
        *(
            Derived(
                f"strained_share_{days}d",
                f"strained_count_{days}d / nullif(strained_count_{days}d + at_ease_count_{days}d, 0)",
                "share", 1, f"Cash drawn and other lenders paid, over these and dining and leisure, in {days} days",
            )
            for days in (90, 360)
        ),
        share(
            "cash_withdrawal_count_share_360d", "cash_withdrawal_count_360d", "outflow_count_360d",
            risk=1, description="Share of the bookings out that draw cash, in 360 days",
        ),
        share(
            "other_lender_share_360d", "other_lender_sum_360d", "outflow_sum_360d",
            risk=1, description="Share of money out that goes to lenders outside the group, in 360 days",
        ),
        share(
            "housing_share_360d", "housing_sum_360d", "outflow_sum_360d",
            risk=0, description="Share of money out that pays for housing, in 360 days",
        ),
        share(
            "dining_share_360d", "dining_sum_360d", "outflow_sum_360d",
            risk=0, description="Share of money out that is spent on dining, in 360 days",
        ),
    ),
)  # fmt: skip
