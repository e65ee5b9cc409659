"""Judging sources: measures against their definitions, the choice against every choice, a judgement that is known."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import chain, combinations
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy.stats import spearmanr
from sklearn.metrics import roc_auc_score

from features.errors import ContractBroken, UnusableMapping
from features.sources.quality.judgement import Judgement, SourceOffer, judge, steps_of
from features.sources.quality.measures import (
    bootstrapped_gini,
    information_value,
    largest_psi,
    population_stability_index,
    rank_correlations,
    single_auc,
)
from features.sources.quality.offers import Offer, delivery_of, read_offers, vendor_columns
from features.sources.quality.selection import best_combination
from reporting.source_quality import write_source_report
from tests.features.tables import a_statement, write
from training.quick import quick_learner

RNG = np.random.default_rng(11)
NOW = datetime(2025, 6, 1, tzinfo=UTC)


def test_information_value_is_that_of_the_book() -> None:
    values = np.array([0.0] * 100 + [1.0] * 100)
    labels = np.array([1.0] * 10 + [0.0] * 90 + [1.0] * 40 + [0.0] * 60)
    good, bad = np.array([90, 60]) / 150, np.array([10, 40]) / 50
    assert information_value(values, labels) == pytest.approx(np.sum((good - bad) * np.log(good / bad)), rel=1e-2)
    assert information_value(RNG.normal(size=20_000), (RNG.random(20_000) < 0.2).astype(float)) < 0.02
    assert information_value(np.full(50, np.nan), np.ones(50)) == 0
    # That a value is missing tells, too.
    assert information_value(np.where(labels > 0, np.nan, 1.0), labels) > 1


def test_a_columns_auc_is_the_same_whichever_way_it_points() -> None:
    labels = (RNG.random(500) < 0.3).astype(float)
    values = labels + RNG.normal(size=500)
    assert single_auc(values, labels) == pytest.approx(single_auc(-values, labels))
    assert single_auc(labels, labels) == 1
    assert single_auc(np.append(values, np.nan), np.append(labels, 1)) == pytest.approx(single_auc(values, labels))
    assert single_auc(np.full(500, np.inf), labels) == 0.5
    assert single_auc(values, np.zeros(500)) == 0.5


def test_the_largest_psi_of_later_periods_is_that_of_each_alone() -> None:
    periods = np.repeat(np.arange(6), 500)
    values = RNG.normal(size=3_000) + np.where(periods == 4, 0.8, 0)
    values[RNG.random(3_000) < 0.1] = np.nan
    apart = [population_stability_index(values[periods < 3], values[periods == period]) for period in (3, 4, 5)]
    assert largest_psi(values, periods, 3) == pytest.approx(max(apart))
    assert max(apart) == apart[1] > 0.25
    assert largest_psi(values, np.zeros(3_000, np.int64), 1) == 0
    assert largest_psi(np.where(periods < 3, np.nan, values), periods, 3) == np.inf


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 3), st.integers(0, 2)), min_size=2, max_size=12))
def test_a_drawn_gini_is_that_of_the_drawn_rows(rows: list[tuple[bool, int, int]]) -> None:
    labels, scores, times = (np.array(column, dtype=float) for column in zip(*rows, strict=True))
    [found] = bootstrapped_gini(labels, scores, times[None].astype(np.int64))
    drawn = np.repeat(np.arange(len(rows)), times.astype(int))
    if len(drawn) and labels[drawn].min() < labels[drawn].max():
        assert found == pytest.approx(2 * roc_auc_score(labels[drawn], scores[drawn]) - 1)
    else:
        assert np.isnan(found)


@given(arrays.arrays(np.float64, (12, 3), elements=st.sampled_from([0.0, 1.0, 2.0, 5.0, -3.0])))
def test_correlations_of_ranks_are_spearmans_where_nothing_is_missing(values: "np.typing.NDArray[np.float64]") -> None:
    found = rank_correlations(values[:, :1], values[:, 1:])
    for place in range(2):
        if values[:, 0].std() and values[:, place + 1].std():
            assert found[0, place] == pytest.approx(spearmanr(values[:, 0], values[:, place + 1])[0], abs=1e-9)
        else:
            assert found[0, place] == 0


def test_correlations_count_the_rows_where_both_are_there() -> None:
    a = np.array([1.0, 2, 3, 4, np.nan, np.nan])
    assert rank_correlations(a[:, None], np.array([2.0, 4, 6, 8, -9, np.nan])[:, None])[0, 0] == pytest.approx(1)
    assert rank_correlations(a[:, None], np.full((6, 1), np.nan))[0, 0] == 0
    assert rank_correlations(a[:, None], np.empty((6, 0))).shape == (1, 0)


names = "abcde"
numbers = st.integers(-20, 50)


@given(
    gains=st.lists(numbers, min_size=1, max_size=5),
    pairs=st.lists(numbers, min_size=10, max_size=10),
    costs=st.lists(st.integers(0, 30), min_size=5, max_size=5),
    budget=st.integers(0, 80),
)
def test_no_other_combination_within_the_budget_is_better(
    gains: list[int], pairs: list[int], costs: list[int], budget: int
) -> None:
    alone = dict(zip(names, map(float, gains), strict=False))
    all_pairs = [frozenset(pair) for pair in combinations(alone, 2)]
    together = dict(zip(all_pairs, map(float, pairs), strict=False))
    cost = dict(zip(names, map(float, costs), strict=False))

    def gain(chosen: Sequence[str]) -> float:
        second = (together[frozenset((a, b))] - alone[a] - alone[b] for a, b in combinations(chosen, 2))
        return sum(alone[name] for name in chosen) + sum(second)

    def price(chosen: Sequence[str]) -> float:
        return sum(cost[name] for name in chosen)

    chosen = best_combination(alone, together, cost, float(budget))
    assert price(chosen) <= budget + 1e-6
    every = chain.from_iterable(combinations(alone, size) for size in range(len(alone) + 1))
    best = max(gain(other) for other in every if price(other) <= budget)
    assert gain(chosen) == pytest.approx(best, abs=1e-6)


def frame_of(rows: int, seed: int) -> pl.DataFrame:
    """Defaults driven by two of three hidden things; the first is known already."""
    random = np.random.default_rng(seed)
    hidden = random.normal(size=(rows, 3))
    odds = hidden @ np.array([0.9, 0.9, 0.0]) - 1.5
    months = [NOW - timedelta(days=30 * int(month)) for month in random.integers(0, 12, rows)]
    useful = np.where(random.random(rows) < 0.2, np.nan, hidden[:, 1])
    return pl.DataFrame({
        "event_timestamp": months,
        "defaulted": random.random(rows) < 1 / (1 + np.exp(-odds)),
        "known": hidden[:, 0],
        "useful_a": useful,
        "useful_b": random.normal(size=rows),
        "copy_a": useful * 3 + 1,
        "noise_a": hidden[:, 2],
        "shifting_a": [month.toordinal() + float(noise) for month, noise in zip(months, hidden[:, 2], strict=True)],
    }).with_columns(pl.col("useful_a", "copy_a").fill_nan(None))  # fmt: skip


@pytest.fixture(scope="module")
def judgement() -> Judgement:
    offers = [
        SourceOffer("useful", ("useful_a", "useful_b"), 100.0, 0.99, 0.5, 3.0),
        SourceOffer("copy", ("copy_a",), 60.0),
        SourceOffer("noise", ("noise_a",), 1.0),
        SourceOffer("shifting", ("shifting_a",), 500.0),
    ]
    told: list[str] = []
    found = judge(
        frame_of(12_000, 1), frame_of(6_000, 2), ["known"], offers, quick_learner(2), budget=170.0, progress=told.append
    )
    assert len(told) <= steps_of(len(offers))
    return found


def test_what_a_source_adds_is_measured_and_what_it_repeats_is_not_bought_twice(judgement: Judgement) -> None:
    by_name = {source.offer.name: source for source in judgement.sources}
    assert by_name["useful"].gain > 0.08
    assert by_name["useful"].gain_low > 0
    assert by_name["copy"].gain == pytest.approx(by_name["useful"].gain, abs=0.02)
    assert abs(by_name["noise"].gain) < 0.02
    assert by_name["noise"].gain_low < 0.005
    # The copy tells the same for less; both would fit the budget.
    assert "copy" in judgement.chosen
    assert "useful" not in judgement.chosen
    assert judgement.chosen_gain > 0.08
    assert by_name["copy"].cost_per_point == pytest.approx(60 / (100 * by_name["copy"].gain))


def test_columns_are_measured_on_the_target_customers(judgement: Judgement) -> None:
    by_name = {source.offer.name: source for source in judgement.sources}
    column = {column.name: column for column in by_name["useful"].columns}["useful_a"]
    assert column.completeness == pytest.approx(0.8, abs=0.02)
    assert column.auc > 0.65
    assert column.information_value > 0.3
    assert column.psi < 0.1
    assert (column.alike, abs(column.alike_correlation) < 0.05) == ("known", True)
    assert by_name["useful"].coverage == 1
    assert by_name["copy"].coverage == pytest.approx(0.8, abs=0.02)
    assert by_name["shifting"].psi > 1


def test_the_report_says_it_in_both_languages(judgement: Judgement, tmp_path: Path) -> None:
    page = tmp_path / "quality.html"
    write_source_report(page, source="planted", judgement=judgement, made_at=NOW)
    text = page.read_text()
    assert "数据源评估" in text
    assert "The best under the budget" in text
    for name in ("useful", "copy", "noise", "shifting"):
        assert f"<td>{name}</td>" in text
    assert "http" not in text.replace("http-equiv", "")


def test_a_vendors_row_counts_from_when_it_was_told(tmp_path: Path) -> None:
    (tmp_path / "parties").mkdir()
    keys = {"legal_entity": ["consumer"], "customer_id": ["C1"], "party_id": ["P1"]}
    pl.DataFrame(keys).write_parquet(tmp_path / "parties/a.parquet")
    days = [NOW, NOW + timedelta(days=10)]
    pl.DataFrame({
        "legal_entity": ["consumer"] * 3,
        "customer_id": ["C1"] * 3,
        "event_timestamp": [NOW - timedelta(days=20), NOW - timedelta(days=5), NOW - timedelta(days=1)],
        "created_timestamp": [NOW - timedelta(days=19), NOW + timedelta(days=2), NOW - timedelta(days=2)],
        "score": [1.0, 2.0, 666.0],
        "label": ["x", "y", "z"],
    }).write_parquet(tmp_path / "vendor.parquet")  # fmt: skip
    frame = pl.DataFrame({"legal_entity": ["consumer"] * 2, "party_id": ["P1"] * 2, "event_timestamp": days})
    offer = Offer(file=tmp_path / "vendor.parquet", cost_per_year=5)
    joined, seen = vendor_columns("telecom", offer, frame, tmp_path / "parties/*.parquet")
    assert joined["telecom_score"].to_list() == [1.0, 2.0]
    # The third row was told before it happened: it is not valid.
    assert seen.columns == ("telecom_score",)
    assert seen.validity == pytest.approx(2 / 3)
    assert (seen.delay_days, seen.age_days) == (4.0, 17.5)
    pl.DataFrame({"legal_entity": ["a"], "score": [1]}).write_parquet(tmp_path / "vendor.parquet")
    with pytest.raises(ContractBroken, match="it lacks customer_id, event_timestamp, created_timestamp"):
        vendor_columns("telecom", offer, frame, tmp_path / "parties/*.parquet")


def test_freshness_is_of_the_last_record_before(tmp_path: Path) -> None:
    at = NOW - timedelta(days=40)
    write(tmp_path, "statements", [
        a_statement(at, created_timestamp=at + timedelta(days=1)),
        a_statement(at + timedelta(days=30), created_timestamp=at + timedelta(days=31)),
        a_statement(NOW + timedelta(days=1), loan_id="L2"),
    ])  # fmt: skip
    assert delivery_of({"statements": 0.97}, tmp_path, NOW) == (0.97, 1.0, 10.0)


@pytest.mark.parametrize(("text", "told"), [
    ("sources: {}", "sources: Dictionary should have at least 1 item"),
    ("sources: {a: {cost_per_year: 1}}", "sources.a: Value error, give either views or a file"),
    ("sources: {a: {views: [shoes], cost_per_year: 1}}", "'shoes' is no view; these are: profile"),
    ("sources: {a: {views: [bureau], cost_per_year: -1}}", "sources.a.cost_per_year: Input should be greater"),
    ("sources: [", "is no YAML"),
])  # fmt: skip
def test_offers_that_mean_nothing_are_told(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "offers.yaml"
    path.write_text(text)
    with pytest.raises(UnusableMapping, match=told):
        read_offers(path)
    with pytest.raises(UnusableMapping, match="cannot be read"):
        read_offers(tmp_path / "nobody.yaml")
