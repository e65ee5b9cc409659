"""What a model rests on: the weight of each feature, and how the probability moves with the heaviest."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import lightgbm as lgb
import numpy as np

from training.attribution import Explainer
from training.model import ScoringModel
from training.validation.rows import Matrix, Vector

_MOST_ROWS: Final = 4_000
_DEPENDENCE_ROWS: Final = 500
_GRID: Final = 20


@dataclass(frozen=True, slots=True)
class FeatureWeight:
    """A feature's mean absolute SHAP value (log-odds of the trees) and its share of the trees' total gain."""

    feature: str
    mean_absolute_shap: float
    gain_share: float


@dataclass(frozen=True, slots=True)
class PartialDependence:
    """Mean probability of some rows when a feature is set to each value of a grid (Friedman 2001, section 8.2).

    ``categories`` names the values where the feature is a category. ``missing`` is the mean where it is not known.
    """

    feature: str
    values: tuple[float, ...]
    categories: tuple[str, ...]
    probability: tuple[float, ...]
    missing: float


def feature_weights(model: ScoringModel, rows: Matrix) -> tuple[FeatureWeight, ...]:
    """All features, the heaviest first; SHAP values of at most 4,000 rows, evenly taken."""
    some = rows[:: -(-len(rows) // _MOST_ROWS) or 1]
    shap = np.abs(Explainer(model.booster).contributions(some)[:, :-1]).mean(axis=0)
    booster = lgb.Booster(model_str=model.booster.model_to_string())
    gain = np.asarray(booster.feature_importance("gain"), np.float64)
    share = gain / max(float(gain.sum()), 1e-12)
    found = [FeatureWeight(name, float(shap[place]), float(share[place])) for place, name in enumerate(model.features)]
    return tuple(sorted(found, key=lambda one: (-one.mean_absolute_shap, one.feature)))


def partial_dependence(model: ScoringModel, rows: Matrix, chosen: Sequence[str]) -> tuple[PartialDependence, ...]:
    """Of the features ``chosen``."""
    some = rows[:: -(-len(rows) // _DEPENDENCE_ROWS) or 1]
    return tuple(_dependence(model, some, name) for name in chosen)


def _dependence(model: ScoringModel, rows: Matrix, name: str) -> PartialDependence:
    place = model.features.index(name)
    categories = model.inputs[place].categories
    present = rows[:, place][~np.isnan(rows[:, place])]
    if categories:
        grid = np.arange(min(len(categories), 2 * _GRID), dtype=np.float64)
    else:
        grid = np.unique(np.quantile(present, np.linspace(0.02, 0.98, _GRID))) if len(present) else np.zeros(0)
    mean = _mean_at(model.probability, rows, place)
    return PartialDependence(
        feature=name,
        values=tuple(grid.tolist()),
        categories=categories[: len(grid)],
        probability=tuple(mean(value) for value in grid),
        missing=mean(np.nan),
    )


def _mean_at(probability: Callable[[Matrix], Vector], rows: Matrix, place: int) -> Callable[[float], float]:
    def mean(value: float) -> float:
        moved = rows.copy()
        moved[:, place] = value
        return float(probability(moved).mean())

    return mean
