"""Any flat table: how columns are read, what is refused, what is warned of, and that scoring reads rows alike."""

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.errors import UnreadableFile
from training import BoosterParameters, LocalGrowth
from training.candidates import Candidate
from training.errors import UnusableTable
from training.inputs import Statistic, series_statistic
from training.mlflow_model import _statistic
from training.table import (
    TableFrame,
    TableRequest,
    model_name,
    read_training_table,
    table_parameters,
    train_table_candidate,
)
from training.table.readings import read_column
from training.table.scoring import encode_table
from training.table.series import series_of

ROWS = 1_200
QUICK = BoosterParameters(learning_rate=0.1, max_trees=60, num_leaves=8, min_data_in_leaf=20, feature_fraction=0.6)


def a_table(**columns: Any) -> dict[str, Any]:
    """Risk rises with ``debt`` and in the sector ``building``."""
    rng = np.random.default_rng(7)
    debt = rng.normal(size=ROWS)
    sector = rng.choice(["farming", "building", "trade"], ROWS)
    odds = -1.2 + 1.4 * debt + 0.8 * (sector == "building")
    target = (rng.random(ROWS) < 1 / (1 + np.exp(-odds))).astype(int)
    return {"debt": debt, "sector": sector, "noise": rng.normal(size=ROWS), "defaulted": target} | columns


def written(tmp_path: Path, columns: dict[str, Any], name: str = "loans.csv") -> Path:
    path = tmp_path / name
    frame = pl.DataFrame(columns)
    frame.write_parquet(path) if path.suffix == ".parquet" else frame.write_csv(path)
    return path


def read(tmp_path: Path, request: dict[str, Any] | None = None, **columns: Any) -> TableFrame:
    path = written(tmp_path, a_table(**columns))
    return read_training_table(TableRequest(path, "defaulted", **(request or {})))


def readings(frame: TableFrame) -> dict[str, str]:
    return {reading.name: f"{reading.read_as}: {reading.note}" for reading in frame.readings}


@pytest.mark.parametrize(
    ("texts", "read_as", "says"),
    [
        (["1", "2.5", "-3e2"] * 20, "number", "numbers from -300 to 2.5"),
        (["1,234.50", "12,000", "7"] * 20, "number", "with thousands separators"),
        (["12%", "3.5 %", "90%"] * 20, "number", "in percent"),
        (["¥1,200", "¥30", "¥5"] * 20, "number", "with a currency sign"),
        (["1.234,5", "0,7", "12,25"] * 20, "number", "with a decimal comma"),
        (["1", "2", "NA", "?", "", "null"] * 20, "number", "66.7% missing"),
        (["5"] * 30 + ["7"] * 30 + ["about 6"], "number", "1 unlike the rest, taken for missing: 'about 6'"),
        (["2024-01-31", "2023-12-01", "2020-02-29"] * 20, "date", "dates written %Y-%m-%d"),
        (["31/01/2024", "15/12/2023", "29/02/2020"] * 20, "date", "dates written %d/%m/%Y"),
        (["01/02/2024", "03/04/2023", "05/06/2020"] * 20, "date", "ambiguous: the day may be the month"),
        (["Dec-2011", "Jan-2012", "Mar-2014"] * 20, "date", "%b-%Y"),
        (["2024-01-31 10:00:00", "2024-02-01T11:30:00", "2024-03-01 00:00"] * 20, "date", "with a time of day"),
        (["A", "B", "C"] * 20, "category", "3 categories"),
        (["A"] * 30 + ["B"] * 30 + ["C", "D"], "category", "the 2 rarest (2 rows) are taken for missing"),
        ([None, "", "n/a"] * 20, "left out", "no value in any row"),
        (["x", "x", None] * 20, "left out", "the same value in every row that has one: 'x'"),
        ([f"customer {n}" for n in range(300)], "left out", "300 different texts in 300 rows"),
    ],
)
def test_a_column_of_texts_is_read_as_what_it_says(texts: list[str | None], read_as: str, says: str) -> None:
    found = read_column(pl.Series("column", texts, pl.String))
    assert found.reading.read_as == read_as
    assert says in found.reading.note


@pytest.mark.parametrize(
    ("name", "values", "left_out"),
    [
        ("loan_id", list(np.random.default_rng(1).permutation(500) * 7), True),
        ("anything", list(range(500)), True),
        ("income", list(np.random.default_rng(1).permutation(500) * 7), False),
        ("id", [1, 2] * 250, False),
    ],
)
def test_numbers_that_name_rows_are_left_out_unless_kept(name: str, values: list[int], left_out: bool) -> None:
    column = pl.Series(name, values)
    assert (read_column(column).values is None) == left_out
    assert read_column(column, keep=True).values is not None


