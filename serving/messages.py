"""What goes over the wire: requests and replies of the API, with the examples that its page shows."""

from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any, Final, Literal, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from training import MODEL_NAME, scores_parties

LegalEntityCode = Literal["credit", "guarantee", "leasing", "factoring", "consumer", "supply_chain"]

Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
"""A JSON number; NaN and infinities are refused."""

Text = Annotated[str, Field(strict=True, max_length=200)]

Amount = Annotated[Decimal, Field(gt=0, le=Decimal(10) ** 12, max_digits=14, decimal_places=2)]
"""CNY, to the fen."""

MODEL_PATTERN: Final = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,79}$"
"""Names that a registered model can have."""

_MOST_FEATURES: Final = 2_000

PARTY_EXAMPLE: Final[dict[str, Any]] = {"legal_entity": "consumer", "party_id": "PXR5Q2M7ZKCA"}


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


class ModelReply(BaseModel):
    """A model in service and the columns it reads."""

    model: ModelName
    task: Literal["credit", "response"] = Field(description="whether the probability is of a default or of a response")
    features: list[str]


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
    offers: int = Field(description="of all companies")
    held_out: int = Field(description="drawn at random, and not to be contacted")


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


class TokenReply(BaseModel):
    """An access token (RFC 6749, section 5.1)."""

    access_token: str = Field(examples=["eyJhbGciOiJIUzI1NiIs…"])
    token_type: Literal["bearer"] = "bearer"  # noqa: S105 - the kind of token
    expires_in: int = Field(description="seconds", examples=[900])
    scope: str = Field(description="what it allows, separated by spaces", examples=["models:read scores:write"])


class SignInProblem(BaseModel):
    """Why there is no token (RFC 6749, section 5.2). ``error`` is stable."""

    error: str = Field(examples=["invalid_client"])
    error_description: str


class AccountReply(BaseModel):
    """Whose token is shown."""

    name: str = Field(examples=["lending-flow"])
    scopes: list[str] = Field(examples=[["scores:write"]])
    legal_entities: list[LegalEntityCode] = Field(description="the companies that it acts for")


class NewPassword(BaseModel):
    """A person's present password and the one of their choice."""

    model_config = ConfigDict(extra="forbid")

    username: str = Field(min_length=1, max_length=80, examples=["li.wei"])
    password: str = Field(min_length=1, max_length=256)
    new_password: str = Field(min_length=1, max_length=256, description="12 characters at least")


class Health(BaseModel):
    """The process is alive."""

    status: Literal["alive"] = "alive"
    version: str = Field(examples=["0.1.0"])


class Readiness(BaseModel):
    """Whether requests can be served, and if not, what is in the way."""

    status: Literal["ready", "not ready"]
    model: ModelName | None = None
    reasons: list[str] = Field(default_factory=list, description="what is in the way; empty when ready")
    notes: list[str] = Field(default_factory=list, description="what is not as it should be, and yet served")


class JobReply(BaseModel):
    """A job and how far it is."""

    job_id: str = Field(examples=["0198c2c3-8f7e-7d0e-9a53-6a1a4e1d2f10"])
    legal_entity: LegalEntityCode
    model: str
    version: str | None = Field(description="of the model; null until the job has begun")
    state: Literal["queued", "running", "done", "failed", "cancelled"]
    rows: int | None = Field(description="null until they are counted")
    rows_done: int
    rows_failed: int = Field(description="of those done: the rows that got no score; the result says why")
    error: str | None = Field(description="why the job failed")
    result_sha256: str | None = Field(description="of the result's file")
    created_at: datetime
    ended_at: datetime | None


class JobsReply(BaseModel):
    """A page of jobs. ``next_cursor`` asks for the next; it is null on the last."""

    jobs: list[JobReply]
    next_cursor: str | None


EventValue = Annotated[str, Field(max_length=500)] | bool | int | Annotated[float, Field(allow_inf_nan=False)] | None


class EventsRequest(BaseModel):
    """Events of one canonical table, by its columns; created_timestamp is when they are pushed, and left out."""

    model_config = ConfigDict(extra="forbid")

    table: str = Field(min_length=1, max_length=80, examples=["transactions"])
    events: list[Annotated[dict[str, EventValue], Field(max_length=100)]] = Field(
        min_length=1,
        max_length=1_000,
        examples=[
            [
                {
                    "legal_entity": "consumer", "customer_id": "CO26714693", "account_id": "A1",
                    "transaction_id": "T20260103-1", "event_timestamp": "2026-01-03T09:30:00Z", "direction": "in",
                    "amount": "1200.00", "currency": "CNY", "channel": "mobile", "category": "salary",
                }
            ]
        ],
    )  # fmt: skip


class EventsReply(BaseModel):
    """What became of events."""

    taken: int = Field(description="events, all that were pushed")
    learnt_at: datetime = Field(description="the instant from which on they are known")
    parties: list[str] = Field(description="whose features moved")
    views: list[str] = Field(description="groups of features that read the table")


class WrongField(BaseModel):
    """One field of a request that cannot be used."""

    path: str = Field(description="JSON path", examples=["$.legal_entity"])
    message: str = Field(examples=["must be one of the group's companies"])


class Problem(BaseModel):
    """An error (RFC 9457). ``code`` is stable; ``detail`` is for people."""

    type: str = Field("about:blank", examples=["about:blank"])
    title: str = Field(examples=["Not Found"])
    status: int = Field(examples=[404])
    code: str = Field(examples=["unknown_party"])
    detail: str = Field(examples=["'consumer' has no features of party 'PXR5Q2M7ZKCA'."])
    errors: list[WrongField] = Field(default_factory=list)
