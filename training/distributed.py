"""Grow boosters on Ray: data-parallel over workers, and cross-validation folds side by side.

The same code runs on a laptop and on a cluster (``JINKONG_RAY_ADDRESS``); there, the workers need this package.
"""

import contextlib
import logging
import shutil
import socket
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import lightgbm as lgb
import numpy as np
import numpy.typing as npt
import ray
from ray import train
from ray.exceptions import RayActorError, RayError, WorkerCrashedError
from ray.train import (
    ControllerError,
    FailureConfig,
    RunConfig,
    ScalingConfig,
    TrainingFailedError,
    WorkerGroupError,
)
from ray.train.lightgbm import LightGBMTrainer, get_network_params
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold

from group.libraries import hushed
from group.settings import Settings
from training.errors import GrowthFailed, RayUnavailable
from training.growth import BoosterParameters, FoldGrowth, Matrix, TrainingRows, Vector, grow_fold

_MODEL_FILE: Final = "model.txt"
_JOIN_SECONDS: Final = 5
_LOST_WORKERS: Final = 1
"""How many times growing is begun again on the workers that are left, after one died."""

Rows = npt.NDArray[np.int64]


@contextlib.contextmanager
def ray_session(settings: Settings) -> Iterator[None]:
    """Ray as the settings place it: a cluster by address, or one started here and stopped at the end.

    A session that is open already is used and left open.

    Raises:
        RayUnavailable: the cluster cannot be joined.
    """
    if ray.is_initialized():
        yield
        return
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR, "configure_logging": True}
    if settings.ray_address:
        _join(settings.ray_address, options)
    else:
        # Workers of data-parallel LightGBM wait for each other: all of them must fit, whatever the machine has.
        cpus = max(settings.threads, settings.training_workers)
        ray.init(address="local", num_cpus=cpus, include_dashboard=False, **options)
    try:
        yield
    finally:
        ray.shutdown()


def _join(address: str, options: dict[str, Any]) -> None:
    host, _, port = address.removeprefix("ray://").rpartition(":")
    try:
        if host and port.isdigit():
            # Ray tries for minutes to reach an address at which nobody listens.
            socket.create_connection((host, int(port)), timeout=_JOIN_SECONDS).close()
        with hushed():
            ray.init(address=address, **options)
    except (OSError, RuntimeError, ValueError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
        raise RayUnavailable(
            f"The Ray cluster at {address} cannot be joined: {reason}. Check JINKONG_RAY_ADDRESS, and whether the "
            "cluster runs (`ray status`) and asks for a token (RAY_AUTH_TOKEN)."
        ) from None


@dataclass(frozen=True, slots=True)
class RayGrowth:
    """Grows on Ray: the folds side by side as tasks, the final booster on ``workers`` Ray Train workers.

    One worker gives the very trees that ``LocalGrowth`` gives. With more, each holds its share of the rows and
    histograms are summed across them (LightGBM's ``tree_learner=data``), so every split is chosen on all rows; bin
    edges and bagged rows are drawn by each worker from its own share, so the trees differ a little and their quality
    does not.

    Attributes:
        workers: number of Ray Train workers.
        scratch: a folder for Ray Train's checkpoints; on a cluster, one that all nodes share.
    """

    workers: int
    scratch: Path

    def on_folds(
        self, training: TrainingRows, lightgbm: dict[str, Any], parameters: BoosterParameters
    ) -> list[FoldGrowth]:
        """Every fold a task of one CPU."""
        shared = ray.put(training)
        task = ray.remote(num_cpus=1)(grow_fold)
        on_one_cpu = lightgbm | {"num_threads": 1}
        folds = np.unique(training.folds)
        return list(ray.get([task.remote(shared, fold, on_one_cpu, parameters) for fold in folds]))

    def on_all(self, training: TrainingRows, lightgbm: dict[str, Any], trees: int) -> lgb.Booster:
        """Data-parallel over the workers.

        Raises:
            GrowthFailed: workers were lost again and again, or LightGBM refused its parameters.
        """
        shares = [ray.put(training.chosen(slice(rank, None, self.workers))) for rank in range(self.workers)]
        lost = 0
        while True:
            try:
                return self._grow(shares, lightgbm, trees)
            except (TrainingFailedError, RayError) as error:
                lost += 1
                if _is_lost_worker(error) and lost <= _LOST_WORKERS:
                    continue
                reason = (str(error).strip().splitlines() or [type(error).__name__])[-1]
                raise GrowthFailed(
                    f"Ray could not grow the model on {self.workers} workers: {reason}. Ray's own log is in /tmp/ray "
                    "on the node that ran it."
                ) from error

    def _grow(self, shares: list[ray.ObjectRef], lightgbm: dict[str, Any], trees: int) -> lgb.Booster:
        # Under a name that was used before, Ray Train would go on from what that run left.
        name = f"credit_pd_{uuid.uuid4().hex[:12]}"
        trainer = LightGBMTrainer(
            _grow_share,
            # References: a worker fetches its own share from the object store and no other.
            train_loop_config={"lightgbm": lightgbm, "trees": trees, "shares": shares},
            scaling_config=ScalingConfig(num_workers=self.workers, resources_per_worker={"CPU": 1}),
            # Whether to begin again is decided above: Ray Train would also repeat what LightGBM refused, and would
            # not repeat what a worker left undone that died while it was starting or reporting.
            run_config=RunConfig(
                name=name, storage_path=str(self.scratch.absolute()), failure_config=FailureConfig(max_failures=0)
            ),
        )
        with hushed():
            checkpoint = trainer.fit().checkpoint
        with checkpoint.as_directory() as folder:
            text = (Path(folder) / _MODEL_FILE).read_text()
        shutil.rmtree(self.scratch / name, ignore_errors=True)
        return lgb.Booster(model_str=text)


def _is_lost_worker(error: Exception) -> bool:
    """Whether a process died (its node went, it was killed, memory ran out), rather than raised."""
    causes: list[BaseException | None] = [error]
    if isinstance(error, WorkerGroupError):
        causes += error.worker_failures.values()
    if isinstance(error, ControllerError):
        causes.append(error.controller_failure)
    # One that died while it computed fails its health check, for the reason that its actor is dead.
    causes += [getattr(cause, "health_check_failure", cause.__cause__) for cause in causes if cause]
    return any(isinstance(cause, RayActorError | WorkerCrashedError) for cause in causes)


def cross_validated_auc(
    rows: Matrix,
    labels: Vector,
    directions: Sequence[int],
    parameters: BoosterParameters,
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
    share: TrainingRows = ray.get(shares[rank])
    booster = lgb.train(lightgbm, share.dataset(None, lightgbm), num_boost_round=config["trees"])
    # Reported once: a report of every round would make all workers wait for each other each time.
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = None
        if rank == 0:
            (Path(folder) / _MODEL_FILE).write_text(booster.model_to_string())
            checkpoint = train.Checkpoint.from_directory(folder)
        train.report({"trees": booster.num_trees()}, checkpoint=checkpoint)
