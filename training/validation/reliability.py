"""Whether probabilities are right: by band, by rating grade, and as a whole."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from scipy.stats import beta, binom, chi2
from sklearn.linear_model import LogisticRegression

from training.scale import Grade, grade_places
from training.validation.rows import Vector

_BANDS: Final = 10
_HARDLY_PENALISED: Final = 1e6
_SMALLEST: Final = 1e-12

Light = Literal["green", "amber", "red"]
_AMBER: Final = 0.05
_RED: Final = 0.01


@dataclass(frozen=True, slots=True)
class Band:
    """Rows with similar probabilities, and what became of them."""

    rows: int
    mean_probability: float
    event_rate: float


@dataclass(frozen=True, slots=True)
class GradeTest:
    """A rating grade: what was expected, what came, and how likely so many events are if its PD is right.

    ``jeffreys`` is the probability, seen the events, that the true rate is not above the mean probability: small
    where risk was underestimated (EBA, Instructions for reporting the validation results, 2019, section 2.5.3.1).
    ``binomial`` is that of so many events or more. The light follows the former: amber below 5 %, red below 1 %.
    """

    grade: str
    rows: int
    events: int
    mean_probability: float
    event_rate: float
    jeffreys: float
    binomial: float
    light: Light


@dataclass(frozen=True, slots=True)
class Reliability:
    """How near probabilities are to what came.

    Attributes:
        ratio: mean probability over event rate.
        slope: of a logistic regression of the labels on the log-odds: 1 if right, below it if too spread out.
        intercept: of the same.
        hosmer_lemeshow: the statistic over ten bands (Hosmer and Lemeshow 1980), and its p-value.
        reliability: of Murphy's decomposition (1973): Brier = reliability − resolution + uncertainty, over the bands
            (what varies within a band is left over in ``within_bands``).
    """

    bands: tuple[Band, ...]
    grades: tuple[GradeTest, ...]
    ratio: float
    slope: float
    intercept: float
    hosmer_lemeshow: float
    hosmer_lemeshow_p: float
    brier: float
    reliability: float
    resolution: float
    uncertainty: float
    within_bands: float


def reliability(labels: Vector, probability: Vector, scale: Sequence[Grade]) -> Reliability:
    """All tests of probabilities ``(n,)`` against labels ``(n,)``."""
    found = bands(labels, probability)
    slope, intercept = calibration_line(labels, probability)
    statistic = _hosmer_lemeshow(found)
    rows = np.array([band.rows for band in found], np.float64)
    mean = np.array([band.mean_probability for band in found])
    rate = np.array([band.event_rate for band in found])
    overall = float(labels.mean())
    reliable = float(np.average((mean - rate) ** 2, weights=rows))
    resolution = float(np.average((rate - overall) ** 2, weights=rows))
    uncertainty = overall * (1 - overall)
    brier = float(np.mean((probability - labels) ** 2))
    return Reliability(
        bands=found,
        grades=grade_tests(labels, probability, scale),
        ratio=float(probability.mean()) / max(overall, _SMALLEST),
        slope=slope,
        intercept=intercept,
        hosmer_lemeshow=statistic,
        # The rows were not used in fitting, so no degree of freedom is lost.
        hosmer_lemeshow_p=float(chi2.sf(statistic, len(found))),
        brier=brier,
        reliability=reliable,
        resolution=resolution,
        uncertainty=uncertainty,
        within_bands=brier - (reliable - resolution + uncertainty),
    )


def bands(labels: Vector, probability: Vector, count: int = _BANDS) -> tuple[Band, ...]:
    """Mean probability and event rate in ``count`` groups of equal size, from the lowest to the highest."""
    order = np.argsort(probability, kind="stable")
    return tuple(
        Band(len(group), float(probability[group].mean()), float(labels[group].mean()))
        for group in np.array_split(order, count)
        if len(group)
    )


def calibration_line(labels: Vector, probability: Vector) -> tuple[float, float]:
    """Slope and intercept of a logistic regression of the labels on the log-odds (Cox 1958)."""
    inside = np.clip(probability, _SMALLEST, 1 - _SMALLEST)
    log_odds = np.log(inside) - np.log1p(-inside)
    if np.ptp(log_odds) < _SMALLEST:
        return 0.0, float(np.log(labels.mean()) - np.log1p(-labels.mean()))
    fit = LogisticRegression(C=_HARDLY_PENALISED, tol=1e-8, max_iter=1_000).fit(log_odds[:, None], labels)
    return float(fit.coef_[0, 0]), float(fit.intercept_[0])


def grade_tests(labels: Vector, probability: Vector, scale: Sequence[Grade]) -> tuple[GradeTest, ...]:
    """Each grade that holds rows, from the best."""
    places = grade_places(probability, scale)
    return tuple(_grade_test(grade.name, labels[own], probability[own])
                 for number, grade in enumerate(scale) if (own := places == number).any())  # fmt: skip


def _grade_test(name: str, labels: Vector, probability: Vector) -> GradeTest:
    rows, events, expected = len(labels), int(labels.sum()), float(probability.mean())
    jeffreys = float(beta.cdf(expected, events + 0.5, rows - events + 0.5))
    return GradeTest(
        grade=name,
        rows=rows,
        events=events,
        mean_probability=expected,
        event_rate=events / rows,
        jeffreys=jeffreys,
        binomial=float(binom.sf(events - 1, rows, expected)),
        light="red" if jeffreys < _RED else "amber" if jeffreys < _AMBER else "green",
    )


def _hosmer_lemeshow(found: Sequence[Band]) -> float:
    return float(
        sum(
            band.rows
            * (band.event_rate - band.mean_probability) ** 2
            / max(band.mean_probability * (1 - band.mean_probability), _SMALLEST)
            for band in found
        )
    )
