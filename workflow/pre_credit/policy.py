"""What pre-credit is decided by: products, prices by grade and rules, read from one YAML file that people write."""

from decimal import Decimal
from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from features.catalogue.views import CREDIT_VIEWS, VIEWS
from group.entities import LEGAL_ENTITIES
from group.written import parsed, read_text
from training.pre_credit.affordability import DEBT_ELSEWHERE, DUE_TO_THE_GROUP, INCOME
from training.scale import MASTER_SCALE
from workflow.errors import UnknownProduct, WrongPolicy

EXAMPLE_FILE: Final = Path(__file__).with_name("example.yaml")
_READABLE: Final = frozenset(name for view in VIEWS if view.name in CREDIT_VIEWS for name in view.feature_names)
"""What the credit model can rest on is online, and on record with each score."""

KIND: Final = "is_enterprise"
"""The feature that tells an enterprise from a person."""

BUILT_IN: Final = {
    "kind_not_served": ("该产品不面向此类客户", "the product is not for customers of this kind"),
    "grade_not_offered": ("风险等级不在准入范围内", "the product has no price for this grade"),
    "accepted_already": ("已有已接受且在有效期内的额度", "an accepted offer of the product is still valid"),
    "nothing_affordable": ("可负担额度低于最低授信额度", "what can be carried is below the least limit"),
}
"""Rules of every policy: by code, in Chinese and English."""

Share = Annotated[float, Field(ge=0, le=1)]
Amount = Annotated[Decimal, Field(gt=0, le=Decimal(10) ** 12, max_digits=14, decimal_places=2)]
CompanyCode = Literal["credit", "guarantee", "leasing", "factoring", "consumer", "supply_chain"]
CustomerKind = Literal["person", "enterprise"]
Number = Annotated[float, Field(allow_inf_nan=False)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Condition(_Strict):
    """A feature of the catalogue beyond a bound: exactly one of the bounds is given."""

    feature: str
    above: Number | None = None
    at_least: Number | None = None
    below: Number | None = None
    at_most: Number | None = None

    @model_validator(mode="after")
    def _is_about_something(self) -> Self:
        if self.feature not in _READABLE:
            raise ValueError(
                f"'{self.feature}' is no feature of {', '.join(CREDIT_VIEWS)}; `jinkong features docs` lists them"
            )
        if sum(bound is not None for bound in (self.above, self.at_least, self.below, self.at_most)) != 1:
            raise ValueError("give one of above, at_least, below, at_most")
        return self

    def holds(self, value: float) -> bool:
        """Whether a value of the feature is beyond the bound."""
        if self.above is not None:
            return value > self.above
        if self.at_least is not None:
            return value >= self.at_least
        if self.below is not None:
            return value < self.below
        return self.at_most is not None and value <= self.at_most


class Rule(_Strict):
    """A condition that stops a party from being offered anything, in words that it can be told.

    Attributes:
        code: stable.
        zh: the reason in Chinese.
        en: the reason in English.
        stops_if: the condition.
        if_unknown: what the rule does where the feature has no value; to stop is the cautious choice.
    """

    code: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,59}$")]
    zh: Annotated[str, Field(min_length=1, max_length=200)]
    en: Annotated[str, Field(min_length=1, max_length=200)]
    stops_if: Condition
    if_unknown: Literal["stops", "passes"] = "stops"


