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

Matrix = npt.NDArray[np.float64]
Vector = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Uplift = Callable[[Matrix], Vector]
"""What a contact adds to the probability of a purchase, ``(n,)`` of rows ``(n, k)``."""


@dataclass(frozen=True, slots=True)
class Experiment:
    """Rows ``(n, k)``, who was contacted, who bought, folds by party."""

    rows: Matrix
    treated: Vector
    took_up: Vector
    folds: Integers

    def only(self, chosen: npt.NDArray[np.bool_]) -> "Experiment":
        """Some of the rows."""
        return Experiment(self.rows[chosen], self.treated[chosen], self.took_up[chosen], self.folds[chosen])


_SHARED: Final[dict[str, Any]] = {
    "learning_rate": 0.03, "num_leaves": 6, "feature_fraction": 0.3, "bagging_fraction": 0.7, "bagging_freq": 1,
    "lambda_l2": 20.0, "seed": 20_260_101, "deterministic": True, "force_row_wise": True, "verbosity": -1,
}  # fmt: skip
_OUTCOME_TREES: Final = 250
_EFFECT_TREES: Final = 150


def s_learner(data: Experiment, threads: int) -> Uplift:
    """One model of the purchase, with the contact as a feature."""
    rows = np.column_stack([data.rows, data.treated])
    # Beside so many features, a tree that may see a third of them would mostly not see the contact.
    booster = _outcome(rows, data.took_up, threads, feature_fraction=0.8)

    def uplift(asked: Matrix) -> Vector:
        ones, zeros = np.ones(len(asked)), np.zeros(len(asked))
        return _probability(booster, np.column_stack([asked, ones])) - _probability(
            booster, np.column_stack([asked, zeros])
        )

    return uplift


def t_learner(data: Experiment, threads: int) -> Uplift:
    """A model of those who were contacted less one of those who were not."""
    contacted, held_out = _both_outcomes(data, threads)
    return lambda asked: _probability(contacted, asked) - _probability(held_out, asked)


def x_learner(data: Experiment, threads: int) -> Uplift:
    """Effects imputed to each side by the other side's model, learnt, and weighted by the chance of a contact."""
    contacted, held_out = _both_outcomes(data, threads)
    own, others = data.treated == 1, data.treated == 0
    of_contacted = _effect(data.rows[own], data.took_up[own] - _probability(held_out, data.rows[own]), threads)
    of_held_out = _effect(data.rows[others], _probability(contacted, data.rows[others]) - data.took_up[others], threads)
    chance = float(data.treated.mean())
    return lambda asked: np.asarray(chance * of_held_out.predict(asked) + (1 - chance) * of_contacted.predict(asked))


def dr_learner(data: Experiment, threads: int) -> Uplift:
    """A regression on outcomes that are right if either the model of the purchase or the chance of a contact is."""
    chance = float(data.treated.mean())
    pseudo = np.empty(len(data.rows))
    for fold in np.unique(data.folds):
        own = data.folds == fold
        contacted, held_out = _both_outcomes(data.only(~own), threads)
        rows, treated, took_up = data.rows[own], data.treated[own], data.took_up[own]
        with_contact, without = _probability(contacted, rows), _probability(held_out, rows)
        pseudo[own] = (
            with_contact
            - without
            + treated * (took_up - with_contact) / chance
            - (1 - treated) * (took_up - without) / (1 - chance)
        )
    effect = _effect(data.rows, pseudo, threads)
    return lambda asked: np.asarray(effect.predict(asked))


def baseline(data: Experiment, threads: int) -> Uplift:
    """scikit-uplift's transformed outcome with a linear regression; missing values are the column's median."""
    del threads
    middle = np.nan_to_num(np.nanmedian(data.rows, axis=0))

    def filled(rows: Matrix) -> Matrix:
        return np.where(np.isnan(rows), middle, rows)

    regression = make_pipeline(StandardScaler(), Ridge(alpha=1_000.0))
    model = ClassTransformationReg(regression, propensity_val=float(data.treated.mean()))
    model.fit(filled(data.rows), data.took_up, data.treated)
    return lambda asked: np.asarray(model.predict(filled(asked)))


LEARNERS: Final[Mapping[str, Callable[[Experiment, int], Uplift]]] = {
    "S": s_learner, "T": t_learner, "X": x_learner, "DR": dr_learner, "scikit-uplift": baseline,
}  # fmt: skip


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


def _probability(booster: lgb.Booster, rows: Matrix) -> Vector:
    return np.asarray(booster.predict(rows))
