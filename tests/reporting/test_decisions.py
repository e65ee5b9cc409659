"""Decisions: selection of groups, overrides, and what the declined hide."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reporting.monitoring.decisions.applicants import applicants, overrides_of, reject_bounds
from reporting.monitoring.decisions.decided import MonthDecisions, fairness_findings
from reporting.monitoring.decisions.population import grade_shares, product_offers, reference_shares
from reporting.monitoring.decisions.reference import DecisionReference
from reporting.monitoring.decisions.selection import selections
from reporting.monitoring.periods import period_of
from reporting.monitoring.thresholds import read_thresholds
from training.reference import PROBABILITY

_MAY = datetime(2025, 5, 10, tzinfo=UTC)


def _rows(count: int, women_risk: float, seed: int = 0) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    sex = rng.choice(["female", "male", ""], count, p=[0.45, 0.45, 0.1])
    risk = np.where(sex == "female", women_risk, 0.05)
    return pl.DataFrame(
        {"party_id": [f"P{number}" for number in range(count)], "sex": sex, PROBABILITY: risk * rng.random(count) * 2}
    )


def _found(rows: pl.DataFrame) -> MonthDecisions:
    return MonthDecisions((), tuple(selections(rows, 0.06)), (), None, None, "")


def test_groups_that_are_selected_alike_have_a_ratio_near_one_and_others_are_named() -> None:
    [alike] = selections(_rows(4_000, 0.05), 0.06)
    assert alike.ratio > 0.95
    assert [group.group for group in alike.groups] == ["female", "male"]
    [apart] = selections(_rows(4_000, 0.12), 0.06)
    assert (apart.least, apart.p_value < 1e-6) == ("female", True)
    assert apart.ratio == pytest.approx(0.25 / 0.6, abs=0.06)


def test_a_finding_needs_a_ratio_below_four_fifths_below_trainings_and_beyond_chance() -> None:
    thresholds = read_thresholds()
    fair, unfair = DecisionReference(0.06, [], {"sex": 0.95}), DecisionReference(0.06, [], {"sex": 0.4})
    [finding] = fairness_findings(_found(_rows(4_000, 0.12)), fair, thresholds)
    assert (finding.kind, finding.segment) == ("fairness", "sex=female")
    assert fairness_findings(_found(_rows(4_000, 0.12)), unfair, thresholds) == []
    assert fairness_findings(_found(_rows(4_000, 0.05)), fair, thresholds) == []
    # Of so few, chance would.
    assert fairness_findings(_found(_rows(150, 0.12)), fair, thresholds) == []


@pytest.fixture
def canonical(tmp_path: Path) -> Path:
    """Applications of four customers in May, one of them withdrawn, one recorded late."""
    outcomes = {"A": "approved", "B": "declined", "C": "withdrawn", "D": "approved", "E": "approved"}
    times = {"superseded_at": pl.Datetime("us", "UTC")}
    tables = {
        "parties": pl.DataFrame(
            {"legal_entity": "credit", "customer_id": list(outcomes), "party_id": [f"P-{name}" for name in outcomes]}
        ),
        "applications": pl.DataFrame(
            {
                "legal_entity": "credit",
                "customer_id": list(outcomes),
                "application_id": list(outcomes),
                "outcome": list(outcomes.values()),
                "event_timestamp": [_MAY] * 5,
                "created_timestamp": [_MAY] * 4 + [_MAY + timedelta(days=90)],
                "superseded_at": [None] * 5,
            },
            schema_overrides=times,
        ),
    }
    for name, table in tables.items():
        (tmp_path / name).mkdir()
        table.with_columns(pl.col(pl.Datetime).dt.cast_time_unit("us")).write_parquet(tmp_path / name / "all.parquet")
    return tmp_path


def test_an_application_goes_with_the_last_score_before_it(canonical: Path) -> None:
    scored = pl.DataFrame(
        {
            "legal_entity": "credit",
            "party_id": ["P-A", "P-A", "P-A", "P-B", "P-D"],
            "scored_at": [_MAY - timedelta(days=days) for days in (40, 5, -1, 3, 80)],
            PROBABILITY: [0.5, 0.2, 0.9, 0.01, 0.3],
        }
    ).with_columns(pl.col("scored_at").dt.cast_time_unit("us"))
    period = period_of(_MAY.date(), "month")
    found = applicants(canonical, scored, period, period.instants[1])
    assert found.select("application_id", "approved", PROBABILITY).rows() == [("A", True, 0.2), ("B", False, 0.01)]
    overrides = overrides_of(found, 0.1)
    assert overrides is not None
    assert (overrides.low_side, overrides.high_side, overrides.share) == (1, 1, 1.0)
    assert applicants(canonical, scored, period_of(_MAY.date() + timedelta(days=40), "month"), _MAY).is_empty()
    assert overrides_of(found.head(0), 0.1) is None
    (canonical / "applications" / "all.parquet").unlink()
    assert applicants(canonical, scored, period, _MAY).is_empty()


@given(
    decided=st.lists(st.tuples(st.booleans(), st.booleans(), st.floats(0.001, 0.9)), min_size=2, max_size=60).filter(
        lambda rows: len({approved for approved, _, _ in rows}) == 2
    )
)
def test_bounds_hold_whatever_the_declined_would_have_done_above_their_grade(
    decided: list[tuple[bool, bool, float]],
) -> None:
    found = pl.DataFrame({"approved": [row[0] for row in decided], PROBABILITY: [row[2] for row in decided]})
    bounds = reject_bounds(found, pl.Series([row[1] for row in decided]))
    assert bounds is not None
    assert 0 <= bounds.low <= bounds.high <= 1 + 1e-12
    assert bounds.predicted <= bounds.high
    bad = sum(defaulted for approved, defaulted, _ in decided if approved)
    declined = sum(not approved for approved, _, _ in decided)
    # All of the declined in default is the most that can be.
    assert bounds.high == pytest.approx((bad + declined) / len(decided))


def test_without_declined_there_is_nothing_to_bound() -> None:
    found = pl.DataFrame({"approved": [True, True], PROBABILITY: [0.1, 0.2]})
    assert reject_bounds(found, pl.Series([True, False])) is None


def test_grades_and_offers_are_counted() -> None:
    probability = np.array([0.0005, 0.01, 0.01, 0.9])
    shares = grade_shares(probability, reference_shares(np.array([0.01, 0.9])))
    assert [(one.grade, one.rows, one.share, one.reference_share) for one in shares if one.rows] == [
        ("R1", 1, 0.25, 0.0), ("R5", 2, 0.5, 0.5), ("R10", 1, 0.25, 0.5),
    ]  # fmt: skip
    rows = pl.DataFrame(
        {
            "legal_entity": "consumer",
            "product_asked": ["card", "card", "card", None],
            "eligible": [True, False, False, None],
            "credit_limit": [9_000.0, None, None, None],
            "rate_per_annum": [0.18, None, None, None],
            "rules_fired": [[], ["young", "late"], ["late"], None],
        }
    )
    [card] = product_offers(rows)
    assert (card.asked, card.eligible, card.mean_limit, card.rules) == (3, 1, 9_000.0, (("late", 2), ("young", 1)))
    assert product_offers(rows.drop("product_asked")) == []
