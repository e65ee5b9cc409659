"""How much a model's answers move when its inputs do: a little of each feature, a feature that goes missing."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from training.validation.rows import Matrix, Vector

_MOST_ROWS: Final = 5_000
_STEP: Final = 0.1
_LEAST: Final = 1e-12


@dataclass(frozen=True, slots=True)
class FeatureSensitivity:
    """How a feature moves the probability of the average row, as a factor of the odds.

    Attributes:
        small_change: mean absolute change of the log-odds when it moves by a tenth of its standard deviation.
        missing: mean absolute change of the log-odds when it goes missing.
        largest_missing: the same, of the one row in a hundred that it moves most.
    """

    feature: str
    small_change: float
    missing: float
    largest_missing: float


def sensitivity(
    rows: Matrix, features: Sequence[str], chosen: Sequence[int], probability: Callable[[Matrix], Vector]
) -> tuple[FeatureSensitivity, ...]:
    """Of the columns ``chosen``, on at most 5,000 rows, evenly taken; the one that moves most comes first."""
    some = rows[:: -(-len(rows) // _MOST_ROWS) or 1]
    start = _log_odds(probability(some))
    found = []
    for place in chosen:
        spread = float(np.nanstd(some[:, place])) if not np.isnan(some[:, place]).all() else 0.0
        moved, gone = some.copy(), some.copy()
        moved[:, place] += _STEP * spread
        gone[:, place] = np.nan
        change = np.abs(_log_odds(probability(moved)) - start)
        lost = np.abs(_log_odds(probability(gone)) - start)
        found.append(
            FeatureSensitivity(
                features[place], float(change.mean()), float(lost.mean()), float(np.quantile(lost, 0.99))
            )
        )
    return tuple(sorted(found, key=lambda one: (-one.missing, one.feature)))


def _log_odds(probability: Vector) -> Vector:
    inside = np.clip(probability, _LEAST, 1 - _LEAST)
    return np.asarray(np.log(inside) - np.log1p(-inside))
