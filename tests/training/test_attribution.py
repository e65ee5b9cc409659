"""SHAP values by table: equal to LightGBM's own on random models, whatever their splits."""

from fractions import Fraction
from typing import Any

import lightgbm as lgb
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.attribution import Explainer
from training.attribution.groups import groups_of
from training.attribution.trees import CATEGORICAL, trees_of
from training.errors import NotExplainable

Matrix = npt.NDArray[np.float64]

MOST_DIFFERENCE = 1e-6


def random_rows(rng: np.random.Generator, rows: int, columns: int, categorical: int) -> Matrix:
    """Numbers with gaps, zeros, ties and, in the first columns, categories."""
    made = rng.normal(size=(rows, columns))
    made[rng.random(made.shape) < 0.15] = np.nan
    made[rng.random(made.shape) < 0.1] = 0.0
    made[:, -1] = np.round(made[:, -1])
    if categorical:
        made[:, :categorical] = rng.integers(0, 70, (rows, categorical))
        made[:, :categorical][rng.random((rows, categorical)) < 0.1] = np.nan
    return made


def grown(rng: np.random.Generator, rows: Matrix, categorical: int, **parameters: Any) -> lgb.Booster:
    """A booster on a target that depends on all columns, and on pairs of them."""
    known = np.nan_to_num(rows)
    score = known @ rng.normal(size=rows.shape[1]) + known[:, 0] * known[:, -1] + rng.normal(size=len(rows))
    target = (score > np.median(score)).astype(np.float64)
    whole = {
        "objective": "binary", "verbosity": -1, "min_data_in_leaf": 2, "num_threads": 1, "max_cat_to_onehot": 3,
        "min_data_per_group": 2, "cat_smooth": 1.0,
        "max_depth": 12,
    } | parameters  # fmt: skip
    data = lgb.Dataset(rows, target, categorical_feature=list(range(categorical)), free_raw_data=False)
    return lgb.train(whole, data, num_boost_round=parameters.get("trees", 6))


def largest_difference(booster: lgb.Booster, rows: Matrix, most_bytes: int = 192 * 2**20) -> float:
    """Between LightGBM's contributions and ours; raw scores that come with them are equal to the bit."""
    explainer = Explainer(booster, most_bytes=most_bytes)
    ours = explainer.explained(rows)
    assert explainer.scores_alike
    assert np.array_equal(ours.raw_scores, booster.predict(rows, raw_score=True))
    return float(np.abs(ours.contributions - booster.predict(rows, pred_contrib=True)).max())


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    columns=st.integers(2, 30),
    categorical=st.integers(0, 2),
    leaves=st.sampled_from([2, 8, 31, 90]),
    most_bytes=st.sampled_from([0, 20_000, 192 * 2**20]),
    use_missing=st.booleans(),
    zero_as_missing=st.booleans(),
)
def test_contributions_are_lightgbms_own_on_any_model(
    seed: int, columns: int, categorical: int, leaves: int, most_bytes: int, use_missing: bool, zero_as_missing: bool
) -> None:
    rng = np.random.default_rng(seed)
    categorical = min(categorical, columns - 1)
    rows = random_rows(rng, 400, columns, categorical)
    booster = grown(
        rng, rows, categorical, num_leaves=leaves, use_missing=use_missing, zero_as_missing=zero_as_missing
    )  # fmt: skip
    asked = random_rows(rng, 60, columns, categorical)
    # Codes that training never saw, and what is no category at all.
    asked[0, 0], asked[1, 0], asked[2, 0] = 1e6, -3.0, -0.5
    for tree in trees_of(booster):
        numerical = tree.kind != CATEGORICAL
        # Exactly at a threshold.
        asked[rng.integers(0, 60, numerical.sum()), tree.feature[numerical]] = tree.threshold[numerical]
    assert largest_difference(booster, asked, most_bytes) < MOST_DIFFERENCE


def test_contributions_add_up_to_the_raw_score() -> None:
    rng = np.random.default_rng(3)
    rows = random_rows(rng, 2_000, 12, 1)
    booster = grown(rng, rows, 1, num_leaves=31, trees=50)
    added = Explainer(booster).contributions(rows, threads=2).sum(axis=1)
    assert np.allclose(added, booster.predict(rows, raw_score=True), atol=1e-9)


