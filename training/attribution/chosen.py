"""The compiled choice of a row's weightiest reasons."""

from typing import Any

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def choose(
    contributions: Any, reason_of: Any, reasons: int, against: float, least: float, step: float, places: Any,
    weights: Any,
) -> None:  # fmt: skip
    """Write each row's weightiest reasons into ``places (n, most)`` and ``weights (n, most)``; what is left stays.

    A reason weighs what its columns (``reason_of``) contribute together, times ``against``; below ``least`` it is none.
    Weights are compared in steps; of equal ones the reason with the lower number comes first.
    """
    sums, steps = np.empty(reasons), np.empty(reasons)
    for row in range(len(contributions)):
        # In the columns' order, so that a row's weights do not depend on the rows beside it.
        sums[:] = 0.0
        for column in range(len(reason_of)):
            sums[reason_of[column]] += contributions[row, column]
        for reason in range(reasons):
            sums[reason] *= against
            steps[reason] = np.rint(sums[reason] / step)
        told = 0
        for _ in range(min(places.shape[1], reasons)):
            heaviest = np.argmax(steps)
            steps[heaviest] = -np.inf
            if sums[heaviest] >= least:
                places[row, told], weights[row, told] = heaviest, sums[heaviest]
                told += 1
