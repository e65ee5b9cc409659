"""Jobs and how far they are."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, Field

from serving.messages.fields import LegalEntityCode


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
    result_until: datetime | None = Field(description="until when the result can be taken; null where there is none")


class JobsReply(BaseModel):
    """A page of jobs. ``next_cursor`` asks for the next; it is null on the last."""

    jobs: list[JobReply]
    next_cursor: str | None
