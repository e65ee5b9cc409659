"""What the party owes across the group: at the company that looks, and elsewhere as far as it may see."""

from typing import Final

from features.windows import Derived, Metric, WindowView, over, share

_DEBT: Final = "CASE WHEN statement_balance > 0 THEN statement_balance END"
_OWED: Final = Metric("owed", _DEBT, "CNY", "Owed to the companies of the group")
_OWED_ELSEWHERE: Final = Metric("owed_elsewhere", _DEBT, "CNY", "Owed to other companies of the group", "elsewhere")
_LENDER: Final = Metric(
    "lender", "CASE WHEN statement_balance > 0 THEN legal_entity END", "companies", "Companies of the group owed to"
)
_LOAN: Final = Metric("loan", "loan_id", "loans", "Loans with a statement")
_LATE_ELSEWHERE: Final = Metric(
    "late_elsewhere", "days_past_due", "days", "Days past due at other companies of the group", "elsewhere"
)
_DUE: Final = Metric("due", "amount_due", "CNY", "Due on statements")

EXPOSURE: Final = WindowView(
    name="exposure",
    table="statements",
    row_id="loan_id",
    windowed=(
        # A loan has one statement a month: the last 31 days hold the latest of each.
        *over(_OWED, "sum", (31,), risk=1),
        *over(_OWED, "max", (360,), risk=0),
        *over(_OWED_ELSEWHERE, "sum", (31,), risk=1),
        *over(_LENDER, "distinct", (31, 360), risk=1),
        *over(_LOAN, "distinct", (31, 360), risk=0),
        *over(_LATE_ELSEWHERE, "max", (90, 360), risk=1),
        *over(_DUE, "sum", (31,), risk=1),
    ),
    derived=(
        share(
            "owed_elsewhere_share", "owed_elsewhere_sum_31d", "owed_sum_31d",
            risk=0, description="Share of the debt within the group that is owed to other companies",
        ),
        Derived(
            "owed_to_income", "owed_sum_31d / nullif(stated_income, 0)",
            "months", 1, "Months of stated income that the debt within the group is worth",
        ),
        Derived(
            "due_to_income", "due_sum_31d / nullif(stated_income, 0)",
            "share", 1, "Due within the group in a month over the stated monthly income",
        ),
    ),
)  # fmt: skip
