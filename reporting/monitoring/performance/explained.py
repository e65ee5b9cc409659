"""Of whom there are more early signs than expected: the segment, and the features, that tell most of the surplus."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from features.bins import bin_edges, bin_places
from reporting.monitoring.counts import DIMENSIONS, Segment
from reporting.monitoring.performance.early import EarlyRates
from training.reference import FEATURE, PROBABILITY
from training.scale import grade_places

Vector = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

_BINS: Final = 5
_FEATURES_TOLD: Final = 3
_TELLS_MORE: Final = 1.5
"""A segment explains a surplus where its own is so many times that of all rows."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """Where a surplus (or lack) of early signs is.

    Attributes:
        segment: whose ratio differs most from 1, beyond chance, and far more than that of all rows; else all rows.
        ratio: observed over expected there.
        features: whose bins tell most of it, the most telling first.
    """

    segment: str
    ratio: float
    features: tuple[str, ...]


def explained(rows: pl.DataFrame, early: Vector, at_training: EarlyRates) -> Explanation:
    """Look where early signs ``(n,)`` of rows are not what their grades had at training."""
    expected = at_training.rate[grade_places(rows[PROBABILITY].to_numpy())]
    spread = expected * (1 - expected)
    overall = float(early.sum() / expected.sum())
    strongest = (str(Segment()), overall, abs(float(early.sum() - expected.sum())) / np.sqrt(spread.sum()))
    for dimension in (name for name in DIMENSIONS if name in rows.columns):
        for value in rows[dimension].drop_nulls().unique().sort():
            own = (rows[dimension] == value).fill_null(value=False).to_numpy()
            if not value or own.all() or expected[own].sum() < 5:
                continue
            ratio = float(early[own].sum() / expected[own].sum())
            score = abs(float(early[own].sum() - expected[own].sum())) / np.sqrt(spread[own].sum())
            if abs(ratio - 1) > _TELLS_MORE * abs(overall - 1) and score > max(3.0, strongest[2]):
                strongest = (f"{dimension}={value}", ratio, score)
    names = [name for name in rows.columns if name.startswith(FEATURE) and rows[name].dtype.is_numeric()]
    tells = {name: _told_by(rows[name], early, expected, spread) for name in names}
    most = sorted(tells, key=lambda name: (-tells[name], name))[:_FEATURES_TOLD]
    return Explanation(strongest[0], strongest[1], tuple(name.removeprefix(FEATURE) for name in most))


def _told_by(column: pl.Series, early: Vector, expected: Vector, spread: Vector) -> float:
    """How much a feature's bins tell of the surplus beyond its level: Σ (O − c·E)² / V with c the ratio of all."""
    values = column.cast(pl.Float64).fill_null(float("nan")).to_numpy()
    present = values[np.isfinite(values)]
    if not len(present):
        return 0.0
    places = bin_places(values, bin_edges(present, _BINS))
    observed, wanted, variance = (np.bincount(places, weights) for weights in (early, expected, spread))
    there = variance > 0
    return float((((observed - wanted) ** 2)[there] / variance[there]).sum())
