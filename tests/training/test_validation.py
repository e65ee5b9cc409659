"""Measures of a model, against their definitions and against libraries."""

import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from fairlearn.metrics import demographic_parity_ratio
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2_contingency
from sklearn.metrics import roc_auc_score

from features.sources.quality.measures import population_stability_index
from training import BoosterParameters, LocalGrowth
from training.growth import TrainingRows, grown_model
from training.inputs import numbers
from training.model import ScoringModel
from training.scale import MASTER_SCALE, grade_places
from training.validation import Rival, ScoredRows, performance, validate
from training.validation.comparison import delong, swap_set
from training.validation.discrimination import cap_curve, gini_and_ks_intervals
from training.validation.fairness import fairness
from training.validation.grading import grading
from training.validation.leakage import leakage
from training.validation.limits import WrongLimits, read_limits
from training.validation.reliability import bands, grade_tests, reliability
from training.validation.stability import stability

RNG = np.random.default_rng(11)
Vector = npt.NDArray[np.float64]


def scored(rows: int, shift: float = 0.0, seed: int = 0) -> ScoredRows:
    """Rows whose PDs are right: labels are drawn from them."""
    rng = np.random.default_rng(seed)
    log_odds = rng.normal(-2.5 + shift, 1.2, rows)
    probability = 1 / (1 + np.exp(-log_odds))
    return ScoredRows(
        np.column_stack([log_odds, rng.normal(size=rows)]),
        (rng.random(rows) < probability).astype(float),
        probability,
        months=np.array(["2025-01", "2025-02"])[np.arange(rows) % 2],
        segments={"legal_entity": np.array(["credit", "consumer"])[np.arange(rows) % 2]},
        protected={"sex": np.array(["female", "male"])[np.arange(rows) // 2 % 2]},
    )


@given(st.lists(st.tuples(st.booleans(), st.floats(0.001, 0.999)), min_size=4, max_size=60))
@settings(deadline=None)
def test_gini_ks_and_brier_are_what_their_definitions_say(pairs: list[tuple[bool, float]]) -> None:
    labels = np.array([float(label) for label, _ in pairs])
    probability = np.array([value for _, value in pairs])
    if labels.min() == labels.max():
        return
    found = performance(labels, probability)
    bad, good = probability[labels == 1], probability[labels == 0]
    wins = np.mean((bad[:, None] > good[None, :]) + 0.5 * (bad[:, None] == good[None, :]))
    assert found.gini == pytest.approx(2 * wins - 1, abs=1e-9)
    distances = [np.mean(bad >= cut) - np.mean(good >= cut) for cut in np.unique(probability)]
    assert found.ks == pytest.approx(max(*distances, 0), abs=1e-9)
    assert found.brier == pytest.approx(np.mean((probability - labels) ** 2))


def test_the_interval_of_a_gini_holds_the_truth_as_often_as_it_says() -> None:
    truth = performance(scored(400_000, seed=99).labels, scored(400_000, seed=99).probability).gini
    held = 0
    for seed in range(60):
        some = scored(600, seed=seed)
        gini, ks = gini_and_ks_intervals(some.labels, some.probability)
        assert gini.figure == pytest.approx(performance(some.labels, some.probability).gini)
        assert ks.figure == pytest.approx(performance(some.labels, some.probability).ks)
        held += gini.low <= truth <= gini.high
    assert held >= 51  # of 57 expected; fewer than 51 would come once in some two hundred


def test_the_cap_curve_rises_from_nothing_to_all_and_has_the_area_of_the_gini() -> None:
    some = scored(5_000)
    curve = cap_curve(some.labels, some.probability)
    assert curve[0].tolist() == [0, 0]
    assert curve[-1].tolist() == [1, 1]
    area = np.trapezoid(curve[:, 1], curve[:, 0]) - 0.5
    accuracy_ratio = area / (0.5 * (1 - some.labels.mean()))
    assert accuracy_ratio == pytest.approx(performance(some.labels, some.probability).gini, abs=0.01)


def test_psi_sees_shifts_and_values_that_went_missing() -> None:
    reference = RNG.normal(size=50_000)
    assert population_stability_index(reference, RNG.normal(0.05, 1, 50_000)) < 0.01
    holes = reference.copy()
    holes[:15_000] = np.nan
    assert population_stability_index(reference, holes) > 0.25
    fit, test = scored(5_000), scored(5_000, seed=1)
    moved = ScoredRows(test.rows + np.array([0.0, 1.0]), test.labels, test.probability, test.months)
    found = stability(fit, moved, ["x", "noise"])
    assert [one.feature for one in found.features] == ["noise", "x"]
    assert found.features[0].csi > 0.5
    assert found.features[1].csi < 0.02
    assert found.score_psi < 0.02
    assert set(found.score_psi_by_month) == {"2025-01", "2025-02"}


@given(st.integers(20, 300), st.integers(0, 5))
@settings(deadline=None, max_examples=30)
def test_bands_cover_every_row_once_and_rise(rows: int, seed: int) -> None:
    some = scored(rows, seed=seed)
    found = bands(some.labels, some.probability)
    assert sum(band.rows for band in found) == rows
    assert max(band.rows for band in found) - min(band.rows for band in found) <= 1
    assert [band.mean_probability for band in found] == sorted(band.mean_probability for band in found)
    assert sum(band.rows * band.event_rate for band in found) == pytest.approx(some.labels.sum())


def test_right_probabilities_pass_the_calibration_tests_and_wrong_ones_do_not() -> None:
    some = scored(40_000)
    right = reliability(some.labels, some.probability, MASTER_SCALE)
    assert right.slope == pytest.approx(1, abs=0.05)
    assert right.ratio == pytest.approx(1, abs=0.03)
    assert right.hosmer_lemeshow_p > 0.01
    assert right.reliability - right.resolution + right.uncertainty + right.within_bands == pytest.approx(right.brier)
    assert not [grade for grade in right.grades if grade.light == "red"]
    log_odds = np.log(some.probability / (1 - some.probability))
    wrong = reliability(some.labels, 1 / (1 + np.exp(-2 * log_odds)), MASTER_SCALE)
    assert wrong.slope == pytest.approx(0.5, abs=0.03)
    assert wrong.hosmer_lemeshow_p < 1e-6
    low = reliability(some.labels, some.probability / 2, MASTER_SCALE)
    assert low.ratio == pytest.approx(0.5, abs=0.03)
    assert [grade for grade in low.grades if grade.light == "red"]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=50))
