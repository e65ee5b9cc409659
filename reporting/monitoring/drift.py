"""Data drift: every column that a model reads, and what it answers, held against the frame that it was trained on."""

import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from features.bins import stability_index
from reporting.monitoring.counts import EVERYTHING, ColumnCounts, CountedRows, Segment, Sizes
from reporting.monitoring.distances import (
    counts_p_value,
    jensen_shannon,
    ks_p_value,
    stability_index_by_chance,
    wasserstein_and_ks,
)
from training import ColumnProfile

Vector = npt.NDArray[np.float64]

_FEW_VALUES: Final = 20
"""A number with no more values than these is a code or a count: one that training never had is told."""

_NEW_SHOWN: Final = 5
_QUANTILES: Final = np.linspace(0.1, 0.9, 9)
_POWERS: Final = (-4, -3, -2, -1, 1, 2, 3, 4)
_SCALED_WITHIN: Final = 0.15
"""Of the logarithm to base 10: how near the ratio of quantiles lies to a power of ten where the unit was changed."""


@dataclass(frozen=True, slots=True)
class ColumnDrift:
    """How far a column has moved in a segment.

    Attributes:
        column: as it is filed: ``feature:…``, or ``probability``.
        segment: whose rows.
        rows: now.
        parties: now; rows of no party count each.
        reference_rows: at training.
        reference_parties: at training.
        stability_index: PSI of the answers, CSI of a feature; bins are those frozen at training.
        excess: that, less what it is by chance in the mean.
        jensen_shannon: distance of the same bins.
        p_value: how often chance alone moves the bins so far.
        missing_share: of rows without a value.
        reference_missing_share: at training.
        outside_share: of rows beyond the lowest and highest value of training.
        far_share: of rows that lie farther beyond them than they lie apart.
        unseen_share: of rows with a code or text that training never had.
    """

    column: str
    segment: Segment
    rows: int
    parties: int
    reference_rows: int
    reference_parties: int
    stability_index: float
    excess: float
    jensen_shannon: float
    p_value: float
    missing_share: float
    reference_missing_share: float
    outside_share: float
    far_share: float
    unseen_share: float


@dataclass(frozen=True, slots=True)
class ColumnShape:
    """What else is told of a column, of all rows together.

    Attributes:
        column: as it is filed.
        wasserstein: first Wasserstein distance over the standard deviation at training; None of texts.
        ks: Kolmogorov-Smirnov statistic; None of texts.
        ks_p_value: of that, by parties; None of texts.
        mean: now; None where there is none.
        reference_mean: at training.
        constant: whether all values are one, where training had several.
        scaled_by: the power of ten that all quantiles were multiplied by, if they were.
        unseen: some of the codes or texts that training never had, the most frequent first.
        is_code: whether training had few values of it: texts, codes, flags.
    """

    column: str
    wasserstein: float | None = None
    ks: float | None = None
    ks_p_value: float | None = None
    mean: float | None = None
    reference_mean: float | None = None
    constant: bool = False
    scaled_by: float | None = None
    unseen: tuple[str, ...] = ()
    is_code: bool = False


@dataclass(frozen=True, slots=True)
class DataDrift:
    """A period's rows against training, or against the periods before it.

    ``not_logged`` are columns that the model reads and the rows do not have at all.
    """

    sizes: dict[Segment, Sizes]
    columns: tuple[ColumnDrift, ...]
    shapes: dict[str, ColumnShape]
    not_logged: tuple[str, ...]


def data_drift(
    reference: CountedRows,
    current: CountedRows,
    profiles: Sequence[ColumnProfile],
    *,
    threads: int,
    shapes: bool = True,
    progress: Callable[[float], None] = lambda _share: None,
) -> DataDrift:
    """Hold all rows of ``current`` against those of ``reference``, column by column and segment by segment.

    A segment that the reference does not have is held against nothing and left out; its size is told. Without
    ``shapes``, columns are told of by their bins alone.
    """
    sizes, reference_sizes = current.sizes(), reference.sizes()
    there = [profile for profile in profiles if profile.name in current.columns]
    found: list[ColumnDrift] = []
    by_column: dict[str, ColumnShape] = {}

    def measured(profile: ColumnProfile) -> _Measured:
        return _column(reference, current, profile, reference_sizes, sizes, shapes=shapes)

    with ThreadPoolExecutor(max(1, min(threads, len(there)))) as pool:
        for number, one in enumerate(pool.map(measured, there)):
            found += one.drifts
            by_column[one.shape.column] = one.shape
            progress((number + 1) / len(there))
    not_logged = tuple(profile.name for profile in profiles if profile.name not in current.columns)
    return DataDrift(sizes, tuple(found), by_column, not_logged)


class _Measured(NamedTuple):
    drifts: list[ColumnDrift]
    shape: ColumnShape