@given(st.integers(2, 6), st.integers(1, 30), st.integers(0, 2**31))
@settings(deadline=None, max_examples=60)
def test_statistics_of_series_are_numpys_and_the_file_that_mlflow_keeps_agrees(k: int, n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    columns = np.round(rng.normal(0, 100, (n, k)), 2)
    whole = columns.copy()
    columns[rng.random(columns.shape) < 0.2] = np.nan
    kinds: tuple[Statistic, ...] = ("mean", "largest", "smallest", "spread", "trend", "positive", "change", "ratio")
    for statistic in kinds:
        ours, theirs = series_statistic(columns, statistic), _statistic(columns, statistic)
        assert np.array_equal(ours, theirs, equal_nan=True)
    assert np.allclose(series_statistic(whole, "mean"), whole.mean(axis=1))
    assert np.allclose(series_statistic(whole, "spread"), whole.std(axis=1))
    assert np.allclose(series_statistic(whole, "largest"), whole.max(axis=1))
    assert np.allclose(series_statistic(whole, "trend"), [np.polyfit(range(k), row, 1)[0] for row in whole])
    known = ~np.isnan(columns).all(axis=1)
    assert np.allclose(series_statistic(columns, "smallest")[known], np.nanmin(columns[known], axis=1))
    assert np.isnan(series_statistic(columns, "mean")[~known]).all()


def test_series_are_columns_that_differ_in_the_number_they_end_in() -> None:
    found = series_of(["BILL_AMT2", "age", "BILL_AMT1", "BILL_AMT10", "x1", "x2", "PAY_1", "PAY_2", "PAY_3"])
    assert [(one.stem, one.columns) for one in found] == [
        ("BILL_AMT", ("BILL_AMT1", "BILL_AMT2", "BILL_AMT10")), ("PAY", ("PAY_1", "PAY_2", "PAY_3")),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("target", "positive", "event"),
    [
        (["yes", "no"], None, "yes"), ([True, False], None, "true"), ([1.0, 0.0], None, "1"),
        (["bad", "good"], None, "bad"), ([1, 2], "2", "2"), (["违约", "正常"], None, "违约"),
        (["paid", "late", "lost"], "lost", "lost"),
    ],
)  # fmt: skip
def test_the_event_is_the_value_that_says_so_or_that_is_named(
    tmp_path: Path, target: list[Any], positive: str | None, event: str
) -> None:
    frame = read(tmp_path, {"positive": positive}, defaulted=[target[n % len(target)] for n in range(ROWS)])
    assert frame.event == event
    assert frame.labels.mean() == pytest.approx(1 / len(target))


@pytest.mark.parametrize(
    ("columns", "request_", "says"),
    [
        ({"defaulted": [0] * ROWS}, {}, "holds only '0' in all 1,200 rows: there is nothing to learn"),
        ({"defaulted": [None] * ROWS}, {}, "has no value in any row"),
        ({"defaulted": ([1, 2] * ROWS)[:ROWS]}, {}, "is '1', '2'; say which is the event: --positive 2"),
        ({"defaulted": (["good", "bad", "unknown"] * ROWS)[:ROWS]}, {}, "--positive bad"),
        ({"defaulted": [1] * 5 + [0] * (ROWS - 5)}, {}, "has 5 rows with '1' and 1195 without"),
        ({}, {"positive": "7"}, "never is '7'"),
        ({}, {"drop": ("sectr",)}, "has no column 'sectr', which --drop names; the nearest is 'sector'"),
        ({}, {"rising": ("debt",), "falling": ("debt",)}, "cannot be both --rising and --falling"),
        ({}, {"drop": ("debt", "sector", "noise")}, "can be learnt from"),
        ({"when": ["soon"] * ROWS}, {"time": "when"}, "does not parse: it holds 'soon'"),
        (
            {"when": ["2024-01-01"] * 7 + ["yesterday"] + ["2024-01-02"] * (ROWS - 8)}, {"time": "when"},
            "does not parse in 1 of 1,200 rows, the first is row 8: 'yesterday'",
        ),
        ({"when": [None] + ["2024-01-01"] * (ROWS - 1)}, {"time": "when"}, "is empty in 1 rows, the first is row 1"),
    ],
)  # fmt: skip
def test_what_cannot_be_learnt_is_told_in_a_sentence(
    tmp_path: Path, columns: dict[str, Any], request_: dict[str, Any], says: str
) -> None:
    with pytest.raises(UnusableTable) as refused:
        read(tmp_path, request_, **columns)
    assert says in str(refused.value)
    assert refused.value.exit_code == 2


def test_a_file_that_is_no_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile):
        read_training_table(TableRequest(tmp_path / "nothing.csv", "y"))
    with pytest.raises(UnusableTable, match="cannot be named"):
        model_name(TableRequest(tmp_path / "loans.csv", "y"), "a/b")
    assert model_name(TableRequest(tmp_path / "my loans 2024.csv.gz", "y"), None) == "my_loans_2024"


