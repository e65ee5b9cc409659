"""What scoring gives: one score with all that it was computed from, or many as columns."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import numpy.typing as npt

from group.errors import JinkongError
from training import Reasons, WeighedReason

Value = float | str | bool | None
Matrix = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Scored:
    """A score and all that it was computed from: enough to compute it again.

    ``values`` are those of the model's ``read_columns``, in their order; unknown ones are None or NaN, which is null on
    record. ``score`` and ``grade`` are those of a probability of default; a model of responses has none.
    """

    values: list[Value]
    features_as_of: datetime | None
    probability: float
    score: int | None
    grade: str | None
    reasons: list[WeighedReason]


@dataclass(frozen=True, slots=True)
class ScoredColumns:
    """The same of many that were asked for together, a column each, without an object a score.

    ``places`` says which of those asked for got a score, in their order, and ``errors`` by place why others did not.
    ``values`` is ``(n, k) float64`` of parties, and the rows themselves where rows were given.
    """

    places: list[int]
    errors: dict[int, JinkongError]
    values: Matrix | list[list[Value]]
    features_as_of: list[datetime | None]
    probability: list[float]
    score: Sequence[int | None]
    grade: Sequence[str | None]
    reasons: Reasons

    def each(self) -> list[Scored]:
        """One by one."""
        values = self.values.tolist() if isinstance(self.values, np.ndarray) else self.values
        columns = (values, self.features_as_of, self.probability, self.score, self.grade, self.reasons.each())
        return [Scored(*one) for one in zip(*columns, strict=True)]
