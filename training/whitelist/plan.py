"""What a whitelist is made by: products, channels, caps and rules, read from one YAML file that people write."""

from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from group.entities import LEGAL_ENTITIES
from group.errors import InputError
from group.written import parsed, read_text
from training.errors import InvalidTerms, TrainingError
from training.pre_credit import Caps, Product

EXAMPLE_FILE: Final = Path(__file__).with_name("example.yaml")

Share = Annotated[float, Field(ge=0, le=1)]
Amount = Annotated[float, Field(ge=0, le=1e12)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,79}$")]
CompanyCode = Literal["credit", "guarantee", "leasing", "factoring", "consumer", "supply_chain"]
CustomerKind = Literal["person", "enterprise"]


class WrongPlan(TrainingError, InputError):
    """A plan that no list can be made by."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ProductPlan(_Strict):
    """A product: its terms as ``training.pre_credit.Product`` has them, and who qualifies."""

    name: Annotated[str, Field(min_length=1, max_length=80)]
    legal_entity: CompanyCode
    kinds: Annotated[tuple[CustomerKind, ...], Field(min_length=1)]
    rate_per_annum: Share
    funding_rate_per_annum: Share
    term_months: Annotated[int, Field(ge=1, le=600)]
    loss_given_default: Share
    usage: Share = 1.0
    cost_per_offer: Amount = 0.0
    least_limit: Annotated[float, Field(gt=0, le=1e12)]
    largest_limit: Annotated[float, Field(gt=0, le=1e12)]
    step: Annotated[float, Field(gt=0, le=1e12)]
    highest_pd: Share = 1.0
    least_age_years: Annotated[float, Field(ge=0, le=200)] = 0.0
    largest_age_years: Annotated[float, Field(ge=0, le=1000)] = 1000.0
    industries: tuple[Annotated[str, Field(pattern=r"^[A-T]$")], ...] = ()
    regions: tuple[Annotated[str, Field(pattern=r"^\d{2}$")], ...] = ()

    @property
    def terms(self) -> Product:
        """What limits are allocated by."""
        return Product(**{name: getattr(self, name) for name in Product.__dataclass_fields__})

    @model_validator(mode="after")
    def _company_serves_the_kind(self) -> Self:
        entity = LEGAL_ENTITIES[self.legal_entity]
        for kind, served in (("person", entity.serves_persons), ("enterprise", entity.serves_enterprises)):
            if kind in self.kinds and not served:
                raise ValueError(f"'{self.legal_entity}' does not serve a {kind}")
        try:
            _ = self.terms
        except InvalidTerms as error:
            raise ValueError(str(error).rstrip(".")) from None
        return self


class ChannelPlan(_Strict):
    """A way to reach a customer: what one contact costs, CNY, and how many there can be."""

    cost: Amount
    most: Annotated[int, Field(ge=0)] | None = None


class CapsPlan(_Strict):
    """What must not be exceeded, as ``training.pre_credit.Caps`` has it, and what a customer may owe."""

    budget: Amount
    expected_loss: Amount
    contacts: Annotated[int, Field(ge=0)]
    largest_share: dict[Literal["region", "industry"], Share] = Field(default_factory=dict)
    largest_share_of_company: Share = 1.0
    highest_pd: Share = 1.0
    most_of_income: Share = 0.5
    external_debt_due_a_month: Share = 0.03

    @property
    def caps(self) -> Caps:
        """What limits are allocated under."""
        return Caps(
            budget=self.budget,
            expected_loss=self.expected_loss,
            contacts=self.contacts,
            largest_share={str(name): share for name, share in self.largest_share.items()},
            largest_share_of_company=self.largest_share_of_company,
            highest_pd=self.highest_pd,
        )


class RulesPlan(_Strict):
    """Who must not be bothered, and who is held out so that the next uplift model can learn.

    Attributes:
        most_contacts: within ``within_days`` before the list; whoever had as many is left out.
        within_days: of the frequency cap.
        cooling_off_days: after an application was declined.
        most_days_past_due: whoever is later than that with any loan in sight is left out.
        holdout_share: of those on the list, drawn at random, who are not contacted.
    """

    most_contacts: Annotated[int, Field(ge=1)] = 2
    within_days: Annotated[int, Field(ge=1, le=3650)] = 90
    cooling_off_days: Annotated[int, Field(ge=0, le=3650)] = 90
    most_days_past_due: Annotated[int, Field(ge=0, le=10_000)] = 0
    holdout_share: Annotated[float, Field(ge=0.01, le=0.9)] = 0.1


class WhitelistPlan(_Strict):
    """The whole plan. ``text`` of the file is kept with each list that is made by it."""

    name: Name
    valid_days: Annotated[int, Field(ge=1, le=366)]
    products: Annotated[tuple[ProductPlan, ...], Field(min_length=1, max_length=50)]
    channels: Annotated[dict[str, ChannelPlan], Field(min_length=1, max_length=20)]
    caps: CapsPlan
    rules: RulesPlan = RulesPlan()

    @model_validator(mode="after")
    def _products_are_told_apart(self) -> Self:
        names = [(product.legal_entity, product.name) for product in self.products]
        if len(set(names)) < len(names):
            raise ValueError("a company has two products of one name")
        return self

    @property
    def companies(self) -> list[str]:
        """The companies that offer something."""
        return sorted({product.legal_entity for product in self.products})


def read_plan(path: Path) -> tuple[WhitelistPlan, str]:
    """The plan of a file, and its text.

    Raises:
        WrongPlan: it is no plan; the sentence names file, place and what would be right.
    """
    text = read_text(path, WrongPlan, "`jinkong whitelist example` prints a plan to begin with")
    return plan_of(text, str(path)), text


def plan_of(text: str, where: str) -> WhitelistPlan:
    """The plan that a text says; ``where`` names it in errors.

    Raises:
        WrongPlan: it is no plan.
    """
    return parsed(text, where, WhitelistPlan, WrongPlan)
