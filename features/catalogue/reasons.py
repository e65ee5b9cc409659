"""Reasons for a customer, in Chinese and English: what each feature's part in a refusal is called.

A customer is told "payments were late", not which of thirteen windows counted them. Reasons say what weighed against,
so they are worded that way where the direction is signed for, and name the subject where it is not.
"""

from dataclasses import dataclass
from functools import cache
from typing import Final

from features.catalogue.views import VIEWS
from features.windows import Windowed


@dataclass(frozen=True, slots=True)
class Reason:
    """A reason in both languages, under a stable code."""

    code: str
    zh: str
    en: str


_REASONS: Final[dict[Reason, tuple[str, ...]]] = {
    Reason("late_payments", "近期还款有逾期", "Recent payments were late"): (
        "days_past_due", "own_days_past_due", "slipped", "missed", "late", "slip", "slip_longest_run_12m",
    ),
    Reason("late_at_other_companies", "在集团其他公司有逾期", "Payments to other companies of the group were late"): (
        "late_elsewhere",
    ),
    Reason("overdue_at_others", "征信记录中有逾期账户", "The credit bureau shows overdue accounts"): (
        "overdue_accounts",
    ),
    Reason("many_inquiries", "近期征信查询次数较多", "There were many recent credit inquiries"): (
        "inquiries", "inquiries_change",
    ),
    Reason("short_credit_history", "信用历史较短", "The credit history is short"): ("oldest_account",),
    Reason("external_debt", "在外部机构的负债较高", "Debt to other lenders is high"): (
        "external_debt", "external_debt_to_income", "external_debt_to_income_mean_180d",
        "external_debt_to_income_mean_360d", "external_debt_to_income_mean_1080d", "other_lender",
        "other_lender_share_360d",
    ),
    Reason("group_debt", "在集团内的负债较高", "Debt within the group is high"): (
        "owed", "owed_elsewhere", "owed_elsewhere_share", "owed_to_income", "lender", "loan",
    ),
    Reason("instalments_due", "应还款额相对收入较高", "What falls due is high for the income"): (
        "due", "due_to_income",
    ),
    Reason("limit_usage", "额度使用情况", "How much of the limit is used"): (
        "utilisation", "revolving_utilisation", "utilisation_change", "over_limit", "unused", "credit_limit",
        "own_limit_to_income", "paid_to_limit_180d",
    ),
    Reason("statement_balances", "账单余额的水平与走势", "The level and course of statement balances"): (
        "statement_balance", "statement_balance_trend_6m",
    ),
    Reason("payment_amounts", "还款金额占账单的比例", "How much of each statement is paid"): (
        "paid_share", "revolving_paid_share", "amount_paid", "revolved", "paid_in_full",
    ),
    Reason("income", "收入水平", "The level of income"): (
        "income_per_month", "regular_income", "regular_income_change", "regular_income_to_stated",
        "regular_income_to_stated_180d", "regular_income_to_stated_360d",
    ),
    Reason("irregular_income", "收入不够稳定", "Income is irregular"): (
        "no_income_longest_run_12m", "income_months_12m", "inflow_volatility_12m",
    ),
    Reason("money_coming_in", "账户资金流入减少", "Less money comes in"): (
        "inflow", "inflow_change", "inflow_trend_12m", "inflow_trend_6m", "inflow_year_on_year",
    ),
    Reason("money_going_out", "账户资金流出情况", "The pattern of money going out"): (
        "outflow", "outflow_trend_12m", "outflow_volatility_12m", "housing_share_360d", "dining_share_360d",
    ),
    Reason("net_flow", "支出相对收入偏高", "Spending is high for what comes in"): (
        "net_flow_share_90d", "net_flow_share_360d",
    ),
    Reason("cash_withdrawals", "取现较多", "Much is drawn in cash"): (
        "cash_withdrawal", "cash_withdrawal_count_share_360d", "strained_share_90d", "strained_share_360d",
    ),
    Reason("low_balances", "账户余额偏低", "Balances on accounts are low"): (
        "balance", "balance_to_income", "balance_to_outflow", "balance_change",
    ),
    Reason("overdrafts", "账户曾透支", "Accounts were overdrawn"): ("overdrawn",),
    Reason("buyers_suppliers", "同一核心企业的其他供应商有逾期", "Other suppliers of the same buyers are late"): (
        "supplier_peers", "late_peers_share_90d", "late_peers_share_360d", "late_peers_share_1080d",
    ),
    Reason("counterparties", "往来对象的范围", "The range of counterparties"): ("counterparty",),
    Reason("relationship", "与集团的往来时间和范围", "The length and breadth of the relationship with the group"): (
        "relationship_months", "companies",
    ),
    Reason("profile", "客户基本情况", "General circumstances of the customer"): (
        "is_enterprise", "age_years", "education_level", "enterprise_size_level", "industry_section",
    ),
}  # fmt: skip


def reason_of(feature: str) -> Reason | None:
    """The reason that a feature of the catalogue belongs to; None for one that no model of credit may rest on."""
    return _by_feature().get(feature)


@cache
def _by_feature() -> dict[str, Reason]:
    by_subject = {subject: reason for reason, subjects in _REASONS.items() for subject in subjects}
    subjects = {
        declared.name: declared.metric.name if isinstance(declared, Windowed) else declared.name
        for view in VIEWS
        for declared in view.features
    }
    return {feature: by_subject[subject] for feature, subject in subjects.items() if subject in by_subject}
