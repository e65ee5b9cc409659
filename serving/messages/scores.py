"""Scores, batches of them, and the models that give them."""

from datetime import datetime
from typing import Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from serving.messages.fields import MODEL_PATTERN, PARTY_EXAMPLE, LegalEntityCode, Number, Text
from training import MODEL_NAME, scores_parties

_MOST_FEATURES: Final = 2_000


class ScoreRequest(BaseModel):
    """Whom to score: a party whose features are online, or a full row of the model's features."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [PARTY_EXAMPLE]})

    legal_entity: LegalEntityCode = Field(description="the company that asks; it sees only what it may")
    party_id: str | None = Field(
        None, min_length=1, max_length=64, description="a person or company, one id across the group"
    )
    features: dict[str, Number | Text | bool | None] | None = Field(
        None,
        max_length=_MOST_FEATURES,
        description="every column that the model reads by name, null for unknown; GET /v1/model lists them. Categories "
        "and dates (2026-01-31) are texts",
    )
    model: str = Field(
        MODEL_NAME,
        pattern=MODEL_PATTERN,
        description="the registered model that scores, such as credit_pd-credit-instalment_loan-person; one of a table "
        "takes features alone",
    )

    @model_validator(mode="after")
    def _either_party_or_features(self) -> Self:
        if (self.party_id is None) == (self.features is None):
            raise ValueError("give either party_id or features")
        if self.party_id is not None and not scores_parties(self.model):
            raise ValueError(f"a party is scored by '{MODEL_NAME}' or '{MODEL_NAME}-…'; give '{self.model}' features")
        return self


class ModelName(BaseModel):
    """Which model answered."""

    name: str = Field(examples=["credit_pd"])
    version: str = Field(examples=["3"])
    sha256: str = Field(description="of the model's files, as registered", examples=["9f2c…"])


class ReasonReply(BaseModel):
    """What weighed against the score, in words a customer can be told."""

    code: str = Field(description="stable", examples=["late_payments"])
    zh: str = Field(examples=["近期还款有逾期"])
    en: str = Field(examples=["Recent payments were late"])
    weight: float = Field(gt=0, description="by how much it moved the log-odds", examples=[0.41])


class ScoreReply(BaseModel):
    """A probability and what it rests on. The same, with the feature row, stands in the audit log."""

    decision_id: str = Field(
        description="names the record in the audit log", examples=["0b7c2c3e-8f7e-4d0e-9a53-6a1a4e1d2f10"]
    )
    legal_entity: LegalEntityCode
    party_id: str | None = Field(examples=["PXR5Q2M7ZKCA"])
    probability: float = Field(ge=0, le=1, description="calibrated: of the event of the model", examples=[0.0213])
    probability_of_default: float | None = Field(
        ge=0, le=1, description="the same, where the event is a default; null for a response", examples=[0.0213]
    )
    score: int | None = Field(
        ge=300,
        le=850,
        description="more is safer: 600 at odds of 30 : 1, 20 points double the odds; null for a response",
        examples=[611],
    )
    grade: str | None = Field(
        description="on the group's master scale, R1 the best; null for a response", examples=["R6"]
    )
    reasons: list[ReasonReply] = Field(description="at most four, the weightiest first: exact SHAP values, summed up")
    model: ModelName
    features_as_of: datetime | None = Field(
        description="the instant at which the party's features were true; null for a given row",
        examples=["2026-01-01T00:00:00Z"],
    )
    scored_at: datetime = Field(examples=["2026-01-03T09:30:00.123456Z"])
    degraded: str | None = Field(
        None,
        description="why this is the party's last score given again: feature_store_unavailable; null for a new one. "
        "features_as_of tells how old it is",
        examples=[None],
    )


class BatchAnswer(BaseModel):
    """What became of one row of a batch."""

    row: int = Field(ge=0, description="its place in the request, from 0")
    decision_id: str | None = Field(examples=["0198c2c3-8f7e-7d0e-9a53-6a1a4e1d2f10-17"])
    party_id: str | None
    probability: float | None = Field(ge=0, le=1)
    score: int | None = Field(ge=300, le=850)
    grade: str | None
    reasons: list[ReasonReply] | None
    error: str | None = Field(description="a stable code and the reason why there is no score")


class BatchReply(BaseModel):
    """The answers to a batch, in its order."""

    scores: list[BatchAnswer]


class ModelReply(BaseModel):
    """A model in service and the columns it reads."""

    model: ModelName
    task: Literal["credit", "response"] = Field(description="whether the probability is of a default or of a response")
    features: list[str]
