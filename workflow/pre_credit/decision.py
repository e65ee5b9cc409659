"""One pre-credit decision: every rule's verdict, and for whom none stops the limit and the price. Pure."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_FLOOR, Decimal
from typing import Final

import numpy as np

from training.pre_credit.affordability import Vector, affordable_principal, income_and_due
from workflow.pre_credit.policy import BUILT_IN, KIND, Policy, Product, Rule

_CENT: Final = Decimal("0.01")


@dataclass(frozen=True, slots=True)
class Assessed:
    """What is decided on.

    Attributes:
        features: of the party as the company sees it, by name; None or NaN where a value is not known. They hold all
            that the policy reads.
        grade: of its probability of default on the master scale.
        has_accepted: whether it has accepted an offer of the product that is still valid.
        amount: CNY that it asks for; None for as much as can be.
    """

    features: Mapping[str, float | None]
    grade: str
    has_accepted: bool = False
    amount: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """A rule and whether it stopped the party."""

    code: str
    zh: str
    en: str
    fired: bool


@dataclass(frozen=True, slots=True)
class Decision:
    """What may be offered. ``credit_limit`` (CNY) and ``rate_per_annum`` are None where a rule fired."""

    eligible: bool
    credit_limit: Decimal | None
    rate_per_annum: float | None
    term_months: int
    verdicts: tuple[Verdict, ...]

    @property
    def fired(self) -> tuple[Verdict, ...]:
        """The rules that stopped the party."""
        return tuple(verdict for verdict in self.verdicts if verdict.fired)


def decide(policy: Policy, product: Product, assessed: Assessed) -> Decision:
    """What the policy lets the product's company offer the party.

    Every rule is asked, whether or not an earlier one fired. A rule whose feature has no value, or an infinite one,
    does as it says for what is unknown; a party that is not known to be a person or an enterprise is served by nothing.
    """
    kind = _value(assessed.features, KIND)
    served = kind is not None and ("enterprise" if kind else "person") in product.kinds
    rate = product.rate_per_annum_by_grade.get(assessed.grade)
    verdicts = [
        _built_in("kind_not_served", fired=not served),
        _built_in("grade_not_offered", fired=rate is None),
        *(_verdict(rule, assessed.features) for rule in (*policy.rules, *product.rules)),
        _built_in("accepted_already", fired=assessed.has_accepted),
    ]
    limit = Decimal(0) if rate is None else _limit(policy, product, rate, assessed)
    verdicts.append(_built_in("nothing_affordable", fired=limit < product.least_limit))
    eligible = not any(verdict.fired for verdict in verdicts)
    return Decision(
        eligible, limit if eligible else None, rate if eligible else None, product.term_months, tuple(verdicts)
    )


def _limit(policy: Policy, product: Product, rate: float, assessed: Assessed) -> Decimal:
    """Whole steps of what the party can carry at the rate, of what it asks for, and of the product's largest limit."""

    def feature(name: str) -> Vector:
        value = _value(assessed.features, name)
        return np.array([math.nan if value is None else value])

    income, due = income_and_due(feature, policy.external_debt_due_a_month)
    [carried] = affordable_principal(
        income, due, rate, product.term_months, most_of_income=policy.most_of_income
    ).tolist()
    bounds = [product.largest_limit, Decimal(str(carried))]
    if assessed.amount is not None:
        bounds.append(assessed.amount)
    steps = (min(bounds) / product.step).to_integral_value(ROUND_FLOOR)
    return (max(steps, Decimal(0)) * product.step).quantize(_CENT)


def _verdict(rule: Rule, features: Mapping[str, float | None]) -> Verdict:
    value = _value(features, rule.stops_if.feature)
    fired = rule.if_unknown == "stops" if value is None else rule.stops_if.holds(value)
    return Verdict(rule.code, rule.zh, rule.en, fired)


def _value(features: Mapping[str, float | None], name: str) -> float | None:
    value = features[name]
    return value if value is not None and math.isfinite(value) else None


def _built_in(code: str, *, fired: bool) -> Verdict:
    zh, en = BUILT_IN[code]
    return Verdict(code, zh, en, fired)
