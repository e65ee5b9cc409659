"""Training frames: who is in them, what the label says, and how they are divided."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from features import plus_months, resolve_parties
from tests.features.tables import a_customer, a_loan, a_statement, write
from training.errors import TooFewDefaults
from training.frames import PARTY_FOLDS, data_hash, labelled_population, products_held, with_folds

JANUARY = datetime(2025, 1, 1, tzinfo=UTC)
LATE = timedelta(microseconds=1)


def population(tmp_path: Path, statements: list[dict[str, object]], defaulted_at: list[datetime]) -> list[bool]:
    """Labels of the one customer at 2025-01-01, twelve months ahead; empty if the customer is not in the frame."""
    write(tmp_path, "customers", [a_customer()])
    write(tmp_path, "statements", statements)
    defaults = [
        a_statement(at, reason="90_days_past_due", loan_id=f"L{n}", created_timestamp=at)
        for n, at in enumerate(defaulted_at)
    ]
    write(tmp_path, "defaults", defaults)
    resolve_parties(tmp_path)
    frame = labelled_population(tmp_path, [JANUARY], 12, datetime(2026, 1, 1, tzinfo=UTC))
    return frame["defaulted"].to_list()


def severities_of(tmp_path: Path, later: list[dict[str, object]], defaulted_at: list[datetime]) -> list[float]:
    """What became of the one customer in the year after 2025-01-01, from 0 (never late) to 1 (a default)."""
    population(tmp_path, CURRENT + later, defaulted_at)
    frame = labelled_population(tmp_path, [JANUARY], 12, datetime(2026, 1, 1, tzinfo=UTC))
    return frame["severity"].to_list()


CURRENT = [a_statement(JANUARY - timedelta(days=5))]


@pytest.mark.parametrize(
    ("defaulted_at", "labels"),
    [
        ([], [False]),
        ([JANUARY], []),
        ([JANUARY + LATE], [True]),
        ([datetime(2026, 1, 1, tzinfo=UTC)], [True]),
        ([datetime(2026, 1, 1, tzinfo=UTC) + LATE], [False]),
        ([JANUARY - timedelta(days=100), JANUARY + timedelta(days=100)], []),
    ],
)
def test_the_label_is_a_first_default_after_the_instant_and_within_the_horizon(
    tmp_path: Path, defaulted_at: list[datetime], labels: list[bool]
) -> None:
    assert population(tmp_path, CURRENT, defaulted_at) == labels


@pytest.mark.parametrize(
    ("days_past_due", "at", "defaulted_at", "severity"),
    [
        (45, JANUARY + timedelta(days=40), [], 0.5),
        (45, JANUARY, [], 0.0),
        (45, datetime(2026, 1, 1, tzinfo=UTC) + LATE, [], 0.0),
        (200, JANUARY + timedelta(days=40), [], 1.0),
        (0, JANUARY + timedelta(days=40), [], 0.0),
        (30, JANUARY + timedelta(days=40), [JANUARY + timedelta(days=90)], 1.0),
    ],
)
def test_severity_is_the_worst_arrears_of_the_horizon_and_a_default_is_all_of_it(
    tmp_path: Path, days_past_due: int, at: datetime, defaulted_at: list[datetime], severity: float
) -> None:
    later = a_statement(at, days_past_due=days_past_due, created_timestamp=at)
    assert severities_of(tmp_path, [later], defaulted_at) == [severity]


@pytest.mark.parametrize(
    ("statements", "rows"),
    [
        ([a_statement(JANUARY - timedelta(days=36))], 0),
        ([a_statement(JANUARY + timedelta(days=1))], 0),
        ([a_statement(JANUARY - timedelta(days=5), created_timestamp=JANUARY + LATE)], 0),
        ([a_statement(JANUARY - timedelta(days=5), created_timestamp=JANUARY)], 1),
        ([a_statement(JANUARY - timedelta(days=5)), a_statement(JANUARY - timedelta(days=5), loan_id="L2")], 1),
    ],
)
def test_only_who_was_on_the_books_and_known_to_be_is_in_the_frame(
    tmp_path: Path, statements: list[dict[str, object]], rows: int
) -> None:
    assert len(population(tmp_path, statements, [])) == rows


def test_an_instant_whose_outcome_is_not_known_yet_is_left_out(tmp_path: Path) -> None:
    population(tmp_path, CURRENT, [])
    until = datetime(2025, 12, 31, tzinfo=UTC)
    assert len(labelled_population(tmp_path, [JANUARY], 12, until)) == 0
    assert len(labelled_population(tmp_path, [JANUARY], 11, until)) == 1


def a_population(months: int, parties: int = 1_200) -> pl.DataFrame:
    instants = [plus_months(JANUARY, month) for month in range(months)]
    return pl.DataFrame(
        [("consumer", f"P{party}", instant, party % 4 == 0) for instant in instants for party in range(parties)],
        schema={
            "legal_entity": pl.String,
            "party_id": pl.String,
            "event_timestamp": pl.Datetime("us", "UTC"),
            "defaulted": pl.Boolean,
        },
        orient="row",
    )


def test_the_test_lies_after_every_training_label_is_known() -> None:
    frame, split = with_folds(a_population(24), horizon_months=12)
    assert split.kind == "out_of_time"
    assert max(plus_months(instant, 12) for instant in split.train_instants) <= min(split.test_instants)
    assert len(split.test_instants) == 3
    by_fold = {name: set(rows["event_timestamp"]) for (name,), rows in frame.group_by("fold")}
    assert by_fold["train"] == set(split.train_instants)
    assert by_fold["test"] == set(split.test_instants)
    assert by_fold["unused"] == set(frame["event_timestamp"]) - by_fold["train"] - by_fold["test"]


def test_a_party_is_in_one_fold_at_all_instants() -> None:
    frame, _ = with_folds(a_population(24), horizon_months=12)
    assert frame.group_by("party_id").agg(pl.col("party_fold").n_unique())["party_fold"].max() == 1
    sizes = frame["party_fold"].value_counts()["count"].to_list()
    assert len(sizes) == PARTY_FOLDS
    assert max(sizes) / min(sizes) < 1.35


def test_one_instant_is_divided_by_party_and_evenly_over_the_folds() -> None:
    frame, split = with_folds(a_population(1, parties=6_000), horizon_months=12)
    assert split.kind == "out_of_sample"
    shares = frame.group_by("party_fold").agg((pl.col("fold") == "test").mean())["fold"].to_list()
    assert all(0.15 < share < 0.25 for share in shares)


def test_the_folds_do_not_depend_on_who_else_is_there() -> None:
    few, _ = with_folds(a_population(1, parties=1_200), horizon_months=12)
    many, _ = with_folds(a_population(1, parties=2_400), horizon_months=12)
    both = few.join(many, on=["party_id", "event_timestamp"])
    assert (both["fold"] == both["fold_right"]).all()
    assert (both["party_fold"] == both["party_fold_right"]).all()


def test_a_frame_without_enough_defaults_is_refused_with_the_counts() -> None:
    with pytest.raises(TooFewDefaults, match=r"hold \d+ defaults; at least 20 are needed"):
        with_folds(a_population(1, parties=100), horizon_months=12)


def test_the_data_hash_changes_with_any_value_and_with_nothing_else() -> None:
    frame = a_population(1, parties=50)
    assert data_hash(frame) == data_hash(frame.clone())
    changed = frame.with_columns(defaulted=pl.col("defaulted") ^ (pl.int_range(pl.len()) == 49))
    assert data_hash(frame) != data_hash(changed)
    assert data_hash(frame) != data_hash(frame.reverse())
    assert data_hash(frame) != data_hash(frame.rename({"party_id": "party"}))
    texts = pl.DataFrame({"a": ["ab", "c", None, ""]})
    moved = pl.DataFrame({"a": ["a", "bc", None, ""]})
    empty = pl.DataFrame({"a": ["ab", "c", "", None]})
    assert len({data_hash(each) for each in (texts, moved, empty)}) == 3


def test_the_data_hash_is_the_same_on_any_machine_and_in_any_release() -> None:
    frame = pl.DataFrame(
        {"party_id": ["P1", "P2"], "age_years": [41.5, None], "defaulted": [True, False], "at": [JANUARY, JANUARY]},
        schema_overrides={"at": pl.Datetime("us", "UTC")},
    )
    assert data_hash(frame) == "defe7b22aca4068e36e1e018418d4a7d9834c721bffa9f48bdd7e83e3d89a4de"


def held(tmp_path: Path, loans: list[dict[str, object]]) -> str:
    """The product of the one customer at 2025-01-01."""
    write(tmp_path, "customers", [a_customer()])
    write(tmp_path, "loans", loans)
    resolve_parties(tmp_path)
    party = pl.read_parquet(tmp_path / "parties" / "*.parquet").select("legal_entity", "party_id")
    return str(products_held(tmp_path, party.with_columns(event_timestamp=pl.lit(JANUARY))).item())


DRAWN = JANUARY - timedelta(days=200)


@pytest.mark.parametrize(
    ("loans", "product"),
    [
        ([a_loan(DRAWN)], "revolving_card"),
        ([a_loan(JANUARY + LATE)], ""),
        ([a_loan(DRAWN, created_timestamp=JANUARY + LATE)], ""),
        ([a_loan(DRAWN), a_loan(DRAWN, loan_id="L2", product="lease", principal=Decimal("2000.00"))], "lease"),
        (
            [
                a_loan(DRAWN),
                a_loan(DRAWN, loan_id="L2", product="lease", principal=Decimal("2000.00")),
                a_loan(DRAWN + timedelta(days=9), loan_id="L2", product="lease", status="settled",
                       principal=Decimal("2000.00")),
            ],
            "revolving_card",
        ),
        ([a_loan(DRAWN), a_loan(DRAWN + timedelta(days=9), status="settled")], "revolving_card"),
    ],
)  # fmt: skip
def test_a_customers_product_is_that_of_a_running_loan_as_it_was_known(
    tmp_path: Path, loans: list[dict[str, object]], product: str
) -> None:
    assert held(tmp_path, loans) == product


def test_without_a_table_of_loans_no_product_is_known(tmp_path: Path) -> None:
    frame = pl.DataFrame({"legal_entity": ["consumer"], "party_id": ["P"], "event_timestamp": [JANUARY]})
    assert products_held(tmp_path, frame).to_list() == [""]
