"""The feature catalogue: every feature that Jinkong computes, with its unit and the direction in which risk moves."""

from dataclasses import dataclass
from typing import Final

from features.windows import (
    Derived,
    Direction,
    Metric,
    ViewQuery,
    Windowed,
    WindowView,
    monthly,
    over,
    profile_sql,
    window_sql,
)

_INFLOW: Final = Metric("inflow", "CASE WHEN direction = 'in' THEN amount END", "CNY", "Money booked in")
_OUTFLOW: Final = Metric("outflow", "CASE WHEN direction = 'out' THEN amount END", "CNY", "Money booked out")
_BALANCE: Final = Metric("balance", "balance", "CNY", "Balance after a booking")
_CASH: Final = Metric("cash_withdrawal", "CASE WHEN category = 'cash_withdrawal' THEN amount END", "CNY", "Cash drawn")
_OTHER_LENDER: Final = Metric(
    "other_lender", "CASE WHEN category = 'other_lender' THEN amount END", "CNY", "Paid to lenders outside the group"
)
_SALARY: Final = Metric(
    "regular_income", "CASE WHEN category IN ('salary', 'sales_receipt') THEN amount END", "CNY", "Salary or sales"
)

CASH_FLOW: Final = WindowView(
    name="cash_flow",
    table="transactions",
    row_id="transaction_id",
    windowed=(
        *over(_INFLOW, "sum", (30, 90, 180, 360), risk=-1),
        *over(_INFLOW, "count", (90, 360), risk=0),
        *over(_OUTFLOW, "sum", (30, 90, 180, 360), risk=0),
        *over(_OUTFLOW, "count", (90, 360), risk=0),
        *over(_BALANCE, "min", (90, 360), risk=-1),
        *over(_BALANCE, "mean", (90, 360), risk=-1),
        *over(_BALANCE, "latest", (360,), risk=-1),
        *over(_CASH, "sum", (90, 360), risk=1),
        *over(_CASH, "count", (90, 360), risk=1),
        *over(_OTHER_LENDER, "sum", (90, 360), risk=1),
        *over(_OTHER_LENDER, "count", (90, 180, 360), risk=1),
        *over(_SALARY, "sum", (90, 180, 360), risk=-1),
        *over(_SALARY, "mean", (90, 360), risk=-1),
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
        Derived(
            "balance_to_income",
            "balance_mean_360d / nullif(stated_income, 0)",
            "months", -1, "Months of stated income that the mean balance of 360 days holds",
        ),
        Derived(
            "cash_withdrawal_count_share_360d",
            "cash_withdrawal_count_360d / nullif(outflow_count_360d, 0)",
            "share", 1, "Share of the bookings out that draw cash, in 360 days",
        ),
        Derived(
            "other_lender_share_360d",
            "other_lender_sum_360d / nullif(outflow_sum_360d, 0)",
            "share", 1, "Share of money out that goes to lenders outside the group, in 360 days",
        ),
        Derived(
            "balance_to_outflow",
            "balance_latest_360d / nullif(outflow_sum_360d / 12, 0)",
            "months", -1, "Months of spending that the balance covers",
        ),
    ),
)  # fmt: skip

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
_UNUSED: Final = Metric(
    "unused", "CASE WHEN payment_behaviour = 'no_use' THEN 1 END", "statements", "Statements without use"
)
# Ratios are cut to six digits as decimals: a mean of decimals is exact, one of floats depends on the order.
_UTILISATION: Final = Metric(
    "utilisation",
    "CASE WHEN credit_limit > 0 THEN (statement_balance::DOUBLE / credit_limit::DOUBLE)::DECIMAL(18, 6) END",
    "share", "Balance over limit",
)  # fmt: skip
_PAID_SHARE: Final = Metric(
    "paid_share",
    "CASE WHEN statement_balance > 0 THEN "
    "least(amount_paid::DOUBLE / statement_balance::DOUBLE, 10)::DECIMAL(18, 6) END",
    "share", "Paid over balance",
)  # fmt: skip
_STATEMENT_BALANCE: Final = Metric("statement_balance", "statement_balance", "CNY", "Balance of a statement")
_PAID: Final = Metric("amount_paid", "amount_paid", "CNY", "Paid in the month of a statement")
_LIMIT: Final = Metric("credit_limit", "credit_limit", "CNY", "Credit limit of a statement's loan")

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
        *over(_LATE, "count", (90, 180, 360), risk=1),
        *over(_SLIP, "count", (90, 180, 360), risk=1),
        *over(_REVOLVED, "count", (90, 180, 360), risk=0),
        *over(_IN_FULL, "count", (90, 180, 360), risk=0),
        *over(_UNUSED, "count", (180,), risk=0),
        *monthly(_UTILISATION, "mean", 6, risk=0),
        *over(_UTILISATION, "mean", (90, 180, 360, 1080), risk=0),
        *over(_UTILISATION, "max", (180,), risk=0),
        *monthly(_PAID_SHARE, "mean", 3, risk=0),
        *over(_PAID_SHARE, "mean", (90, 180, 360, 1080), risk=0),
        *over(_PAID_SHARE, "min", (180,), risk=0),
        *monthly(_STATEMENT_BALANCE, "sum", 6, risk=0),
        *over(_STATEMENT_BALANCE, "max", (180,), risk=0),
        *monthly(_PAID, "sum", 6, risk=-1),
        *over(_PAID, "sum", (90, 180), risk=-1),
        *over(_PAID, "min", (180,), risk=-1),
        *over(_LIMIT, "max", (60,), risk=0),
    ),
    derived=(
        Derived(
            "utilisation_change",
            "utilisation_mean_30d - utilisation_mean_180d",
            "share", 0, "Utilisation now against the last 180 days",
        ),
        Derived(
            "paid_to_limit_180d",
            "amount_paid_sum_180d / nullif(credit_limit_max_60d, 0)",
            "ratio", -1, "Paid in 180 days over the limit",
        ),
    ),
)  # fmt: skip

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
    derived=(
        Derived(
            "external_debt_to_income",
            "external_debt_latest_360d / nullif(stated_income, 0)",
            "months",
            1,
            "Months of stated income that the debt outside the group is worth",
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

PROFILE_COLUMNS: Final = (
    Derived("is_enterprise", "kind = 'enterprise'", "0 or 1", 0, "The party is an enterprise"),
    Derived(
        "age_years",
        "datediff('month', birth_or_founding_date, $as_of_date) / 12.0",
        "years", 0, "Age of the person, or of the enterprise since its founding",
    ),
    Derived("income_per_month", "income_per_month", "CNY", -1, "Stated monthly income or revenue"),
    Derived(
        "education_level",
        "CASE education WHEN 'primary' THEN 1 WHEN 'secondary' THEN 2 WHEN 'bachelor' THEN 3 "
        "WHEN 'postgraduate' THEN 4 WHEN 'other' THEN 0 END",
        "1 to 4, 0 for other", 0, "Level of education",
    ),
    Derived(
        "enterprise_size_level",
        "CASE enterprise_size WHEN 'micro' THEN 1 WHEN 'small' THEN 2 WHEN 'medium' THEN 3 WHEN 'large' THEN 4 END",
        "1 to 4", -1, "Size class of the enterprise",
    ),
    Derived("industry_section", "ascii(industry) - 64", "1 (A) to 20 (T)", 0, "Section of GB/T 4754"),
    Derived(
        "relationship_months",
        "(epoch_us($as_of) - epoch_us(event_timestamp)) // 2629800000000",
        "months", 0, "Months since the company's current record of the customer",
    ),
    Derived("companies", "companies", "companies", 0, "Companies of the group the party deals with, as far as seen"),
)  # fmt: skip
"""Gender and marital status are kept in the customers table for fairness reports and are no feature."""


@dataclass(frozen=True, slots=True)
class View:
    """A feature view as the other rooms know it: name, query, features."""

    query: ViewQuery
    features: tuple[Windowed | Derived, ...]

    @property
    def name(self) -> str:
        """The view's name in Feast."""
        return self.query.name

    @property
    def feature_names(self) -> list[str]:
        """Names of the view's features, in column order."""
        return [feature.name for feature in self.features]


VIEWS: Final[tuple[View, ...]] = (
    View(ViewQuery("profile", profile_sql(PROFILE_COLUMNS), "customers"), PROFILE_COLUMNS),
    *(
        View(ViewQuery(view.name, window_sql(view), view.table), view.features)
        for view in (REPAYMENT, CASH_FLOW, BUREAU)
    ),
)


def risk_directions(features: list[str]) -> list[Direction]:
    """The direction of each feature, for monotone constraints.

    Raises:
        KeyError: a name that is in no view.
    """
    known = {feature.name: feature.risk for view in VIEWS for feature in view.features}
    return [known[name] for name in features]