def test_every_pd_has_the_grade_whose_bounds_hold_it(probabilities: list[float]) -> None:
    places = grade_places(np.array(probabilities))
    for probability, place in zip(probabilities, places, strict=True):
        assert probability <= MASTER_SCALE[place].highest_pd
        assert place == 0 or probability > MASTER_SCALE[place - 1].highest_pd


def test_grades_in_the_wrong_order_are_counted_unless_chance_explains_them() -> None:
    probability = np.repeat([0.0015, 0.003, 0.006], 4_000)
    rates = [0.002, 0.03, 0.004]
    labels = np.concatenate([np.arange(4_000) < rate * 4_000 for rate in rates]).astype(float)
    found = grading(grade_tests(labels, probability, MASTER_SCALE))
    assert found.inversions == 1
    assert found.largest_share == pytest.approx(1 / 3)
    few = np.concatenate([np.arange(4_000) < count for count in (8, 9, 8)]).astype(float)
    assert grading(grade_tests(few, probability, MASTER_SCALE)).inversions == 0


def test_a_party_seen_three_times_is_no_more_evidence_than_one_seen_once() -> None:
    probability = np.repeat([0.0015, 0.003, 0.006], 600)
    labels = np.concatenate([np.arange(600) < count for count in (1, 6, 1)]).astype(float)
    once = ScoredRows(np.zeros((len(labels), 1)), labels, probability)
    thrice = ScoredRows(
        np.zeros((3 * len(labels), 1)),
        np.tile(labels, 3),
        np.tile(probability, 3),
        parties=np.tile(np.arange(len(labels)).astype(np.str_), 3),
    )

    def inversions(rows: ScoredRows, rows_of_a_party: float) -> int:
        return grading(grade_tests(rows.labels, rows.probability, MASTER_SCALE), rows_of_a_party).inversions

    assert (once.rows_of_a_party, thrice.rows_of_a_party) == (1, 3)
    assert thrice.chosen(np.arange(len(thrice)) < 1_800).rows_of_a_party == 1
    assert inversions(once, once.rows_of_a_party) == inversions(thrice, thrice.rows_of_a_party) == 0
    assert inversions(thrice, 1.0) == 1


