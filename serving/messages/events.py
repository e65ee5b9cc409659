"""Events as they happen."""

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

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
