"""Who may be contacted at all, and for which products a party qualifies; whoever may not is counted by the reason."""

from collections.abc import Set as AbstractSet
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from training.whitelist.plan import WhitelistPlan

EXCLUSIONS: Final = {
    "do_not_contact": ("在勿扰名单上", "on the do-not-contact list"),
    "no_consent": ("未同意营销", "no consent to marketing"),
    "defaulted": ("曾违约", "defaulted"),
    "in_arrears": ("当前逾期", "in arrears"),
    "cooling_off": ("近期申请被拒，冷静期内", "cooling off after a declined application"),
    "frequency_cap": ("近期联系次数已达上限", "contacted as often as is allowed"),
    "not_scored": ("没有特征，无法评分", "no features to score by"),
    "too_risky": ("违约概率过高", "too risky"),
    "no_product": ("没有适合的产品", "qualifies for no product that it does not have"),
}
"""Why a party is left out, in Chinese and English; the first that holds is counted."""


def exclusions(
    facts: pl.DataFrame, plan: WhitelistPlan, do_not_contact: AbstractSet[str], probability: npt.NDArray[np.float64]
) -> pl.Series:
    """The first reason, a key of ``EXCLUSIONS``, why each row of the facts is left out; empty text if it is not.

    Args:
        facts: as ``facts.prospect_facts`` gives them.
        plan: with its rules and caps.
        do_not_contact: parties.
        probability: of a default, ``(n,)``; NaN where nothing is known of the party.
    """
    rules = plan.rules
    scored = facts.with_columns(pd=pl.Series(probability))
    reasons: dict[str, pl.Expr | pl.Series] = {
        "do_not_contact": pl.col("party_id").is_in(sorted(do_not_contact)),
        "no_consent": ~pl.col("marketing_consent"),
        "defaulted": pl.col("defaulted"),
        "in_arrears": pl.col("days_past_due") > rules.most_days_past_due,
        "cooling_off": pl.col("declined"),
        "frequency_cap": pl.col("contacts") >= rules.most_contacts,
        "not_scored": pl.col("pd").is_nan(),
        "too_risky": pl.col("pd") > plan.caps.highest_pd,
        "no_product": ~pl.Series(qualifies(facts, plan, probability).any(axis=1)),
    }
    found: pl.Expr = pl.lit("")
    for name, holds in reversed(reasons.items()):
        found = pl.when(holds).then(pl.lit(name)).otherwise(found)
    return scored.select(excluded=found)["excluded"]


def qualifies(facts: pl.DataFrame, plan: WhitelistPlan, probability: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    """Which products of the plan each row qualifies for, ``(n, products)``: the company's own, not held already."""
    scored = facts.with_columns(pd=pl.Series(probability))
    columns = []
    for product in plan.products:
        # An age that is not known qualifies for products without bounds of age only.
        bounded = product.least_age_years > 0 or product.largest_age_years < 1000
        of_age = pl.col("age_years").is_between(product.least_age_years, product.largest_age_years)
        holds = (
            (pl.col("legal_entity") == product.legal_entity)
            & pl.col("kind").is_in(product.kinds)
            & ~pl.col("held").list.contains(product.name)
            & (pl.col("pd") <= product.highest_pd)
            & (of_age.fill_null(value=False) if bounded else pl.lit(value=True))
        )
        if product.industries:
            holds &= (pl.col("kind") == "person") | pl.col("industry").is_in(product.industries)
        if product.regions:
            holds &= pl.col("region").is_in(product.regions)
        columns.append(scored.select(holds=holds)["holds"].to_numpy())
    return np.column_stack(columns)
