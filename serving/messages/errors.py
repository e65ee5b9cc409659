"""Errors (RFC 9457)."""

from pydantic import BaseModel, Field


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