def test_a_copy_of_the_target_is_left_out_and_a_near_copy_is_warned_of(tmp_path: Path) -> None:
    target = np.array(a_table()["defaulted"])
    rng = np.random.default_rng(1)
    outcome = np.where(target == 1, "written off", "closed")
    near = np.where(rng.random(ROWS) < 0.03, 1 - target, target)
    frame = read(tmp_path, recovered=target * -3.5, outcome=outcome, near=near)
    assert "tells the target all by itself (AUC 1.0000)" in readings(frame)["recovered"]
    assert "tells the target all by itself" in readings(frame)["outcome"]
    assert [warning for warning in frame.warnings if warning.startswith("'recovered' is left out: it tells")]
    assert not {"recovered", "outcome"} & {given.name for given in frame.inputs}
    assert [warning for warning in frame.warnings if "'near' alone has an AUC of 0.9" in warning]
    kept = read(tmp_path, {"keep": ("recovered",)}, recovered=target * -3.5)
    assert "recovered" in {given.name for given in kept.inputs}


def test_ten_thousand_categories_are_cut_to_those_that_say_something(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    town = [f"town {min(int(value), 9_999)}" for value in rng.exponential(40, ROWS)]
    frame = read(tmp_path, town=town, person=[f"person {value}" for value in rng.permutation(10_000)[:ROWS]])
    [given] = [one for one in frame.inputs if one.name == "town"]
    assert 2 <= len(given.categories) <= 200
    assert "rarest" in readings(frame)["town"]
    assert readings(frame)["person"].startswith("left out: 1,200 different texts")


def test_the_latest_fifth_is_the_test_and_rows_of_one_instant_stay_together(tmp_path: Path) -> None:
    days = [date(2024, 1, 1) + timedelta(days=int(n)) for n in np.random.default_rng(3).integers(0, 90, ROWS)]
    frame = read(tmp_path, {"time": "when"}, when=[f"{day:%d.%m.%Y}" for day in days])
    assert frame.split == "latest fifth"
    when = np.array(days)
    assert when[frame.test].min() > when[~frame.test].max()
    assert 0.15 < frame.test.mean() < 0.25
    assert set(frame.months) == {"2024-01", "2024-02", "2024-03"}


def test_a_latest_fifth_without_events_gives_way_to_a_random_one_with_a_warning(tmp_path: Path) -> None:
    target = np.array(a_table()["defaulted"])
    target[-300:] = 0
    frame = read(tmp_path, {"ordered": True}, defaulted=target)
    assert frame.split == "random fifth"
    assert [warning for warning in frame.warnings if "has 0 events and 240 others" in warning]
    for fold in np.unique(frame.folds[~frame.test]):
        assert 0 < frame.labels[(frame.folds == fold) & ~frame.test].mean() < 1


def test_all_rows_of_one_customer_are_in_one_part(tmp_path: Path) -> None:
    customer = np.array([f"c{n // 4}" for n in range(ROWS)])
    frame = read(tmp_path, {"identifier": "customer"}, customer=customer)
    for name in np.unique(customer):
        own = customer == name
        assert len(set(frame.test[own])) == 1
        assert len(set(frame.folds[own])) == 1
    assert "customer" not in {given.name for given in frame.inputs}


@pytest.fixture(scope="module")
def candidate(tmp_path_factory: pytest.TempPathFactory) -> tuple[TableFrame, TableRequest, Candidate]:
    folder = tmp_path_factory.mktemp("table")
    opened = [f"20{10 + n % 10}-0{1 + n % 9}-11" for n in range(ROWS)]
    paid = {f"PAID{n}": np.random.default_rng(n).uniform(0, 5_000, ROWS) for n in (1, 2, 3)}
    columns = a_table(
        sex=["F", "M"] * (ROWS // 2),
        opened=opened,
        when=[f"2024-{1 + n // 100:02d}-{1 + n % 28:02d}" for n in range(ROWS)],
        share=[f"{n % 90}%" for n in range(ROWS)],
        **paid,
    )
    request = TableRequest(written(folder, columns), "defaulted", time="when", rising=("debt",))
    frame = read_training_table(request)
    trained = train_table_candidate(
        frame, request, "loans", QUICK, threads=2, growth=LocalGrowth(), trained_by="Alice Wang"
    )
    return frame, request, trained


def test_a_table_becomes_a_candidate_with_the_whole_report(
    candidate: tuple[TableFrame, TableRequest, Candidate],
) -> None:
    frame, _, trained = candidate
    validation = trained.validation
    assert validation.test.gini > 0.4
    assert validation.weights[0].feature == "debt"
    assert validation.challengers[0].test.gini > 0.4
    assert {one.attribute for one in validation.fairness} == {"sex"}
    assert set(validation.segments) == {"month"}
    [rising] = [one for one in validation.dependence if one.feature == "debt"]
    assert np.all(np.diff(rising.probability) >= 0)
    assert {given.kind for given in frame.inputs} == {"number", "category", "date", "series"}


def test_rows_are_scored_as_they_were_read_for_training_from_a_file_and_one_by_one(
    candidate: tuple[TableFrame, TableRequest, Candidate],
) -> None:
    frame, request, trained = candidate
    table = pl.read_csv(request.path, infer_schema=False)
    encoded = encode_table(table, trained.model)
    assert np.array_equal(encoded.rows, frame.rows, equal_nan=True)
    assert encoded.notes == ()
    numeric = ("debt", "noise", "PAID1", "PAID2", "PAID3")
    rows = []
    for row in table.head(50).to_dicts():
        named = {name: row[name] for name in trained.model.read_columns}
        rows.append(named | {name: float(row[name]) for name in numeric} | {"share": float(row["share"][:-1]) / 100})
    # A share in percent is divided by a hundred by two libraries; all else is the same to the bit.
    assert np.allclose(trained.model.encoded(rows), frame.rows[:50], rtol=1e-15, equal_nan=True)


def test_what_a_file_to_score_lacks_or_holds_otherwise_is_told(
    candidate: tuple[TableFrame, TableRequest, Candidate],
) -> None:
    _, request, trained = candidate
    table = pl.read_csv(request.path, infer_schema=False)
    with pytest.raises(UnusableTable, match=r"lacks 'debt', which the model reads; the nearest to 'debt' is 'dept'"):
        encode_table(table.rename({"debt": "dept"}), trained.model)
    strange = table.head(3).with_columns(sector=pl.lit("mining"), debt=pl.Series(["1.5", "much", None]))
    encoded = encode_table(strange, trained.model)
    assert encoded.notes == (
        "'debt': 1 values are no numbers, taken for missing: 'much'",
        "'sector': 3 values are categories that training did not know, taken for missing: 'mining'",
    )
    assert np.isnan(encoded.rows[1:, 0]).all()


def test_fifty_rows_get_a_result_with_a_warning(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    x = rng.normal(size=50)
    columns = {"x": x, "kind": rng.choice(["a", "b"], 50), "y": (x + rng.normal(0, 0.7, 50) > 0).astype(int)}
    request = TableRequest(written(tmp_path, columns), "y")
    frame = read_training_table(request)
    assert [warning for warning in frame.warnings if warning.startswith("50 rows are few")]
    trained = train_table_candidate(
        frame, request, "few", table_parameters(frame), threads=1, growth=LocalGrowth(), trained_by="Alice Wang"
    )
    assert trained.validation.warnings == frame.warnings
    assert 0 < trained.validation.test.auc <= 1


def test_the_same_table_and_seed_give_the_same_model_bytes_twice(
    candidate: tuple[TableFrame, TableRequest, Candidate],
) -> None:
    _, request, trained = candidate
    again = train_table_candidate(
        read_training_table(request), request, "loans", QUICK, threads=2, growth=LocalGrowth(), trained_by="Bob Li"
    )
    assert again.model.to_texts() == trained.model.to_texts()
    assert again.card.model_sha256 == trained.card.model_sha256


@pytest.mark.parametrize("name", ["credit_pd", "uplift", "credit_pd-credit-loan-person"])
def test_a_table_takes_no_name_of_the_groups_own_models(name: str) -> None:
    with pytest.raises(UnusableTable, match="is the name of a model of the group's own data"):
        model_name(TableRequest(Path("loans.csv"), "bad"), name)
    with pytest.raises(UnusableTable, match="give another by --name"):
        model_name(TableRequest(Path(f"{name}.csv"), "bad"), None)
