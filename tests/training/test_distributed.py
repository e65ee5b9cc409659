"""Ray: one worker gives the same trees as no Ray, two give the same quality."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
import psutil
import pytest

from features import VIEWS, risk_directions
from group.settings import Settings, load_settings
from pipelines.workspace import Workspace
from training import BoosterParameters, LocalGrowth, RayGrowth, ScoringModel, labels, matrix, performance, ray_session
from training.distributed import cross_validated_auc
from training.errors import GrowthFailed
from training.growth import Growth, TrainingRows, grown_model
from training.inputs import numbers

pytestmark = pytest.mark.long

QUICK = BoosterParameters(learning_rate=0.08, max_trees=300, stop_after=25)


@pytest.fixture(scope="module")
def ray() -> Iterator[None]:
    with ray_session(load_settings({"JINKONG_TRAINING_WORKERS": "2"})):
        yield


@pytest.fixture(scope="module")
def frame(trained_settings: Settings) -> pl.DataFrame:
    return pl.read_parquet(Workspace.of(trained_settings).frame)


def features_of(frame: pl.DataFrame) -> list[str]:
    """Every fourth: enough to grow by, and quick."""
    return [name for view in VIEWS for name in view.feature_names if name in frame.columns][::4]


def trained(frame: pl.DataFrame, growth: Growth) -> ScoringModel:
    names = features_of(frame)
    train = frame.filter(pl.col("fold") == "train")
    rows = TrainingRows(matrix(train, names), labels(train), train["party_fold"].to_numpy())
    return grown_model(rows, numbers(names), risk_directions(names), QUICK, threads=2, growth=growth).model


def test_one_worker_gives_the_same_model_and_two_the_same_quality(
    ray: None, frame: pl.DataFrame, tmp_path: Path
) -> None:
    test = frame.filter(pl.col("fold") == "test")
    rows = matrix(test, features_of(frame))
    here = trained(frame, LocalGrowth())
    one = trained(frame, RayGrowth(1))
    assert one.to_texts() == here.to_texts()
    two = trained(frame, RayGrowth(2))
    assert two.to_texts() != here.to_texts()
    alone, shared = (performance(labels(test), model.probability(rows)) for model in (here, two))
    # Bin edges and bagged rows differ; on some 500 defaults that moves the Gini by less than its standard error.
    assert shared.gini == pytest.approx(alone.gini, abs=0.015)
    assert shared.brier == pytest.approx(alone.brier, rel=0.02)


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("delay", [0, 1.5])
def test_a_worker_that_is_killed_is_replaced_and_the_model_is_the_same(workers: int, delay: float, ray: None) -> None:
    rng = np.random.default_rng(3)
    rows = rng.normal(size=(120_000, 30))
    training = TrainingRows(rows, (rng.random(120_000) < 0.2).astype(float), np.zeros(120_000, np.int64))
    lightgbm = QUICK.for_lightgbm([0] * 30, threads=1)
    killed = threading.Event()

    def kill_a_worker() -> None:
        while not killed.is_set():
            for process in psutil.process_iter(["name", "cmdline"]):
                if "ray::_grow_share" in " ".join(process.info["cmdline"] or []):
                    # While it reads its share, or once it has begun to compute.
                    time.sleep(delay)
                    process.kill()
                    killed.set()
                    return
            time.sleep(0.05)

    killer = threading.Thread(target=kill_a_worker, daemon=True)
    killer.start()
    grown = RayGrowth(workers).on_all(training, lightgbm, trees=400)
    assert killed.is_set()
    killer.join()
    undisturbed: Growth = LocalGrowth() if workers == 1 else RayGrowth(workers)
    assert grown.model_to_string() == undisturbed.on_all(training, lightgbm, trees=400).model_to_string()


def test_workers_that_fail_every_time_are_reported_in_a_sentence(ray: None, tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    training = TrainingRows(rng.normal(size=(100, 2)), np.zeros(100), np.zeros(100, np.int64))
    with pytest.raises(GrowthFailed, match="Ray could not grow the model on 1 workers"):
        RayGrowth(1).on_all(training, {"objective": "no such objective", "verbosity": -1}, trees=1)


def test_cross_validation_judges_rows_that_the_fold_never_saw(ray: None) -> None:
    rng = np.random.default_rng(2)
    rows = rng.normal(size=(4_000, 5))
    unrelated = (rng.random(4_000) < 0.2).astype(float)
    auc = cross_validated_auc(rows, unrelated, [0] * 5, QUICK, trees=100)
    assert len(auc) == 5
    assert np.mean(auc) == pytest.approx(0.5, abs=0.04)
