"""How a model spreads rows over rating grades: in the right order, and not all into one."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from training.validation.reliability import GradeTest


@dataclass(frozen=True, slots=True)
class Grading:
    """Order and concentration of the grades.

    Attributes:
        inversions: neighbouring grades of which the better had the higher event rate, by more than chance: its rate
            less the other's is above two standard errors, of parties.
        largest_share: the largest share of rows in one grade.
        herfindahl: the sum of squared shares (1 over the number of grades where all hold the same).
    """

    inversions: int
    largest_share: float
    herfindahl: float


def grading(grades: Sequence[GradeTest], rows_of_a_party: float = 1.0) -> Grading:
    """Of the grades that hold rows, from the best.

    What becomes of a party is nearly the same at each of its ``rows_of_a_party`` instants, a month apart: two that
    default must not count as six.
    """
    shares = np.array([grade.rows for grade in grades], np.float64)
    shares /= shares.sum()
    return Grading(
        inversions=sum(_inverted(better, worse, rows_of_a_party) for better, worse in pairwise(grades)),
        largest_share=float(shares.max()),
        herfindahl=float(np.sum(shares**2)),
    )


def _inverted(better: GradeTest, worse: GradeTest, rows_of_a_party: float) -> bool:
    rows, events = better.rows + worse.rows, better.events + worse.events
    pooled = events / rows
    error = np.sqrt(pooled * (1 - pooled) * (1 / better.rows + 1 / worse.rows) * rows_of_a_party)
    return bool(better.event_rate - worse.event_rate > 2 * error)
