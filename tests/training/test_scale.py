"""The score scale."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.scale import HIGHEST_SCORE, LOWEST_SCORE, score_points


@pytest.mark.parametrize(("odds", "points"), [(30, 600), (60, 620), (15, 580), (240, 660)])
def test_twenty_points_double_the_odds(odds: float, points: int) -> None:
    assert score_points(np.array([1 / (1 + odds)])).tolist() == [points]


@given(st.lists(st.floats(0, 1), min_size=2, max_size=50))
def test_more_risk_is_never_more_points_and_points_stay_on_the_scale(pds: list[float]) -> None:
    points = score_points(np.sort(np.array(pds)))
    assert (np.diff(points) <= 0).all()
    assert LOWEST_SCORE <= points.min() <= points.max() <= HIGHEST_SCORE
