"""Who would be selected, by the groups that the law protects, month by month: fairness before outcomes are known."""

import math
from dataclasses import dataclass
from typing import Final

import polars as pl
from scipy.stats import norm

from training.reference import PROBABILITY

ATTRIBUTES: Final = ("sex", "age_band", "region")
_LEAST_PARTIES: Final = 100
"""Smaller groups are shown and not judged: chance would."""


@dataclass(frozen=True, slots=True)
class SelectedGroup:
    """A group and the share of its rows that lie below the cut."""

    group: str
    rows: int
    parties: int
    selection_rate: float


@dataclass(frozen=True, slots=True)
class Selection:
    """One protected attribute.

    Attributes:
        attribute: sex, age band or region.
        groups: by name.
        ratio: the lowest selection rate over the highest, of groups with enough parties; 1 of fewer than two. Below
            four fifths, 29 CFR 1607.4 D presumes adverse impact.
        least: the group with the lowest.
        p_value: how often chance alone sets these two so far apart, parties counting, not rows.
    """

    attribute: str
    groups: tuple[SelectedGroup, ...]
    ratio: float
    least: str
    p_value: float


def selections(rows: pl.DataFrame, cut: float) -> list[Selection]:
    """Selection by each attribute that the rows tell, of rows ``probability``, ``party_id`` and the attributes."""
    return [
        _selection(name, rows.filter(pl.col(name).fill_null("") != ""), cut)
        for name in ATTRIBUTES
        if name in rows.columns and rows[name].fill_null("").n_unique() > 1
    ]


def _selection(attribute: str, rows: pl.DataFrame, cut: float) -> Selection:
    found = (
        rows.group_by(attribute)
        .agg(
            rows=pl.len(),
            parties=pl.col("party_id").n_unique(),
            selection_rate=(pl.col(PROBABILITY) < cut).mean(),
        )
        .sort(attribute)
    )
    groups = tuple(SelectedGroup(*row) for row in found.iter_rows())
    judged = sorted((group for group in groups if group.parties >= _LEAST_PARTIES), key=lambda one: one.selection_rate)
    if len(judged) < 2 or judged[-1].selection_rate == 0:
        return Selection(attribute, groups, 1.0, "", 1.0)
    low, high = judged[0], judged[-1]
    return Selection(attribute, groups, low.selection_rate / high.selection_rate, low.group, _apart(low, high))


def _apart(low: SelectedGroup, high: SelectedGroup) -> float:
    """The two-sided p-value of two proportions, pooled."""
    parties = low.parties + high.parties
    pooled = (low.selection_rate * low.parties + high.selection_rate * high.parties) / parties
    error = math.sqrt(pooled * (1 - pooled) * (1 / low.parties + 1 / high.parties))
    return float(2 * norm.sf((high.selection_rate - low.selection_rate) / error)) if error > 0 else 1.0