def _column(
    reference: CountedRows,
    current: CountedRows,
    profile: ColumnProfile,
    reference_sizes: dict[Segment, Sizes],
    sizes: dict[Segment, Sizes],
    *,
    shapes: bool,
) -> _Measured:
    then, now = reference.counts(profile), current.counts(profile)
    if not shapes:
        shape, unseen = ColumnShape(profile.name), 0
    elif profile.kind == "category":
        shape, unseen = _shape_of_texts(reference, current, profile)
    else:
        shape, unseen = _shape_of_numbers(reference, current, profile, reference_sizes, sizes)
    unseen_share = unseen / max(sizes[EVERYTHING].rows, 1) if EVERYTHING in sizes else 0.0
    drifts = [
        _drift(profile, segment, then, now, reference_sizes[segment], sizes[segment], unseen_share)
        for segment in sorted(sizes)
        if segment in reference_sizes
    ]
    return _Measured(drifts, shape)


def _drift(
    profile: ColumnProfile,
    segment: Segment,
    then: ColumnCounts,
    now: ColumnCounts,
    reference: Sizes,
    current: Sizes,
    unseen_share: float,
) -> ColumnDrift:
    before, after = then.bins[segment], now.bins[segment]
    index = stability_index(before, after)
    filled = int(((before + after) > 0).sum())
    return ColumnDrift(
        column=profile.name,
        segment=segment,
        rows=current.rows,
        parties=current.parties,
        reference_rows=reference.rows,
        reference_parties=reference.parties,
        stability_index=index,
        excess=index - stability_index_by_chance(filled, reference.parties, current.parties),
        jensen_shannon=jensen_shannon(before, after),
        p_value=counts_p_value(before, after, reference.share, current.share),
        missing_share=float(after[-1] / current.rows),
        reference_missing_share=float(before[-1] / reference.rows),
        outside_share=now.outside[segment] / current.rows,
        far_share=now.far[segment] / current.rows,
        unseen_share=unseen_share if segment == EVERYTHING else 0.0,
    )


def _shape_of_numbers(
    reference: CountedRows,
    current: CountedRows,
    profile: ColumnProfile,
    reference_sizes: dict[Segment, Sizes],
    sizes: dict[Segment, Sizes],
) -> tuple[ColumnShape, int]:
    """The shape, and how many rows have a value that training never had, where it had few."""
    before, after = reference.sorted_values(profile.name), current.sorted_values(profile.name)
    if not len(before) or not len(after):
        return ColumnShape(profile.name, reference_mean=profile.mean), 0
    area, ks = wasserstein_and_ks(before, after)
    spread = float(before.std()) if math.isfinite(before[0] + before[-1]) else math.nan
    codes = _few_values(before)
    unseen = _unseen_values(after, codes)
    shape = ColumnShape(
        profile.name,
        wasserstein=_finite(area / spread) if spread > 0 else None,
        ks=ks,
        ks_p_value=ks_p_value(
            ks, len(before) * reference_sizes[EVERYTHING].share, len(after) * sizes[EVERYTHING].share
        ),
        mean=_finite(float(after.mean())),
        reference_mean=_finite(float(before.mean())),
        constant=bool(after[0] == after[-1] and before[0] != before[-1]),
        scaled_by=_power_of_ten(before, after),
        unseen=tuple(f"{value:g}" for value, _ in unseen[:_NEW_SHOWN]),
        is_code=bool(codes),
    )
    return shape, sum(rows for _, rows in unseen)


def _shape_of_texts(reference: CountedRows, current: CountedRows, profile: ColumnProfile) -> tuple[ColumnShape, int]:
    known, now = reference.texts(profile.name), current.texts(profile.name)
    unseen = sorted(((rows, text) for text, rows in now.items() if text not in known), reverse=True)
    shape = ColumnShape(
        profile.name,
        constant=len(now) == 1 < len(known),
        unseen=tuple(text for _, text in unseen[:_NEW_SHOWN]),
        is_code=True,
    )
    return shape, sum(rows for rows, _ in unseen)


def _few_values(values: Vector) -> frozenset[float]:
    """The distinct ones of ascending values, if they are few; else none."""
    starts = np.flatnonzero(np.diff(values) > 0)
    return frozenset(np.append(values[starts], values[-1]).tolist()) if len(starts) < _FEW_VALUES else frozenset()


def _unseen_values(values: Vector, known: frozenset[float]) -> list[tuple[float, int]]:
    """Values that are not known and their rows, the most frequent first; none where nothing is known to be a code."""
    if not known:
        return []
    distinct, rows = np.unique(values, return_counts=True)
    unseen = ~np.isin(distinct, list(known))
    pairs = zip(distinct[unseen].tolist(), rows[unseen].tolist(), strict=True)
    return sorted(pairs, key=lambda one: (-one[1], one[0]))


def _power_of_ten(before: Vector, after: Vector) -> float | None:
    """The power of ten by which the quantiles of ascending values were multiplied; None if it is none of them."""
    before, after = before[before != 0], after[after != 0]
    if not len(before) or not len(after):
        return None
    places = [np.minimum((_QUANTILES * len(values)).astype(int), len(values) - 1) for values in (before, after)]
    then, now = before[places[0]], after[places[1]]
    if len(np.unique(then)) < 3 or not np.isfinite(then).all() or not np.isfinite(now).all():
        return None
    with np.errstate(invalid="ignore", divide="ignore"):
        logarithms = np.log10(now / then)
    middle = float(np.median(logarithms))
    power = round(middle) if math.isfinite(middle) else 0
    near = power in _POWERS and abs(middle - power) < _SCALED_WITHIN and np.nanstd(logarithms) < _SCALED_WITHIN
    return 10.0**power if near else None


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
