"""Decisions as they are on record, and made again."""

from datetime import datetime

from pydantic import BaseModel, Field

from serving.messages.fields import LegalEntityCode
from serving.messages.precredit import PreCreditDecided
from serving.messages.scores import ModelName, ReasonReply


class DecisionReply(BaseModel):
    """A score as it stands in the audit log."""

    decision_id: str = Field(examples=["0198c2c3-8f7e-7d0e-9a53-6a1a4e1d2f10"])
    legal_entity: LegalEntityCode
    party_id: str | None
    decided_at: datetime
    asked_by: str = Field(description="the account", examples=["lending-flow"])
    model: ModelName
    features: list[float | bool | str | None] = Field(description="values of the model's columns, in its order")
    features_as_of: datetime | None
    probability: float = Field(ge=0, le=1)
    score: int | None
    grade: str | None
    reasons: list[ReasonReply]
    precredit: PreCreditDecided | None = Field(description="null for a score alone")
    degraded: str | None = Field(description="why an earlier score was given again; null for a new one")
    record_hash: str = Field(description="of the record, which the next one of the company's chain covers")


class ReplayReply(BaseModel):
    """A decision made again. ``same`` tells whether every byte is."""

    decision_id: str
    same: bool
    recorded: str = Field(description="the record's payload; that of a batch has a row a score")
    replayed: str = Field(description="what the model of then makes of what was seen then")