def test_delong_agrees_with_the_spread_of_many_samples_and_with_sklearn() -> None:
    some = scored(3_000)
    blurred = some.probability + RNG.normal(0, 0.1, 3_000)
    aucs, covariance = delong(some.labels, np.array([some.probability, blurred]))
    assert aucs.tolist() == pytest.approx(
        [roc_auc_score(some.labels, some.probability), roc_auc_score(some.labels, blurred)]
    )
    drawn = []
    for _ in range(400):
        rows = RNG.integers(0, 3_000, 3_000)
        one, other = (roc_auc_score(some.labels[rows], scores[rows]) for scores in (some.probability, blurred))
        drawn.append(one - other)
    error = np.sqrt(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])
    assert error == pytest.approx(np.std(drawn), rel=0.15)


def test_the_swap_set_counts_whom_each_would_select() -> None:
    labels = np.array([0.0, 1.0, 0.0, 1.0])
    found = swap_set(labels, np.array([0.1, 0.2, 0.3, 0.4]), np.array([0.1, 0.4, 0.2, 0.3]), 0.5, less_is_better=True)
    assert (found.both, found.only_candidate, found.only_champion) == (1, 1, 1)
    assert (found.event_rate_only_candidate, found.event_rate_only_champion) == (1.0, 0.0)


def test_fairness_is_fairlearns_and_a_group_of_few_is_not_judged() -> None:
    some = scored(8_000)
    sex = np.where(RNG.random(8_000) < 0.4, "female", "male")
    sex[:50] = "other"
    sex[50:90] = ""
    unfair = np.where(sex == "female", some.probability * 1.5, some.probability)
    found = fairness(ScoredRows(some.rows, some.labels, unfair, protected={"sex": sex}), 0.7, "credit")[0]
    judged = np.isin(sex, ["female", "male"])
    selected = (unfair <= np.quantile(unfair, 0.7))[judged]
    wanted = demographic_parity_ratio(some.labels[judged] == 0, selected, sensitive_features=sex[judged])
    assert found.selection_ratio == pytest.approx(wanted, abs=1e-3)
    assert found.selection_ratio < 0.95
    assert {group.group: group.judged for group in found.groups} == {"female": True, "male": True, "other": False}
    even = fairness(some, 0.7, "credit")[0]
    table = [[group.selection_rate * group.rows, (1 - group.selection_rate) * group.rows] for group in even.groups]
    assert chi2_contingency(table).pvalue > 0.001


def the_rows_themselves(fit: npt.NDArray[np.float64], labels: Vector, others: npt.NDArray[np.float64]) -> Vector:
    """A learner that knows rows by heart: what leaks between training and test shows at once."""
    known = {row.tobytes(): label for row, label in zip(fit, labels, strict=True)}
    return np.array([known.get(row.tobytes(), 0.5) for row in others])


