"""How good a credit model is, and whether it may become champion."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score, roc_curve

from features.sources.quality.measures import population_stability_index

Vector = npt.NDArray[np.float64]

LEAST_GINI: Final = 0.30
GINI_LOSS_ALLOWED: Final = 0.01
"""How much less than the champion's Gini, on the same rows, a candidate may have: what two seeds differ by."""

CALIBRATION_RANGE: Final = (0.75, 1.33)
"""Mean PD over the default rate: a third either way is what a year of the economic cycle moves."""

STABILITY_LIMIT: Final = 0.25
"""Above this PSI a population has shifted (Siddiqi 2006, chapter 9)."""

_BINS: Final = 10


@dataclass(frozen=True, slots=True)
class Performance:
    """How well PDs told defaults from the rest on some rows."""

    rows: int
    defaults: int
    default_rate: float
    mean_pd: float
    auc: float
    gini: float
    ks: float
    brier: float
    log_loss: float


@dataclass(frozen=True, slots=True)
class CalibrationBand:
    """One band of rows with similar PDs, and what became of them."""

    rows: int
    mean_pd: float
    default_rate: float


@dataclass(frozen=True, slots=True)
class Requirement:
    """One condition that a candidate must meet, with the figure that was seen."""

    name: str
    figure: float
    wanted: str
    met: bool

    def __str__(self) -> str:
        return f"{self.name} is {self.figure:.4f}, wanted is {self.wanted}"


@dataclass(frozen=True, slots=True)
class Validation:
    """A candidate's performance in training and on the test, its calibration there, and how far the rows moved.

    ``score_psi`` compares the PDs of the test with those of training; ``feature_psi`` each feature likewise.
    """

    fit: Performance
    test: Performance
    calibration: tuple[CalibrationBand, ...]
    score_psi: float
    feature_psi: dict[str, float]
    requirements: tuple[Requirement, ...]

    @property
    def may_become_champion(self) -> bool:
        """Whether every requirement is met."""
        return all(requirement.met for requirement in self.requirements)

    @property
    def unmet(self) -> list[Requirement]:
        """The requirements that are not met."""
        return [requirement for requirement in self.requirements if not requirement.met]


@dataclass(frozen=True, slots=True)
class ScoredRows:
    """Rows ``(n, k) float64``, their labels ``(n,)`` of 0 and 1, and their PDs ``(n,)``."""

    rows: npt.NDArray[np.float64]
    labels: Vector
    pd: Vector


def validate_candidate(
    fit: ScoredRows, test: ScoredRows, features: Sequence[str], *, champion_pd: Vector | None = None
) -> Validation:
    """Hold a candidate against the requirements, and against the champion on the same test rows if there is one.

    Args:
        fit: what the candidate was fitted on.
        test: what it never saw.
        features: names of the k columns.
        champion_pd: the present champion's PDs of the test rows ``(n,)``.
    """
    test_performance = performance(test.labels, test.pd)
    score_psi = population_stability_index(fit.pd, test.pd)
    requirements = [
        _at_least("Gini on the test", test_performance.gini, LEAST_GINI),
        _within("mean PD over default rate on the test", test_performance.mean_pd / test_performance.default_rate),
        _at_most("PSI of the PD, test against training", score_psi, STABILITY_LIMIT),
    ]
    if champion_pd is not None:
        champion_gini = performance(test.labels, champion_pd).gini
        requirements.append(
            _at_least("Gini less the champion's", test_performance.gini - champion_gini, -GINI_LOSS_ALLOWED)
        )
    return Validation(
        fit=performance(fit.labels, fit.pd),
        test=test_performance,
        calibration=calibration_bands(test.labels, test.pd),
        score_psi=score_psi,
        feature_psi={
            name: population_stability_index(fit.rows[:, place], test.rows[:, place])
            for place, name in enumerate(features)
        },
        requirements=tuple(requirements),
    )


def performance(labels: Vector, pd: Vector) -> Performance:
    """The measures of PDs ``(n,)`` against labels ``(n,)``; both classes must occur.

    Gini = 2·AUC − 1. KS is the largest distance between the two classes' distribution functions.
    """
    auc = float(roc_auc_score(labels, pd))
    false_positive, true_positive, _ = roc_curve(labels, pd)
    return Performance(
        rows=len(labels),
        defaults=int(labels.sum()),
        default_rate=float(labels.mean()),
        mean_pd=float(pd.mean()),
        auc=auc,
        gini=2 * auc - 1,
        ks=float(np.max(true_positive - false_positive)),
        brier=float(brier_score_loss(labels, pd)),
        log_loss=float(log_loss(labels, pd)),
    )


def calibration_bands(labels: Vector, pd: Vector, bands: int = _BINS) -> tuple[CalibrationBand, ...]:
    """Mean PD and default rate in ``bands`` groups of equal size, from the safest to the riskiest."""
    order = np.argsort(pd, kind="stable")
    return tuple(
        CalibrationBand(len(group), float(pd[group].mean()), float(labels[group].mean()))
        for group in np.array_split(order, bands)
        if len(group)
    )


def _at_least(name: str, figure: float, bound: float) -> Requirement:
    return Requirement(name, figure, f"at least {bound}", figure >= bound)


def _at_most(name: str, figure: float, bound: float) -> Requirement:
    return Requirement(name, figure, f"at most {bound}", figure <= bound)


def _within(name: str, figure: float) -> Requirement:
    low, high = CALIBRATION_RANGE
    return Requirement(name, figure, f"from {low} to {high}", low <= figure <= high)
