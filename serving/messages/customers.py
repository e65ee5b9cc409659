"""A party across the group."""

from datetime import datetime
from decimal import Decimal
from typing import Literal

from pydantic import BaseModel, Field

from serving.messages.fields import PARTY_EXAMPLE, LegalEntityCode
from serving.messages.precredit import PreCreditOffer


class RelationshipReply(BaseModel):
    """A company that knows the party. Names and identifiers of people are not told."""

    legal_entity: LegalEntityCode
    customer_id: str = Field(examples=["CO26714693"])
    kind: Literal["person", "enterprise"]
    region: str | None = Field(description="GB/T 2260")
    industry: str | None = Field(description="GB/T 4754")
    marketing_consent: bool
    share_within_group_consent: bool
    since: datetime


class HeldLoanReply(BaseModel):
    """A loan that is not settled, with its last statement."""

    legal_entity: LegalEntityCode
    loan_id: str
    product: str
    principal: Decimal
    currency: str
    rate_per_annum: float | None
    status: Literal["active", "defaulted", "written_off"]
    five_class_grade: str | None
    statement_balance: Decimal | None
    days_past_due: int | None
    statement_at: datetime | None


class HeldLimitReply(BaseModel):
    """A limit that a company has granted."""

    legal_entity: LegalEntityCode
    facility_id: str
    product: str
    credit_limit: Decimal
    currency: str
    since: datetime


class ExposureReply(BaseModel):
    """What is owed to a company by the last statement of each loan."""

    legal_entity: LegalEntityCode
    currency: str
    owed: Decimal
    loans: int
    days_past_due: int = Field(description="the most of any loan")


class GivenScoreReply(BaseModel):
    """A score as it was given."""

    legal_entity: LegalEntityCode = Field(description="the company that asked")
    decision_id: str
    scored_at: datetime
    model: str
    version: str
    probability: float = Field(ge=0, le=1)
    score: int | None
    grade: str | None


class ScoresReply(BaseModel):
    """A page of scores. ``next_cursor`` asks for the next; it is null on the last."""

    scores: list[GivenScoreReply]
    next_cursor: str | None


class CustomerReply(BaseModel):
    """A party across the group, as the caller may see it."""

    party_id: str = Field(examples=[PARTY_EXAMPLE["party_id"]])
    as_of: datetime
    seen_by: list[LegalEntityCode] = Field(description="the companies that the caller acts for")
    companies: list[RelationshipReply]
    loans: list[HeldLoanReply]
    limits: list[HeldLimitReply]
    exposures: list[ExposureReply]
    offers: list[PreCreditOffer] = Field(description="of pre-credit, open or accepted")
    scores: list[GivenScoreReply] = Field(description="the latest; GET …/scores has all")
