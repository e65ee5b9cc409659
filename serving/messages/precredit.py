"""Pre-credit: what is asked for, decided and accepted."""

from datetime import datetime
from decimal import Decimal
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from serving.messages.fields import PARTY_EXAMPLE, Amount, LegalEntityCode
from serving.messages.scores import ModelName, ReasonReply


class PolicyName(BaseModel):
    """Which version of the pre-credit policy decided."""

    version: int = Field(examples=[3])
    sha256: str = Field(description="of its text, as released", examples=["9f2c…"])


class PreCreditRequest(BaseModel):
    """Who asks for what: a party whose features are online, and a product of the company."""

    model_config = ConfigDict(extra="forbid")

    legal_entity: LegalEntityCode = Field(description="the company that lends; it sees only what it may")
    party_id: str = Field(min_length=1, max_length=64, examples=[PARTY_EXAMPLE["party_id"]])
    product: str = Field(min_length=1, max_length=80, examples=["revolving_card"])
    amount: Amount | None = Field(None, description="CNY: what is asked for; left out, as much as can be")


class RuleReply(BaseModel):
    """A rule that stopped the party, in words it can be told."""

    code: str = Field(description="stable", examples=["in_arrears"])
    zh: str = Field(examples=["近三个月有逾期"])
    en: str = Field(examples=["in arrears in the last three months"])


class PreCreditReply(BaseModel):
    """What the company may offer the party, or what stopped it. The same stands in the audit log."""

    decision_id: str = Field(description="names the record", examples=["0198c2c3-8f7e-7d0e-9a53-6a1a4e1d2f10"])
    offer_id: str | None = Field(
        description="to accept it by; null where nothing is offered", examples=["0198c2c3-8f7e-7d0e-9a53-6a1a4e1d2f10"]
    )
    legal_entity: LegalEntityCode
    party_id: str = Field(examples=[PARTY_EXAMPLE["party_id"]])
    product: str = Field(examples=["revolving_card"])
    eligible: bool
    credit_limit: Decimal | None = Field(description="CNY", examples=["35000.00"])
    rate_per_annum: float | None = Field(examples=[0.166])
    term_months: int = Field(examples=[12])
    valid_until: datetime | None = Field(description="until then the offer can be accepted, once")
    rules: list[RuleReply] = Field(description="those that fired; empty for an offer")
    probability_of_default: float = Field(ge=0, le=1, examples=[0.0213])
    score: int = Field(ge=300, le=850, examples=[611])
    grade: str = Field(examples=["R6"])
    reasons: list[ReasonReply] = Field(description="what weighed against the score")
    policy: PolicyName
    model: ModelName
    features_as_of: datetime | None
    decided_at: datetime


class PreCreditDecided(BaseModel):
    """What a policy made of a score."""

    product: str
    policy: PolicyName
    eligible: bool
    credit_limit: Decimal | None
    rate_per_annum: float | None
    term_months: int
    verdicts: dict[str, bool] = Field(description="every rule that was asked, and whether it fired")


class PreCreditOffer(BaseModel):
    """An offer as it stands."""

    offer_id: str
    legal_entity: LegalEntityCode
    party_id: str
    product: str
    credit_limit: Decimal = Field(description="CNY")
    rate_per_annum: float
    term_months: int
    status: Literal["open", "accepted", "superseded", "expired"]
    offered_at: datetime
    valid_until: datetime
    accepted_at: datetime | None
    accepted_by: str | None
    accepted_amount: Decimal | None = Field(description="CNY")


class Acceptance(BaseModel):
    """What is taken of an offer."""

    model_config = ConfigDict(extra="forbid")

    amount: Amount | None = Field(None, description="CNY: a part of the limit; left out, all of it")
