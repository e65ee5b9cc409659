"""Reasons for a score: which subjects weighed against it, at most four, in words."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final, TypedDict, TypeVar

import numpy as np
import numpy.typing as npt

from features import Reason, reason_of
from training.attribution.chosen import choose
from training.model import ScoringModel

Matrix = npt.NDArray[np.float64]

MOST_REASONS: Final = 4
_LEAST_WEIGHT: Final = 0.05
"""Log-odds below which a subject is no reason: it moves the odds by a twentieth."""

_STEP: Final = 1e-6
"""Weights are compared in steps of this, so that the last bits of a sum decide no order."""

_Item = TypeVar("_Item")


class WeighedReason(TypedDict):
    """A reason and by how much it moved the log-odds against the applicant; above zero."""

    code: str
    zh: str
    en: str
    weight: float


@dataclass(frozen=True, slots=True)
class Reasons:
    """The reasons of ``n`` rows, a column each of all their reasons, row after row and the weightiest first.

    ``counts (n)`` says how many a row has, ``places`` which of ``book`` they are.
    """

    book: Sequence[Reason]
    counts: list[int]
    places: list[int]
    weights: list[float]

    def each(self) -> list[list[WeighedReason]]:
        """Row by row."""
        weighed = zip(map(self.book.__getitem__, self.places), self.weights, strict=True)
        told: list[WeighedReason] = [
            {"code": reason.code, "zh": reason.zh, "en": reason.en, "weight": weight} for reason, weight in weighed
        ]
        return self.by_row(told)

    def by_row(self, items: Iterable[_Item]) -> list[list[_Item]]:
        """Items, one a reason, as lists, one a row."""
        rest = iter(items)
        return [list(islice(rest, count)) for count in self.counts]


class ReasonBook:
    """The reasons that a model's features belong to: those of the catalogue, or the columns themselves."""

    def __init__(self, model: ScoringModel) -> None:
        """Sort the model's features by reason."""
        found = [reason_of(given.name) or _reason_of_column(given.reads) for given in model.inputs]
        self.reasons = sorted(set(found), key=lambda reason: reason.code)
        places = {reason.code: place for place, reason in enumerate(self.reasons)}
        self._place = np.array([places[reason.code] for reason in found], np.int64)
        # What weighs against: risk for credit, a low response otherwise.
        self._against = 1.0 if model.task == "credit" else -1.0

    def reasons_for(self, contributions: Matrix, most: int = MOST_REASONS) -> Reasons:
        """The reasons of rows from their contributions ``(n, k + 1)``.

        Contributions of features with one reason are added up first: thirteen windows of late payments are one reason,
        and a little moved from one window to the next moves nothing.
        """
        shape = (len(contributions), most)
        chosen, weights = np.full(shape, -1, np.int64), np.zeros(shape)
        choose(
            np.ascontiguousarray(contributions), self._place, len(self.reasons), self._against, _LEAST_WEIGHT, _STEP,
            chosen, weights,
        )  # fmt: skip
        told = chosen >= 0
        return Reasons(self.reasons, told.sum(axis=1).tolist(), chosen[told].tolist(), weights[told].tolist())


def _reason_of_column(columns: Sequence[str]) -> Reason:
    """A column that no catalogue knows speaks for itself; a series is one reason."""
    name = columns[0]
    return Reason(f"column:{name}", f"{name} 的取值", f"The value of {name}")
