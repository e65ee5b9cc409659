"""What a model reads: its columns in order, and how a value of each becomes the number that its trees ask for."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, Final, Literal, Self

from training.errors import WrongInput

Kind = Literal["number", "category", "date"]
Value = float | int | bool | str | date | datetime | None

MISSING: Final = float("nan")
_SECONDS_A_DAY: Final = 86_400


@dataclass(frozen=True, slots=True)
class Input:
    """A column of a model.

    A number is itself. A category is its place in ``categories``; one that training never saw, or saw too rarely, is
    missing. A date is days since 1970-01-01, or days before the date in the column ``before``. Null is missing: the
    trees learnt which way to send it.
    """

    name: str
    kind: Kind = "number"
    categories: tuple[str, ...] = ()
    before: str | None = None

    def encoded(self, values: Mapping[str, Value]) -> float:
        """The number for a row of named values.

        Raises:
            WrongInput: the value is of another kind.
        """
        value = values.get(self.name)
        if value is None or (isinstance(value, float) and math.isnan(value)):
            return MISSING
        if self.kind == "category":
            return self._place(value)
        if self.kind == "date":
            return self._days(value, values)
        return self._number(value)

    def _number(self, value: Value) -> float:
        if isinstance(value, bool | int | float):
            return float(value)
        raise WrongInput(self.name, value, "a number")

    def _place(self, value: Value) -> float:
        text = category_text(value)
        return float(self.categories.index(text)) if text in self.categories else MISSING

    def _days(self, value: Value, values: Mapping[str, Value]) -> float:
        own = days_since_epoch(self.name, value)
        if self.before is None:
            return own
        reference = values.get(self.before)
        return MISSING if reference is None else days_since_epoch(self.before, reference) - own

    def as_json(self) -> dict[str, Any]:
        """What ``of_json`` reads."""
        content: dict[str, Any] = {"name": self.name, "kind": self.kind}
        if self.categories:
            content["categories"] = list(self.categories)
        if self.before is not None:
            content["before"] = self.before
        return content

    @classmethod
    def of_json(cls, content: Mapping[str, Any]) -> Self:
        """The input that ``as_json`` wrote."""
        return cls(
            content["name"], content["kind"], tuple(content.get("categories", ())), content.get("before")
        )  # fmt: skip


def numbers(names: Sequence[str]) -> tuple[Input, ...]:
    """Inputs that are numbers as they stand."""
    return tuple(Input(name) for name in names)


def category_text(value: Value) -> str:
    """How a value is written where it names a category: 1, 1.0 and "1" are the same."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()


def days_since_epoch(name: str, value: Value) -> float:
    """A date or an instant (ISO 8601 as text, UTC where no zone is given) in days since 1970-01-01.

    Raises:
        WrongInput: it is none.
    """
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value.strip())
        except ValueError:
            raise WrongInput(name, value, "a date such as 2026-01-31") from None
    if isinstance(value, datetime):
        aware = value if value.tzinfo else value.replace(tzinfo=UTC)
        return aware.timestamp() / _SECONDS_A_DAY
    if isinstance(value, date):
        return float((value - date(1970, 1, 1)).days)
    raise WrongInput(name, value, "a date such as 2026-01-31")
