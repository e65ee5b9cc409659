"""A candidate: a trained, validated model with all that a committee asks about it and a registry keeps of it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd
import polars as pl

from training.errors import NothingToScore
from training.frames import matrix
from training.growth import BoosterParameters, Grown, TrainingRows
from training.model import ScoringModel
from training.reference import ReferenceRows
from training.scorecard import Scorecard, fit_scorecard
from training.validation import Challenger, Rival, ScoredRows, Validation, performance, validate
from training.validation.comparison import comparison
from training.validation.pictures import Picture, validation_pictures
from training.validation.report import ModelCard
from training.validation.rows import Vector


@dataclass(frozen=True)
class Candidate:
    """A model under the name it is registered by.

    Attributes:
        name: of the registered model.
        model: what scores.
        parameters: what its trees were grown with.
        validation: what was measured.
        card: what it is.
        pictures: by name.
        example: a few rows as a caller would give them, for the signature and for whoever tries the model in MLflow.
        test: the test's rows with keys, outcome and ``probability``.
        scorecard: the challenger, if one could be fitted.
        tags: what else the registry shows of the run.
        unseen: the training rows' keys with the ``raw_score`` of trees that never saw them, where the rows have keys.
        reference: the frame that later rows are held against.
    """

    name: str
    model: ScoringModel
    parameters: BoosterParameters
    validation: Validation
    card: ModelCard
    pictures: Mapping[str, Picture]
    example: pd.DataFrame
    test: pl.DataFrame
    scorecard: Scorecard | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    unseen: pl.DataFrame | None = None
    reference: ReferenceRows | None = None


@dataclass(frozen=True)
class Judged:
    """What was measured of a grown model, as pictures too, and the scorecard beside it if one could be fitted."""

    validation: Validation
    pictures: Mapping[str, Picture]
    scorecard: Scorecard | None


def judged_model(
    grown: Grown,
    training: TrainingRows,
    directions: Sequence[int],
    fit: ScoredRows,
    test: ScoredRows,
    *,
    threads: int,
    champion: Rival | None = None,
    beside: Rival | None = None,
    warnings: Sequence[str] = (),
    progress: Callable[[float], None] = lambda _share: None,
) -> Judged:
    """Hold a grown model against its limits, a scorecard, the champion, and another model if one stands beside it.

    Args:
        grown: the model.
        training: what it was grown on.
        directions: the way the probability may move with each column.
        fit: the training rows as it scores them.
        test: rows it never saw, as it scores them.
        threads: for the probes.
        champion: what the model would replace.
        beside: another model, by what it is called.
        warnings: on the data, from whoever read them.
        progress: is told the share that is done.
    """
    told = list(warnings)
    scorecard, challengers = _scorecard_challenger(grown, training, directions, test, told)
    if beside is not None:
        challengers = (_challenger(test, beside.version, beside.probability), *challengers)
    progress(0.4)
    validation = validate(
        grown.model,
        fit,
        test,
        threads=threads,
        champion=champion,
        challengers=challengers,
        warnings=tuple(told),
        progress=lambda share: progress(0.4 + 0.6 * share),
    )
    return Judged(validation, validation_pictures(fit, test, validation), scorecard)


def rival_on(named: tuple[str, ScoringModel] | None, test: pl.DataFrame) -> Rival | None:
    """What another model, by what it is called, says of the test's rows.

    None if there is none, or if it wants features that are no longer computed.
    """
    if named is None or not set(named[1].features) <= set(test.columns):
        return None
    name, model = named
    return Rival(name, model.probability(matrix(test, model.features)))


def _scorecard_challenger(
    grown: Grown, training: TrainingRows, directions: Sequence[int], test: ScoredRows, warnings: list[str]
) -> tuple[Scorecard | None, tuple[Challenger, ...]]:
    """Fit a scorecard on the same rows and hold it against the model on the test; one that cannot be is a warning."""
    try:
        card = fit_scorecard(training.rows, training.labels, grown.model.inputs, directions)
    except NothingToScore as error:
        warnings.append(f"No scorecard beside the model: {error}")
        return None, ()
    note = f"{len(card.features)} features, {len(card.table)} bins"
    return card, (_challenger(test, "评分卡 · scorecard (OptBinning)", card.probability(test.rows), note),)


def _challenger(test: ScoredRows, name: str, probability: Vector, note: str = "") -> Challenger:
    """Another model's probabilities ``(n,)`` of the test's rows, held against those of the model."""
    held = comparison(
        test.labels, test.probability, probability, version="", selected_share=0.5, less_is_better=True
    )  # fmt: skip
    return Challenger(name, performance(test.labels, probability), held.gini_difference, held.p_value, note)


def calibration_in_words(grown: Grown) -> str:
    """Which calibration was chosen, and by what."""
    losses = ", ".join(f"{method} {loss:.5f}" for method, loss in grown.calibration.log_loss.items())
    shift = grown.model.calibration.shift
    moved = f"; moved by {shift:+.3f} log-odds to the long-run rate" if shift else ""
    if not losses:
        return f"{grown.model.calibration.method}, that of the pooled model{moved}"
    return f"{grown.model.calibration.method}, by log loss on unseen folds ({losses}){moved}"


def trees_in_words(grown: Grown) -> str:
    """How the ensemble is made."""
    trees = grown.model.booster.num_trees()
    by_fold = ", ".join(map(str, grown.trees_by_fold))
    return f"LightGBM, {trees} trees (best by fold: {by_fold})"
