"""The credit model: monotone, calibrated, stored as text."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training import CreditModel, CreditParameters, LocalGrowth
from training.credit import TrainingRows, train_credit_model

FEATURES = ("days_past_due", "income", "noise")
DIRECTIONS = (1, -1, 0)
QUICK = CreditParameters(learning_rate=0.1, max_trees=200, stop_after=20)


def rows_of(count: int, seed: int) -> TrainingRows:
    """Risk rises with the first feature, falls with the second; a tenth of the values is missing."""
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(count, 3))
    log_odds = -2.2 + 1.1 * rows[:, 0] - 0.8 * rows[:, 1] + 0.4 * np.sin(3 * rows[:, 2])
    labels = (rng.random(count) < 1 / (1 + np.exp(-log_odds))).astype(float)
    rows[rng.random(rows.shape) < 0.1] = np.nan
    return TrainingRows(rows, labels, rng.integers(0, 5, count))


@pytest.fixture(scope="module")
def model() -> CreditModel:
    return train_credit_model(rows_of(12_000, 1), FEATURES, DIRECTIONS, QUICK, threads=2, growth=LocalGrowth())


values = st.floats(-6, 6)


@given(st.lists(values, min_size=3, max_size=3), values)
@settings(max_examples=300, deadline=None)
def test_pd_moves_only_the_way_that_was_signed_for(model: CreditModel, row: list[float], other: float) -> None:
    for place, direction in enumerate(DIRECTIONS):
        if not direction:
            continue
        pair = np.array([row, row])
        pair[:, place] = sorted((row[place], other))
        low, high = model.probability_of_default(pair)
        assert direction * (high - low) >= 0


def test_without_the_constraint_the_same_rows_give_a_model_that_breaks_it() -> None:
    free = train_credit_model(rows_of(12_000, 1), FEATURES, (0, 0, 0), QUICK, threads=2, growth=LocalGrowth())
    grid = np.zeros((400, 3))
    grid[:, 0] = np.linspace(-3, 3, 400)
    assert np.diff(free.probability_of_default(grid)).min() < 0


def test_pds_are_right_on_rows_that_were_never_seen(model: CreditModel) -> None:
    fresh = rows_of(40_000, 2)
    pd = model.probability_of_default(fresh.rows)
    assert pd.mean() == pytest.approx(fresh.labels.mean(), rel=0.05)
    order = np.argsort(pd)
    for band in np.array_split(order, 8):
        error = np.sqrt(pd[band].mean() / len(band))
        assert abs(pd[band].mean() - fresh.labels[band].mean()) < 5 * error


def test_the_stored_texts_give_the_same_bits_back(model: CreditModel) -> None:
    again = CreditModel.from_texts(*model.to_texts())
    rows = rows_of(2_000, 3).rows
    assert again.features == model.features
    assert again.probability_of_default(rows).tobytes() == model.probability_of_default(rows).tobytes()


def test_one_row_is_scored_as_it_is_among_others(model: CreditModel) -> None:
    rows = rows_of(64, 4).rows
    together = model.probability_of_default(rows)
    alone = np.concatenate([model.probability_of_default(rows[place : place + 1]) for place in range(len(rows))])
    assert together.tobytes() == alone.tobytes()


def test_the_same_rows_and_seed_give_the_same_model_on_any_number_of_threads() -> None:
    texts = [
        train_credit_model(rows_of(3_000, 5), FEATURES, DIRECTIONS, QUICK, threads=threads, growth=LocalGrowth())
        for threads in (1, 2)
    ]
    rows = rows_of(500, 6).rows
    assert texts[0].probability_of_default(rows).tobytes() == texts[1].probability_of_default(rows).tobytes()
