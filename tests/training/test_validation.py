"""Measures of a model, against their definitions and against libraries."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from features.sources.quality.measures import population_stability_index
from training.validation import (
    ScoredRows,
    calibration_bands,
    performance,
    validate_candidate,
)

RNG = np.random.default_rng(11)


def scored(rows: int, shift: float = 0.0, seed: int = 0) -> ScoredRows:
    """Rows whose PDs are right: labels are drawn from them."""
    rng = np.random.default_rng(seed)
    log_odds = rng.normal(-2.5 + shift, 1.2, rows)
    pd = 1 / (1 + np.exp(-log_odds))
    return ScoredRows(log_odds[:, None], (rng.random(rows) < pd).astype(float), pd)


@given(st.lists(st.tuples(st.booleans(), st.floats(0.001, 0.999)), min_size=4, max_size=60))
@settings(deadline=None)
def test_gini_ks_and_brier_are_what_their_definitions_say(pairs: list[tuple[bool, float]]) -> None:
    labels = np.array([float(label) for label, _ in pairs])
    pd = np.array([value for _, value in pairs])
    if labels.min() == labels.max():
        return
    found = performance(labels, pd)
    bad, good = pd[labels == 1], pd[labels == 0]
    wins = np.mean((bad[:, None] > good[None, :]) + 0.5 * (bad[:, None] == good[None, :]))
    assert found.gini == pytest.approx(2 * wins - 1, abs=1e-9)
    distances = [np.mean(bad >= cut) - np.mean(good >= cut) for cut in np.unique(pd)]
    assert found.ks == pytest.approx(max(*distances, 0), abs=1e-9)
    assert found.brier == pytest.approx(np.mean((pd - labels) ** 2))


def test_psi_of_the_same_rows_is_nothing_and_of_a_shift_is_what_the_formula_gives() -> None:
    reference = RNG.normal(size=50_000)
    assert population_stability_index(reference, reference) == pytest.approx(0, abs=1e-6)
    current = RNG.normal(0.5, 1, 50_000)
    edges = np.quantile(reference, np.linspace(0, 1, 11)[1:-1])
    r, c = (np.bincount(np.searchsorted(edges, v, side="right"), minlength=10) / len(v) for v in (reference, current))
    assert population_stability_index(reference, current) == pytest.approx(np.sum((c - r) * np.log(c / r)), rel=1e-2)
    assert population_stability_index(reference, RNG.normal(0.05, 1, 50_000)) < 0.01


def test_psi_sees_values_that_went_missing_and_copes_with_few_values() -> None:
    reference = RNG.integers(0, 3, 10_000).astype(float)
    assert population_stability_index(reference, RNG.integers(0, 3, 10_000).astype(float)) < 0.01
    holes = reference.copy()
    holes[:3_000] = np.nan
    assert population_stability_index(reference, holes) > 0.25
    assert population_stability_index(np.zeros(100), np.zeros(50)) == pytest.approx(0, abs=0.1)
    assert population_stability_index(np.full(9, np.nan), np.full(9, np.nan)) == 0
    assert population_stability_index(np.full(9, np.nan), np.zeros(9)) == np.inf


@given(st.integers(20, 300), st.integers(0, 5))
@settings(deadline=None, max_examples=30)
def test_bands_cover_every_row_once_and_rise(rows: int, seed: int) -> None:
    some = scored(rows, seed=seed)
    bands = calibration_bands(some.labels, some.pd)
    assert sum(band.rows for band in bands) == rows
    assert max(band.rows for band in bands) - min(band.rows for band in bands) <= 1
    assert [band.mean_pd for band in bands] == sorted(band.mean_pd for band in bands)
    assert sum(band.rows * band.default_rate for band in bands) == pytest.approx(some.labels.sum())


def test_a_right_model_meets_every_requirement() -> None:
    validation = validate_candidate(scored(20_000), scored(20_000, seed=1), ["x"])
    assert validation.may_become_champion
    assert validation.unmet == []
    assert 0 < validation.test.gini < 1


def without_order(rows: ScoredRows) -> ScoredRows:
    return replace(rows, pd=np.full_like(rows.pd, rows.pd.mean()) + 1e-6 * RNG.random(len(rows.pd)))


def too_low(rows: ScoredRows) -> ScoredRows:
    return replace(rows, pd=rows.pd / 3)


def shifted(rows: ScoredRows) -> ScoredRows:
    return replace(rows, pd=np.clip(rows.pd * 3, 0, 1))


@pytest.mark.parametrize(
    ("spoil", "unmet"),
    [
        (without_order, "Gini on the test"),
        (too_low, "mean PD over default rate on the test"),
        (shifted, "PSI of the PD, test against training"),
    ],
)
def test_a_wrong_model_is_told_which_requirement_it_misses(
    spoil: Callable[[ScoredRows], ScoredRows], unmet: str
) -> None:
    validation = validate_candidate(scored(20_000), spoil(scored(20_000, seed=1)), ["x"])
    assert not validation.may_become_champion
    assert unmet in [requirement.name for requirement in validation.unmet]


def test_a_candidate_that_is_worse_than_the_champion_is_not_let_through() -> None:
    fit, test = scored(20_000), scored(20_000, seed=1)
    blurred = 1 / (1 + np.exp(-(test.rows[:, 0] + RNG.normal(0, 1.0, 20_000))))
    assert roc_auc_score(test.labels, blurred) < roc_auc_score(test.labels, test.pd) - 0.02
    worse = validate_candidate(fit, ScoredRows(test.rows, test.labels, blurred), ["x"], champion_pd=test.pd)
    assert "Gini less the champion's" in [requirement.name for requirement in worse.unmet]
    better = validate_candidate(fit, test, ["x"], champion_pd=blurred)
    assert better.may_become_champion