def test_a_very_deep_tree_is_explained_exactly_where_lightgbm_no_longer_is() -> None:
    """LightGBM divides its way back along a path and loses digits with the depth; the sum shows by how much."""
    rng = np.random.default_rng(5)
    rows = rng.normal(size=(3_000, 40))
    # Each split leaves few rows on one side: a chain rather than a bush.
    target = np.minimum.reduce([rows[:, column] for column in range(40)]) > -2.2
    parameters = {"objective": "binary", "num_leaves": 60, "min_data_in_leaf": 1, "verbosity": -1}
    booster = lgb.train(parameters, lgb.Dataset(rows, target.astype(np.float64)), num_boost_round=3)
    assert booster.trees_to_dataframe()["node_depth"].max() > 20
    explained = Explainer(booster).explained(rows[:300])
    assert np.array_equal(explained.raw_scores, booster.predict(rows[:300], raw_score=True))
    ours = explained.contributions
    assert np.abs(ours.sum(axis=1) - booster.predict(rows[:300], raw_score=True)).max() < 1e-12
    exact = [exact_contribution(booster, rows[69], column) for column in (37, 12, 3)]
    assert np.allclose(ours[69, [37, 12, 3]], exact, atol=1e-14, rtol=0)


def exact_contribution(booster: lgb.Booster, row: npt.NDArray[np.float64], column: int) -> float:
    """The Shapley value of one column in rational numbers: each leaf's polynomial, integrated term by term."""
    total = Fraction(0)
    for tree in trees_of(booster):
        for leaf in groups_of(tree, 0):
            met = [
                all((row[condition.feature] <= tree.threshold[node]) == left for node, left in condition.nodes.items())
                for condition in leaf.above
            ]
            shares = [Fraction(condition.share) for condition in leaf.above]
            asked = [condition.feature for condition in leaf.above]
            if column in asked:
                own = asked.index(column)
                others = [place for place in range(len(asked)) if place != own]
                total += Fraction(leaf.leaves[0][0]) * (met[own] - shares[own]) * integral(
                    [(shares[place], met[place] - shares[place]) for place in others]
                )  # fmt: skip
    return float(total)


def integral(factors: list[tuple[Fraction, Fraction]]) -> Fraction:
    """Of the product of ``low + rise · t`` from 0 to 1."""
    polynomial = [Fraction(1)]
    for low, rise in factors:
        longer = [Fraction(0)] * (len(polynomial) + 1)
        for power, coefficient in enumerate(polynomial):
            longer[power] += coefficient * low
            longer[power + 1] += coefficient * rise
        polynomial = longer
    return sum((coefficient / (power + 1) for power, coefficient in enumerate(polynomial)), Fraction(0))


def test_trees_that_learnt_nothing_leave_the_mean() -> None:
    rows = np.random.default_rng(1).normal(size=(50, 3))
    booster = lgb.train({"objective": "binary", "verbosity": -1}, lgb.Dataset(rows, rows[:, 0] > 0), num_boost_round=2)
    assert largest_difference(booster, rows) == 0.0


def test_where_raw_scores_differ_the_booster_has_the_word(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(4)
    rows = random_rows(rng, 500, 5, 0)
    booster = grown(rng, rows, 0, num_leaves=8)
    wanted = booster.predict(rows, raw_score=True)
    monkeypatch.setattr(booster, "predict", lambda asked, **_: np.full(len(asked), 0.5))
    explainer = Explainer(booster)
    assert not explainer.scores_alike
    assert (explainer.explained(rows).raw_scores == 0.5).all()
    assert not np.array_equal(wanted, explainer.explained(rows).raw_scores)


def test_memory_of_the_tables_keeps_its_bound() -> None:
    rng = np.random.default_rng(2)
    booster = grown(rng, random_rows(rng, 4_000, 30, 0), 0, num_leaves=31, trees=40)
    assert 0 < Explainer(booster, most_bytes=500_000).table_bytes <= 500_000


@pytest.mark.parametrize(
    "parameters",
    [{"objective": "multiclass", "num_class": 3}, {"boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.5}],
)
def test_a_model_of_another_kind_is_refused(parameters: dict[str, Any]) -> None:
    rows = np.random.default_rng(1).normal(size=(300, 3))
    target = np.digitize(rows[:, 0], [-0.5, 0.5]) if "num_class" in parameters else rows[:, 0] > 0
    booster = lgb.train({"objective": "binary", "verbosity": -1} | parameters, lgb.Dataset(rows, target), 3)
    with pytest.raises(NotExplainable):
        Explainer(booster)
