"""Growing a scoring model: LightGBM with monotone constraints, stopped early, calibrated on folds it never saw."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol, Self

import lightgbm as lgb
import numpy as np
import numpy.typing as npt

from training.calibrating import CalibrationChoice, chosen_calibration
from training.inputs import Input
from training.model import ScoringModel, Task

Matrix = npt.NDArray[np.float64]
Vector = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


_FEW_COLUMNS: Final = 0.5


@dataclass(frozen=True, slots=True)
class BoosterParameters:
    """What the booster is grown with.

    The defaults were chosen by cross-validation on the UCI cards and by the out-of-time Gini on eight small simulated
    groups, the usual one among them.
    """

    learning_rate: float = 0.03
    num_leaves: int = 8
    min_data_in_leaf: int = 150
    feature_fraction: float = 0.3
    bagging_fraction: float = 0.7
    lambda_l2: float = 10.0
    max_trees: int = 1_500
    stop_after: int = 60
    seed: int = 20_260_101

    def for_lightgbm(self, directions: Sequence[int], threads: int, *, graded: bool = False) -> dict[str, Any]:
        """LightGBM's own parameters; the same data and seed give the same trees on any number of threads.

        With ``graded``, targets may lie between 0 and 1.
        """
        return {
            "objective": "cross_entropy" if graded else "binary",
            "metric": "cross_entropy" if graded else "binary_logloss",
            "learning_rate": self.learning_rate,
            "num_leaves": self.num_leaves,
            "min_data_in_leaf": self.min_data_in_leaf,
            "feature_fraction": self.feature_fraction,
            "bagging_fraction": self.bagging_fraction,
            "bagging_freq": 1,
            "lambda_l2": self.lambda_l2,
            "monotone_constraints": list(directions),
            "monotone_constraints_method": "basic",
            "seed": self.seed,
            "deterministic": True,
            # The same trees either way; by columns is nearly twice as fast where a tree sees few of them.
            "force_col_wise": self.feature_fraction < _FEW_COLUMNS,
            "force_row_wise": self.feature_fraction >= _FEW_COLUMNS,
            "num_threads": threads,
            "verbosity": -1,
        }


@dataclass(frozen=True, slots=True)
class TrainingRows:
    """What a model is trained on; all arrays have an entry a row.

    All rows of a party are in one fold, so what is learned of it in the others says nothing about it in its own.

    Attributes:
        rows: encoded rows ``(n, k) float64``.
        labels: 0 and 1.
        folds: which fold each row is in.
        targets: outcomes from 0 to 1 that say more than the labels (how far a party fell behind), on which the trees
            are grown; the probability is of the labels all the same. None: the labels.
        weights: of the rows; equal if None.
        categorical: the columns that are categories.
        base: raw scores that the trees start from, of another model that never saw these rows; nothing if None.
    """

    rows: Matrix
    labels: Vector
    folds: Integers
    targets: Vector | None = None
    weights: Vector | None = None
    categorical: tuple[int, ...] = ()
    base: Vector | None = None

    def chosen(self, places: npt.NDArray[np.bool_] | slice) -> Self:
        """Some of the rows."""
        own = {
            name: values[places]
            for name in ("rows", "labels", "folds", "targets", "weights", "base")
            if (values := getattr(self, name)) is not None
        }
        return replace(self, **own)

    def dataset(
        self, chosen: npt.NDArray[np.bool_] | None, lightgbm: dict[str, Any], reference: lgb.Dataset | None = None
    ) -> lgb.Dataset:
        """The chosen rows (all if None) as LightGBM takes them."""
        own = self if chosen is None else self.chosen(chosen)
        return lgb.Dataset(
            own.rows,
            own.labels if own.targets is None else own.targets,
            weight=own.weights,
            init_score=own.base,
            reference=reference,
            categorical_feature=list(self.categorical),
            params=lightgbm,
        )


@dataclass(frozen=True, slots=True)
class FoldGrowth:
    """A booster grown on the other folds: how many trees served this fold best, and the raw scores they give it.

    Where trees start from a base, the scores hold it, and no tree at all may serve best.
    """

    trees: int
    raw_scores: Vector


class Growth(Protocol):
    """Where boosters are grown: in this process (``LocalGrowth``) or on Ray (``distributed.RayGrowth``)."""

    def on_folds(
        self, training: TrainingRows, lightgbm: dict[str, Any], parameters: BoosterParameters
    ) -> list[FoldGrowth]:
        """Grow one booster a fold on the others, stopped early; results in the order of the fold numbers."""

    def on_all(self, training: TrainingRows, lightgbm: dict[str, Any], trees: int) -> lgb.Booster:
        """Grow ``trees`` trees on all rows."""


class LocalGrowth:
    """Grows in this process."""

    def on_folds(
        self, training: TrainingRows, lightgbm: dict[str, Any], parameters: BoosterParameters
    ) -> list[FoldGrowth]:
        """One fold after the other."""
        return [grow_fold(training, fold, lightgbm, parameters) for fold in np.unique(training.folds)]

    def on_all(self, training: TrainingRows, lightgbm: dict[str, Any], trees: int) -> lgb.Booster:
        """On this machine's threads."""
        return lgb.train(lightgbm, training.dataset(None, lightgbm), num_boost_round=trees)


