"""Pictures of what was watched: lines over months with bounds, vintages, a table of colours."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from training.validation.pictures import drawn

_COLOURS: Final = ("#1f6feb", "#d9822b", "#1a7f4b")
_GREY: Final = "#8b98a7"
_WIDE: Final = (8.6, 3.4)
_MOST_TICKS: Final = 14

Lines = Mapping[str, Mapping[str, tuple[float, float | None, float | None]]]


def banded_lines(title: str, upward: str, lines: Lines, marks: Mapping[str, float]) -> str:
    """Lines over months, with bounds where a value has some, and marks across; as SVG."""
    figure, axes = _empty(title, "", upward)
    months = sorted({month for line in lines.values() for month in line})
    places = {month: place for place, month in enumerate(months)}
    for (name, line), colour in zip(lines.items(), _COLOURS, strict=False):
        if not line:
            continue
        across = [places[month] for month in sorted(line)]
        values = [line[month] for month in sorted(line)]
        axes.plot(across, [value for value, _, _ in values], "o-", color=colour, markersize=4, label=name)
        bounded = [
            (at, low, high)
            for at, (_, low, high) in zip(across, values, strict=True)
            if low is not None and high is not None
        ]
        if bounded:
            axes.fill_between(
                [at for at, _, _ in bounded], [low for _, low, _ in bounded], [high for _, _, high in bounded],
                color=colour, alpha=0.15, linewidth=0,
            )  # fmt: skip
    for name, value in marks.items():
        axes.axhline(value, color=_GREY, linewidth=1, linestyle="--")
        axes.annotate(name, (1.005, value), xycoords=("axes fraction", "data"), va="center", fontsize=8, color=_GREY)
    step = max(1, -(-len(months) // _MOST_TICKS))
    axes.set_xticks(range(0, len(months), step), months[::step], rotation=45, ha="right", fontsize=8)
    if sum(bool(line) for line in lines.values()) > 1:
        axes.legend(frameon=False, fontsize=8)
    return drawn(figure).svg


def paired_bars(title: str, names: Sequence[str], sides: Mapping[str, Sequence[float]]) -> str:
    """Two bars a name, as shares; as SVG."""
    figure, axes = _empty(title, "", "share")
    places, width = np.arange(len(names)), 0.4
    for number, ((side, values), colour) in enumerate(zip(sides.items(), (_GREY, _COLOURS[0]), strict=True)):
        axes.bar(places + (number - 0.5) * width, values, width, color=colour, label=side)
    axes.set_xticks(places, names)
    axes.yaxis.set_major_formatter(mpl.ticker.PercentFormatter(1.0, decimals=0))
    axes.legend(frameon=False, fontsize=8)
    return drawn(figure).svg


def vintage_lines(points: Sequence[Mapping[str, Any]]) -> str:
    """Cumulative default rates by months since the score, a line a month that was scored: the newer, the darker."""
    figure, axes = _empty("Vintages: share in default", "months since the score", "share")
    cohorts = sorted({point["cohort"] for point in points})
    shades = mpl.colormaps["viridis_r"](np.linspace(0.1, 0.95, max(len(cohorts), 2)))
    for cohort, shade in zip(cohorts, shades, strict=False):
        own = sorted((point["months"], point["default_rate"]) for point in points if point["cohort"] == cohort)
        axes.plot([0, *(month for month, _ in own)], [0, *(rate for _, rate in own)], color=shade, linewidth=1.3)
        axes.annotate(cohort[2:], own[-1], fontsize=7, color=shade, xytext=(2, 1), textcoords="offset points")
    axes.set_xlim(left=0)
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_formatter(mpl.ticker.PercentFormatter(1.0, decimals=1))
    return drawn(figure).svg


def heat(rows: Sequence[str], columns: Sequence[str], values: Sequence[Sequence[float | None]], title: str) -> str:
    """A table of colours with its numbers; darker is more, and from 0.25 on all the same."""
    figure = Figure(figsize=(8.6, 1.6 + 0.32 * len(rows)), layout="constrained")
    axes = figure.subplots()
    shown = np.array([[math.nan if value is None else value for value in row] for row in values])
    axes.imshow(np.clip(shown, 0, 0.25), cmap="Oranges", vmin=0, vmax=0.35, aspect="auto")
    axes.set_title(title, loc="left")
    axes.set_xticks(range(len(columns)), [name.split("=")[-1] for name in columns], rotation=45, ha="right", fontsize=8)
    axes.set_yticks(range(len(rows)), [name[:34] for name in rows], fontsize=8)
    for row, column in np.ndindex(shown.shape):
        if not math.isnan(shown[row, column]):
            axes.text(column, row, f"{shown[row, column]:.2f}", ha="center", va="center", fontsize=7)
    axes.tick_params(length=0)
    for side in axes.spines.values():
        side.set_visible(False)
    return drawn(figure).svg


def _empty(title: str, across: str, upward: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=_WIDE, layout="constrained")
    axes = figure.subplots()
    axes.set_title(title, loc="left")
    axes.set_xlabel(across)
    axes.set_ylabel(upward)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    return figure, axes
