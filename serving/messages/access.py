"""Accounts and their tokens."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from serving.messages.fields import LegalEntityCode


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
