"""Performance: what probabilities expect of themselves, what early signs say, what came; each as of its instant."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest
from sklearn.metrics import roc_auc_score

from reporting.monitoring.decisions.reference import DecisionReference
from reporting.monitoring.performance.early import early_rates, early_signs
from reporting.monitoring.performance.estimated import Estimated, Line, estimated, line_of_reference
from reporting.monitoring.performance.explained import explained
from reporting.monitoring.performance.judged import performance_findings, performance_notes
from reporting.monitoring.performance.measured import EarlyOf, PerformanceReference, PeriodPerformance, Realised
from reporting.monitoring.performance.outcomes import outcomes_of
from reporting.monitoring.thresholds import read_thresholds
from training import performance
from training.reference import FEATURE, PROBABILITY
from training.scale import MASTER_SCALE
from training.validation.discrimination import Interval
from training.validation.reliability import grade_tests

Vector = npt.NDArray[np.float64]
_AT = datetime(2025, 3, 1, tzinfo=UTC)


def _truth(seed: int, count: int, shift: float = 0.0) -> tuple[Vector, ...]:
    """Probabilities that are right, and outcomes drawn by them."""
    rng = np.random.default_rng(seed)
    probability = 1 / (1 + np.exp(-(rng.normal(-3 + shift, 1.2, count))))
    return probability, (rng.random(count) < probability).astype(float)


def _expected(probability: Vector) -> Estimated:
    return estimated(probability, probability, np.arange(len(probability)), float(np.quantile(probability, 0.8)))


@pytest.mark.parametrize("shift", [-0.8, 0.0, 0.8])
def test_right_probabilities_expect_the_auc_that_comes_whoever_applies(shift: float) -> None:
    probability, outcomes = _truth(1, 40_000, shift)
    found = _expected(probability)
    came = float(roc_auc_score(outcomes, probability))
    assert found.auc.figure == pytest.approx(came, abs=0.01)
    assert found.auc.low < came < found.auc.high
    assert found.ks.figure == pytest.approx(performance(outcomes, probability).ks, abs=0.02)
    assert found.default_rate.low < outcomes.mean() < found.default_rate.high
    approved = probability < np.quantile(probability, 0.8)
    assert found.default_rate_of_approved.low < outcomes[approved].mean() < found.default_rate_of_approved.high
    assert found.approval_rate.figure == pytest.approx(0.8, abs=0.001)


def test_bounds_hold_what_comes_in_about_95_of_100_samples() -> None:
    hits = 0
    for seed in range(60):
        probability, outcomes = _truth(seed, 1_500)
        found = _expected(probability)
        hits += found.auc.low <= roc_auc_score(outcomes, probability) <= found.auc.high
    # 60 draws of 95 %: fewer than 50 would come once in a thousand times.
    assert hits >= 50


def test_rows_of_few_parties_have_wider_bounds_than_as_many_of_many() -> None:
    probability, _ = _truth(3, 3_000)
    repeated = np.repeat(probability[:300], 10)
    many = estimated(repeated, repeated, np.arange(3_000), 0.1).approval_rate
    few = estimated(repeated, repeated, np.repeat(np.arange(300), 10), 0.1).approval_rate
    assert few.high - few.low > 2 * (many.high - many.low)


def test_the_reference_puts_probabilities_right_that_are_too_spread_out() -> None:
    probability, outcomes = _truth(4, 40_000)
    log_odds = np.log(probability / (1 - probability))
    spread_out = 1 / (1 + np.exp(-(1.5 * log_odds + 0.3)))
    line = line_of_reference(outcomes, spread_out)
    assert line.slope == pytest.approx(1 / 1.5, abs=0.04)
    assert line(spread_out) == pytest.approx(probability, rel=0.25)
    assert Line(1.0, 0.0)(np.array([0.0, 1.0])) == pytest.approx([0.0, 1.0], abs=1e-9)


def _early(seed: int, count: int, times: float = 1.0) -> tuple[Vector, ...]:
    rng = np.random.default_rng(seed)
    probability, defaulted = _truth(seed, count)
    rate = np.clip(times * (0.02 + probability), 0, 1)
    early = np.where(defaulted > 0, rng.random(count) < 0.6, rng.random(count) < rate).astype(float)
    return probability, defaulted, early


def test_early_signs_are_as_expected_while_the_risk_of_grades_is_what_it_was() -> None:
    probability, defaulted, early = _early(1, 60_000)
    rates = early_rates(probability, early, defaulted)
    ratios = []
    for seed in range(20):
        now, came, signs = _early(100 + seed, 4_000)
        found = early_signs(rates, now, signs, 1.0, 1.0)
        assert found is not None
        ratios.append(found.ratio)
        assert found.implied_default_rate == pytest.approx(came.mean(), rel=0.25)
    assert np.mean(ratios) == pytest.approx(1.0, abs=0.03)


def test_early_signs_tell_that_the_risk_moved_and_implied_defaults_move_with_it() -> None:
    probability, defaulted, early = _early(1, 60_000)
    rates = early_rates(probability, early, defaulted)
    now, _, signs = _early(2, 6_000, times=2.0)
    found = early_signs(rates, now, signs, 1.0, 1.0)
    assert found is not None
    assert found.low > 1.2
    assert found.p_value < 1e-4
    assert found.implied_default_rate > found.predicted_default_rate
    # A tenth as many parties is a tenth of the evidence.
    clustered = early_signs(rates, now, signs, 0.1, 1.0)
    assert clustered is not None
    assert clustered.p_value > found.p_value
    assert early_signs(rates, now[:20], signs[:20], 1.0, 1.0) is None


def test_a_surplus_is_told_of_the_segment_and_the_feature_that_it_lies_in() -> None:
    probability, defaulted, early = _early(1, 60_000)
    rates = early_rates(probability, early, defaulted)
    now, _, signs = _early(5, 8_000)
    rng = np.random.default_rng(0)
    company = rng.choice(["credit", "consumer"], 8_000, p=[0.25, 0.75])
    stress, noise = rng.normal(size=8_000), rng.normal(size=8_000)
    more = (company == "credit") & (stress > 0.5) & (rng.random(8_000) < 0.4)
    rows = pl.DataFrame(
        {"legal_entity": company, PROBABILITY: now, f"{FEATURE}noise": noise, f"{FEATURE}stress": stress}
    )
    found = explained(rows, np.maximum(signs, more), rates)
    assert found.segment == "legal_entity=credit"
    assert found.features[0] == "stress"


@pytest.fixture
def canonical(tmp_path: Path) -> Path:
    """Four parties of one company: one defaults, one is only late, one pays, one contradicts itself."""
    day = timedelta(days=1)
    customers = ["defaults", "late", "pays", "odd"]
    parties = pl.DataFrame(
        {"legal_entity": "credit", "customer_id": customers, "party_id": [f"P-{c}" for c in customers]}
    )
    statements = [
        ("defaults", _AT + 40 * day, 35.0), ("defaults", _AT + 100 * day, 95.0), ("late", _AT + 70 * day, 31.0),
        ("late", _AT + 130 * day, 0.0), ("pays", _AT + 40 * day, 0.0), ("odd", _AT + 40 * day, 0.0),
    ]  # fmt: skip
    tables = {
        "parties": parties,
        "statements": pl.DataFrame(
            {
                "legal_entity": "credit",
                "customer_id": [customer for customer, _, _ in statements],
                "event_timestamp": [at for _, at, _ in statements],
                "created_timestamp": [at + day for _, at, _ in statements],
                "superseded_at": [None] * len(statements),
                "days_past_due": [late for _, _, late in statements],
            },
            schema_overrides={"superseded_at": pl.Datetime("us", "UTC")},
        ),
        "defaults": pl.DataFrame(
            {
                "legal_entity": "credit",
                "customer_id": ["defaults", "odd"],
                "event_timestamp": [_AT + 100 * day, _AT + 200 * day],
                "created_timestamp": [_AT + 110 * day, _AT + 400 * day],
                "superseded_at": [None, None],
            },
            schema_overrides={"superseded_at": pl.Datetime("us", "UTC")},
        ),
    }
    for name, table in tables.items():
        (tmp_path / name).mkdir()
        times = pl.col(pl.Datetime).dt.convert_time_zone("UTC").dt.cast_time_unit("us")
        table.with_columns(times).write_parquet(tmp_path / name / "all.parquet")
    return tmp_path


def _asked(*customers: str, at: datetime = _AT) -> pl.DataFrame:
    rows = {"legal_entity": "credit", "party_id": [f"P-{customer}" for customer in customers], "scored_at": at}
    return pl.DataFrame(rows).with_columns(pl.col("scored_at").dt.cast_time_unit("us"))


def test_outcomes_are_those_that_were_known_at_the_instant(canonical: Path) -> None:
    asked = _asked("defaults", "late", "pays", "odd", "stranger")

    def known(at: datetime) -> tuple[list[bool | None], list[bool | None], int]:
        found = outcomes_of(canonical, asked, 12, at)
        return found.rows["defaulted"].to_list(), found.rows["early"].to_list(), found.contradicted

    nothing = [None] * 5
    assert known(_AT + timedelta(days=60)) == (nothing, nothing, 0)
    assert known(_AT + timedelta(days=95))[1] == [True, True, False, False, False]
    a_year_later = datetime(2026, 3, 1, tzinfo=UTC)
    assert known(a_year_later)[0] == [True, False, False, False, False]
    # The default of the odd one became known later still, and no arrears speak for it.
    assert known(_AT + timedelta(days=420)) == (
        [True, False, False, True, False], [True, True, False, False, False], 1,
    )  # fmt: skip


def test_who_is_in_default_already_has_no_outcome(canonical: Path) -> None:
    asked = _asked("defaults", "late", at=_AT + timedelta(days=150))
    found = outcomes_of(canonical, asked, 3, _AT + timedelta(days=400))
    assert found.rows["defaulted"].to_list() == [None, False]
    assert found.rows["early"].to_list() == [None, False]


def _reference(
    probability: Vector,
    outcomes: Vector,
) -> PerformanceReference:
    return PerformanceReference(
        performance(outcomes, probability), Line(1.0, 0.0), None, 1.0, DecisionReference(0.1, [], {})
    )


def test_findings_are_beyond_thresholds_and_chance_and_say_by_how_much() -> None:
    probability, outcomes = _truth(1, 20_000)
    reference, thresholds = _reference(probability, outcomes), read_thresholds()
    rng = np.random.default_rng(0)
    twice = (rng.random(20_000) < np.clip(2 * probability, 0, 1)).astype(float)
    grades = grade_tests(twice, probability, MASTER_SCALE)
    worse, before = Interval(0.70, 0.68, 0.72), Interval(0.8, 0.79, 0.81)
    realised = Realised("2024-03", performance(twice, probability), worse, grades, before, 3, 0)
    found = performance_findings(PeriodPerformance(None, None, realised, ()), reference, thresholds)
    assert [(one.kind, one.level) for one in found] == [("calibration", "act"), ("discrimination", "act")]
    assert "red: R" in found[0].en
    assert performance_findings(PeriodPerformance(_expected(probability), None, None, ()), reference, thresholds) == []
    notes = performance_notes(PeriodPerformance(None, None, realised, ("2024-01",)), found)
    assert [note.code for note in notes] == ["too_few_outcomes", "contradicted_labels"]


def test_what_is_expected_is_not_to_be_relied_on_once_early_signs_have_moved() -> None:
    probability, defaulted, early = _early(1, 60_000)
    rates = early_rates(probability, early, defaulted)
    now, _, signs = _early(2, 6_000, times=3.0)
    moved = early_signs(rates, now, signs, 1.0, 1.0)
    assert moved is not None
    rows = pl.DataFrame({PROBABILITY: now, f"{FEATURE}x": now})
    period = PeriodPerformance(_expected(now), EarlyOf("2025-10", moved, explained(rows, signs, rates)), None, ())
    found = performance_findings(period, _reference(probability, defaulted), read_thresholds())
    assert found[0].kind == "concept_drift"
    assert [note.code for note in performance_notes(period, found)] == ["concept_moved"]
