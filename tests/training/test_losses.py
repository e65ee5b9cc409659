"""What a default costs: recoveries by the day they come in, balances by the statement of a year before."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features import resolve_parties
from group.settings import Settings
from pipelines.workspace import Workspace
from tests.features.tables import a_customer, a_default, a_loan, a_statement, write
from tests.pipelines.in_process import jinkong
from training import Origin
from training.amounts import AmountModel, Line, amount_evidence
from training.amounts.evidence import rank_gini
from training.errors import TooFewDefaults
from training.loss_portfolio import LossModels, expected_loss, portfolio_losses, running_loans, time_to_default
from training.losses import (
    EXPOSURE_FEATURES,
    LOSS_FEATURES,
    exposure_cases,
    loss_cases,
    train_exposure_candidate,
    train_loss_candidate,
)
from training.term_structure import Baseline

DEFAULTED = datetime(2024, 6, 24, tzinfo=UTC)
DAY = timedelta(days=1)


def a_repayment(number: int, at: datetime, amount: str, **changes: Any) -> dict[str, Any]:
    row = {
        "legal_entity": "consumer", "customer_id": "C0", "loan_id": "L0", "repayment_id": f"R{number}",
        "principal_paid": Decimal(amount), "interest_paid": Decimal("0.00"), "fee_paid": Decimal("0.00"),
        "penalty_paid": Decimal("0.00"), "currency": "CNY", "event_timestamp": at, "created_timestamp": at,
    }  # fmt: skip
    return row | changes


def a_group(canonical: Path, repayments: list[dict[str, Any]], cases: int = 120) -> Path:
    """As many customers with a loan each that defaulted on the same day, owing 1,000."""
    who = [{"customer_id": f"C{n}", "loan_id": f"L{n}"} for n in range(cases)]
    write(canonical, "customers", [a_customer(customer_id=one["customer_id"], identity_token=f"T{n}", name=f"N{n}",
                                              birth_or_founding_date=None) for n, one in enumerate(who)])  # fmt: skip
    write(canonical, "loans", [a_loan(DEFAULTED - 500 * DAY, rate_per_annum=0.2, guarantee_type="credit", **one)
                               for one in who])  # fmt: skip
    write(canonical, "defaults", [a_default(DEFAULTED, **one) for one in who])
    statements = [
        a_statement(at, statement_balance=Decimal(balance), credit_limit=Decimal("2000.00"), **one)
        for one in who
        for at, balance in ((DEFAULTED, "1000.00"), (DEFAULTED - 366 * DAY, "500.00"), (DEFAULTED + DAY, "7.00"))
    ]
    write(canonical, "statements", statements)
    write(canonical, "repayments", repayments)
    resolve_parties(canonical)
    return canonical


def test_what_is_recovered_counts_by_when_and_only_within_the_workout(tmp_path: Path) -> None:
    canonical = a_group(
        tmp_path,
        [
            a_repayment(1, DEFAULTED - DAY, "900.00"),
            a_repayment(2, DEFAULTED + 73 * DAY, "120.00"),
            a_repayment(3, DEFAULTED + 365 * DAY, "240.00"),
            a_repayment(4, DEFAULTED + 370 * DAY, "500.00"),
            a_repayment(5, DEFAULTED + 73 * DAY, "100.00", loan_id="L1", customer_id="C1"),
        ],
    )
    rows = loss_cases(canonical, datetime(2026, 1, 1, tzinfo=UTC)).rows.sort("loan_id")
    first = rows.filter(pl.col("loan_id") == "L0").row(0, named=True)
    # At 20 % a year, a fifth of a year and a whole one later.
    assert first["recovered"] == pytest.approx(120 / 1.2**0.2 + 240 / 1.2)
    assert first["lost_share"] == pytest.approx(1 - first["recovered"] / 1_000)
    assert rows.filter(pl.col("loan_id") == "L2")["lost_share"].item() == 1.0
    assert rows["owed"].unique().to_list() == [1_000.0]
    assert rows["secured_by_credit"].unique().to_list() == [1.0]


def test_a_workout_that_is_not_over_tells_nothing_yet(tmp_path: Path) -> None:
    canonical = a_group(tmp_path, [a_repayment(1, DEFAULTED + DAY, "1.00")])
    with pytest.raises(TooFewDefaults, match="There are 0 defaults whose workout is over; at least 100"):
        loss_cases(canonical, DEFAULTED + 300 * DAY)
    assert len(loss_cases(canonical, DEFAULTED + 366 * DAY).rows) == 120


def test_exposure_is_a_share_of_the_limit_a_year_before(tmp_path: Path) -> None:
    rows = exposure_cases(a_group(tmp_path, [])).rows
    assert rows["utilisation"].unique().to_list() == [0.25]
    assert rows["owed_share"].unique().to_list() == [0.5]
    assert rows["is_revolving"].unique().to_list() == [1.0]
    assert rows["remaining_term_share"].null_count() == len(rows)


def test_tables_that_are_not_there_are_named(tmp_path: Path) -> None:
    write(tmp_path, "defaults", [a_default(DEFAULTED)])
    with pytest.raises(TooFewDefaults, match="There are no statements"):
        loss_cases(tmp_path, DEFAULTED)


def made_up(features: dict[str, int], outcome: str, share: np.ndarray, rows: np.ndarray) -> pl.DataFrame:
    count = len(rows)
    return pl.DataFrame(rows, schema=list(features)).with_columns(
        pl.Series(outcome, share),
        party_id=pl.Series([f"P{n}" for n in range(count)]),
        defaulted_at=pl.Series([DEFAULTED + n * DAY for n in range(count)]),
    )


def test_the_models_are_monotone_where_they_say_so_and_near_what_they_learn() -> None:
    rng = np.random.default_rng(2)
    for features, outcome, train in (
        (LOSS_FEATURES, "lost_share", train_loss_candidate),
        (EXPOSURE_FEATURES, "owed_share", train_exposure_candidate),
    ):
        rows = rng.uniform(0, 2, size=(3_000, len(features)))
        rising = [place for place, way in enumerate(features.values()) if way > 0]
        share = 1 / (1 + np.exp(-(rows[:, rising].sum(axis=1) - 1 + rng.normal(size=3_000) * 0.5)))
        cases = type("Cases", (), {"rows": made_up(features, outcome, share, rows)})()
        candidate = train(cases, Origin("a test", "Wang"), threads=1)
        assert candidate.evidence.may_become_champion
        assert candidate.evidence.figures["error_over_naive"] < 0.8
        asked = rng.uniform(0, 2, size=(200, len(features)))
        base = candidate.model.amount(asked)
        assert ((base >= 0) & (base <= 1)).all()
        for place in rising:
            more = asked.copy()
            more[:, place] += 0.3
            assert (candidate.model.amount(more) >= base).all()


amounts = st.lists(st.floats(0, 1e6), min_size=2, max_size=30)


@given(amounts)
def test_the_gini_of_an_order_is_one_for_hindsight_and_minus_one_for_its_opposite(actual: list[float]) -> None:
    values = np.array(actual)
    if np.ptp(values) < 1e-3:
        return
    assert rank_gini(values, values) == pytest.approx(1.0)
    assert rank_gini(-values, values) < 1.0


def test_amounts_that_are_right_on_the_average_and_in_no_order_do_not_pass() -> None:
    rng = np.random.default_rng(1)
    actual = rng.gamma(2.0, 100.0, 4_000)
    evidence = amount_evidence(rng.permutation(actual), actual, float(actual.mean()), unit="CNY")
    assert [verdict.measure for verdict in evidence.unmet] == ["rank_gini"]
    assert evidence.figures["mean_over_actual"] == pytest.approx(1.0)


def test_the_portfolio_loses_pd_times_lgd_times_ead_of_each_running_loan(tmp_path: Path) -> None:
    canonical = a_group(tmp_path, [], cases=3)
    as_of = DEFAULTED - 360 * DAY
    loans = running_loans(canonical, as_of)
    assert loans["limit"].to_list() == [2_000.0] * 3
    models = LossModels(
        AmountModel("loss_given_default", ("months_on_book",), line=Line((0.0,), (0.0,), 0.4)),
        AmountModel("exposure_at_default", ("utilisation",), line=Line((0.0,), (2.0,), 0.1)),
    )
    parties = loans["party_id"].to_list()
    probability = pl.DataFrame(
        {"legal_entity": ["consumer"] * 2, "party_id": parties[:2], "probability_of_default": [0.1, 0.2]}
    )
    flat = Baseline(tuple(0.01 * month for month in range(1, 61)), 60)
    losses = portfolio_losses(loans, probability, models, flat)
    assert losses["exposure"].to_list() == pytest.approx([1_200.0, 1_200.0])
    assert losses["expected_loss"].to_list() == pytest.approx([48.0, 96.0])
    # A card is taken to run for three years, at the hazard that gives its PD of one.
    assert losses["lifetime_loss"].to_list() == pytest.approx([480 * (1 - 0.9**3), 480 * (1 - 0.8**3)])
    months, defaulted = time_to_default(canonical, as_of)
    assert set(months.tolist()) == {12}
    assert defaulted.all()
    # A loan that is in default by then is no longer expected to be lost: it is.
    assert len(running_loans(canonical, DEFAULTED + 2 * DAY)) == 0
    assert expected_loss(np.array([0.5]), np.array([0.5]), np.array([8.0])).tolist() == [2.0]


@pytest.mark.long
def test_the_small_groups_losses_are_near_the_truth(trained_settings: Settings) -> None:
    done = jinkong("train", "losses", "--by", "Wang", home=trained_settings.home)
    assert done.returncode == 0, done.stderr
    assert "expected loss of twelve months" in done.stdout
    workspace = Workspace.of(trained_settings)
    truth = pl.read_parquet(workspace.truth / "recovery" / "*.parquet")
    cases = loss_cases(workspace.canonical, datetime(2026, 1, 1, tzinfo=UTC)).rows
    known = cases.join(truth, on=["legal_entity", "customer_id", "loan_id"], how="inner")
    # All is recovered within the year, but for what it loses by then.
    lost = known["lost_share"].to_numpy()
    assert np.mean(lost) == pytest.approx(1 - known["recovered_share"].to_numpy().mean() * 0.95, abs=0.02)
