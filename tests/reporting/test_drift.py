"""Drift: exact counts and distances, equal to those of NumPy, SciPy and Evidently where they mean the same."""

import math
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2_contingency, ks_2samp, wasserstein_distance

from features.bins import bin_counts, stability_index
from features.connection import bounded_connection
from reporting.monitoring.counts import EVERYTHING, CountedRows, Segment
from reporting.monitoring.distances import (
    counts_p_value,
    jensen_shannon,
    ks_p_value,
    stability_index_by_chance,
    wasserstein_and_ks,
)
from reporting.monitoring.drift import ColumnDrift, DataDrift, data_drift
from training import ColumnProfile
from training.reference import FEATURE, PROBABILITY, column_profile

_INCOME, _LATE, _JOB, _ROOMS = (f"{FEATURE}{name}" for name in ("income", "late", "job", "rooms"))
_COUNTS = st.lists(st.integers(0, 500), min_size=4, max_size=4).filter(lambda counts: min(counts[:2]) > 0)
_SAMPLE = st.lists(st.floats(-1e6, 1e6).map(lambda value: round(value, 1)), min_size=1, max_size=40)


def _rows(seed: int, count: int, **changed: pl.Expr) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    income = rng.lognormal(9, 0.8, count)
    frame = pl.DataFrame(
        {
            "party_id": [f"P{number}" for number in rng.integers(0, max(count // 2, 1), count)],
            "legal_entity": rng.choice(["consumer", "credit"], count, p=[0.8, 0.2]),
            "kind": rng.choice(["person", "enterprise", ""], count),
            _INCOME: np.where(rng.random(count) < 0.1, np.nan, income),
            _LATE: rng.choice([0.0, 30.0, 60.0, 90.0], count, p=[0.8, 0.1, 0.07, 0.03]),
            _JOB: rng.choice(["cook", "driver", "nurse"], count),
            _ROOMS: rng.integers(1, 6, count).astype(float),
            PROBABILITY: rng.beta(1, 20, count),
        }
    )
    return frame.with_columns(pl.col(pl.Float64).fill_nan(None)).with_columns(**changed)


def _profiles(frame: pl.DataFrame) -> list[ColumnProfile]:
    return [column_profile(frame[name]) for name in frame.columns if name.startswith(FEATURE) or name == PROBABILITY]


def _counted(connection: duckdb.DuckDBPyConnection, folder: Path, name: str, frame: pl.DataFrame) -> CountedRows:
    path = folder / f"{name}.parquet"
    frame.write_parquet(path)
    connection.read_parquet(str(path)).create_view(name)
    return CountedRows(connection, name)


def _drift(folder: Path, before: pl.DataFrame, after: pl.DataFrame) -> DataDrift:
    with bounded_connection(2) as connection:
        return data_drift(
            _counted(connection, folder, "before", before),
            _counted(connection, folder, "after", after),
            _profiles(before),
            threads=2,
        )


def _found(drift: DataDrift, column: str, segment: Segment = EVERYTHING) -> ColumnDrift:
    [one] = [found for found in drift.columns if (found.column, found.segment) == (column, segment)]
    return one


@given(reference=_SAMPLE, current=_SAMPLE)
@settings(deadline=None)
def test_distances_of_sorted_samples_are_scipys(reference: list[float], current: list[float]) -> None:
    before, after = np.sort(np.array(reference)), np.sort(np.array(current))
    area, ks = wasserstein_and_ks(before, after)
    assert area == pytest.approx(wasserstein_distance(before, after), rel=1e-9, abs=1e-9)
    assert ks == pytest.approx(ks_2samp(before, after).statistic, abs=1e-12)


def test_infinite_values_are_infinitely_far_and_their_shares_still_compared() -> None:
    before, after = np.array([0.0, 1.0, 2.0]), np.array([0.0, 1.0, 2.0, math.inf])
    assert wasserstein_and_ks(before, after) == (math.inf, 0.0)
    assert wasserstein_and_ks(np.array([math.inf]), after) == (math.inf, 1.0)


def test_a_ks_statistic_has_the_probability_that_scipy_gives_it() -> None:
    rng = np.random.default_rng(1)
    before, after = rng.normal(size=3_000), rng.normal(0.05, 1, size=2_000)
    expected = ks_2samp(before, after, method="asymp")
    assert ks_p_value(expected.statistic, 3_000, 2_000) == pytest.approx(expected.pvalue, rel=0.05)


def test_without_a_shift_the_index_is_what_chance_makes_of_it_in_the_mean() -> None:
    rng = np.random.default_rng(2)
    shares = np.full(10, 0.1)
    drawn = [(rng.multinomial(2_000, shares), rng.multinomial(500, shares)) for _ in range(400)]
    frames = [stability_index(before, after) for before, after in drawn]
    assert np.mean(frames) == pytest.approx(stability_index_by_chance(10, 2_000, 500), rel=0.1)
    found = [counts_p_value(before, after, 1.0, 1.0) for before, after in drawn]
    assert np.mean(np.array(found) < 0.05) == pytest.approx(0.05, abs=0.03)


@given(before=_COUNTS, after=_COUNTS)
@settings(deadline=None)
def test_the_probability_of_counts_is_scipys(before: list[int], after: list[int]) -> None:
    found = counts_p_value(np.array(before), np.array(after), 1.0, 1.0)
    table = np.array([before, after])
    assert found == pytest.approx(chi2_contingency(table[:, table.sum(axis=0) > 0], correction=False).pvalue, rel=1e-9)


def test_half_as_many_independent_rows_are_half_the_evidence() -> None:
    before, after = np.array([900, 100]), np.array([850, 150])
    assert counts_p_value(before, after, 0.5, 0.5) == pytest.approx(counts_p_value(before // 2, after // 2, 1.0, 1.0))
    assert counts_p_value(before, after, 0.1, 0.1) > counts_p_value(before, after, 1.0, 1.0)


def test_rows_are_counted_in_the_bins_that_numpy_puts_them_into(tmp_path: Path) -> None:
    before, after = _rows(1, 5_000), _rows(2, 3_000)
    with bounded_connection(2) as connection:
        counted = _counted(connection, tmp_path, "after", after)
        for profile in _profiles(before):
            found = counted.counts(profile)
            if profile.kind == "category":
                expected = [after.filter(pl.col(profile.name) == text).height for text in profile.categories]
                assert found.bins[EVERYTHING].tolist() == [*expected, 0, 0]
                continue
            for segment in (EVERYTHING, Segment("legal_entity", "credit"), Segment("kind", "person")):
                chosen = after.filter(pl.col(segment.dimension) == segment.value) if segment.dimension else after
                values = chosen[profile.name].fill_null(math.nan).to_numpy()
                expected_counts = bin_counts(values, np.array(profile.edges))
                assert found.bins[segment].tolist() == expected_counts.tolist()
                beyond = (values < profile.lowest) | (values > profile.highest)
                assert found.outside[segment] == beyond.sum()
                assert profile.lowest is not None
                assert profile.highest is not None
                width = profile.highest - profile.lowest
                far = (values < profile.lowest - width) | (values > profile.highest + width)
                assert found.far[segment] == far.sum()
        sizes = counted.sizes()
    assert sizes[EVERYTHING].rows == 3_000
    assert sizes[EVERYTHING].parties == after["party_id"].n_unique()
    assert Segment("kind", "") not in sizes
    assert sizes[Segment("kind", "person")].rows == after.filter(kind="person").height


def test_every_edge_belongs_to_the_bin_above_it(tmp_path: Path) -> None:
    profile = ColumnProfile("x", "number", (1, 1, 1, 0), edges=(0.1, 0.30000000000000004), lowest=0.0, highest=1.0)
    frame = pl.DataFrame({"x": [0.1, 0.09999999999999999, 0.3, 0.30000000000000004, None, -0.0, 1.0000000000000002]})
    with bounded_connection() as connection:
        found = _counted(connection, tmp_path, "rows", frame).counts(profile)
    assert found.bins[EVERYTHING].tolist() == [2, 2, 2, 1]
    assert found.outside[EVERYTHING] == 1


def test_a_name_with_quotes_is_a_name(tmp_path: Path) -> None:
    frame = pl.DataFrame({'a "b"': [1.0, 2.0]})
    with bounded_connection() as connection:
        counted = _counted(connection, tmp_path, "rows", frame)
        assert counted.counts(column_profile(frame['a "b"'])).bins[EVERYTHING].sum() == 2
        assert counted.sorted_values('a "b"').tolist() == [1.0, 2.0]


def test_the_same_statistic_is_evidentlys(tmp_path: Path) -> None:
    from evidently.legacy.calculations.stattests import jensenshannon_stat_test, psi_stat_test, wasserstein_stat_test

    before = _rows(1, 4_000)
    after = _rows(2, 4_000, **{_INCOME: pl.col(_INCOME) * 1.3}).with_columns(
        pl.when(pl.int_range(pl.len()) < 400).then(pl.lit("nurse")).otherwise(pl.col(_JOB)).alias(_JOB)
    )
    drift = _drift(tmp_path, before, after)

    def evidently(test: object, column: str, kind: str) -> float:
        series = [pd.Series(frame[column].drop_nulls().to_list()) for frame in (before, after)]
        return float(test(*series, kind, None).drift_score)  # type: ignore[operator]

    area = evidently(wasserstein_stat_test, _INCOME, "num")
    assert drift.shapes[_INCOME].wasserstein == pytest.approx(area, rel=1e-9)
    # Bins are values here, and none is missing: what both make of the shares is the same.
    for column, kind in ((_JOB, "cat"), (_ROOMS, "num")):
        found = _found(drift, column)
        assert found.jensen_shannon == pytest.approx(evidently(jensenshannon_stat_test, column, kind), rel=1e-9)
        assert found.stability_index == pytest.approx(evidently(psi_stat_test, column, kind), rel=1e-9)


def test_undisturbed_rows_are_near_and_a_shift_of_one_segment_is_found_there(tmp_path: Path) -> None:
    before = _rows(1, 20_000)
    own = pl.col("legal_entity") == "credit"
    moved = pl.when(own).then(pl.col(_INCOME) * 1.8).otherwise(pl.col(_INCOME))
    drift = _drift(tmp_path, before, _rows(2, 10_000, **{_INCOME: moved}))
    still = [found for found in drift.columns if found.column != _INCOME]
    assert max(found.stability_index for found in still) < 0.02
    assert abs(np.mean([found.excess for found in still])) < 0.003
    there, everywhere = (_found(drift, _INCOME, one) for one in (Segment("legal_entity", "credit"), EVERYTHING))
    assert there.excess > 0.2 > everywhere.excess
    assert there.p_value < 1e-6


def test_a_changed_unit_zeros_missing_values_and_new_codes_are_told_as_what_they_are(tmp_path: Path) -> None:
    before = _rows(1, 4_000)
    fen = _drift(tmp_path, before, _rows(2, 2_000, **{_INCOME: pl.col(_INCOME) * 100}))
    assert fen.shapes[_INCOME].scaled_by == 100.0
    assert _found(fen, _INCOME).outside_share > 0.5
    assert {shape.scaled_by for name, shape in fen.shapes.items() if name != _INCOME} == {None}
    zeros = _drift(tmp_path, before, _rows(2, 2_000, **{_INCOME: pl.lit(0.0)}))
    assert zeros.shapes[_INCOME].constant
    assert zeros.shapes[_INCOME].scaled_by is None
    gone = _drift(tmp_path, before, _rows(2, 2_000, **{_INCOME: pl.lit(None, pl.Float64)}))
    assert _found(gone, _INCOME).missing_share == 1.0
    assert _found(gone, _INCOME).reference_missing_share == pytest.approx(0.1, abs=0.02)
    strange = _rows(
        2,
        1_000,
        **{
            _LATE: pl.when(pl.int_range(pl.len()) < 50).then(999.0).otherwise(pl.col(_LATE)),
            _JOB: pl.when(pl.int_range(pl.len()) < 100).then(pl.lit("厨师")).otherwise(pl.col(_JOB)),
        },
    )
    new = _drift(tmp_path, before, strange)
    assert (new.shapes[_LATE].unseen, _found(new, _LATE).unseen_share) == (("999",), 0.05)
    assert (new.shapes[_JOB].unseen, _found(new, _JOB).unseen_share) == (("厨师",), 0.1)


def test_a_column_that_rows_do_not_have_is_named(tmp_path: Path) -> None:
    before = _rows(1, 500)
    drift = _drift(tmp_path, before, _rows(2, 500).drop(_LATE, "legal_entity", "party_id"))
    assert drift.not_logged == (_LATE,)
    assert _LATE not in drift.shapes
    assert drift.sizes[EVERYTHING].parties == 500


def test_no_rows_at_all_are_no_drift(tmp_path: Path) -> None:
    drift = _drift(tmp_path, _rows(1, 500), _rows(2, 500).head(0))
    assert (drift.sizes, drift.columns) == ({}, ())


def test_jensen_shannon_of_equal_shares_is_nothing() -> None:
    counts = np.array([1, 3, 7])
    assert jensen_shannon(counts, counts * 3) == pytest.approx(0.0, abs=1e-7)
