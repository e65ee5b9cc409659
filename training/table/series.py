"""Columns that repeat one measure (BILL_AMT1 … BILL_AMT6): found by their names, summed up as features of their own.

A tree splits one column at a time; that a balance grows over six columns, or that a payment covers a bill, it can only
come near with many splits. So each series gives its mean, extremes, spread, trend and latest change, and two series of
the same numbers give the ratios of their members, as does each series over a column that limits it.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import Final

import numpy as np
import numpy.typing as npt

from training.inputs import Input, Statistic, series_statistic

Matrix = npt.NDArray[np.float64]
Vector = npt.NDArray[np.float64]

_NUMBERED: Final = re.compile(r"^(?P<stem>.*?[^\d])(?P<number>\d{1,3})$")
_SHORTEST: Final = 3
_MOST_SERIES: Final = 8
_MOST_RATIO_SERIES: Final = 4
_STATISTICS: Final[tuple[Statistic, ...]] = ("mean", "largest", "smallest", "spread", "trend", "positive", "change")
_AMOUNT: Final = 1_000.0
"""A column whose largest value is above this is an amount, of which ratios say something."""


@dataclass(frozen=True, slots=True)
class Series:
    """A stem with the columns that repeat it, in the order of their numbers."""

    stem: str
    numbers: tuple[int, ...]
    columns: tuple[str, ...]


def series_of(names: Sequence[str]) -> tuple[Series, ...]:
    """The series among names of numeric columns: at least three that differ only in the number they end in."""
    members: dict[str, dict[int, str]] = {}
    for name in names:
        found = _NUMBERED.match(name)
        if found:
            members.setdefault(found["stem"], {})[int(found["number"])] = name
    return tuple(
        Series(stem.rstrip("_- "), tuple(sorted(columns)), tuple(columns[number] for number in sorted(columns)))
        for stem, columns in members.items()
        if len(columns) >= _SHORTEST
    )[:_MOST_SERIES]


def series_inputs(values: Mapping[str, Vector]) -> list[Input]:
    """Inputs made of the series among columns of numbers (by name, values ``(n,)``)."""
    found = series_of(list(values))
    made = [
        Input(f"{series.stem}:{statistic}", "series", statistic=statistic, columns=series.columns)
        for series in found
        for statistic in _STATISTICS
    ]
    amounts = [series for series in found if _is_amount(values, series.columns)][:_MOST_RATIO_SERIES]
    for above, below in permutations(amounts, 2):
        if above.numbers == below.numbers:
            made += [_ratio(one, other) for one, other in zip(above.columns, below.columns, strict=True)]
    in_series = {column for series in found for column in series.columns}
    alone = [name for name in values if name not in in_series and _is_amount(values, [name])]
    if len(alone) <= _MOST_RATIO_SERIES:
        made += [_ratio(column, whole) for series in amounts for whole in alone for column in series.columns]
    return made


def made_columns(values: Mapping[str, Vector], inputs: Sequence[Input]) -> Matrix:
    """The values ``(n, k)`` of inputs made of series."""
    columns = [
        series_statistic(np.column_stack([values[name] for name in given.columns]), given.statistic)
        for given in inputs
        if given.statistic is not None
    ]
    return np.column_stack(columns)


def _ratio(above: str, below: str) -> Input:
    return Input(f"{above}/{below}", "series", statistic="ratio", columns=(above, below))


def _is_amount(values: Mapping[str, Vector], columns: Sequence[str]) -> bool:
    largest = [np.nanmax(np.abs(values[name])) for name in columns if not np.isnan(values[name]).all()]
    return bool(largest) and min(largest) > _AMOUNT
