"""Grow boosters on Ray: data-parallel over workers, and cross-validation folds side by side.

The same code runs on a laptop and on a cluster (``JINKONG_RAY_ADDRESS``); there, the workers need this package.
"""

import contextlib
import logging
import re
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import lightgbm as lgb
import numpy as np
import numpy.typing as npt
import ray
from ray.exceptions import RayActorError, RayError, WorkerCrashedError
from ray.util.placement_group import placement_group, remove_placement_group
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold

from group.libraries import hushed
from group.settings import Settings
from training.errors import GrowthFailed, RayUnavailable
from training.growth import BoosterParameters, FoldGrowth, Matrix, TrainingRows, Vector, grow_fold

_JOIN_SECONDS: Final = 5
_ADDRESSES: Final = re.compile(r"^\[(?:machines|local_listen_port): .*\]\n", re.MULTILINE)
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
    """Grows on Ray: the folds side by side as tasks, the final booster on ``workers`` tasks that share the rows.

    One worker gives the very trees that ``LocalGrowth`` gives. With more, each holds its share of the rows and
    histograms are summed across them (LightGBM's ``tree_learner=data``), so every split is chosen on all rows; bin
    edges and bagged rows are drawn by each worker from its own share, so the trees differ a little and their quality
    does not.

    Ray's own LightGBM trainer is not used: it starts processes anew for each training, and takes half a minute where
    these tasks take the processes that Ray has up.
    """

    workers: int

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
        # Each worker fetches its own share from the object store and no other.
        shares = [ray.put(training.chosen(slice(rank, None, self.workers))) for rank in range(self.workers)]
        lost = 0
        while True:
            try:
                return lgb.Booster(model_str=self._grown(shares, lightgbm, trees))
            except RayError as error:
                lost += 1
                if isinstance(error, RayActorError | WorkerCrashedError) and lost <= _LOST_WORKERS:
                    continue
                reason = (str(error).strip().splitlines() or [type(error).__name__])[-1]
                raise GrowthFailed(
                    f"Ray could not grow the model on {self.workers} workers: {reason}. Ray's own log is in /tmp/ray "
                    "on the node that ran it."
                ) from error

    def _grown(self, shares: list[ray.ObjectRef], lightgbm: dict[str, Any], trees: int) -> str:
        # Whether to begin again is decided above: alone, a worker that was started anew would wait for the others.
        grow = ray.remote(num_cpus=1, max_retries=0)(_grow_share)
        if len(shares) == 1:
            return str(ray.get(grow.remote(shares[0], lightgbm, trees)))
        # All at once or none: LightGBM's workers wait for each other.
        group = placement_group([{"CPU": 1}] * len(shares), strategy="SPREAD")
        try:
            ray.get(group.ready())
            places = [PlacementGroupSchedulingStrategy(group, rank) for rank in range(len(shares))]
            find = ray.remote(num_cpus=1, max_retries=0)(_free_address)
            addresses = ray.get([find.options(scheduling_strategy=place).remote() for place in places])
            machines = ",".join(f"{host}:{port}" for host, port in addresses)
            running = [
                grow.options(scheduling_strategy=place).remote(
                    share, lightgbm | _network(len(shares), machines, port), trees
                )
                for place, share, (_, port) in zip(places, shares, addresses, strict=True)
            ]
            return self._first(running)
        finally:
            # Tasks that still run in it end with it.
            remove_placement_group(group)

    def _first(self, running: list[ray.ObjectRef]) -> str:
        """The text of the first worker once all are done; whichever fails first ends the wait for the others."""
        waiting = list(running)
        while waiting:
            done, waiting = ray.wait(waiting, num_returns=1)
            ray.get(done)
        return str(ray.get(running[0]))


def _network(workers: int, machines: str, port: int) -> dict[str, Any]:
    return {
        "tree_learner": "data", "pre_partition": True, "num_threads": 1, "num_machines": workers, "machines": machines,
        "local_listen_port": port,
    }  # fmt: skip


def _free_address() -> tuple[str, int]:
    """An address of the task's node at which nobody listens at this moment."""
    with socket.socket() as probe:
        probe.bind(("", 0))
        return ray.util.get_node_ip_address(), int(probe.getsockname()[1])


def _grow_share(share: TrainingRows, lightgbm: dict[str, Any], trees: int) -> str:
    """What each worker does: train on its share of the rows together with the others; the model's text."""
    booster = lgb.train(lightgbm, share.dataset(None, lightgbm), num_boost_round=trees)
    text = str(booster.model_to_string(num_iteration=-1))
    if "machines" not in lightgbm:
        return text
    # The process is used again: it must not stay in this network.
    booster.free_network()
    # Where it was grown is no part of a model: the same rows give the same bytes.
    return _ADDRESSES.sub("", text)


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