def test_probes_find_a_copied_target_and_rows_known_from_training() -> None:
    fit, test = scored(3_000), scored(2_000, seed=1)
    clean = leakage(fit, test, ["x", "noise"], the_rows_themselves)
    assert clean.repeated_rows == 0
    assert clean.permuted_auc == pytest.approx(0.5)
    leaking = ScoredRows(np.column_stack([test.rows, test.labels]), test.labels, test.probability)
    found = leakage(
        ScoredRows(np.column_stack([fit.rows, fit.labels]), fit.labels, fit.probability), leaking,
        ["x", "noise", "target"], the_rows_themselves,
    )  # fmt: skip
    assert (found.strongest[0].feature, found.strongest[0].auc) == ("target", 1.0)
    known = leakage(fit, fit.chosen(np.arange(3_000) < 1_500), ["x", "noise"], the_rows_themselves)
    assert known.repeated_rows == 1.0
    assert known.forward_auc == 1.0
    assert known.backward_auc is not None


@pytest.fixture(scope="module")
def model() -> ScoringModel:
    some = scored(6_000)
    training = TrainingRows(some.rows, some.labels, np.arange(6_000) % 5)
    quick = BoosterParameters(learning_rate=0.1, max_trees=60)
    return grown_model(training, numbers(["x", "noise"]), [1, 0], quick, threads=2, growth=LocalGrowth()).model


def by(model: ScoringModel, rows: ScoredRows) -> ScoredRows:
    return ScoredRows(
        rows.rows, rows.labels, model.probability(rows.rows), rows.months, rows.segments, rows.protected
    )  # fmt: skip


def test_a_right_model_meets_every_limit_and_its_evidence_is_json(model: ScoringModel) -> None:
    fit, test = by(model, scored(6_000)), by(model, scored(8_000, seed=1))
    found = validate(model, fit, test, threads=2)
    assert found.may_become_champion
    assert found.unmet == []
    assert found.weights[0].feature == "x"
    [rising, _] = found.dependence
    assert np.all(np.diff(rising.probability) >= 0)
    assert found.sensitivity[0].feature == "x"
    content = json.loads(json.dumps(found.as_json()))
    assert content["figures"]["test_gini"] == found.test.gini
    assert {part["name"] for part in content["segments"]["legal_entity"]} == {"consumer", "credit"}


def test_a_wrong_model_is_told_which_limits_it_misses(model: ScoringModel) -> None:
    fit, test = by(model, scored(6_000)), by(model, scored(8_000, seed=1))
    low = validate(model, fit, ScoredRows(test.rows, test.labels, test.probability / 3), threads=2)
    assert "mean_over_rate" in {verdict.measure for verdict in low.unmet}
    without_order = ScoredRows(test.rows, test.labels, RNG.permutation(test.probability))
    assert "test_gini" in {verdict.measure for verdict in validate(model, fit, without_order, threads=2).unmet}


def test_a_candidate_that_is_worse_than_the_champion_is_not_let_through(model: ScoringModel) -> None:
    fit, test = by(model, scored(6_000)), by(model, scored(8_000, seed=1))
    blurred = 1 / (1 + np.exp(-(test.rows[:, 0] + RNG.normal(0, 1.0, 8_000))))
    better = validate(model, fit, test, threads=2, champion=Rival("1", blurred))
    assert better.may_become_champion
    assert better.champion is not None
    assert better.champion.p_value < 0.01
    assert better.champion.gini_difference > 0.02
    worse = validate(
        model, fit, ScoredRows(test.rows, test.labels, blurred), threads=2, champion=Rival("1", test.probability)
    )
    assert "gini_less_champions" in {verdict.measure for verdict in worse.unmet}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("limits: [", "while parsing"),
        ("limits: []", "selected_share"),
        ("limits:\n- {measure: gini, hard: true, tasks: [credit], at_least: 1, en: a, zh: b, why: c}", "no measure"),
        ("limits:\n- {measure: test_gini, hard: true, tasks: [credit], en: a, zh: b, why: c}", "give one of"),
        ("limits:\n- {measure: test_gini, hard: true, tasks: [x], at_least: 1, en: a, zh: b, why: c}", "tasks"),
    ],
)
def test_a_file_of_limits_that_cannot_be_judged_by_is_refused(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "limits.yaml"
    path.write_text(text)
    with pytest.raises(WrongLimits, match=told):
        read_limits(path)
