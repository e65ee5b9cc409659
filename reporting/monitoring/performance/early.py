"""Early signs of defaults: arrears of 30 days within 3 months, held against what the same grades showed at training.

They tell a year before the outcomes do whether the risk of a grade is still what it was.
"""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.stats import norm

from training.scale import MASTER_SCALE, grade_places

Vector = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

_GRADES: Final = len(MASTER_SCALE)
_LEAST_EXPECTED: Final = 10.0
"""With fewer early signs expected, nothing is said of them."""


@dataclass(frozen=True, slots=True)
class EarlyRates:
    """What early signs were at training, by grade ``(g,)``: how often they came, and what followed.

    Attributes:
        rows: with an early outcome.
        rate: of early signs.
        default_if_early: share of those with a sign that defaulted within the horizon.
        default_if_not: of those without.
    """

    rows: Vector
    rate: Vector
    default_if_early: Vector
    default_if_not: Vector


@dataclass(frozen=True, slots=True)
class EarlySigns:
    """Early signs of some rows, and what they say of the outcomes to come.

    Attributes:
        rows: of which it is known.
        observed: rows with a sign.
        expected: as many as the same grades had at training.
        ratio: observed over expected.
        low: of the ratio, 95 %.
        high: of the ratio.
        p_value: how often chance alone moves the ratio so far, either way.
        implied_default_rate: the default rate that follows, by what followed at training.
        predicted_default_rate: the mean probability.
    """

    rows: int
    observed: int
    expected: float
    ratio: float
    low: float
    high: float
    p_value: float
    implied_default_rate: float
    predicted_default_rate: float


def early_rates(probability: Vector, early: Vector, defaulted: Vector) -> EarlyRates:
    """By grade, of rows whose ``early`` (0 or 1) and ``defaulted`` are known; grades with few rows lean on all rows."""
    places = grade_places(probability)
    rows, signs, both, without = (
        np.bincount(places, weights, _GRADES).astype(np.float64)
        for weights in (np.ones(len(early)), early, early * defaulted, (1 - early) * defaulted)
    )
    return EarlyRates(
        rows,
        _leaning(signs, rows),
        _leaning(both, signs),
        _leaning(without, rows - signs),
    )


def early_signs(
    at_training: EarlyRates, probability: Vector, early: Vector, share: float, reference_share: float
) -> EarlySigns | None:
    """Hold rows against training; None where too few signs are expected to say anything.

    Args:
        at_training: what the grades showed.
        probability: as answered, ``(n,)``.
        early: 0 or 1, ``(n,)``.
        share: of the rows that count as independent (parties over rows).
        reference_share: the same at training.
    """
    places = grade_places(probability)
    rows = np.bincount(places, minlength=_GRADES).astype(np.float64)
    rate = at_training.rate
    observed, expected = float(early.sum()), float(rows @ rate)
    if expected < _LEAST_EXPECTED:
        return None
    spread = rate * (1 - rate)
    known_by = np.maximum(at_training.rows * reference_share, 1.0)
    # Of what comes, and of what was measured at training; rows of one party come together.
    variance = float((rows * spread).sum() / share + (rows**2 * spread / known_by).sum())
    error = math.sqrt(variance) / expected
    ratio = observed / expected
    implied = rate_with_signs(at_training, places, early)
    return EarlySigns(
        rows=len(early),
        observed=int(observed),
        expected=expected,
        ratio=ratio,
        low=max(ratio - 1.96 * error, 0.0),
        high=ratio + 1.96 * error,
        p_value=float(2 * norm.sf(abs(ratio - 1) / error)),
        implied_default_rate=implied,
        predicted_default_rate=float(probability.mean()),
    )


def rate_with_signs(at_training: EarlyRates, places: Integers, early: Vector) -> float:
    """The default rate of rows of grades ``places (n,)`` with these early signs, by what followed at training."""
    followed = np.where(early > 0, at_training.default_if_early[places], at_training.default_if_not[places])
    return float(followed.mean())


def _leaning(events: Vector, rows: Vector) -> Vector:
    """Rates ``(g,)``, each as if twenty more rows had the rate of all."""
    overall = events.sum() / max(rows.sum(), 1.0)
    return np.asarray((events + 20 * overall) / (rows + 20))
