"""Whether the service is alive and ready."""

from typing import Literal

from pydantic import BaseModel, Field

from serving.messages.scores import ModelName


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
