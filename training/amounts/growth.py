"""Growing a model of an amount: LightGBM with the objective that suits it, stopped early on folds by party."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import lightgbm as lgb
import numpy as np
import numpy.typing as npt

from training.amounts.model import AmountModel, Term

Matrix = npt.NDArray[np.float64]
Vector = npt.NDArray[np.float64]

Kind = Literal["money", "share"]
"""Money is not below zero and often nothing (Tweedie's deviance); a share is from 0 to 1 (cross-entropy)."""

_OBJECTIVES: Final[dict[Kind, dict[str, Any]]] = {
    "money": {"objective": "tweedie", "tweedie_variance_power": 1.5, "metric": "tweedie"},
    "share": {"objective": "cross_entropy", "metric": "cross_entropy"},
}
_MOST_TREES: Final = 600
_STOP_AFTER: Final = 40
_SHARED: Final[dict[str, Any]] = {
    "learning_rate": 0.05, "num_leaves": 8, "feature_fraction": 0.5, "bagging_fraction": 0.7, "bagging_freq": 1,
    "lambda_l2": 10.0, "seed": 20_260_101, "deterministic": True, "force_col_wise": True, "verbosity": -1,
    "monotone_constraints_method": "basic",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class AmountRows:
    """Rows ``(n, k)``, what became of them ``(n,)``, folds by party."""

    rows: Matrix
    amounts: Vector
    folds: npt.NDArray[np.int64]


def grown_amount(
    data: AmountRows, task: str, features: Sequence[str], directions: Sequence[int], kind: Kind, *, threads: int
) -> AmountModel:
    """A booster on all rows, with as many trees as serve the folds best on the average.

    Its answers are moved by one factor, so that on rows it never saw their sum is the sum of what became of them.
    """
    least = max(20, len(data.rows) // 100)
    parameters = _SHARED | _OBJECTIVES[kind] | {
        "monotone_constraints": list(directions), "min_data_in_leaf": least, "num_threads": threads,
    }  # fmt: skip
    trees: list[int] = []
    unseen = np.empty(len(data.rows))
    for fold in np.unique(data.folds):
        own = data.folds == fold
        fit = lgb.Dataset(data.rows[~own], data.amounts[~own], params=parameters)
        held = lgb.Dataset(data.rows[own], data.amounts[own], reference=fit, params=parameters)
        booster = lgb.train(
            parameters, fit, _MOST_TREES, valid_sets=[held],
            callbacks=[lgb.early_stopping(_STOP_AFTER, verbose=False)],
        )  # fmt: skip
        trees.append(booster.best_iteration)
        unseen[own] = np.asarray(booster.predict(data.rows[own], num_iteration=booster.best_iteration))
    number = max(1, round(sum(trees) / len(trees)))
    whole = lgb.train(parameters, lgb.Dataset(data.rows, data.amounts, params=parameters), number)
    # A share must stay one: it is left as it is.
    weight = float(data.amounts.sum() / unseen.sum()) if kind == "money" and unseen.sum() > 0 else 1.0
    method = f"LightGBM, {number} trees (best by fold: {', '.join(map(str, trees))}), {parameters['objective']}"
    return AmountModel(task, tuple(features), (Term(whole, weight),), method=method)
