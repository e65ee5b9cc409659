"""Models of segments: what they borrow from the pooled model, and what is their own."""

from dataclasses import replace
from datetime import UTC, datetime

import lightgbm as lgb
import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from group.settings import load_settings
from training import (
    BoosterParameters,
    Candidate,
    CreditFrame,
    LocalGrowth,
    Origin,
    Pooled,
    SegmentRuns,
    Split,
    ray_session,
    segment_plans,
    train_credit_candidate,
)
from training.segments import Segment, credible_rates, joined, train_segment_candidate

NAMES = ("age_years", "income_per_month", "inquiries_latest_360d")
QUICK = BoosterParameters(learning_rate=0.1, max_trees=80, stop_after=20)
ORIGIN = Origin("a test", "Alice Wang")


def group_of(count: int, seed: int, *, odd_one: float) -> CreditFrame:
    """Two companies alike, and leasing, where inquiries weigh ``odd_one`` more and defaults are rarer."""
    rng = np.random.default_rng(seed)
    rows = pl.DataFrame(rng.normal(size=(count, 3)), schema=list(NAMES))
    company = rng.choice(["consumer", "credit", "leasing"], count, p=[0.5, 0.25, 0.25])
    odd = company == "leasing"
    inquiries = rows["inquiries_latest_360d"].to_numpy()
    log_odds = -1.6 - 1.0 * rows["income_per_month"].to_numpy() + 0.5 * inquiries + odd * (odd_one * inquiries - 0.5)
    defaulted = rng.random(count) < 1 / (1 + np.exp(-log_odds))
    instant = datetime(2025, 1, 1, tzinfo=UTC)
    keys = {
        "legal_entity": company,
        "party_id": [f"P{n}" for n in range(count)],
        "event_timestamp": [instant] * count,
        "defaulted": defaulted,
        "severity": defaulted.astype(np.float64),
        "fold": np.where(np.arange(count) % 4 == 0, "test", "train"),
        "party_fold": np.arange(count) % 5,
        "kind": np.where(rng.random(count) < 0.002, "enterprise", "person"),
        "sex": "male",
        "age_band": "30 to 44",
        "region": "44",
        "product": "instalment_loan",
    }
    return CreditFrame(pl.DataFrame(keys).hstack(rows), NAMES, Split("out_of_sample", (instant,), (instant,)))


def pooled_of(frame: CreditFrame) -> Pooled:
    candidate = train_credit_candidate(frame, QUICK, ORIGIN, threads=2, growth=LocalGrowth())
    assert candidate.unseen is not None
    return Pooled("1", candidate.model, candidate.unseen)


@pytest.fixture(scope="module")
def frame() -> CreditFrame:
    return group_of(16_000, 5, odd_one=1.5)


@pytest.fixture(scope="module")
def pooled(frame: CreditFrame) -> Pooled:
    return pooled_of(frame)


@pytest.fixture(scope="module")
def candidates(frame: CreditFrame, pooled: Pooled) -> dict[str, Candidate]:
    """Every segment's candidate by company; the largest segment is shared by two workers."""
    plans, _ = segment_plans(frame, pooled)
    runs = SegmentRuns(pooled, ORIGIN, 5_000, threads=2)
    with ray_session(load_settings({"JINKONG_THREADS": "2"})):
        return {plan.segment.legal_entity: candidate for plan, candidate in runs.candidates(plans)}


def test_a_segment_that_differs_gets_trees_of_its_own_and_is_better_for_it(
    candidates: dict[str, Candidate], pooled: Pooled
) -> None:
    own = candidates["leasing"]
    assert own.model.booster.num_trees() > pooled.model.booster.num_trees()
    beside = own.validation.challengers[0]
    assert beside.gini_difference > 0.01
    assert beside.p_value < 0.05


def test_a_segment_that_does_not_differ_keeps_the_pooled_trees(
    candidates: dict[str, Candidate], pooled: Pooled
) -> None:
    for company in ("consumer", "credit"):
        own = candidates[company]
        assert own.validation.test.gini > own.validation.challengers[0].test.gini - 0.01
    alike = group_of(16_000, 6, odd_one=0.0)
    shared_by_all = pooled_of(alike)
    plans, _ = segment_plans(alike, shared_by_all)
    of_credit = next(plan for plan in plans if plan.segment.legal_entity == "credit")
    own = train_segment_candidate(of_credit, shared_by_all, ORIGIN, threads=2, growth=LocalGrowth())
    assert own.model.booster.num_trees() == shared_by_all.model.booster.num_trees()
    rows = np.random.default_rng(0).normal(size=(500, 3))
    order = np.argsort(shared_by_all.model.probability(rows), kind="stable")
    assert (np.diff(own.model.probability(rows)[order]) >= 0).all()


