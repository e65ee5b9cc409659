"""Reject inference: what each way makes of the declined, on applicants whose selection is known."""

from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from group.settings import Settings
from tests.pipelines.in_process import jinkong
from training import BoosterParameters, LocalGrowth, Origin, Split
from training.applications import ApplicationFrame, application_frame
from training.errors import TooFewDefaults
from training.growth import Grown, TrainingRows, grown_model
from training.inputs import numbers
from training.reject_inference import (
    METHODS,
    DeclinedTruth,
    Method,
    train_application_candidate,
    with_declined,
)

NAMES = ("age_years", "income_per_month", "inquiries_latest_360d")
QUICK = BoosterParameters(learning_rate=0.1, max_trees=60, num_leaves=4)


def applicants(count: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features, true PDs, and whether each was declined: by what the features say, and by more than they say."""
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(count, 3))
    hidden = rng.normal(size=count)
    odds = -2.2 - 0.8 * rows[:, 1] + 0.6 * rows[:, 2] + 0.8 * hidden
    declined = rng.random(count) < 1 / (1 + np.exp(1.0 - 0.8 * (odds + 2.2)))
    return rows, 1 / (1 + np.exp(-odds)), declined


@cache
def granted_and_declined() -> tuple[TrainingRows, np.ndarray, np.ndarray, Grown]:
    rows, pd, declined = applicants(12_000, 1)
    labels = (np.random.default_rng(2).random(len(pd)) < pd).astype(float)
    folds = np.arange(len(pd)) % 5
    training = TrainingRows(rows[~declined], labels[~declined], folds[~declined])
    grown = grown_model(training, numbers(NAMES), (0, -1, 1), QUICK, threads=1, growth=LocalGrowth())
    return training, rows[declined], pd[declined], grown


@given(st.sampled_from(METHODS), st.floats(1.0, 3.0))
@settings(max_examples=25, deadline=None)
def test_the_granted_stay_as_they_are_and_the_declined_count_as_one_each(method: Method, prudence: float) -> None:
    training, declined, _, grown = granted_and_declined()
    folds = np.arange(len(declined)) % 5
    rows = with_declined(training, declined, folds, grown, method, prudence)
    own = len(training.labels)
    assert np.array_equal(rows.labels[:own], training.labels)
    assert np.array_equal(rows.rows[:own], training.rows)
    if method == "ignored":
        assert rows is training
        return
    weights = rows.weights
    assert weights is not None
    assert weights[:own].tolist() == [1.0] * own
    assert weights[own:].sum() == pytest.approx(len(declined))
    again = with_declined(training, declined, folds, grown, method, prudence)
    assert np.array_equal(again.labels, rows.labels)
    # With prudence, the declined are taken for worse, and never for better.
    worse = with_declined(training, declined, folds, grown, method, prudence + 0.5)
    assert worse.weights is not None
    assert bad_share(worse, own) >= bad_share(rows, own)


def bad_share(rows: TrainingRows, own: int) -> float:
    assert rows.weights is not None
    return float(np.average(rows.labels[own:], weights=rows.weights[own:]))


def test_parcelling_takes_of_each_band_what_the_granted_of_it_show() -> None:
    training, declined, _, grown = granted_and_declined()
    rows = with_declined(training, declined, np.arange(len(declined)) % 5, grown, "parcelling", 1.0)
    inferred = rows.labels[len(training.labels) :]
    scores = grown.model.raw_scores(declined)
    edges = np.quantile(grown.unseen, np.linspace(0, 1, 11)[1:-1])
    for band in range(10):
        of_granted, of_declined = (np.searchsorted(edges, values) == band for values in (grown.unseen, scores))
        wanted = training.labels[of_granted].mean() * of_declined.sum()
        assert abs(inferred[of_declined].sum() - wanted) <= 0.5 + 1e-9


def a_frame(count: int) -> tuple[ApplicationFrame, DeclinedTruth]:
    rows, pd, declined = applicants(count, 3)
    rng = np.random.default_rng(4)
    outcome = rng.random(count) < pd
    start = datetime(2024, 1, 1, tzinfo=UTC)
    columns = {
        "legal_entity": "credit",
        "party_id": [f"P{n}" for n in range(count)],
        "customer_id": [f"C{n}" for n in range(count)],
        "application_id": [f"A{n}" for n in range(count)],
        "event_timestamp": [start + timedelta(minutes=n) for n in range(count)],
        "defaulted": outcome,
        "severity": outcome.astype(float),
        "fold": np.where(np.arange(count) < 0.75 * count, "train", "test"),
        "party_fold": np.arange(count) % 5,
        "kind": "person", "sex": "male", "age_band": "", "region": "44", "product": "loan",
    }  # fmt: skip
    whole = pl.DataFrame(columns).hstack(pl.DataFrame(rows, schema=list(NAMES)))
    split = Split("out_of_time", (start,), (start,))
    frame = ApplicationFrame(whole.filter(~declined), whole.filter(declined), NAMES, split)
    return frame, DeclinedTruth(pd[declined], outcome[declined].astype(float))


def test_what_the_features_do_not_say_biases_every_way_and_prudence_makes_up_for_it() -> None:
    frame, truth = a_frame(16_000)
    candidate, biases = train_application_candidate(
        frame, Origin("a test", "Wang"), "fuzzy", 1.3, threads=2, growth=LocalGrowth(), truth=truth
    )
    ratio = {(bias.method, bias.prudence): bias.ratio or 0.0 for bias in biases}
    assert list(ratio) == [
        ("ignored", 1.0), ("fuzzy", 1.0), ("fuzzy", 1.3), ("parcelling", 1.0), ("parcelling", 1.3),
    ]  # fmt: skip
    # The declined are worse than they look, which the granted cannot show.
    assert ratio["ignored", 1.0] < 0.9
    assert ratio["fuzzy", 1.0] == pytest.approx(ratio["ignored", 1.0], abs=0.06)
    for method in ("fuzzy", "parcelling"):
        assert abs(ratio[method, 1.3] - 1) < abs(ratio[method, 1.0] - 1)
    assert candidate.name == "application_pd"
    assert "prudence 1.3" in candidate.card.population
    assert len(candidate.card.facts) == 5
    assert candidate.validation.test.gini > 0.3


def test_without_applications_it_is_said(tmp_path: Path) -> None:
    with pytest.raises(TooFewDefaults, match="There are no applications"):
        application_frame(None, tmp_path, 12, datetime(2026, 1, 1, tzinfo=UTC))


@pytest.mark.long
def test_the_small_group_shows_how_much_bias_each_way_leaves(trained_settings: Settings) -> None:
    done = jinkong("train", "applications", "--method", "fuzzy", "--by", "Wang", home=trained_settings.home)
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if "│" in line]
    assert [line.split("│")[1].strip() for line in lines] == ["ignored", *["fuzzy"] * 2, *["parcelling"] * 2]
    ratios = [float(line.split("│")[4]) for line in lines]
    assert 0.7 < ratios[0] < 1.0
    assert ratios[2] > ratios[1]
