"""How money in and out moves over the year: trend, volatility, season, months without income."""

from typing import Final

from features.windows import Derived, Metric, Windowed, WindowView, longest_run, monthly, trend, volatility

_RECEIVED: Final = Metric("received", "CASE WHEN direction = 'in' THEN amount END", "CNY", "Money booked in")
_SPENT: Final = Metric("spent", "CASE WHEN direction = 'out' THEN amount END", "CNY", "Money booked out")
_EARNED: Final = Metric(
    "earned", "CASE WHEN category IN ('salary', 'sales_receipt') THEN amount END", "CNY", "Salary or sales"
)
_IN: Final = monthly(_RECEIVED, "sum", 12, risk=0)
_OUT: Final = monthly(_SPENT, "sum", 12, risk=0)
_INCOME: Final = monthly(_EARNED, "count", 12, risk=0)
_A_YEAR_AGO: Final = Windowed(_RECEIVED, "sum", 450, 0, after_days=360)
_THIS_QUARTER: Final = Windowed(_RECEIVED, "sum", 90, 0)

RHYTHM: Final = WindowView(
    name="rhythm",
    table="transactions",
    row_id="transaction_id",
    windowed=(),
    helpers=(*_IN, *_OUT, *_INCOME, _THIS_QUARTER, _A_YEAR_AGO),
    derived=(
        trend(
            "inflow_trend_12m", _IN, unit="share a month",
            risk=-1, description="Slope of the money booked in over twelve months, over its mean",
        ),
        trend(
            "inflow_trend_6m", _IN[:6], unit="share a month",
            risk=-1, description="Slope of the money booked in over six months, over its mean",
        ),
        trend(
            "outflow_trend_12m", _OUT, unit="share a month",
            risk=0, description="Slope of the money booked out over twelve months, over its mean",
        ),
        volatility("inflow_volatility_12m", _IN, risk=1, description="Spread of monthly money in, over its mean"),
        volatility("outflow_volatility_12m", _OUT, risk=0, description="Spread of monthly money out, over its mean"),
        Derived(
            "inflow_year_on_year",
            f"{_THIS_QUARTER.name} / nullif({_A_YEAR_AGO.name}, 0)",
            "ratio", -1, "Money in of the last 90 days against the same days a year before",
        ),
        longest_run(
            "no_income_longest_run_12m", _INCOME, "= 0",
            risk=1, description="Longest run of months without salary or sales, in twelve",
        ),
        Derived(
            "income_months_12m",
            " + ".join(f"({month.name} > 0)::INTEGER" for month in _INCOME),
            "months", -1, "Months with salary or sales, of twelve",
        ),
    ),
)  # fmt: skip
