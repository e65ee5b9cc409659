"""The search for parameters: folds in the order of time, a budget, and a search that goes on where it stopped."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from group.settings import load_settings
from training import BoosterParameters, ray_session
from training.errors import NothingTried
from training.growth import TrainingRows
from training.tuning import Tried, time_folds, tune_parameters

CLUMSY = BoosterParameters(
    learning_rate=0.9, num_leaves=64, min_data_in_leaf=2, feature_fraction=1.0, lambda_l2=0.0, max_trees=120,
    stop_after=15,
)  # fmt: skip


@given(st.lists(st.integers(0, 50), min_size=30, max_size=200), st.integers(1, 4), st.booleans())
@settings(deadline=None)
def test_a_fold_is_judged_on_what_came_after_and_on_parties_it_was_not_grown_on(
    order: list[int], count: int, by_party: bool
) -> None:
    parties = np.arange(len(order)) % 5 if by_party else None
    when = np.array(order, np.float64)
    for fold in time_folds(when, parties, count):
        assert when[fold.fit].max() < when[fold.check].min()
        assert not (fold.fit & fold.check).any()
        if parties is not None:
            assert not set(parties[fold.fit]) & set(parties[fold.check])


def noisy(rows: int) -> TrainingRows:
    rng = np.random.default_rng(0)
    columns = rng.normal(size=(rows, 12))
    odds = -2.0 + 0.9 * columns[:, 0] - 0.6 * columns[:, 1]
    labels = (rng.random(rows) < 1 / (1 + np.exp(-odds))).astype(float)
    return TrainingRows(columns, labels, np.arange(rows) % 5)


@pytest.fixture(scope="module")
def a_session() -> Iterator[None]:
    with ray_session(load_settings({})):
        yield


@pytest.mark.long
def test_a_search_is_better_than_where_it_began_and_goes_on_where_it_stopped(a_session: None, tmp_path: Path) -> None:
    training = noisy(3_000)
    folds = time_folds(np.arange(3_000.0), None)
    told: list[float] = []

    def progress(share: float, best: Tried) -> None:
        told.append(share)
        assert best.folds == len(folds)

    first = tune_parameters(
        training, folds, CLUMSY, [0] * 12, minutes=1.5, folder=tmp_path / "search", concurrent=2, most_trials=8,
        progress=progress,
    )  # fmt: skip
    whole = [one for one in first.tried if one.folds == len(folds)]
    # What lies beyond the bounds is begun at them.
    [began] = [one for one in first.tried if (one.parameters.learning_rate, one.parameters.num_leaves) == (0.3, 64)]
    assert (began.parameters.lambda_l2, began.parameters.min_data_in_leaf) == (0.01, 2)
    assert whole[0].loss < began.loss
    assert first.best == whole[0].parameters
    assert [one.loss for one in whole] == sorted(one.loss for one in whole)
    assert first.best.seed == CLUMSY.seed
    assert told
    assert told == sorted(told)
    on = tune_parameters(
        training, folds, CLUMSY, [0] * 12, minutes=0.2, folder=tmp_path / "search", concurrent=2, resume=True
    )  # fmt: skip
    assert len(on.tried) >= len(first.tried)
    assert on.tried[0].loss <= first.tried[0].loss
    with pytest.raises(NothingTried, match="give more"):
        tune_parameters(training, folds, CLUMSY, [0] * 12, minutes=0.001, folder=tmp_path / "hasty", concurrent=2)


def test_without_events_to_choose_by_nothing_is_tried(tmp_path: Path) -> None:
    training = noisy(200)
    empty = TrainingRows(training.rows, np.zeros(200), training.folds)
    folds = time_folds(np.arange(200.0), None)
    with pytest.raises(NothingTried, match="holds the 10 events"):
        tune_parameters(empty, folds, CLUMSY, [0] * 12, minutes=1, folder=tmp_path / "search", concurrent=1)
