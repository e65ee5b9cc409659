"""Which distance is shown of a column beside its PSI: by its type, and by how many rows there are."""

from dataclasses import dataclass
from typing import Literal

from reporting.monitoring.drift import ColumnDrift, ColumnShape
from reporting.monitoring.thresholds import Thresholds

Method = Literal["ks", "chi_square", "wasserstein", "jensen_shannon"]


@dataclass(frozen=True, slots=True)
class Distance:
    """``value`` is a p-value of tests, else a distance; ``beyond`` whether it is beyond its threshold."""

    method: Method
    value: float
    beyond: bool


def distance_of(drift: ColumnDrift, shape: ColumnShape, thresholds: Thresholds) -> Distance:
    """The distance of all rows: a test of few, a distance of many; by distribution of numbers, by bins of codes."""
    bounds, few = thresholds.distances, drift.rows <= thresholds.tests_up_to_rows
    if shape.ks_p_value is not None and not shape.is_code:
        if few or shape.wasserstein is None:
            return Distance("ks", shape.ks_p_value, shape.ks_p_value < bounds.p_value)
        return Distance("wasserstein", shape.wasserstein, shape.wasserstein >= bounds.wasserstein)
    if few:
        return Distance("chi_square", drift.p_value, drift.p_value < bounds.p_value)
    return Distance("jensen_shannon", drift.jensen_shannon, drift.jensen_shannon >= bounds.jensen_shannon)
