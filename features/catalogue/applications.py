"""What the party asked for, and how it was answered."""

from typing import Final

from features.windows import Metric, WindowView, over, share

_APPLIED: Final = Metric("applied", "amount", "CNY", "Applied for")
_DECLINED: Final = Metric("declined", "CASE WHEN outcome = 'declined' THEN 1 END", "applications", "Declined")
_PRODUCT: Final = Metric("applied_product", "product", "products", "Products applied for")

APPLICATIONS: Final = WindowView(
    name="applications",
    table="applications",
    row_id="application_id",
    windowed=(
        *over(_APPLIED, "count", (30, 90, 360), risk=1),
        *over(_APPLIED, "sum", (90, 360), risk=1),
        *over(_APPLIED, "max", (360,), risk=0),
        *over(_APPLIED, "days_since", (720,), risk=-1),
        *over(_DECLINED, "count", (90, 360, 720), risk=1),
        *over(_DECLINED, "days_since", (720,), risk=-1),
        *over(_PRODUCT, "distinct", (360,), risk=0),
    ),
    derived=(
        share(
            "declined_share_360d", "declined_count_360d", "applied_count_360d",
            risk=1, description="Share of the applications of 360 days that were declined",
        ),
    ),
)  # fmt: skip
