"""Choosing a booster's parameters: Optuna proposes, Ray Tune runs the trials side by side, bad ones are stopped early.

A trial is judged on folds in the order of time: grown on what came before, judged on what came after, so that what
serves the next year is chosen and not what serves this one best. A search is kept in a folder and goes on there.
"""

import dataclasses
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import lightgbm as lgb
import numpy as np
import numpy.typing as npt
import optuna
from ray import tune
from ray.tune.schedulers import ASHAScheduler
from ray.tune.search.optuna import OptunaSearch

from group.libraries import hushed
from training.errors import NothingTried
from training.growth import BoosterParameters, TrainingRows, Vector

Chosen = npt.NDArray[np.bool_]

_FIRST_CUT: Final = 0.4
_LEAST_EVENTS: Final = 10
_BOUNDS: Final[dict[str, tuple[float, float]]] = {
    "learning_rate": (0.01, 0.3),
    "num_leaves": (2, 64),
    "min_data_in_leaf": (2, 1_000),
    "feature_fraction": (0.05, 1.0),
    "bagging_fraction": (0.3, 1.0),
    "lambda_l2": (0.01, 200.0),
}
"""Between which a search looks. Those that count by factors are searched by their logarithm."""

_SPACE: Final[dict[str, Any]] = {
    "learning_rate": tune.loguniform(*_BOUNDS["learning_rate"]),
    "num_leaves": tune.lograndint(2, 65),
    "min_data_in_leaf": tune.lograndint(2, 1_001),
    "feature_fraction": tune.uniform(*_BOUNDS["feature_fraction"]),
    "bagging_fraction": tune.uniform(*_BOUNDS["bagging_fraction"]),
    "lambda_l2": tune.loguniform(*_BOUNDS["lambda_l2"]),
}


@dataclass(frozen=True, slots=True)
class TimeFold:
    """Rows to grow on, and later ones to judge by."""

    fit: Chosen
    check: Chosen


@dataclass(frozen=True, slots=True)
class Tried:
    """One trial: its parameters, the mean log loss over the folds it got through, and how many those were."""

    parameters: BoosterParameters
    loss: float
    folds: int


@dataclass(frozen=True)
class Tuning:
    """The best of a search, and all that was tried, the best first."""

    best: BoosterParameters
    tried: tuple[Tried, ...]


def time_folds(order: Vector, party_folds: npt.NDArray[np.int64] | None, count: int = 3) -> tuple[TimeFold, ...]:
    """Folds that expand with time: each is grown on what came before its cut and judged on the stretch after it.

    Args:
        order: a number for each row that grows with time.
        party_folds: which fold each row's party is in; a fold is then judged on parties that it was not grown on, so
            that a party's earlier row does not tell its later one. None where each row is somebody else.
        count: how many.
    """
    cuts = np.quantile(order, np.linspace(_FIRST_CUT, 1.0, count + 1), method="higher")
    folds = []
    for number in range(count):
        before, within = order < cuts[number], (order >= cuts[number]) & (order <= cuts[number + 1])
        held = (
            np.zeros(len(order), np.bool_) if party_folds is None else party_folds == number % (party_folds.max() + 1)
        )
        folds.append(TimeFold(before & ~held, within & held if party_folds is not None else within))
    return tuple(fold for fold in folds if fold.fit.any() and fold.check.any())


def tune_parameters(
    training: TrainingRows,
    folds: Sequence[TimeFold],
    start: BoosterParameters,
    directions: Sequence[int],
    *,
    minutes: float,
    folder: Path,
    concurrent: int,
    resume: bool = False,
    most_trials: int = 1_000,
    progress: Callable[[float, Tried], None] = lambda _share, _best: None,
) -> Tuning:
    """Search within a budget of minutes; ``start`` is the first trial, as near as the bounds let it.

    Args:
        training: rows, labels, targets.
        folds: of ``time_folds``.
        start: what is improved on; its seed and numbers of trees are kept.
        directions: 1, -1 or 0 for each column.
        minutes: after which no trial is begun and those that run are stopped.
        folder: where the search is kept, and goes on with ``resume``.
        concurrent: trials at a time, each of one CPU.
        resume: go on with a search that was stopped.
        most_trials: in all.
        progress: is told the share of the budget that is used, and the best so far.

    Raises:
        NothingTried: no trial ended within the budget, or no fold holds enough events.
    """
    usable = [
        fold for fold in folds if min(training.labels[part].sum() for part in (fold.fit, fold.check)) >= _LEAST_EVENTS
    ]
    if not usable:
        raise NothingTried(f"No stretch of time holds the {_LEAST_EVENTS} events that parameters are chosen by.")
    given = tune.with_parameters(_trial, training=training, folds=usable, start=start, directions=list(directions))
    trainable = tune.with_resources(given, {"cpu": 1})
    watcher = _Watcher(start, len(usable), minutes * 60, progress)
    with hushed():
        results = _tuner(
            trainable, start, len(usable), minutes, folder, concurrent, most_trials, watcher, resume=resume
        ).fit()
    tried = [
        Tried(_with(start, result.config), float(result.metrics["loss"]), int(result.metrics["folds"]))
        for result in results
        if result.metrics and "loss" in result.metrics
    ]
    # A trial that was stopped early was judged on fewer folds: its mean says less.
    whole = sorted((one for one in tried if one.folds == len(usable)), key=lambda one: one.loss)
    if not whole:
        raise NothingTried(f"No set of parameters was tried to the end within {minutes:g} minutes; give more.")
    rest = sorted((one for one in tried if one.folds < len(usable)), key=lambda one: one.loss)
    return Tuning(whole[0].parameters, (*whole, *rest))


