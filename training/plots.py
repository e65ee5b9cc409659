"""The pictures a model is judged by: ROC, calibration, distribution of scores, features by gain."""

from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.metrics import roc_curve

from training.model import ScoringModel
from training.scale import score_points
from training.validation import ScoredRows, Validation

_BLUE: Final = "#1f4e79"
_ORANGE: Final = "#d9822b"
_GREY: Final = "#9aa5b1"
_FEATURES_SHOWN: Final = 20


def validation_plots(
    model: ScoringModel, fit: ScoredRows, test: ScoredRows, validation: Validation
) -> dict[str, Figure]:
    """Figures by file name."""
    return {
        "roc.png": _roc(fit, test, validation),
        "calibration.png": _calibration(validation),
        "scores.png": _scores(test),
        "features_by_gain.png": _features_by_gain(model),
    }


def _roc(fit: ScoredRows, test: ScoredRows, validation: Validation) -> Figure:
    figure, axes = _empty("ROC", "share of good parties refused", "share of defaults caught")
    axes.plot([0, 1], [0, 1], color=_GREY, linewidth=1)
    for rows, result, colour, name in (
        (fit, validation.fit, _GREY, "training"),
        (test, validation.test, _BLUE, "test"),
    ):
        false_positive, true_positive, _ = roc_curve(rows.labels, rows.pd)
        label = f"{name}: Gini {result.gini:.3f}, KS {result.ks:.3f}"
        axes.plot(false_positive, true_positive, color=colour, label=label)
    axes.set_aspect("equal")
    axes.legend(loc="lower right", frameon=False)
    return figure


def _calibration(validation: Validation) -> Figure:
    figure, axes = _empty("Calibration on the test", "mean PD of the band", "default rate of the band")
    predicted = np.array([band.mean_pd for band in validation.calibration])
    realised = np.array([band.default_rate for band in validation.calibration])
    rows = np.array([band.rows for band in validation.calibration])
    # Two standard errors of a share: where the bar misses the line, chance alone would do so once in twenty.
    error = 2 * np.sqrt(np.maximum(realised * (1 - realised), 1e-12) / rows)
    axes.errorbar(predicted, realised, yerr=error, fmt="o", color=_BLUE, ecolor=_GREY, capsize=3)
    top = 1.05 * max(predicted.max(), (realised + error).max())
    axes.plot([0, top], [0, top], color=_GREY, linewidth=1)
    axes.set_xlim(0, top)
    axes.set_ylim(0, top)
    axes.set_aspect("equal")
    return figure


def _scores(test: ScoredRows) -> Figure:
    figure, axes = _empty("Scores on the test", "score", "share of the class")
    points = score_points(test.pd)
    bins = np.linspace(points.min(), points.max() + 1, 41).tolist()
    for label, colour, name in ((0, _BLUE, "paid"), (1, _ORANGE, "defaulted")):
        chosen = points[test.labels == label]
        share = np.full(len(chosen), 1 / max(len(chosen), 1))
        axes.hist(chosen, bins=bins, weights=share, color=colour, alpha=0.6, label=name)
    axes.legend(frameon=False)
    return figure


def _features_by_gain(model: ScoringModel) -> Figure:
    gain = model.booster.feature_importance("gain")
    order = np.argsort(gain)[::-1][:_FEATURES_SHOWN][::-1]
    figure, axes = _empty("Features by gain", "share of the total gain", "")
    axes.barh([model.features[place] for place in order], gain[order] / max(gain.sum(), 1e-12), color=_BLUE)
    return figure


def _empty(title: str, across: str, upward: str) -> tuple[Figure, Axes]:
    # A figure of its own rather than pyplot's: nothing global, so training may run in any thread.
    figure = Figure(figsize=(7, 5.5), layout="constrained")
    axes = figure.subplots()
    axes.set_title(title, loc="left")
    axes.set_xlabel(across)
    axes.set_ylabel(upward)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    return figure, axes
