"""The pictures a model is judged by: ROC, CAP, calibration, distribution of scores, weights, dependence, months."""

import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.metrics import roc_curve

from training.scale import score_points
from training.validation.evidence import Validation
from training.validation.importance import PartialDependence
from training.validation.rows import ScoredRows, Vector

_BLUE: Final = "#1f6feb"
_ORANGE: Final = "#d9822b"
_GREY: Final = "#8b98a7"
_FEATURES_SHOWN: Final = 20
_CURVE_POINTS: Final = 200
_SIZE: Final = (6.4, 4.6)


@dataclass(frozen=True, slots=True)
class Picture:
    """A figure as an SVG element for a page and as a PNG file; a process can hand it to another."""

    svg: str
    png: bytes


def validation_pictures(fit: ScoredRows, test: ScoredRows, validation: Validation) -> dict[str, Picture]:
    """Pictures by name."""
    found = {
        "roc": _roc(fit, test, validation),
        "cap": _cap(validation),
        "calibration": _calibration(validation),
        "scores": _scores(test, validation),
        "weights": _weights(validation),
        "dependence": _dependence(validation.dependence),
    }
    if "month" in validation.segments:
        found["months"] = _months(validation)
    return {name: drawn(figure) for name, figure in found.items()}


def drawn(figure: Figure) -> Picture:
    """The figure in both forms; in the SVG texts stay texts, and the same figure gives the same bytes."""
    written, image = io.StringIO(), io.BytesIO()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "jinkong"}):
        figure.savefig(written, format="svg", transparent=True, metadata={"Date": None})
    figure.savefig(image, format="png")
    text = written.getvalue()
    return Picture(text[text.index("<svg") :], image.getvalue())


def _roc(fit: ScoredRows, test: ScoredRows, validation: Validation) -> Figure:
    figure, axes = _empty("ROC", "share of those without the event", "share of events caught")
    axes.plot([0, 1], [0, 1], color=_GREY, linewidth=1)
    for rows, result, colour, name in (
        (fit, validation.fit, _GREY, "training"),
        (test, validation.test, _BLUE, "test"),
    ):
        false_positive, true_positive, _ = roc_curve(rows.labels, rows.probability)
        across = np.linspace(0, 1, _CURVE_POINTS)
        label = f"{name}: Gini {result.gini:.3f}, KS {result.ks:.3f}"
        axes.plot(across, np.interp(across, false_positive, true_positive), color=colour, label=label)
    axes.set_aspect("equal")
    axes.legend(loc="lower right", frameon=False)
    return figure


def _cap(validation: Validation) -> Figure:
    figure, axes = _empty("CAP", "share of rows, highest probability first", "share of events caught")
    rate = validation.test.event_rate
    axes.plot([0, 1], [0, 1], color=_GREY, linewidth=1, label="by chance")
    axes.plot([0, rate, 1], [0, 1, 1], color=_ORANGE, linewidth=1, label="with hindsight")
    axes.plot(validation.cap[:, 0], validation.cap[:, 1], color=_BLUE, label="the model")
    axes.set_aspect("equal")
    axes.legend(loc="lower right", frameon=False)
    return figure


def _calibration(validation: Validation) -> Figure:
    figure, axes = _empty("Calibration on the test", "mean probability of the band", "event rate of the band")
    bands = validation.reliability.bands
    predicted = np.array([band.mean_probability for band in bands])
    realised = np.array([band.event_rate for band in bands])
    rows = np.array([band.rows for band in bands])
    # Two standard errors of a share: where the bar misses the line, chance alone would do so once in twenty.
    error = 2 * np.sqrt(np.maximum(realised * (1 - realised), 1e-12) / rows)
    axes.errorbar(predicted, realised, yerr=error, fmt="o", color=_BLUE, ecolor=_GREY, capsize=3)
    top = 1.05 * max(predicted.max(), (realised + error).max())
    axes.plot([0, top], [0, top], color=_GREY, linewidth=1)
    axes.set_xlim(0, top)
    axes.set_ylim(0, top)
    axes.set_aspect("equal")
    return figure


