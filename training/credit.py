"""The credit model: LightGBM with monotone constraints, stopped early, calibrated to probabilities of default."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Protocol, Self

import lightgbm as lgb
import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression

Matrix = npt.NDArray[np.float64]
Vector = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class CreditParameters:
    """What the booster is grown with.

    The defaults were chosen by cross-validation on the UCI cards and by the out-of-time Gini on eight small simulated
    groups, the usual one among them.
    """

    learning_rate: float = 0.03
    num_leaves: int = 8
    min_data_in_leaf: int = 150
    feature_fraction: float = 0.3
    bagging_fraction: float = 0.7
    lambda_l2: float = 10.0
    max_trees: int = 1_500
    stop_after: int = 60
    seed: int = 20_260_101

    def for_lightgbm(self, directions: Sequence[int], threads: int) -> dict[str, Any]:
        """LightGBM's own parameters; the same data and seed give the same trees on any number of threads."""
        return {
            "objective": "binary",
            "metric": ["binary_logloss", "auc"],
            "first_metric_only": True,
            "learning_rate": self.learning_rate,
            "num_leaves": self.num_leaves,
            "min_data_in_leaf": self.min_data_in_leaf,
            "feature_fraction": self.feature_fraction,
            "bagging_fraction": self.bagging_fraction,
            "bagging_freq": 1,
            "lambda_l2": self.lambda_l2,
            "monotone_constraints": list(directions),
            "monotone_constraints_method": "basic",
            "seed": self.seed,
            "deterministic": True,
            "force_row_wise": True,
            "num_threads": threads,
            "verbosity": -1,
        }


@dataclass(frozen=True, slots=True)
class Calibration:
    """Platt's scaling (1999): PD = σ(slope · log-odds + intercept). Increasing, so ranks stay as they are."""

    slope: float
    intercept: float

    def probability(self, log_odds: Vector) -> Vector:
        """Calibrated probabilities ``(n,)`` of raw booster scores ``(n,)``."""
        return np.asarray(1.0 / (1.0 + np.exp(-(self.slope * log_odds + self.intercept))))


@dataclass(frozen=True)
class CreditModel:
    """A booster, its features in order, and its calibration: all that a probability of default needs."""

    booster: lgb.Booster
    features: tuple[str, ...]
    calibration: Calibration

    def log_odds(self, rows: Matrix) -> Vector:
        """Raw scores ``(n,)`` of feature rows ``(n, k)`` in the order of ``features``, NaN for missing."""
        return np.asarray(self.booster.predict(rows, raw_score=True))

    def probability_of_default(self, rows: Matrix) -> Vector:
        """Calibrated PD ``(n,)`` of feature rows ``(n, k)``."""
        return self.calibration.probability(self.log_odds(rows))

    def to_texts(self) -> tuple[str, str]:
        """The model as LightGBM text and calibration JSON, which is how it is stored: nothing is pickled."""
        parameters = {"features": list(self.features), **asdict(self.calibration)}
        return self.booster.model_to_string(), json.dumps(parameters, indent=2)

    @classmethod
    def from_texts(cls, booster: str, parameters: str) -> Self:
        """The model that ``to_texts`` wrote; its predictions are equal to the bit."""
        content = json.loads(parameters)
        return cls(
            lgb.Booster(model_str=booster),
            tuple(content["features"]),
            Calibration(content["slope"], content["intercept"]),
        )


@dataclass(frozen=True, slots=True)
class TrainingRows:
    """What a model is trained on: rows ``(n, k) float64``, labels ``(n,)`` of 0 and 1, and folds ``(n,) int64``.

    All rows of a party are in one fold, so what is learned of it in the others says nothing about it in its own.
    """

    rows: Matrix
    labels: Vector
    folds: Integers


@dataclass(frozen=True, slots=True)
class FoldGrowth:
    """A booster grown on the other folds: how many trees served this fold best, and the log-odds they give it."""

    trees: int
    log_odds: Vector


class Growth(Protocol):
    """Where boosters are grown: in this process (``LocalGrowth``) or on Ray (``distributed.RayGrowth``)."""

    def on_folds(
        self, training: TrainingRows, lightgbm: dict[str, Any], parameters: CreditParameters
    ) -> list[FoldGrowth]:
        """Grow one booster a fold on the others, stopped early; results in the order of the fold numbers."""

    def on_all(self, training: TrainingRows, lightgbm: dict[str, Any], trees: int) -> lgb.Booster:
        """Grow ``trees`` trees on all rows."""


class LocalGrowth:
    """Grows in this process."""

    def on_folds(
        self, training: TrainingRows, lightgbm: dict[str, Any], parameters: CreditParameters
    ) -> list[FoldGrowth]:
        """One fold after the other."""
        return [grow_fold(training, fold, lightgbm, parameters) for fold in np.unique(training.folds)]

    def on_all(self, training: TrainingRows, lightgbm: dict[str, Any], trees: int) -> lgb.Booster:
        """On this machine's threads."""
        whole = lgb.Dataset(training.rows, training.labels, params=lightgbm)
        return lgb.train(lightgbm, whole, num_boost_round=trees)


def grow_fold(training: TrainingRows, fold: int, lightgbm: dict[str, Any], parameters: CreditParameters) -> FoldGrowth:
    """Grow on all folds but ``fold`` until that one has not improved for ``stop_after`` trees."""
    own = training.folds == fold
    others = lgb.Dataset(training.rows[~own], training.labels[~own], params=lightgbm)
    booster = lgb.train(
        lightgbm,
        others,
        num_boost_round=parameters.max_trees,
        valid_sets=[lgb.Dataset(training.rows[own], training.labels[own], reference=others)],
        callbacks=[lgb.early_stopping(parameters.stop_after, verbose=False)],
    )
    best = booster.best_iteration
    log_odds = booster.predict(training.rows[own], raw_score=True, num_iteration=best)
    return FoldGrowth(best, np.asarray(log_odds))


def train_credit_model(
    training: TrainingRows,
    features: Sequence[str],
    directions: Sequence[int],
    parameters: CreditParameters,
    *,
    threads: int,
    growth: Growth,
) -> CreditModel:
    """Grow a booster on all rows, with the number of trees and the calibration that its folds agree on.

    For each fold a booster is grown on the others and stopped early. The mean number of trees is that of the final
    booster; the log-odds that each fold got from trees which never saw it are what the calibration is fitted on.

    Args:
        training: rows in the order of ``features``, labels, folds; both classes must occur.
        features: names of the k columns.
        directions: 1, -1 or 0 for each column: the way PD may move with it.
        parameters: what the boosters are grown with.
        threads: threads of each process that grows.
        growth: where they are grown.
    """
    lightgbm = parameters.for_lightgbm(directions, threads)
    grown = growth.on_folds(training, lightgbm, parameters)
    trees = max(1, round(sum(fold.trees for fold in grown) / len(grown)))
    unseen = np.empty(len(training.labels))
    for number, fold in zip(np.unique(training.folds), grown, strict=True):
        unseen[training.folds == number] = fold.log_odds
    booster = growth.on_all(training, lightgbm, trees)
    return CreditModel(booster, tuple(features), _calibrated(unseen, training.labels))


_UNPENALISED: Final = 1e9


def _calibrated(log_odds: Vector, labels: Vector) -> Calibration:
    fitted = LogisticRegression(C=_UNPENALISED, tol=1e-10, max_iter=1_000).fit(log_odds[:, None], labels)
    return Calibration(float(fitted.coef_[0, 0]), float(fitted.intercept_[0]))