class Product(_Strict):
    """What a company lends ahead of an application, and to whom. Amounts in CNY.

    Attributes:
        name: of the product.
        legal_entity: the company that lends.
        kinds: of customers it is for.
        term_months: over which it is paid back in equal instalments.
        least_limit: below this nothing is offered.
        largest_limit: above this nothing is offered.
        step: limits are whole multiples of it.
        rate_per_annum_by_grade: the price by grade of the master scale; a grade without one is not offered.
        rules: beside those of all products.
    """

    name: Annotated[str, Field(min_length=1, max_length=80)]
    legal_entity: CompanyCode
    kinds: Annotated[tuple[CustomerKind, ...], Field(min_length=1)]
    term_months: Annotated[int, Field(ge=1, le=600)]
    least_limit: Amount
    largest_limit: Amount
    step: Amount
    rate_per_annum_by_grade: Annotated[dict[str, Share], Field(min_length=1)]
    rules: Annotated[tuple[Rule, ...], Field(max_length=100)] = ()

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if self.least_limit > self.largest_limit:
            raise ValueError("least_limit is above largest_limit")
        entity = LEGAL_ENTITIES[self.legal_entity]
        for kind, served in (("person", entity.serves_persons), ("enterprise", entity.serves_enterprises)):
            if kind in self.kinds and not served:
                raise ValueError(f"'{self.legal_entity}' does not serve a {kind}")
        grades = [grade.name for grade in MASTER_SCALE]
        unknown = set(self.rate_per_annum_by_grade) - set(grades)
        if unknown:
            raise ValueError(f"'{sorted(unknown)[0]}' is no grade; they are {', '.join(grades)}")
        rates = [self.rate_per_annum_by_grade[grade] for grade in grades if grade in self.rate_per_annum_by_grade]
        if rates != sorted(rates):
            raise ValueError("a riskier grade has a lower rate than a better one")
        return self


class Policy(_Strict):
    """The whole policy.

    Attributes:
        valid_days: how long an offer can be accepted.
        most_of_income: share of the income that all instalments together may take.
        external_debt_due_a_month: share of the debt to other lenders that is due each month.
        rules: of all products.
        products: by company and name.
    """

    valid_days: Annotated[int, Field(ge=1, le=366)]
    most_of_income: Share
    external_debt_due_a_month: Share
    rules: Annotated[tuple[Rule, ...], Field(max_length=200)] = ()
    products: Annotated[tuple[Product, ...], Field(min_length=1, max_length=100)]

    @model_validator(mode="after")
    def _names_are_told_apart(self) -> Self:
        named = [(product.legal_entity, product.name) for product in self.products]
        if len(set(named)) < len(named):
            raise ValueError("a company has two products of one name")
        for product in self.products:
            codes = [rule.code for rule in (*self.rules, *product.rules)]
            again = {code for code in codes if codes.count(code) > 1} | (set(codes) & set(BUILT_IN))
            if again:
                raise ValueError(f"'{product.name}' has two rules of the code '{sorted(again)[0]}'")
        return self

    @property
    def features(self) -> frozenset[str]:
        """All that the policy reads of a party."""
        rules = [*self.rules, *(rule for product in self.products for rule in product.rules)]
        return frozenset({KIND, INCOME, DUE_TO_THE_GROUP, DEBT_ELSEWHERE, *(rule.stops_if.feature for rule in rules)})

    def product(self, legal_entity: str, name: str) -> Product:
        """A company's product.

        Raises:
            UnknownProduct: it has none of this name.
        """
        own = [product for product in self.products if product.legal_entity == legal_entity]
        for product in own:
            if product.name == name:
                return product
        there = ", ".join(product.name for product in own)
        raise UnknownProduct(
            f"'{legal_entity}' offers no '{name}' ahead of an application"
            + (f"; it offers {there}." if there else "; it offers nothing.")
        )


def read_policy(path: Path) -> tuple[Policy, str]:
    """The policy of a file, and its text.

    Raises:
        WrongPolicy: it is none; the sentence names file, place and what would be right.
    """
    text = read_text(path, WrongPolicy, "`jinkong pre-credit example` prints a policy to begin with")
    return policy_of(text, str(path)), text


def policy_of(text: str, where: str) -> Policy:
    """The policy that a text says; ``where`` names it in errors.

    Raises:
        WrongPolicy: it is none.
    """
    return parsed(text, where, Policy, WrongPolicy)
