"""How far two samples of a column lie apart, and whether chance could have done it.

Of a million rows every difference is beyond chance, so what matters there is how large it is: distances do not grow
with the number of rows. Of a few hundred, chance makes distances: there tests say more.
"""

import math
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit
from scipy.spatial.distance import jensenshannon
from scipy.special import chdtrc
from scipy.stats import kstwo

Vector = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _merged(reference: Any, current: Any) -> tuple[float, float]:
    """∫ |F − G| dx and max |F − G| of the distribution functions of two ascending samples, in one pass."""
    m, n = len(reference), len(current)
    i = j = 0
    area = largest = 0.0
    before = 0.0
    while i < m or j < n:
        here = reference[i] if j >= n or (i < m and reference[i] <= current[j]) else current[j]
        gap = abs(i / m - j / n)
        if i + j > 0 and gap > 0.0:
            area += gap * (here - before)
            largest = max(largest, gap)
        while i < m and reference[i] == here:
            i += 1
        while j < n and current[j] == here:
            j += 1
        before = here
    return area, largest


def wasserstein_and_ks(reference: Vector, current: Vector) -> tuple[float, float]:
    """The first Wasserstein distance and the Kolmogorov-Smirnov statistic of two ascending samples without NaN.

    The distance is in units of the column; infinite values make it infinite. Neither may be empty.

    Source: Vallender (1974), Calculation of the Wasserstein distance between probability distributions on the line.
    """
    if not (math.isfinite(reference[0] + reference[-1]) and math.isfinite(current[0] + current[-1])):
        finite = [values[np.isfinite(values)] for values in (reference, current)]
        ks = _merged(*finite)[1] if all(len(values) for values in finite) else 1.0
        return math.inf, ks
    area, largest = _merged(reference, current)
    return float(area), float(largest)


def ks_p_value(statistic: float, reference_rows: float, current_rows: float) -> float:
    """How often chance alone gives so large a statistic: the distribution for ``m · n / (m + n)`` rows."""
    effective = reference_rows * current_rows / (reference_rows + current_rows)
    return float(kstwo.sf(statistic, max(1, round(effective))))


def jensen_shannon(reference: Integers, current: Integers) -> float:
    """The Jensen-Shannon distance of the counts of the same bins: 0 to √ln 2, natural logarithm.

    Source: Endres and Schindelin (2003), A new metric for probability distributions.
    """
    found = float(jensenshannon(reference, current))
    # Rounding may leave a negative number under the root where both are alike.
    return found if math.isfinite(found) else 0.0


def counts_p_value(reference: Integers, current: Integers, reference_share: float, current_share: float) -> float:
    """How often chance alone moves counts of the same bins so far: Pearson's test of homogeneity.

    Args:
        reference: counts.
        current: counts.
        reference_share: of the rows that count as independent, where a party has several: parties over rows.
        current_share: the same of the current ones.
    """
    filled = (reference + current) > 0
    if filled.sum() < 2:
        return 1.0
    observed = np.stack([reference[filled] * reference_share, current[filled] * current_share])
    expected = observed.sum(axis=1, keepdims=True) * observed.sum(axis=0) / observed.sum()
    # SciPy's own test checks its arguments for a millisecond; there are thousands of these a month.
    return float(chdtrc(int(filled.sum()) - 1, ((observed - expected) ** 2 / expected).sum()))


def stability_index_by_chance(bins: int, reference_rows: float, current_rows: float) -> float:
    """What the PSI is in the mean where nothing has moved: (bins − 1) · (1 / m + 1 / n).

    Source: Yurdakul and Naranjo (2020), Statistical properties of the population stability index, equation 5.
    """
    return (bins - 1) * (1.0 / reference_rows + 1.0 / current_rows)
