"""Probes for what a model should not have known: features too good to be true, shuffled targets, time reversed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from sklearn.metrics import roc_auc_score

from features.sources.quality.measures import single_auc
from training.validation.rows import Matrix, ScoredRows, Vector

Learner = Callable[[Matrix, Vector, Matrix], Vector]
"""Learns from rows and labels, and scores other rows."""

_PERMUTATIONS: Final = 3
_SHOWN: Final = 10
_MOST_ROWS: Final = 50_000


@dataclass(frozen=True, slots=True)
class SingleFeature:
    """How well one feature alone tells events from the rest: its AUC, and that of its being missing."""

    feature: str
    auc: float
    missing_auc: float


@dataclass(frozen=True, slots=True)
class Leakage:
    """What the probes found.

    Attributes:
        strongest: the features that tell most alone.
        permuted_auc: mean AUC on the test of models that were trained on shuffled labels: 0.5, or rows of the test
            are known from training.
        forward_auc: of a quick model trained on training and judged on the test.
        backward_auc: of one trained on the test and judged on training: much above the former, and the later rows
            hold what the earlier ones turned into. None where rows have no time.
        repeated_rows: the share of test rows with all features equal to a row of training.
    """

    strongest: tuple[SingleFeature, ...]
    permuted_auc: float
    forward_auc: float
    backward_auc: float | None
    repeated_rows: float


def leakage(fit: ScoredRows, test: ScoredRows, features: Sequence[str], learner: Learner, *, seed: int = 0) -> Leakage:
    """Probe with a ``learner`` that is quick; both classes must occur in both."""
    fit, test = _thinned(fit), _thinned(test)
    rng = np.random.default_rng(seed)
    shuffled = [learner(fit.rows, rng.permutation(fit.labels), test.rows) for _ in range(_PERMUTATIONS)]
    backward = None
    if len(test.months):
        backward = float(roc_auc_score(fit.labels, learner(test.rows, test.labels, fit.rows)))
    return Leakage(
        strongest=single_features(test, features)[:_SHOWN],
        permuted_auc=float(np.mean([roc_auc_score(test.labels, scores) for scores in shuffled])),
        forward_auc=float(roc_auc_score(test.labels, learner(fit.rows, fit.labels, test.rows))),
        backward_auc=backward,
        repeated_rows=_repeated(fit.rows, test.rows),
    )


def single_features(scored: ScoredRows, features: Sequence[str]) -> tuple[SingleFeature, ...]:
    """Each feature alone, the strongest first."""
    found = [
        SingleFeature(
            name,
            single_auc(scored.rows[:, place], scored.labels),
            single_auc(np.isnan(scored.rows[:, place]).astype(np.float64), scored.labels),
        )
        for place, name in enumerate(features)
    ]
    return tuple(sorted(found, key=lambda one: (-max(one.auc, one.missing_auc), one.feature)))


def _thinned(scored: ScoredRows) -> ScoredRows:
    every = -(-len(scored) // _MOST_ROWS) or 1
    return scored.chosen(np.arange(len(scored)) % every == 0) if every > 1 else scored


def _repeated(fit: Matrix, test: Matrix) -> float:
    known = {row.tobytes() for row in np.nan_to_num(fit, nan=-1e308)}
    return float(np.mean([row.tobytes() in known for row in np.nan_to_num(test, nan=-1e308)]))