def _tuner(
    trainable: Any,
    start: BoosterParameters,
    folds: int,
    minutes: float,
    folder: Path,
    concurrent: int,
    most_trials: int,
    watcher: tune.Callback,
    *,
    resume: bool,
) -> tune.Tuner:
    path = folder.absolute()
    if resume and tune.Tuner.can_restore(str(path)):
        return tune.Tuner.restore(str(path), trainable, resume_unfinished=True, restart_errored=True)
    shutil.rmtree(path, ignore_errors=True)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    search = OptunaSearch(
        metric="loss", mode="min", seed=start.seed, points_to_evaluate=[_nearest_to(start)]
    )  # fmt: skip
    return tune.Tuner(
        trainable,
        param_space=_SPACE,
        tune_config=tune.TuneConfig(
            metric="loss", mode="min", search_alg=search, num_samples=most_trials, max_concurrent_trials=concurrent,
            time_budget_s=minutes * 60,
            scheduler=ASHAScheduler(time_attr="folds", max_t=folds, grace_period=1, reduction_factor=2),
        ),
        run_config=tune.RunConfig(name=path.name, storage_path=str(path.parent), callbacks=[watcher], verbose=0),
    )  # fmt: skip


def _nearest_to(start: BoosterParameters) -> dict[str, Any]:
    """The start as a point of the space."""
    return {
        name: type(getattr(start, name))(min(max(getattr(start, name), low), high))
        for name, (low, high) in _BOUNDS.items()
    }


def _can_judge(training: TrainingRows, fold: TimeFold) -> bool:
    return min(float(training.labels[part].sum()) for part in (fold.fit, fold.check)) >= _LEAST_EVENTS


def _trial(
    config: dict[str, Any],
    training: TrainingRows,
    folds: Sequence[TimeFold],
    start: BoosterParameters,
    directions: Sequence[int],
) -> None:
    """Grow on one fold after the other, and report the mean loss after each."""
    parameters = _with(start, config)
    lightgbm = parameters.for_lightgbm(directions, 1, graded=training.targets is not None)
    losses = []
    for number, fold in enumerate(folds):
        losses.append(_loss(training, fold, lightgbm, parameters))
        tune.report({"loss": float(np.mean(losses)), "folds": number + 1})


def _loss(training: TrainingRows, fold: TimeFold, lightgbm: dict[str, Any], parameters: BoosterParameters) -> float:
    fit = training.dataset(fold.fit, lightgbm)
    booster = lgb.train(
        lightgbm,
        fit,
        num_boost_round=parameters.max_trees,
        valid_sets=[training.dataset(fold.check, lightgbm, fit)],
        callbacks=[lgb.early_stopping(parameters.stop_after, verbose=False)],
    )
    return float(next(iter(booster.best_score["valid_0"].values())))


def _with(start: BoosterParameters, config: dict[str, Any]) -> BoosterParameters:
    whole = {field.name for field in dataclasses.fields(BoosterParameters) if field.type in (int, "int")}
    changed: dict[str, Any] = {
        name: int(value) if name in whole else float(value) for name, value in config.items() if name in _SPACE
    }
    return replace(start, **changed)


class _Watcher(tune.Callback):  # type: ignore[misc]
    """Tells how far the budget is used and what is best so far."""

    def __init__(
        self, start: BoosterParameters, folds: int, seconds: float, progress: Callable[[float, Tried], None]
    ) -> None:
        self._start, self._folds, self._seconds, self._progress = start, folds, seconds, progress
        self._began = time.monotonic()
        self._best: Tried | None = None

    def on_trial_result(self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **_: Any) -> None:
        del iteration, trials
        found = Tried(_with(self._start, trial.config), float(result["loss"]), int(result["folds"]))
        if found.folds == self._folds and (self._best is None or found.loss < self._best.loss):
            self._best = found
        if self._best is not None:
            self._progress(min((time.monotonic() - self._began) / self._seconds, 1.0), self._best)
