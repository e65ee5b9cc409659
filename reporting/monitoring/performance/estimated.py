"""Performance before outcomes are known: what calibrated probabilities themselves expect of it.

If probabilities are right, a row of 3 % is 0.03 of a default and 0.97 of a payment, and AUC, KS and the rate among the
approved follow without a single outcome. That holds while customers change and the risk of a customer as the model sees
it does not; whether it still does, early signs tell (``reporting.monitoring.performance.early``).

The idea is NannyML's confidence-based performance estimation (Kuberski and others, 2022).
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from training.validation.discrimination import Interval, gini_and_ks_of_counts
from training.validation.reliability import calibration_line

Vector = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

_DRAWS: Final = 200
_SMALLEST: Final = 1e-12


@dataclass(frozen=True, slots=True)
class Estimated:
    """What the probabilities of some rows expect, with bounds for 95 of 100 samples and outcomes like these.

    Attributes:
        auc: of the outcomes to come.
        ks: of the same.
        default_rate: of all rows.
        approval_rate: share of rows below the probability that as many of training were below.
        default_rate_of_approved: of these rows.
    """

    rows: int
    auc: Interval
    ks: Interval
    default_rate: Interval
    approval_rate: Interval
    default_rate_of_approved: Interval


@dataclass(frozen=True, slots=True)
class Line:
    """A straight line of log-odds that puts probabilities right: what outcomes at training said of them."""

    slope: float
    intercept: float

    def __call__(self, probability: Vector) -> Vector:
        """Probabilities ``(n,)`` put right."""
        inside = np.clip(probability, _SMALLEST, 1 - _SMALLEST)
        log_odds = np.log(inside) - np.log1p(-inside)
        return np.asarray(1 / (1 + np.exp(-(self.slope * log_odds + self.intercept))))


def line_of_reference(outcomes: Vector, probability: Vector) -> Line:
    """Fitted on rows that the trees never saw; both outcomes must occur."""
    return Line(*calibration_line(outcomes, probability))


def estimated(probability: Vector, right: Vector, parties: Integers, cut: float, *, seed: int = 0) -> Estimated:
    """Expect the performance of rows.

    Args:
        probability: as answered, ``(n,)``: what rows are ranked and approved by.
        right: the same put right.
        parties: a number for each row's party, from 0 on: rows of a party are drawn together.
        cut: rows below this probability are approved.
        seed: of the draws.
    """
    _, group = np.unique(probability, return_inverse=True)
    groups, count = int(group.max()) + 1, int(parties.max()) + 1
    approved = probability < cut
    rng = np.random.default_rng(seed)
    drawn = np.empty((_DRAWS, 5))
    for draw in range(_DRAWS):
        times = np.bincount(rng.integers(0, count, count), minlength=count)[parties].astype(np.float64)
        outcomes = (rng.random(len(right)) < right).astype(np.float64)
        drawn[draw] = _figures(group, groups, outcomes, times, approved)
    figures = _figures(group, groups, right, np.ones(len(right)), approved)
    low, high = np.nanquantile(drawn, [0.025, 0.975], axis=0)
    return Estimated(len(right), *(Interval(*map(float, one)) for one in zip(figures, low, high, strict=True)))


def _figures(group: Integers, groups: int, outcomes: Vector, times: Vector, approved: npt.NDArray[np.bool_]) -> Vector:
    bad, good = (np.bincount(group, times * share, groups).astype(np.float64) for share in (outcomes, 1 - outcomes))
    gini, ks = gini_and_ks_of_counts(bad, good)
    own = times[approved]
    rate = float(np.average(outcomes[approved], weights=own)) if own.sum() else np.nan
    return np.array([(1 + gini) / 2, ks, np.average(outcomes, weights=times), own.sum() / times.sum(), rate])
