"""Learners of uplift on LightGBM: S, T, X and DR, and a baseline of scikit-uplift.

Who was contacted was drawn at random, so the chance of a contact is a constant and known; all of them rest on that.
Sources: S, T and X in Künzel et al. (2019), Metalearners for estimating heterogeneous treatment effects; DR in Kennedy
(2023), Towards optimal doubly robust estimation of heterogeneous causal effects, algorithm 1.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import lightgbm as lgb
import numpy as np
import numpy.typing as npt
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklift.models import ClassTransformationReg

from training.amounts import AmountModel, Line, Term

Matrix = npt.NDArray[np.float64]
Vector = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

UPLIFT: Final = "uplift"
"""The task of these models: what a contact adds to the probability of a purchase."""


@dataclass(frozen=True, slots=True)
class Experiment:
    """Rows ``(n, k)`` of named features, who was contacted, who bought, folds by party."""

    features: tuple[str, ...]
    rows: Matrix
    treated: Vector
    took_up: Vector
    folds: Integers

    def only(self, chosen: npt.NDArray[np.bool_]) -> "Experiment":
        """Some of the rows."""
        return Experiment(
            self.features, self.rows[chosen], self.treated[chosen], self.took_up[chosen], self.folds[chosen]
        )


_SHARED: Final[dict[str, Any]] = {
    "learning_rate": 0.03, "num_leaves": 6, "feature_fraction": 0.3, "bagging_fraction": 0.7, "bagging_freq": 1,
    "lambda_l2": 20.0, "seed": 20_260_101, "deterministic": True, "force_col_wise": True, "verbosity": -1,
}  # fmt: skip
_OUTCOME_TREES: Final = 250
_EFFECT_TREES: Final = 150


def s_learner(data: Experiment, threads: int) -> AmountModel:
    """One model of the purchase, with the contact as a feature."""
    rows = np.column_stack([data.rows, data.treated])
    # Beside so many features, a tree that may see a third of them would mostly not see the contact.
    booster = _outcome(rows, data.took_up, threads, feature_fraction=0.8)
    return _model(data, "S", Term(booster, 1.0, contact=1.0), Term(booster, -1.0, contact=0.0))


def t_learner(data: Experiment, threads: int) -> AmountModel:
    """A model of those who were contacted less one of those who were not."""
    contacted, held_out = _both_outcomes(data, threads)
    return _model(data, "T", Term(contacted), Term(held_out, -1.0))


def x_learner(data: Experiment, threads: int) -> AmountModel:
    """Effects imputed to each side by the other side's model, learnt, and weighted by the chance of a contact."""
    contacted, held_out = _both_outcomes(data, threads)
    own, others = data.treated == 1, data.treated == 0
    of_contacted = _effect(data.rows[own], data.took_up[own] - _answer(held_out, data.rows[own]), threads)
    of_held_out = _effect(data.rows[others], _answer(contacted, data.rows[others]) - data.took_up[others], threads)
    chance = float(data.treated.mean())
    return _model(data, "X", Term(of_held_out, chance), Term(of_contacted, 1 - chance))


def dr_learner(data: Experiment, threads: int) -> AmountModel:
    """A regression on outcomes that are right if either the model of the purchase or the chance of a contact is."""
    chance = float(data.treated.mean())
    pseudo = np.empty(len(data.rows))
    for fold in np.unique(data.folds):
        own = data.folds == fold
        contacted, held_out = _both_outcomes(data.only(~own), threads)
        rows, treated, took_up = data.rows[own], data.treated[own], data.took_up[own]
        with_contact, without = _answer(contacted, rows), _answer(held_out, rows)
        pseudo[own] = (
            with_contact
            - without
            + treated * (took_up - with_contact) / chance
            - (1 - treated) * (took_up - without) / (1 - chance)
        )
    return _model(data, "DR", Term(_effect(data.rows, pseudo, threads)))


def baseline(data: Experiment, threads: int) -> AmountModel:
    """scikit-uplift's transformed outcome with a linear regression; missing values are the column's median."""
    del threads
    middle = np.nan_to_num(np.nanmedian(data.rows, axis=0))
    filled = np.where(np.isnan(data.rows), middle, data.rows)
    regression = make_pipeline(StandardScaler(), Ridge(alpha=1_000.0))
    ClassTransformationReg(regression, propensity_val=float(data.treated.mean())).fit(
        filled, data.took_up, data.treated
    )
    scaler, ridge = regression.named_steps["standardscaler"], regression.named_steps["ridge"]
    slopes = np.ravel(ridge.coef_) / scaler.scale_
    intercept = float(np.ravel(ridge.intercept_)[0] - slopes @ scaler.mean_)
    line = Line(tuple(middle.tolist()), tuple(slopes.tolist()), intercept)
    return AmountModel(UPLIFT, data.features, line=line, method="scikit-uplift")


LEARNERS: Final[Mapping[str, Callable[[Experiment, int], AmountModel]]] = {
    "S": s_learner, "T": t_learner, "X": x_learner, "DR": dr_learner, "scikit-uplift": baseline,
}  # fmt: skip


def _model(data: Experiment, learner: str, *terms: Term) -> AmountModel:
    return AmountModel(UPLIFT, data.features, terms, method=f"{learner}-learner on LightGBM")


def _both_outcomes(data: Experiment, threads: int) -> tuple[lgb.Booster, lgb.Booster]:
    contacted, held_out = (data.only(data.treated == side) for side in (1, 0))
    return _outcome(contacted.rows, contacted.took_up, threads), _outcome(held_out.rows, held_out.took_up, threads)


def _outcome(rows: Matrix, took_up: Vector, threads: int, **changed: Any) -> lgb.Booster:
    least = max(20, len(rows) // 200)
    parameters = _SHARED | {"objective": "binary", "min_data_in_leaf": least, "num_threads": threads} | changed
    return lgb.train(parameters, lgb.Dataset(rows, took_up, params=parameters), _OUTCOME_TREES)


def _effect(rows: Matrix, effect: Vector, threads: int) -> lgb.Booster:
    least = max(20, len(rows) // 50)
    parameters = _SHARED | {"objective": "regression", "min_data_in_leaf": least, "num_threads": threads}
    return lgb.train(parameters, lgb.Dataset(rows, effect, params=parameters), _EFFECT_TREES)


def _answer(booster: lgb.Booster, rows: Matrix) -> Vector:
    return np.asarray(booster.predict(rows))
