"""All columns together: what no column shows by itself, such as two that no longer go together."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import lightgbm as lgb
import numpy as np
import numpy.typing as npt
import polars as pl
from sklearn.decomposition import PCA
from sklearn.metrics import roc_auc_score

from training.frames import party_tickets
from training.reference import FEATURE

Matrix = npt.NDArray[np.float64]
Vector = npt.NDArray[np.float64]

_SPREAD_KEPT: Final = 0.9
_TREES: Final = 40
_FEATURES_TOLD: Final = 5
_CLASSIFIER: Final = {
    "objective": "binary", "num_leaves": 15, "learning_rate": 0.1, "min_data_in_leaf": 50, "verbosity": -1, "seed": 0,
    "deterministic": True, "force_row_wise": True, "num_threads": 1,
}  # fmt: skip
"""One thread: for so few rows several gain little, and wait for each other on a machine that does other work too."""


@dataclass(frozen=True, slots=True)
class MultivariateDrift:
    """Rows of now and of training, as drawn, told apart.

    Attributes:
        rows: of each side at most.
        classifier_auc: of trees that tell them apart, on parties they were not grown on: 0.5 if they cannot.
        features: that tell most, without ``feature:``, the most telling first.
        reconstruction: error of the rows of now, put together again from the principal components of training, over
            that of rows of training that the components were not fitted on.
    """

    rows: int
    classifier_auc: float
    features: tuple[str, ...]
    reconstruction: float


def multivariate_drift(
    reference: pl.DataFrame, current: pl.DataFrame, columns: Sequence[str]
) -> MultivariateDrift | None:
    """Tell rows with ``columns`` (numbers are looked at) and ``party`` apart; None where there are no numbers."""
    names = [name for name in columns if reference[name].dtype.is_numeric() and current[name].dtype.is_numeric()]
    if not names:
        return None
    before, after = (_matrix(rows, names) for rows in (reference, current))
    rows = np.concatenate([before, after])
    is_now = np.concatenate([np.zeros(len(before)), np.ones(len(after))])
    # A party is on both sides, so it must not be grown on and told by.
    half = party_tickets(pl.concat([reference["party"], current["party"]])) % 2
    scores, gains = np.empty(len(rows)), np.zeros(len(names))
    for own in (0, 1):
        data = lgb.Dataset(rows[half != own], is_now[half != own])
        booster = lgb.train(_CLASSIFIER, data, _TREES)
        scores[half == own] = booster.predict(rows[half == own])
        gains += booster.feature_importance("gain")
    most = [names[place].removeprefix(FEATURE) for place in np.argsort(-gains, kind="stable")[:_FEATURES_TOLD]]
    fitted = half[: len(before)] == 0
    return MultivariateDrift(
        rows=max(len(before), len(after)),
        classifier_auc=float(roc_auc_score(is_now, scores)),
        features=tuple(most),
        reconstruction=_reconstruction(before[fitted], before[~fitted], after),
    )


def _reconstruction(fitted: Matrix, held_out: Matrix, now: Matrix) -> float:
    """Mean squared error of ``now`` over that of ``held_out``, both scaled as ``fitted`` is."""
    with np.errstate(invalid="ignore"):
        middle = np.nan_to_num(np.nanmean(np.where(np.isnan(fitted).all(axis=0), 0, fitted), axis=0))
        spread = np.nan_to_num(np.nanstd(np.where(np.isnan(fitted).all(axis=0), 0, fitted), axis=0))
    varies = spread > 0

    def scaled(rows: Matrix) -> Matrix:
        # What is missing lies in the middle; far values count, but not without bounds.
        return np.asarray(np.clip(np.nan_to_num((rows[:, varies] - middle[varies]) / spread[varies]), -10, 10))

    model = PCA(_SPREAD_KEPT, svd_solver="full").fit(scaled(fitted))
    errors = [
        float(((rows - model.inverse_transform(model.transform(rows))) ** 2).mean())
        for rows in (scaled(held_out), scaled(now))
    ]
    return errors[1] / errors[0] if errors[0] > 0 else 1.0


def _matrix(rows: pl.DataFrame, names: Sequence[str]) -> Matrix:
    return rows.select(pl.col(name).cast(pl.Float64).fill_null(float("nan")) for name in names).to_numpy()
