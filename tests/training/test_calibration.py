"""Calibration: increasing, right on rows it was not fitted on, moved to the long-run rate without a change of ranks."""

import json

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.calibrating import chosen_calibration, moved_to
from training.calibration import Calibration, Method

Vector = npt.NDArray[np.float64]


def drawn(rows: int, seed: int, bent: bool) -> tuple[Vector, Vector, npt.NDArray[np.int64]]:
    """Scores and labels; the true log-odds are a line in the score, or a staircase that no line comes near."""
    rng = np.random.default_rng(seed)
    scores = rng.normal(0, 2, rows)
    true = np.where(scores > 0.5, 1.5, -3.0) if bent else 0.6 * scores - 1.0
    return scores, (rng.random(rows) < 1 / (1 + np.exp(-true))).astype(float), np.arange(rows) % 5


@pytest.mark.parametrize(("bent", "method"), [(False, "beta"), (True, "isotonic")])
def test_the_method_that_serves_unseen_folds_better_is_chosen(bent: bool, method: Method) -> None:
    choice = chosen_calibration(*drawn(20_000, 1, bent))
    assert choice.calibration.method == method
    assert choice.log_loss[method] == min(choice.log_loss.values())
    scores, labels, _ = drawn(50_000, 2, bent)
    found = choice.calibration.probability(scores)
    for band in np.array_split(np.argsort(scores), 8):
        assert abs(found[band].mean() - labels[band].mean()) < 0.02


@given(
    st.lists(st.tuples(st.floats(-8, 8), st.booleans()), min_size=20, max_size=200),
    st.lists(st.floats(-40, 40), min_size=2, max_size=30),
    st.floats(0.001, 0.9),
)
@settings(deadline=None, max_examples=150)
def test_a_higher_score_never_has_a_lower_probability(
    pairs: list[tuple[float, bool]], asked: list[float], rate: float
) -> None:
    scores = np.array([score for score, _ in pairs])
    labels = np.array([float(label) for _, label in pairs])
    labels[:10] = [0, 1] * 5
    choice = chosen_calibration(scores, labels, np.arange(len(labels)) // 2 % 5, long_run_rate=rate)
    found = choice.calibration.probability(np.sort(np.array(asked)))
    assert np.all(np.diff(found) >= 0)
    assert choice.calibration.probability(scores).mean() == pytest.approx(rate, abs=1e-6)
    assert Calibration.of_json(json.loads(json.dumps(choice.calibration.as_json()))) == choice.calibration


def test_moving_to_another_rate_changes_no_order_and_no_slope() -> None:
    scores, labels, folds = drawn(5_000, 3, False)
    calibration = chosen_calibration(scores, labels, folds).calibration
    moved = moved_to(calibration, scores, np.ones(5_000), 0.02)
    assert moved.probability(scores).mean() == pytest.approx(0.02, abs=1e-9)
    apart = moved.calibrated_log_odds(scores) - calibration.calibrated_log_odds(scores)
    assert np.ptp(apart) < 1e-9


def test_a_score_that_points_the_wrong_way_is_flattened_rather_than_turned_round() -> None:
    scores, labels, folds = drawn(5_000, 4, False)
    choice = chosen_calibration(-scores, labels, folds)
    assert np.ptp(choice.calibration.probability(np.linspace(-3, 3, 9))) < 0.35
    assert np.all(np.diff(choice.calibration.probability(np.linspace(-3, 3, 9))) >= 0)