def _scores(test: ScoredRows, validation: Validation) -> Figure:
    credit = validation.task == "credit"
    figure, axes = _empty("Scores on the test", "score" if credit else "probability", "share of the class")
    values = score_points(test.probability) if credit else test.probability
    bins = np.linspace(values.min(), values.max() + (1 if credit else 1e-9), 41).tolist()
    names = ("paid", "defaulted") if credit else ("no response", "responded")
    for label, colour, name in ((0, _BLUE, names[0]), (1, _ORANGE, names[1])):
        chosen = values[test.labels == label]
        share = np.full(len(chosen), 1 / max(len(chosen), 1))
        axes.hist(chosen, bins=bins, weights=share, color=colour, alpha=0.6, label=name)
    axes.legend(frameon=False)
    return figure


def _weights(validation: Validation) -> Figure:
    shown = validation.weights[:_FEATURES_SHOWN][::-1]
    figure, axes = _empty("Weight of the features", "mean |SHAP|, log-odds", "")
    axes.barh(
        [_short(weight.feature) for weight in shown], [weight.mean_absolute_shap for weight in shown], color=_BLUE
    )
    return figure


def _dependence(dependence: Iterable[PartialDependence]) -> Figure:
    shown = list(dependence)
    columns = 3
    rows = max(1, -(-len(shown) // columns))
    figure = Figure(figsize=(9.6, 2.3 * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for place, one in zip(axes, shown, strict=False):
        place.set_title(_short(one.feature), loc="left", fontsize=9)
        if one.categories:
            place.bar([_short(name, 10) for name in one.categories], one.probability, color=_BLUE)
            place.tick_params(axis="x", rotation=60, labelsize=7)
        else:
            place.plot(one.values, one.probability, color=_BLUE)
        place.axhline(one.missing, color=_GREY, linewidth=1, linestyle=":")
        _bare(place)
    for place in axes[len(shown) :]:
        place.set_visible(False)
    return figure


def _months(validation: Validation) -> Figure:
    months = validation.segments["month"]
    figure, axes = _empty("Expected and seen, by month of the test", "", "share")
    names = [month.name for month in months]
    axes.plot(names, [month.mean_probability for month in months], "o-", color=_BLUE, label="mean probability")
    axes.plot(names, [month.event_rate for month in months], "o-", color=_ORANGE, label="event rate")
    axes.set_ylim(0, 1.15 * max(max(month.mean_probability, month.event_rate) for month in months))
    axes.tick_params(axis="x", rotation=45)
    axes.legend(frameon=False)
    return figure


def bars_of_groups(title: str, upward: str, names: Sequence[str], sides: Mapping[str, Sequence[float]]) -> Picture:
    """Two bars for each name, or as many as there are sides."""
    figure, axes = _empty(title, "", upward)
    places, width = np.arange(len(names)), 0.8 / len(sides)
    for number, ((side, values), colour) in enumerate(zip(sides.items(), (_BLUE, _ORANGE, _GREY), strict=False)):
        axes.bar(places + (number - (len(sides) - 1) / 2) * width, values, width, color=colour, label=side)
    axes.set_xticks(places, names)
    axes.axhline(0, color=_GREY, linewidth=1)
    axes.legend(frameon=False)
    return drawn(figure)


def curves(title: str, across: str, upward: str, lines: Mapping[str, tuple[Vector, Vector]]) -> Picture:
    """Lines by name, each its places across and upward."""
    figure, axes = _empty(title, across, upward)
    for (name, (places, values)), colour in zip(lines.items(), (_BLUE, _ORANGE, _GREY), strict=False):
        axes.plot(places, values, color=colour, label=name)
    axes.axhline(0, color=_GREY, linewidth=1)
    axes.legend(frameon=False)
    return drawn(figure)


def _short(name: str, length: int = 34) -> str:
    # A dollar sign would begin a formula.
    text = name if len(name) <= length else f"{name[: length - 1]}…"
    return text.replace("$", r"\$")


def _empty(title: str, across: str, upward: str) -> tuple[Figure, Axes]:
    # A figure of its own rather than pyplot's: nothing global, so training may run in any thread.
    figure = Figure(figsize=_SIZE, layout="constrained")
    axes = figure.subplots()
    axes.set_title(title, loc="left")
    axes.set_xlabel(across)
    axes.set_ylabel(upward)
    _bare(axes)
    return figure, axes


def _bare(axes: Axes) -> None:
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
