"""What a model reads: its columns in order, and how a value of each becomes the number that its trees ask for."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, Final, Literal, Self

import numpy as np
import numpy.typing as npt

from training.errors import WrongInput

Kind = Literal["number", "category", "date", "series"]
Statistic = Literal["mean", "largest", "smallest", "spread", "trend", "positive", "change", "ratio"]
Matrix = npt.NDArray[np.float64]
Vector = npt.NDArray[np.float64]
Value = float | int | bool | str | date | datetime | None

MISSING: Final = float("nan")
_SECONDS_A_DAY: Final = 86_400


@dataclass(frozen=True, slots=True)
class Input:
    """A column of a model.

    A number is itself. A category is its place in ``categories``; one that training never saw, or saw too rarely, is
    missing. A date is days since 1970-01-01, or days before the date in the column ``before``. Null is missing: the
    trees learnt which way to send it.

    A series is a ``statistic`` of ``columns`` that repeat one measure (six months of a balance), or the ratio of two
    columns; see ``series_statistic``.
    """

    name: str
    kind: Kind = "number"
    categories: tuple[str, ...] = ()
    before: str | None = None
    statistic: Statistic | None = None
    columns: tuple[str, ...] = ()

    @property
    def reads(self) -> tuple[str, ...]:
        """The columns that a caller gives for it."""
        return self.columns or ((self.name,) if self.before is None else (self.name, self.before))

    def encoded(self, values: Mapping[str, Value]) -> float:
        """The number for a row of named values.

        Raises:
            WrongInput: the value is of another kind.
        """
        if self.statistic is not None:
            found = [Input(column).encoded(values) for column in self.columns]
            return float(series_statistic(np.array([found]), self.statistic)[0])
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
        if self.statistic is not None:
            content |= {"statistic": self.statistic, "columns": list(self.columns)}
        return content

    @classmethod
    def of_json(cls, content: Mapping[str, Any]) -> Self:
        """The input that ``as_json`` wrote."""
        return cls(
            content["name"],
            content["kind"],
            tuple(content.get("categories", ())),
            content.get("before"),
            content.get("statistic"),
            tuple(content.get("columns", ())),
        )


def series_statistic(columns: Matrix, statistic: Statistic) -> Vector:
    """A statistic ``(n,)`` of series ``(n, k)``, the first column the newest or the oldest as they are numbered.

    Missing values are left out; ``trend`` is the slope per step, ``change`` the first less the second, ``spread`` the
    standard deviation, ``positive`` how many are above zero, ``ratio`` the first over the size of the second, which
    counts as one at least.
    """
    first, second = columns[:, 0], columns[:, 1]
    if statistic == "change":
        return np.asarray(first - second)
    if statistic == "ratio":
        return np.asarray(first / np.maximum(np.abs(second), 1.0))
    there = ~np.isnan(columns)
    count = there.sum(axis=1)
    known = np.where(there, columns, 0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        if statistic == "positive":
            return np.where(count > 0, (known > 0).sum(axis=1), MISSING)
        if statistic in ("largest", "smallest"):
            sign = 1.0 if statistic == "largest" else -1.0
            most = sign * np.where(there, sign * columns, -np.inf).max(axis=1)
            return np.where(count > 0, most, MISSING)
        mean = known.sum(axis=1) / count
        if statistic == "mean":
            return np.asarray(mean)
        apart = np.where(there, columns - mean[:, None], 0.0)
        if statistic == "spread":
            return np.asarray(np.sqrt((apart**2).sum(axis=1) / count))
        steps = np.where(there, np.arange(columns.shape[1], dtype=np.float64), 0.0)
        steps = np.where(there, steps - (steps.sum(axis=1) / count)[:, None], 0.0)
        return np.asarray((apart * steps).sum(axis=1) / (steps**2).sum(axis=1))


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
