"""Why an offer is on the list, in words for whoever makes it."""

from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

Vector = npt.NDArray[np.float64]

_LOW_RISK: Final = 0.01
_BEST_SHARE: Final = 0.8


def reasons_of(offers: pl.DataFrame, uplift_of_all: Vector, value_of_all: Vector) -> list[pl.Series]:
    """``reason_zh`` and ``reason_en`` of each offer: what stands out of it among all who are eligible.

    Args:
        offers: with ``uplift, response, probability_of_default, grade, customer_value, credit_limit``.
        uplift_of_all: of everybody who is eligible.
        value_of_all: likewise.
    """
    high_uplift, high_value = (
        float(np.quantile(values, _BEST_SHARE)) if len(values) else np.inf for values in (uplift_of_all, value_of_all)
    )
    zh, en = [], []
    for one in offers.iter_rows(named=True):
        parts = []
        if one["uplift"] >= high_uplift:
            parts.append((f"营销响应增量高（+{one['uplift']:.1%}）", f"a contact moves it much (+{one['uplift']:.1%})"))
        if one["customer_value"] >= high_value:
            parts.append(("客户价值高", "brings in much"))
        if one["probability_of_default"] <= _LOW_RISK:
            parts.append((f"风险低（{one['grade']}）", f"low risk ({one['grade']})"))
        if not parts:
            parts.append(
                (f"预期收益为正（响应率 {one['response']:.1%}）", f"expected to earn (response {one['response']:.1%})")
            )
        zh.append("；".join(part[0] for part in parts))
        en.append("; ".join(part[1] for part in parts))
    return [pl.Series("reason_zh", zh, pl.String), pl.Series("reason_en", en, pl.String)]
