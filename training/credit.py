"""The credit model: LightGBM with monotone constraints, stopped early, calibrated to probabilities of default."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Self

import lightgbm as lgb
import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression

Matrix = npt.NDArray[np.float64]
Vector = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class CreditParameters:
    """What the booster is grown with. The defaults were chosen by cross-validation on the UCI cards."""

    learning_rate: float = 0.03
    num_leaves: int = 15
    min_data_in_leaf: int = 80
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
class TrainingMatrices:
    """What one booster is fitted on, and what tells it to stop."""

    fit_rows: Matrix
    fit_labels: Vector
    stop_rows: Matrix
    stop_labels: Vector


Grow = Callable[[TrainingMatrices, dict[str, Any], CreditParameters], lgb.Booster]
"""How a booster is grown: in this process (``grow_here``) or on Ray workers (``distributed.grow_on_ray``)."""


def grow_here(matrices: TrainingMatrices, lightgbm: dict[str, Any], parameters: CreditParameters) -> lgb.Booster:
    """Grow the booster in this process, until the stop fold has not improved for ``stop_after`` trees."""
    fit = lgb.Dataset(matrices.fit_rows, matrices.fit_labels, params=lightgbm)
    booster = lgb.train(
        lightgbm,
        fit,
        num_boost_round=parameters.max_trees,
        valid_sets=[lgb.Dataset(matrices.stop_rows, matrices.stop_labels, reference=fit)],
        callbacks=[lgb.early_stopping(parameters.stop_after, verbose=False)],
    )
    return stopped_at_best(booster)


def stopped_at_best(booster: lgb.Booster) -> lgb.Booster:
    """The booster without the trees after its best iteration, which no caller should have to remember to skip."""
    return lgb.Booster(model_str=booster.model_to_string(num_iteration=booster.best_iteration))


def train_credit_model(
    matrices: TrainingMatrices,
    calibrate_rows: Matrix,
    calibrate_labels: Vector,
    features: Sequence[str],
    directions: Sequence[int],
    parameters: CreditParameters,
    *,
    threads: int,
    grow: Grow = grow_here,
) -> CreditModel:
    """Grow a booster and calibrate it on rows that it never saw.

    Args:
        matrices: fit and stop folds; rows ``(n, k)`` in the order of ``features``, labels of 0 and 1.
        calibrate_rows: rows of the calibration fold.
        calibrate_labels: labels of the calibration fold; both classes must occur.
        features: names of the k columns.
        directions: 1, -1 or 0 for each column: the way PD may move with it.
        parameters: what the booster is grown with.
        threads: threads of each process that grows.
        grow: where it is grown.
    """
    booster = grow(matrices, parameters.for_lightgbm(directions, threads), parameters)
    log_odds = np.asarray(booster.predict(calibrate_rows, raw_score=True))
    return CreditModel(booster, tuple(features), _calibrated(log_odds, calibrate_labels))


_UNPENALISED: Final = 1e9


def _calibrated(log_odds: Vector, labels: Vector) -> Calibration:
    fitted = LogisticRegression(C=_UNPENALISED, tol=1e-10, max_iter=1_000).fit(log_odds[:, None], labels)
    return Calibration(float(fitted.coef_[0, 0]), float(fitted.intercept_[0]))