def grow_fold(training: TrainingRows, fold: int, lightgbm: dict[str, Any], parameters: BoosterParameters) -> FoldGrowth:
    """Grow on all folds but ``fold`` until that one has not improved for ``stop_after`` trees."""
    own = training.folds == fold
    others = training.dataset(~own, lightgbm)
    booster = lgb.train(
        lightgbm,
        others,
        num_boost_round=parameters.max_trees,
        valid_sets=[training.dataset(own, lightgbm, others)],
        callbacks=[lgb.early_stopping(parameters.stop_after, verbose=False)],
    )
    best = booster.best_iteration
    raw_scores = np.asarray(booster.predict(training.rows[own], raw_score=True, num_iteration=best))
    if training.base is None:
        return FoldGrowth(best, raw_scores)
    kept = training.chosen(own)
    with_trees = training.base[own] + raw_scores
    if losses(kept, with_trees).sum() < losses(kept, training.base[own]).sum():
        return FoldGrowth(best, with_trees)
    return FoldGrowth(0, training.base[own])


def losses(training: TrainingRows, raw_scores: Vector) -> Vector:
    """The weighted cross-entropy ``(n,)`` of raw scores with the rows' targets, which trees are grown to lower."""
    targets = training.labels if training.targets is None else training.targets
    each = np.logaddexp(0.0, raw_scores) - targets * raw_scores
    return each if training.weights is None else each * training.weights


@dataclass(frozen=True)
class Grown:
    """A model, and what was seen on the way.

    ``unseen`` holds for each row the raw score of trees that never saw it; ``trees_by_fold`` how many served each
    fold best.
    """

    model: ScoringModel
    calibration: CalibrationChoice
    unseen: Vector
    trees_by_fold: tuple[int, ...]


def grown_model(
    training: TrainingRows,
    inputs: Sequence[Input],
    directions: Sequence[int],
    parameters: BoosterParameters,
    *,
    threads: int,
    growth: Growth,
    task: Task = "credit",
    long_run_rate: float | None = None,
) -> Grown:
    """Grow a booster on all rows, with the number of trees and the calibration that its folds agree on.

    For each fold a booster is grown on the others and stopped early. The mean number of trees is that of the final
    booster; the scores that each fold got from trees which never saw it are what the calibration is fitted on.

    Args:
        training: rows in the order of ``inputs``, labels, folds; both classes must occur.
        inputs: the k columns.
        directions: 1, -1 or 0 for each column: the way the probability may move with it.
        parameters: what the boosters are grown with.
        threads: threads of each process that grows.
        growth: where they are grown.
        task: what the probability is of.
        long_run_rate: what the mean probability has to be; that of the labels if None.
    """
    lightgbm = parameters.for_lightgbm(directions, threads, graded=training.targets is not None)
    grown = growth.on_folds(training, lightgbm, parameters)
    trees = max(1, round(sum(fold.trees for fold in grown) / len(grown)))
    unseen = unseen_scores(training, grown)
    booster = growth.on_all(training, lightgbm, trees)
    choice = chosen_calibration(unseen, training.labels, training.folds, training.weights, long_run_rate)
    model = ScoringModel(booster, tuple(inputs), choice.calibration, task)
    return Grown(model, choice, unseen, tuple(fold.trees for fold in grown))


def unseen_scores(training: TrainingRows, grown: Sequence[FoldGrowth]) -> Vector:
    """The raw scores ``(n,)`` that each fold's rows got from trees which never saw them."""
    unseen = np.empty(len(training.labels))
    for number, fold in zip(np.unique(training.folds), grown, strict=True):
        unseen[training.folds == number] = fold.raw_scores
    return unseen
