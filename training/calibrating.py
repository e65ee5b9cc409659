"""Fit a calibration: both methods on all folds but one, and the better on all."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from training.calibration import Calibration, Method, beta_terms

Vector = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

_HARDLY_PENALISED: Final = 1e3
"""Enough to keep slopes finite where scores part the classes completely; nothing beside a hundred rows."""

_CLOSEST: Final = 1e-9


@dataclass(frozen=True, slots=True)
class CalibrationChoice:
    """The calibration that was chosen, and the log loss of each method on folds that it was not fitted on."""

    calibration: Calibration
    log_loss: dict[Method, float]


def chosen_calibration(
    scores: Vector, labels: Vector, folds: Integers, weights: Vector | None = None, long_run_rate: float | None = None
) -> CalibrationChoice:
    """Fit both methods on all folds but one, judge them on that one, and fit the better on all.

    Args:
        scores: raw scores ``(n,)`` from trees that never saw their rows.
        labels: 0 and 1, ``(n,)``; both must occur in every fold.
        folds: which fold each row is in.
        weights: of the rows; equal if None.
        long_run_rate: what the mean probability has to be; that of ``labels`` if None.
    """
    weights = np.ones(len(labels)) if weights is None else weights
    losses: dict[Method, float] = {}
    for method in ("beta", "isotonic"):
        unseen = np.empty(len(labels))
        for fold in np.unique(folds):
            own = folds == fold
            fitted = _fitted(method, scores[~own], labels[~own], weights[~own])
            unseen[own] = fitted.calibrated_log_odds(scores[own])
        losses[method] = float(np.average(np.logaddexp(0.0, np.where(labels == 1, -unseen, unseen)), weights=weights))
    # A tie goes to the one with three parameters.
    better: Method = "isotonic" if losses["isotonic"] < losses["beta"] else "beta"
    calibration = _fitted(better, scores, labels, weights)
    if long_run_rate is not None:
        calibration = moved_to(calibration, scores, weights, long_run_rate)
    return CalibrationChoice(calibration, losses)


def moved_to(calibration: Calibration, scores: Vector, weights: Vector, rate: float) -> Calibration:
    """The calibration shifted so that the mean probability of the rows is ``rate``; slopes stay as they are."""
    log_odds = calibration.calibrated_log_odds(scores) - calibration.shift

    def excess(shift: float) -> float:
        return float(np.average(1.0 / (1.0 + np.exp(-(log_odds + shift))), weights=weights)) - rate

    farthest = float(np.abs(log_odds).max()) + abs(np.log(rate) - np.log1p(-rate)) + 1.0
    shift = float(brentq(excess, -farthest, farthest, xtol=1e-12))
    return Calibration(**(asdict(calibration) | {"shift": shift}))


def _fitted(method: str, scores: Vector, labels: Vector, weights: Vector) -> Calibration:
    return _beta(scores, labels, weights) if method == "beta" else _isotonic(scores, labels, weights)


def _beta(scores: Vector, labels: Vector, weights: Vector) -> Calibration:
    terms = np.column_stack(beta_terms(scores))
    used: Sequence[int] = (0, 1)
    while True:
        fit = LogisticRegression(C=_HARDLY_PENALISED, tol=1e-10, max_iter=2_000)
        fit.fit(terms[:, used], labels, sample_weight=weights)
        negative = [place for place, slope in zip(used, fit.coef_[0], strict=True) if slope < 0]
        # A negative slope would turn ranks round on one side: that term is left out, as Kull et al. do.
        if not negative or len(used) == 1:
            break
        used = [place for place in used if place != negative[0]]
    slopes = [0.0, 0.0]
    for place, slope in zip(used, fit.coef_[0], strict=True):
        slopes[place] = max(float(slope), 0.0)
    return Calibration("beta", slopes[0], slopes[1], float(fit.intercept_[0]))


def _isotonic(scores: Vector, labels: Vector, weights: Vector) -> Calibration:
    level = IsotonicRegression(y_min=0.0, y_max=1.0).fit(scores, labels, sample_weight=weights).predict(scores)
    blocks, place = np.unique(level, return_inverse=True)
    mass = np.bincount(place, weights)
    # A block without or with nothing but events says only that they are rarer than one in twice its rows.
    least = 0.5 / np.maximum(mass, 1.0)
    rate = np.clip(blocks, least, 1.0 - least)
    log_odds = np.maximum.accumulate(np.log(rate) - np.log1p(-rate))
    ends = np.array([np.full(len(blocks), np.inf), np.full(len(blocks), -np.inf)])
    np.minimum.at(ends[0], place, scores)
    np.maximum.at(ends[1], place, scores)
    points, levels = ends.T.ravel(), np.repeat(log_odds, 2)
    # Points that lie closer than rounding would give a slope without bounds.
    apart = np.diff(points, prepend=-np.inf) > _CLOSEST
    return Calibration("isotonic", scores=tuple(points[apart].tolist()), log_odds=tuple(levels[apart].tolist()))
