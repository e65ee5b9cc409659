"""What the credit bureau says: inquiries, overdue accounts, debt outside the group."""

from typing import Final

from features.windows import Derived, Metric, WindowView, over

_INQUIRIES: Final = Metric("inquiries", "inquiries_6m", "inquiries", "Credit inquiries of the last six months")
_OVERDUE: Final = Metric("overdue_accounts", "overdue_accounts_24m", "accounts", "Accounts overdue in two years")
_OLDEST: Final = Metric("oldest_account", "oldest_account_months", "months", "Age of the oldest credit account")
_EXTERNAL_DEBT: Final = Metric("external_debt", "external_debt", "CNY", "Debt outside the group")

BUREAU: Final = WindowView(
    name="bureau",
    table="bureau",
    row_id="inquiry_id",
    windowed=(
        *over(_INQUIRIES, "latest", (360,), risk=1),
        *over(_INQUIRIES, "mean", (180, 360, 1080), risk=1),
        *over(_OVERDUE, "latest", (360,), risk=1),
        *over(_OVERDUE, "mean", (360, 1080), risk=1),
        *over(_OLDEST, "latest", (360,), risk=-1),
        *over(_EXTERNAL_DEBT, "latest", (360,), risk=0),
        *over(_EXTERNAL_DEBT, "mean", (360,), risk=0),
    ),
    helpers=over(_EXTERNAL_DEBT, "mean", (180, 1080), risk=0),
    derived=(
        Derived(
            "external_debt_to_income",
            "external_debt_latest_360d / nullif(stated_income, 0)",
            "months",
            1,
            "Months of stated income that the debt outside the group is worth",
        ),
        *(
            Derived(
                f"external_debt_to_income_mean_{days}d",
                f"external_debt_mean_{days}d / nullif(stated_income, 0)",
                "months",
                1,
                f"Months of stated income that the debt outside the group was worth, mean over {days} days",
            )
            for days in (180, 360, 1080)
        ),
        Derived(
            "inquiries_change",
            "inquiries_mean_180d - inquiries_mean_1080d",
            "inquiries",
            1,
            "Inquiries of the last 180 days against the last three years",
        ),
    ),
)
