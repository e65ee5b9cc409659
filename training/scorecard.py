"""The challenger that a committee can read: a scorecard of monotone bins, weights of evidence and points."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd
from optbinning import BinningProcess
from optbinning import Scorecard as OptBinningScorecard
from sklearn.linear_model import LogisticRegression

from features.sources.quality.measures import information_value
from training.errors import NothingToScore
from training.inputs import Input
from training.scale import ANCHOR_ODDS, ANCHOR_SCORE, POINTS_TO_DOUBLE_ODDS

Matrix = npt.NDArray[np.float64]
Vector = npt.NDArray[np.float64]

_MOST_FEATURES: Final = 20
_LOOKED_AT: Final = 40
_LEAST_INFORMATION: Final = 0.01
_MOST_ROWS: Final = 100_000
_ALIKE: Final = 0.85
"""Features whose ranks go together more than this tell the same: the one with more information is kept."""

_REGULARISATION: Final = 1e3
_TRENDS: Final = {1: "ascending", -1: "descending", 0: "auto_asc_desc"}


@dataclass(frozen=True)
class Scorecard:
    """A fitted scorecard. ``table`` has a row a bin: feature, bin, rows, event rate, weight of evidence, points."""

    fitted: OptBinningScorecard
    features: tuple[str, ...]
    table: pd.DataFrame
    _all: tuple[str, ...]

    def probability(self, rows: Matrix) -> Vector:
        """Probabilities ``(n,)`` of encoded rows ``(n, k)`` with all of the model's columns."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            frame = pd.DataFrame(rows, columns=list(self._all))[list(self.features)]
            return np.asarray(self.fitted.predict_proba(frame)[:, 1], np.float64)


def fit_scorecard(
    rows: Matrix, labels: Vector, inputs: Sequence[Input], directions: Sequence[int], *, seed: int = 0
) -> Scorecard:
    """Fit a scorecard of at most 20 features, monotone where a direction is given; missing values are a bin.

    At most 100,000 rows are used, drawn at random. Points: 600 at odds of 30 to 1, 20 to double the odds.

    Raises:
        NothingToScore: no feature says anything.
    """
    chosen = np.arange(len(rows))
    if len(rows) > _MOST_ROWS:
        chosen = np.sort(np.random.default_rng(seed).choice(len(rows), _MOST_ROWS, replace=False))
    rows, labels = rows[chosen], labels[chosen]
    places = _telling(rows, labels)
    if not places:
        raise NothingToScore("No feature has enough information for a scorecard.")
    names = tuple(given.name for given in inputs)
    features = tuple(names[place] for place in places)
    process = BinningProcess(
        variable_names=list(features),
        categorical_variables=[names[place] for place in places if inputs[place].categories] or None,
        binning_fit_params={
            names[place]: {"monotonic_trend": _TRENDS[directions[place]]}
            for place in places
            if not inputs[place].categories
        },
    )
    scaling = {"pdo": POINTS_TO_DOUBLE_ODDS, "odds": ANCHOR_ODDS, "scorecard_points": ANCHOR_SCORE}
    card = OptBinningScorecard(
        binning_process=process,
        estimator=LogisticRegression(C=_REGULARISATION, max_iter=1_000),
        scaling_method="pdo_odds",
        scaling_method_params=scaling,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        frame = pd.DataFrame(rows[:, places], columns=list(features))
        card.fit(frame, labels.astype(np.int64), metric_missing="empirical")
    return Scorecard(card, features, _table(card, inputs), names)


def _telling(rows: Matrix, labels: Vector) -> list[int]:
    """The columns with most information, without those that repeat one before them; in column order."""
    information = [information_value(rows[:, place], labels) for place in range(rows.shape[1])]
    order = sorted(range(len(information)), key=lambda place: (-information[place], place))[:_LOOKED_AT]
    ranks = pd.DataFrame(rows[:, order]).rank().fillna(0.0).to_numpy()
    with np.errstate(invalid="ignore", divide="ignore"):
        alike = np.abs(np.nan_to_num(np.atleast_2d(np.corrcoef(ranks, rowvar=False))))
    kept: list[int] = []
    for number, place in enumerate(order):
        if information[place] < _LEAST_INFORMATION or len(kept) == _MOST_FEATURES:
            break
        if all(alike[number, other] < _ALIKE for other in kept):
            kept.append(number)
    return sorted(order[number] for number in kept)


def _table(card: OptBinningScorecard, inputs: Sequence[Input]) -> pd.DataFrame:
    table = card.table(style="detailed")
    categories = {given.name: given.categories for given in inputs if given.categories}
    bins = [
        _named(bin_, categories.get(variable)) for variable, bin_ in zip(table["Variable"], table["Bin"], strict=True)
    ]
    return pd.DataFrame(
        {
            "feature": table["Variable"].astype(str),
            "bin": bins,
            "rows": table["Count"].astype(np.int64),
            "event_rate": table["Event rate"].astype(np.float64),
            "weight_of_evidence": table["WoE"].astype(np.float64),
            "points": table["Points"].astype(np.float64),
        }
    ).reset_index(drop=True)


def _named(bin_: Any, categories: tuple[str, ...] | None) -> str:
    if categories is None or isinstance(bin_, str):
        return str(bin_)
    return ", ".join(categories[int(code)] if float(code) < len(categories) else "?" for code in bin_)
