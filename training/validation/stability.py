"""Whether the rows a model meets are still those it was grown on: scores and features, month by month."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from features.sources.quality.measures import population_stability_index
from training.validation.rows import Matrix, ScoredRows, Texts

_MOST_MONTHS: Final = 24


@dataclass(frozen=True, slots=True)
class FeatureStability:
    """How far a feature moved between training and test (its CSI), overall and in each month of the test."""

    feature: str
    missing_in_training: float
    missing_in_test: float
    csi: float
    csi_by_month: dict[str, float]


@dataclass(frozen=True, slots=True)
class Stability:
    """PSI of the probabilities against training, overall and by month, and the CSI of each feature, largest first."""

    score_psi: float
    score_psi_by_month: dict[str, float]
    features: tuple[FeatureStability, ...]


def stability(fit: ScoredRows, test: ScoredRows, features: Sequence[str]) -> Stability:
    """Hold the test's rows against those of training (Siddiqi 2006, chapter 9)."""
    months = _latest(test.months)
    found = [
        FeatureStability(
            feature=name,
            missing_in_training=float(np.isnan(fit.rows[:, place]).mean()),
            missing_in_test=float(np.isnan(test.rows[:, place]).mean()),
            csi=_index(fit.rows, test.rows, place),
            csi_by_month={month: _index(fit.rows, test.rows[test.months == month], place) for month in months},
        )
        for place, name in enumerate(features)
    ]
    return Stability(
        score_psi=population_stability_index(fit.probability, test.probability),
        score_psi_by_month={
            month: population_stability_index(fit.probability, test.probability[test.months == month])
            for month in months
        },
        features=tuple(sorted(found, key=lambda one: (-one.csi, one.feature))),
    )


def _index(reference: Matrix, current: Matrix, place: int) -> float:
    # A column that has values now and had none then is as far away as a column can be, and still a number in JSON.
    return min(population_stability_index(reference[:, place], current[:, place]), 99.0)


def _latest(months: Texts) -> list[str]:
    return [str(month) for month in np.unique(months)[-_MOST_MONTHS:]] if len(months) else []
