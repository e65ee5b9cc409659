"""A grown model: monotone, calibrated, stored as text."""

import json
import re
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training import BoosterParameters, LocalGrowth
from training.growth import TrainingRows, grown_model
from training.inputs import numbers
from training.model import ScoringModel

FEATURES = ("days_past_due", "income", "noise")
DIRECTIONS = (1, -1, 0)
QUICK = BoosterParameters(learning_rate=0.1, max_trees=200, stop_after=20)


def rows_of(count: int, seed: int) -> TrainingRows:
    """Risk rises with the first feature, falls with the second; a tenth of the values is missing."""
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(count, 3))
    log_odds = -2.2 + 1.1 * rows[:, 0] - 0.8 * rows[:, 1] + 0.4 * np.sin(3 * rows[:, 2])
    labels = (rng.random(count) < 1 / (1 + np.exp(-log_odds))).astype(float)
    rows[rng.random(rows.shape) < 0.1] = np.nan
    return TrainingRows(rows, labels, rng.integers(0, 5, count))


@pytest.fixture(scope="module")
def model() -> ScoringModel:
    return grown(12_000, 1, DIRECTIONS)


def grown(rows: int, seed: int, directions: Sequence[int], threads: int = 2) -> ScoringModel:
    """A model of so many rows."""
    inputs = numbers(FEATURES)
    return grown_model(rows_of(rows, seed), inputs, directions, QUICK, threads=threads, growth=LocalGrowth()).model


values = st.floats(-6, 6)


@given(st.lists(values, min_size=3, max_size=3), values)
@settings(max_examples=300, deadline=None)
def test_pd_moves_only_the_way_that_was_signed_for(model: ScoringModel, row: list[float], other: float) -> None:
    for place, direction in enumerate(DIRECTIONS):
        if not direction:
            continue
        pair = np.array([row, row])
        pair[:, place] = sorted((row[place], other))
        low, high = model.probability(pair)
        assert direction * (high - low) >= 0


def test_without_the_constraint_the_same_rows_give_a_model_that_breaks_it() -> None:
    free = grown(12_000, 1, (0, 0, 0))
    grid = np.zeros((400, 3))
    grid[:, 0] = np.linspace(-3, 3, 400)
    assert np.diff(free.probability(grid)).min() < 0


def test_pds_are_right_on_rows_that_were_never_seen(model: ScoringModel) -> None:
    fresh = rows_of(40_000, 2)
    pd = model.probability(fresh.rows)
    assert pd.mean() == pytest.approx(fresh.labels.mean(), rel=0.05)
    order = np.argsort(pd)
    for band in np.array_split(order, 8):
        error = np.sqrt(pd[band].mean() / len(band))
        assert abs(pd[band].mean() - fresh.labels[band].mean()) < 5 * error


def test_the_stored_texts_give_the_same_bits_back(model: ScoringModel) -> None:
    again = ScoringModel.from_texts(*model.to_texts())
    rows = rows_of(2_000, 3).rows
    assert again.features == model.features
    assert again.probability(rows).tobytes() == model.probability(rows).tobytes()


def test_a_model_that_an_earlier_version_stored_is_read_as_what_it_was(model: ScoringModel) -> None:
    earlier = json.dumps({"features": list(FEATURES), "slope": 1.2, "intercept": -0.4})
    read = ScoringModel.from_texts(model.to_texts()[0], earlier)
    rows = rows_of(500, 7).rows
    wanted = 1 / (1 + np.exp(-(1.2 * model.raw_scores(rows) - 0.4)))
    assert read.features == FEATURES
    assert np.allclose(read.probability(rows), wanted, rtol=1e-12)


def test_one_row_is_scored_as_it_is_among_others(model: ScoringModel) -> None:
    rows = rows_of(64, 4).rows
    together = model.probability(rows)
    alone = np.concatenate([model.probability(rows[place : place + 1]) for place in range(len(rows))])
    assert together.tobytes() == alone.tobytes()


def test_the_same_rows_and_seed_give_the_same_model_on_any_number_of_threads() -> None:
    texts = [grown(3_000, 5, DIRECTIONS, threads).to_texts() for threads in (1, 2)]
    # LightGBM writes into its text with how many threads a model was grown.
    same = [re.sub(r"\[num_threads: \d+\]", "", booster) + parameters for booster, parameters in texts]
    assert same[0] == same[1]
    assert grown(3_000, 5, DIRECTIONS).to_texts() == texts[1]
