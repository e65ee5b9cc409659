"""Grow boosters on Ray: data-parallel over workers, and cross-validation folds side by side.

The same code runs on a laptop and on a cluster (``JINKONG_RAY_ADDRESS``); there, the workers need this package.
"""

import contextlib
import logging
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import lightgbm as lgb
import numpy as np
import numpy.typing as npt
import ray
from ray import train
from ray.train import RunConfig, ScalingConfig
from ray.train.lightgbm import LightGBMTrainer, get_network_params
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold

from group.settings import Settings
from training.credit import CreditParameters, Grow, Matrix, TrainingMatrices, Vector, stopped_at_best

_MODEL_FILE: Final = "model.txt"

Rows = npt.NDArray[np.int64]


@contextlib.contextmanager
def ray_session(settings: Settings) -> Iterator[None]:
    """Ray as the settings place it: a cluster by address, or one started here and stopped at the end.

    A session that is open already is used and left open.
    """
    if ray.is_initialized():
        yield
        return
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR, "configure_logging": True}
    if settings.ray_address:
        ray.init(address=settings.ray_address, **options)
    else:
        # Workers of data-parallel LightGBM wait for each other: all of them must fit, whatever the machine has.
        cpus = max(settings.threads, settings.training_workers)
        ray.init(address="local", num_cpus=cpus, include_dashboard=False, **options)
    try:
        yield
    finally:
        ray.shutdown()


def grow_on_ray(workers: int, scratch: Path) -> Grow:
    """A way to grow a booster on ``workers`` Ray workers, each with its share of the rows.

    One worker gives the very trees that ``grow_here`` gives. With more, histograms are summed across workers
    (LightGBM's ``tree_learner=data``), so every split is chosen on all rows; bin edges and bagged rows are drawn by
    each worker from its own share, so the trees differ a little from one worker's, and their quality does not.

    Args:
        workers: number of Ray workers.
        scratch: a folder for Ray Train's checkpoints; on a cluster, one that all nodes share.
    """

    def grow(matrices: TrainingMatrices, lightgbm: dict[str, Any], parameters: CreditParameters) -> lgb.Booster:
        shares = [
            ray.put((matrices.fit_rows[rank::workers], matrices.fit_labels[rank::workers])) for rank in range(workers)
        ]
        trainer = LightGBMTrainer(
            _grow_share,
            train_loop_config={
                "lightgbm": lightgbm,
                "max_trees": parameters.max_trees,
                "stop_after": parameters.stop_after,
                # References: a worker fetches its own share from the object store and no other.
                "shares": shares,
                # Every worker stops on the same rows, hence at the same tree: else one would wait for ever.
                "stop": ray.put((matrices.stop_rows, matrices.stop_labels)),
            },
            scaling_config=ScalingConfig(num_workers=workers, resources_per_worker={"CPU": 1}),
            run_config=RunConfig(name="credit_pd", storage_path=str(scratch.absolute())),
        )
        checkpoint = trainer.fit().checkpoint
        with checkpoint.as_directory() as folder:
            return lgb.Booster(model_str=(Path(folder) / _MODEL_FILE).read_text())

    return grow


def cross_validated_auc(
    rows: Matrix,
    labels: Vector,
    directions: Sequence[int],
    parameters: CreditParameters,
    *,
    trees: int,
    folds: int = 5,
    seed: int = 0,
) -> list[float]:
    """AUC on each held-out fold of a stratified shuffle, every fold a Ray task; ``trees`` are grown without stopping.

    Nothing of the held-out fold is used to choose anything.
    """
    shared = ray.put((rows, labels))
    splits = StratifiedKFold(folds, shuffle=True, random_state=seed).split(rows, labels)
    lightgbm = parameters.for_lightgbm(directions, threads=1)
    task = ray.remote(num_cpus=1)(_fold_auc)
    return list(ray.get([task.remote(shared, fitted, held_out, lightgbm, trees) for fitted, held_out in splits]))


def _fold_auc(
    data: tuple[Matrix, Vector],
    fitted: Rows,
    held_out: Rows,
    lightgbm: dict[str, Any],
    trees: int,
) -> float:
    rows, labels = data
    booster = lgb.train(lightgbm, lgb.Dataset(rows[fitted], labels[fitted], params=lightgbm), num_boost_round=trees)
    return float(roc_auc_score(labels[held_out], booster.predict(rows[held_out], raw_score=True)))


def _grow_share(config: dict[str, Any]) -> None:
    """What each worker does: train on its share of the rows together with the others."""
    shares, rank = config["shares"], train.get_context().get_world_rank()
    lightgbm = dict(config["lightgbm"])
    if len(shares) > 1:
        lightgbm |= {"tree_learner": "data", "pre_partition": True, "num_threads": 1, **get_network_params()}
    fit_rows, fit_labels = ray.get(shares[rank])
    stop_rows, stop_labels = ray.get(config["stop"])
    fit = lgb.Dataset(fit_rows, fit_labels, params=lightgbm)
    booster = stopped_at_best(
        lgb.train(
            lightgbm,
            fit,
            num_boost_round=config["max_trees"],
            valid_sets=[lgb.Dataset(stop_rows, stop_labels, reference=fit)],
            callbacks=[lgb.early_stopping(config["stop_after"], verbose=False)],
        )
    )
    # Reported once: a report of every round would make all workers wait for each other each time.
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = None
        if rank == 0:
            (Path(folder) / _MODEL_FILE).write_text(booster.model_to_string())
            checkpoint = train.Checkpoint.from_directory(folder)
        train.report({"trees": booster.num_trees()}, checkpoint=checkpoint)
