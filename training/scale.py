"""The score scale: points in place of probabilities, so that equal steps mean equal changes of the odds."""

from typing import Final

import numpy as np
import numpy.typing as npt

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
