"""Whitelists, their offers, and what became of contacts."""

from datetime import date, datetime
from decimal import Decimal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from serving.messages.fields import PARTY_EXAMPLE, LegalEntityCode


class OfferReply(BaseModel):
    """What a company may offer a party, and why."""

    rank: int = Field(description="1 is the most worthwhile offer of the whole list", examples=[17])
    legal_entity: LegalEntityCode
    party_id: str = Field(examples=["PXR5Q2M7ZKCA"])
    customer_id: str = Field(description="the number of the party at ``source``", examples=["CO26714693"])
    source: LegalEntityCode = Field(description="the company that knows the party, and may share it")
    product: str = Field(examples=["revolving_card"])
    credit_limit: Decimal = Field(description="CNY", examples=["35000.00"])
    rate_per_annum: float = Field(examples=[0.179])
    term_months: int = Field(examples=[12])
    channel: str = Field(examples=["mobile_app"])
    valid_from: date
    valid_until: date
    expected_profit: float = Field(description="CNY in twelve months, beyond what comes without a contact")
    uplift: float = Field(description="what a contact adds to the probability of a purchase", examples=[0.08])
    response: float = Field(ge=0, le=1, description="the probability of a purchase after a contact", examples=[0.15])
    probability_of_default: float = Field(ge=0, le=1, examples=[0.0061])
    grade: str = Field(examples=["R4"])
    customer_value: float = Field(description="CNY that the party is expected to pay the source in twelve months")
    reason_zh: str = Field(examples=["营销响应增量高（+8.0%）"])
    reason_en: str = Field(examples=["a contact moves it much (+8.0%)"])


class WhitelistReply(BaseModel):
    """A page of offers. ``next_cursor`` asks for the next, of the same version; it is null on the last."""

    name: str = Field(examples=["spring"])
    version: int = Field(examples=[3])
    sha256: str = Field(description="of all offers of the version", examples=["9f2c…"])
    as_of: datetime
    offers: list[OfferReply]
    next_cursor: str | None


class ListReply(BaseModel):
    """A whitelist by its newest released version."""

    name: str = Field(examples=["spring"])
    version: int = Field(examples=[3])
    as_of: datetime
    released_at: datetime
    released_by: str
    offers: int = Field(description="those that the caller's companies may make")


class ListsReply(BaseModel):
    """A page of whitelists. ``next_cursor`` asks for the next; it is null on the last."""

    whitelists: list[ListReply]
    next_cursor: str | None


class VersionReply(BaseModel):
    """A released version of a whitelist."""

    version: int
    sha256: str = Field(description="of all offers of the version")
    as_of: datetime
    made_at: datetime
    made_by: str
    released_at: datetime
    released_by: str
    offers: int = Field(description="those that the caller's companies may make")
    held_out: int = Field(description="of theirs, drawn at random and not to be contacted")


class VersionsReply(BaseModel):
    """The released versions of a whitelist, the newest first."""

    name: str
    versions: list[VersionReply]


class ContactResult(BaseModel):
    """What became of one offer of the list."""

    model_config = ConfigDict(extra="forbid")

    party_id: str = Field(min_length=1, max_length=64, examples=[PARTY_EXAMPLE["party_id"]])
    contacted: bool = Field(description="false for one who was left alone, such as one held out")
    contacted_at: AwareDatetime = Field(description="or when it was decided to leave them alone")
    channel: str | None = Field(None, max_length=80, examples=["mobile_app"])
    responded: bool
    took_up: bool


class FeedbackRequest(BaseModel):
    """Results of contacts by a version of the list, of one company."""

    model_config = ConfigDict(extra="forbid")

    legal_entity: LegalEntityCode = Field(description="the company whose offers they are")
    version: int = Field(ge=1, le=2**31 - 1, examples=[3])
    results: list[ContactResult] = Field(min_length=1, max_length=1_000)


class FeedbackReply(BaseModel):
    """What became of results: they stand in the contacts table, of the campaign that is named."""

    taken: int
    campaign_id: str = Field(examples=["spring-v3"])
    learnt_at: datetime
