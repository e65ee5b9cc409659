"""Kinds of fields that several messages have."""

from decimal import Decimal
from typing import Annotated, Any, Final, Literal

from pydantic import Field

LegalEntityCode = Literal["credit", "guarantee", "leasing", "factoring", "consumer", "supply_chain"]

Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
"""A JSON number; NaN and infinities are refused."""

Text = Annotated[str, Field(strict=True, max_length=200)]

Amount = Annotated[Decimal, Field(gt=0, le=Decimal(10) ** 12, max_digits=14, decimal_places=2)]
"""CNY, to the fen."""

MODEL_PATTERN: Final = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,79}$"
"""Names that a registered model can have."""

PARTY_EXAMPLE: Final[dict[str, Any]] = {"legal_entity": "consumer", "party_id": "PXR5Q2M7ZKCA"}
