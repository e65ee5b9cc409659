"""Supply-chain trade: what the party invoices to whom, and how its buyers pay.

A row of the invoices tells when it was paid, which may be after the instant: a payment counts from its own date on.
"""

from typing import Final

from features.windows import Metric, WindowView, over, share

_PAID: Final = "paid_date <= $as_of_date"
_INVOICED: Final = Metric("invoiced", "amount", "CNY", "Invoiced")
_BUYER: Final = Metric("buyer", "buyer_id", "buyers", "Buyers invoiced")
_UNPAID: Final = Metric(
    "unpaid", f"CASE WHEN NOT coalesce({_PAID}, false) THEN amount END", "CNY", "Invoiced and not paid yet"
)
_OVERDUE: Final = Metric(
    "overdue_invoice",
    f"CASE WHEN due_date < $as_of_date AND NOT coalesce({_PAID}, false) THEN amount END",
    "CNY", "Invoiced, due and not paid",
)  # fmt: skip
_DAYS_LATE: Final = Metric(
    "payment_delay", f"CASE WHEN {_PAID} THEN paid_date - due_date END", "days", "Days from due to paid, early negative"
)
_TERM: Final = Metric("payment_term", "due_date - event_timestamp::DATE", "days", "Days from invoice to due")

TRADE: Final = WindowView(
    name="trade",
    table="invoices",
    row_id="invoice_id",
    windowed=(
        *over(_INVOICED, "sum", (90, 180, 360), risk=-1),
        *over(_INVOICED, "count", (90, 360), risk=0),
        *over(_INVOICED, "mean", (360,), risk=0),
        *over(_INVOICED, "days_since", (360,), risk=1),
        *over(_BUYER, "distinct", (180, 360), risk=-1),
        *over(_UNPAID, "sum", (360,), risk=0),
        *over(_OVERDUE, "sum", (360,), risk=1),
        *over(_OVERDUE, "count", (360,), risk=1),
        *over(_DAYS_LATE, "mean", (180, 360), risk=1),
        *over(_DAYS_LATE, "max", (360,), risk=1),
        *over(_TERM, "mean", (360,), risk=0),
    ),
    derived=(
        share(
            "overdue_invoice_share_360d", "overdue_invoice_sum_360d", "invoiced_sum_360d",
            risk=1, description="Share of what was invoiced in 360 days that is due and not paid",
        ),
        share(
            "invoiced_recent_share", "invoiced_sum_90d", "invoiced_sum_360d",
            risk=-1, description="Share of what was invoiced in 360 days that falls into the last 90",
        ),
    ),
)  # fmt: skip
