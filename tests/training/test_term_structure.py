"""PDs by month: they meet the 12-month PD, never cross, and the baseline is what an estimator of survival gives."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import CensoredData, ecdf

from training.errors import InvalidTerms
from training.term_structure import (
    Baseline,
    cumulative_pd,
    declining_exposure,
    estimated_baseline,
    expected_loss,
    marginal_pd,
)

hazards = st.lists(st.floats(1e-5, 0.2), min_size=12, max_size=60)
pds = st.lists(st.floats(0, 0.999), min_size=2, max_size=20)


def baseline_of(monthly: list[float]) -> Baseline:
    return Baseline(tuple(np.cumsum(monthly).tolist()), len(monthly))


@given(pds, hazards)
def test_the_curve_meets_the_pd_at_twelve_months_rises_and_never_crosses_another(
    given_pds: list[float], monthly: list[float]
) -> None:
    pd = np.sort(np.array(given_pds))
    curve = cumulative_pd(pd, baseline_of(monthly))
    assert np.allclose(curve[:, 11], pd, atol=1e-12)
    assert np.all(np.diff(curve, axis=1) >= 0)
    assert np.all(np.diff(curve, axis=0) >= -1e-15)
    assert np.all((curve >= 0) & (curve <= 1))
    assert np.allclose(marginal_pd(pd, baseline_of(monthly)).sum(axis=1), curve[:, -1])


def observed(rows: int, hazard: float) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Months to default or to leaving, whichever is first; after 30 months the observation ends."""
    rng = np.random.default_rng(1)
    default, leaves = rng.geometric(hazard, rows), rng.geometric(0.02, rows)
    months = np.minimum(np.minimum(default, leaves), 30)
    return months, (default <= leaves) & (default <= 30)


def test_the_baseline_is_that_of_survival_analysis_and_goes_on_at_its_last_rate() -> None:
    months, defaulted = observed(40_000, 0.01)
    found = estimated_baseline(months, defaulted, 60)
    assert found.observed_months == 30
    hazard = np.diff(found.cumulative_hazard, prepend=0.0)
    assert np.allclose(hazard[:20], 0.01, atol=0.003)
    assert np.allclose(hazard[30:], hazard[18:30].mean())
    sample = CensoredData(uncensored=months[defaulted], right=months[~defaulted])
    survival = ecdf(sample).sf.evaluate(np.arange(1, 31))
    assert np.allclose(np.cumprod(1 - hazard[:30]), survival, atol=1e-9)


def test_a_loss_is_expected_over_the_life_of_a_loan() -> None:
    flat = baseline_of([0.01] * 24)
    exposure = declining_exposure(np.array([12_000.0]), 0.0, 12)
    assert exposure[0].tolist() == pytest.approx([12_000 - 1_000 * paid for paid in range(12)])
    monthly = -np.expm1(np.log1p(-0.06) / 12)
    by_hand = sum((1 - monthly) ** paid * monthly * (12_000 - 1_000 * paid) * 0.5 for paid in range(12))
    found = expected_loss(np.array([0.06]), np.array([0.5]), exposure, flat)
    assert found[0] == pytest.approx(by_hand)
    assert expected_loss(np.array([0.06]), np.array([0.5]), exposure, flat, 0.1)[0] < found[0]
    with_interest = declining_exposure(np.array([1.0]), 0.12, 24)[0]
    assert np.all(np.diff(with_interest) < 0)
    # What is owed before the last instalment is that instalment without its interest.
    instalment = 0.01 / (1 - 1.01**-24)
    assert with_interest[-1] == pytest.approx(instalment / 1.01)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: estimated_baseline(np.array([0, 1]), np.array([True, False]), 12),
        lambda: estimated_baseline(np.full(100, 11), np.full(100, fill_value=True), 24),
        lambda: estimated_baseline(np.full(100, 20), np.full(100, fill_value=False), 24),
        lambda: expected_loss(np.ones(1), np.ones(1), np.ones((1, 13)), Baseline((0.1,) * 12, 12)),
        lambda: declining_exposure(np.ones(1), 0.1, 0),
    ],
)
def test_what_was_not_observed_is_not_made_up(wrong: Callable[[], object]) -> None:
    with pytest.raises(InvalidTerms):
        wrong()
