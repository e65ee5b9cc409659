"""Bins of a column, and how far two sets of rows lie apart in them."""

from typing import Final

import numpy as np
import numpy.typing as npt

Vector = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

BINS: Final = 10


def bin_edges(present: Vector, bins: int = BINS) -> Vector:
    """Where bins begin that hold equal parts of ``present``, which has no NaN: at most ``bins - 1`` edges, ascending.

    A value equal to an edge belongs to the bin above it, so that a frequent value is a bin and not half of two; a
    column with few values has few bins.
    """
    return np.unique(np.quantile(present, np.linspace(0, 1, bins + 1)[1:-1], method="higher"))


def bin_places(values: Vector, edges: Vector) -> Integers:
    """The bin ``(n,)`` of each row; the last one, ``len(edges) + 1``, holds those without a value (NaN)."""
    missing = np.isnan(values)
    found = np.searchsorted(edges, np.where(missing, 0, values), side="right")
    return np.where(missing, len(edges) + 1, found)


def bin_counts(values: Vector, edges: Vector) -> Integers:
    """How many rows each bin holds ``(len(edges) + 2,)``, the missing in the last."""
    return np.bincount(bin_places(values, edges), minlength=len(edges) + 2)


def bin_shares(counts: npt.NDArray[np.int64 | np.float64]) -> Vector:
    """Shares of counts, of which an empty one counts as half a row, so that logarithms stay finite."""
    return np.asarray(np.maximum(counts, 0.5) / counts.sum())


def stability_index(
    reference: npt.NDArray[np.int64 | np.float64], current: npt.NDArray[np.int64 | np.float64]
) -> float:
    """PSI = Σ (c − r) · ln(c / r) of the counts of the same bins; none of the two may be empty altogether.

    Source: Siddiqi, Credit Risk Scorecards (2006), chapter 9.
    """
    r, c = bin_shares(reference), bin_shares(current)
    return float(np.sum((c - r) * np.log(c / r)))
