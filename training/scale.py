"""The score scale (equal steps mean equal changes of the odds) and the master scale of rating grades."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.int64]

ANCHOR_SCORE: Final = 600
ANCHOR_ODDS: Final = 30.0
"""At 600 points, 30 parties pay for each that defaults: a PD of 3.2 %."""

POINTS_TO_DOUBLE_ODDS: Final = 20
LOWEST_SCORE: Final = 300
HIGHEST_SCORE: Final = 850


def score_points(probability_of_default: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Whole points ``(n,)`` of PDs ``(n,)``; more is safer, between 300 and 850.

    score = 600 + 20 / ln 2 · (ln((1 − PD) / PD) − ln 30), after Siddiqi, Credit Risk Scorecards (2006), chapter 6.
    """
    smallest = np.finfo(np.float64).tiny
    pd = np.clip(probability_of_default, smallest, 1 - np.finfo(np.float64).epsneg)
    log_odds = np.log1p(-pd) - np.log(pd)
    points = ANCHOR_SCORE + POINTS_TO_DOUBLE_ODDS / np.log(2) * (log_odds - np.log(ANCHOR_ODDS))
    return np.asarray(np.clip(np.rint(points), LOWEST_SCORE, HIGHEST_SCORE).astype(np.int64))


@dataclass(frozen=True, slots=True)
class Grade:
    """A rating grade of the master scale: PDs up to ``highest_pd``, above that of the grade before."""

    name: str
    highest_pd: float


MASTER_SCALE: Final = tuple(
    Grade(name, highest)
    for name, highest in (
        ("R1", 0.001), ("R2", 0.002), ("R3", 0.004), ("R4", 0.008), ("R5", 0.016), ("R6", 0.032), ("R7", 0.064),
        ("R8", 0.128), ("R9", 0.256), ("R10", 1.0),
    )
)  # fmt: skip
"""One scale for all models of the group. Each grade's PDs are twice those of the one before, which on the score scale
is a band of 20 points where PDs are low."""


def grade_of(probability_of_default: float) -> str:
    """The name of a PD's grade on the master scale."""
    return MASTER_SCALE[int(grade_places(np.array([probability_of_default]))[0])].name


def grade_places(probability: npt.NDArray[np.float64], scale: Sequence[Grade] = MASTER_SCALE) -> Integers:
    """The place ``(n,)`` of each PD's grade in ``scale``, from 0 for the best."""
    return np.searchsorted([grade.highest_pd for grade in scale[:-1]], probability, side="left")
