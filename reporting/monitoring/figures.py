"""Figures of a month that are not of single columns."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure of a month: ``of`` names the month whose scores it is of."""

    name: str
    of: str
    rows: int
    value: float
    low: float | None = None
    high: float | None = None