def test_the_level_is_that_of_the_segment_to_the_extent_that_its_defaults_tell_it(
    candidates: dict[str, Candidate], frame: CreditFrame
) -> None:
    own = candidates["leasing"].validation.fit
    assert own.mean_probability == pytest.approx(own.event_rate, rel=0.1)


def test_a_segment_with_too_few_defaults_is_named_and_left_to_the_pooled_model(
    frame: CreditFrame, pooled: Pooled
) -> None:
    plans, small = segment_plans(frame, pooled)
    assert {plan.segment.kind for plan in plans} == {"person"}
    assert {one.segment.kind for one in small} == {"enterprise"}
    assert sum(plan.rows for plan in plans) < len(frame.fold("train"))


def test_where_every_segment_is_too_small_the_pooled_model_serves_all(frame: CreditFrame, pooled: Pooled) -> None:
    rare = replace(frame, rows=frame.rows.with_columns(defaulted=pl.col("defaulted") & (pl.col("age_years") > 2.0)))
    plans, small = segment_plans(rare, pooled)
    assert plans == []
    assert {one.segment.legal_entity for one in small} == {"consumer", "credit", "leasing"}


def test_segments_do_not_see_each_others_rows(frame: CreditFrame, pooled: Pooled) -> None:
    plans, _ = segment_plans(frame, pooled)
    for plan in plans:
        rows = plan.frame.rows
        assert rows["legal_entity"].unique().to_list() == [plan.segment.legal_entity]
        assert plan.rows == int((rows["fold"] == "train").sum())
        assert not np.isnan(plan.base).any()


def test_the_models_are_registered_under_names_of_their_own(candidates: dict[str, Candidate]) -> None:
    assert candidates["leasing"].name == "credit_pd-leasing-instalment_loan-person"
    assert Segment("credit", "经营 贷/A", "person").model_name == "credit_pd-credit-_A-person"
    assert Segment("credit", "", "person").model_name == "credit_pd-credit-person"


@given(st.integers(1, 12), st.integers(1, 12), st.integers(2, 8), st.integers(0, 5))
def test_joined_boosters_score_the_sum_of_both(first: int, second: int, leaves: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(200, 3))
    rows[rng.random(rows.shape) < 0.1] = np.nan
    labels = (np.nan_to_num(rows[:, 0]) + rng.normal(size=200) > 0).astype(float)
    parameters = {"objective": "binary", "verbosity": -1, "num_leaves": leaves, "min_data_in_leaf": 5, "num_threads": 1}
    one = lgb.train(parameters, lgb.Dataset(rows, labels), first)
    base = np.asarray(one.predict(rows, raw_score=True))
    other = lgb.train(parameters, lgb.Dataset(rows, labels, init_score=base), second)
    whole = joined(one, other)
    assert whole.num_trees() == one.num_trees() + other.num_trees()
    wanted = base + other.predict(rows, raw_score=True)
    assert np.allclose(whole.predict(rows, raw_score=True), wanted, rtol=0, atol=1e-12)
    assert lgb.Booster(model_str=whole.model_to_string()).num_trees() == whole.num_trees()


rates = arrays.arrays(np.float64, 4, elements=st.floats(0.001, 0.5))


@given(rates, rates, arrays.arrays(np.int64, 4, elements=st.integers(20, 5_000)))
def test_a_credible_rate_lies_between_the_expected_and_the_observed(
    observed: np.ndarray, expected: np.ndarray, defaults: np.ndarray
) -> None:
    found = credible_rates(observed, expected, defaults)
    low, high = np.minimum(observed, expected), np.maximum(observed, expected)
    assert ((found >= low * (1 - 1e-9)) & (found <= high * (1 + 1e-9))).all()


def test_more_defaults_move_a_rate_further_from_the_expected_one() -> None:
    observed, expected = np.array([0.08, 0.08, 0.03]), np.array([0.05, 0.05, 0.05])
    found = credible_rates(observed, expected, np.array([50, 500, 500]))
    assert 0.05 < found[0] < found[1] < 0.08
    # Where all ratios agree within their errors, nothing is the segments' own.
    assert np.allclose(credible_rates(expected, expected, np.array([50, 500, 500])), expected)
