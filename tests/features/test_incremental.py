"""Loads that touch only what is new, rows that are corrected, and what a killed load leaves."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from features.catalogue import VIEWS
from features.compute import compute_views, feature_file
from features.contracts import loading
from features.contracts.ledger import parts_are_there, read_ledger
from features.contracts.loading import TableLoad, load_tables
from features.errors import ContractBroken, UnreadableFile
from features.fingerprints import feature_fingerprints
from features.identity.parties import resolve_parties
from features.windows import DeclaredView, ProfileView, WindowView
from tests.features.tables import JOINED, a_customer, a_default, a_statement, frame

NOW = datetime(2025, 6, 1, tzinfo=UTC)
DAY = timedelta(days=1)
AT = JOINED + 30 * DAY


class Delivery:
    """A folder of raw tables and where it is loaded to."""

    def __init__(self, folder: Path) -> None:
        self.raw, self.canonical, self.quarantine = (folder / name for name in ("raw", "canonical", "quarantine"))
        self.put("customers", "all", [a_customer(), a_customer(customer_id="C2", identity_token="T2")])
        self.put("defaults", "all", [a_default(AT, customer_id="C2", loan_id="L9")])

    def put(self, table: str, file: str, rows: list[dict[str, Any]]) -> Path:
        path = self.raw / table / f"{file}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        frame(table, rows).write_parquet(path)
        return path

    def load(self, now: datetime = NOW) -> dict[str, TableLoad]:
        loads = load_tables(self.raw, self.canonical, self.quarantine, rejected_share_limit=1, now=now)
        return {load.table: load for load in loads}

    def everything(self) -> dict[str, bytes]:
        files = [*self.canonical.rglob("*"), *self.quarantine.rglob("*")]
        return {
            str(path.relative_to(self.raw.parent)): path.read_bytes()
            for path in files if path.is_file() and path.name != "ledger.json" and path.suffix != ".part"
        }  # fmt: skip

    def statements(self) -> pl.DataFrame:
        return pl.read_parquet(self.canonical / "statements" / "*.parquet")


@pytest.fixture
def delivery(tmp_path: Path) -> Delivery:
    made = Delivery(tmp_path)
    made.put("statements", "2024-01", [a_statement(AT, loan_id=f"L{n}") for n in range(5)])
    return made


def test_only_new_files_are_read(delivery: Delivery, monkeypatch: pytest.MonkeyPatch) -> None:
    delivery.load()
    before = delivery.everything()
    delivery.put("statements", "2024-02", [a_statement(AT + 30 * DAY, loan_id="L1")])
    read: list[str] = []

    def reading(path: Path) -> pl.DataFrame:
        read.append(path.name)
        return pl.read_parquet(path)

    monkeypatch.setattr(loading, "read_table", reading)
    loads = delivery.load()
    assert read == ["2024-02.parquet"]
    assert (loads["statements"].files, loads["statements"].files_reused) == (2, 1)
    assert (loads["statements"].rows_read, loads["statements"].rows_kept) == (6, 6)
    after = delivery.everything()
    assert {name: after[name] for name in before} == before
    assert delivery.load()["statements"].files_reused == 2
    assert delivery.everything() == after


def test_a_correction_counts_from_when_it_was_learnt(delivery: Delivery) -> None:
    later = AT + 10 * DAY
    delivery.put("statements", "2024-02", [a_statement(AT, loan_id="L1", days_past_due=60, created_timestamp=later)])
    delivery.load()
    rows = delivery.statements().filter(loan_id="L1").sort("created_timestamp")
    assert rows["superseded_at"].to_list() == [later, None]
    assert delivery.statements().filter(pl.col("loan_id") != "L1")["superseded_at"].null_count() == 4
    resolve_parties(delivery.canonical)
    assert days_past_due(delivery, later - timedelta(microseconds=1)) == 0
    assert days_past_due(delivery, later) == 60
    # Taken back by the source: what it had marked counts again.
    (delivery.raw / "statements" / "2024-02.parquet").unlink()
    delivery.load()
    assert delivery.statements()["superseded_at"].null_count() == 5
    assert days_past_due(delivery, later) == 0


def days_past_due(delivery: Delivery, at: datetime) -> float:
    view = next(view for view in VIEWS if view.name == "repayment")
    target = delivery.raw.parent / "features"
    shutil.rmtree(target, ignore_errors=True)
    compute_views([view.declared], delivery.canonical, target, [at], threads=1)
    rows = pl.read_parquet(feature_file(target, view.name, at))
    own = rows.filter(pl.col("days_past_due_max_90d").is_not_null())
    worst: float = own["days_past_due_max_90d"].max()  # type: ignore[assignment]
    return worst


def test_two_rows_of_one_key_learnt_at_once_are_no_correction(delivery: Delivery) -> None:
    delivery.load()
    before = delivery.everything()
    delivery.put("statements", "again", [a_statement(AT, loan_id="L1", days_past_due=60)])
    with pytest.raises(ContractBroken, match=r"L1.*stands in more than one file \(2024-01.parquet, again.parquet\)"):
        delivery.load()
    assert delivery.everything() == before


def test_what_is_not_known_yet_is_tried_again(delivery: Delivery) -> None:
    delivery.put("statements", "new", [
        a_statement(AT, loan_id="L7", customer_id="C7"),
        a_statement(NOW + DAY, loan_id="L8"),
        a_statement(AT, loan_id="L6"),
    ])  # fmt: skip
    loads = delivery.load()
    assert (loads["statements"].rows_rejected, len(delivery.statements())) == (2, 6)
    assert loads["statements"].broken_rules == {
        "customer_id: is a customer of the legal entity in table 'customers'": 1,
        "created_timestamp: is not in the future": 1,
    }
    delivery.put("customers", "more", [a_customer(customer_id="C7", identity_token="T7")])
    loads = delivery.load(NOW + 2 * DAY)
    assert (loads["statements"].rows_rejected, len(delivery.statements())) == (0, 8)
    assert loads["statements"].files_reused == 1
    # And a customer who is gone takes his rows along.
    (delivery.raw / "customers" / "more.parquet").unlink()
    assert delivery.load(NOW + 2 * DAY)["statements"].rows_rejected == 1


def test_a_file_that_changes_while_it_is_read_is_refused_and_nothing_moves(
    delivery: Delivery, monkeypatch: pytest.MonkeyPatch
) -> None:
    delivery.load()
    before = delivery.everything()
    growing = delivery.put("statements", "2024-02", [a_statement(AT + 30 * DAY, loan_id="L1")])

    def reading(path: Path) -> pl.DataFrame:
        rows = pl.read_parquet(path)
        if path == growing:
            path.write_bytes(path.read_bytes() + b"more")
        return rows

    monkeypatch.setattr(loading, "read_table", reading)
    with pytest.raises(UnreadableFile, match=r"2024-02.parquet changed while it was loaded; load again once"):
        delivery.load()
    assert delivery.everything() == before


def test_a_part_that_was_lost_is_loaded_again(delivery: Delivery) -> None:
    delivery.load()
    before = delivery.everything()
    assert parts_are_there(delivery.canonical)
    (delivery.canonical / "statements" / "2024-01.parquet").unlink()
    assert not parts_are_there(delivery.canonical)
    delivery.load()
    assert delivery.everything() == before


deliveries = st.lists(
    st.tuples(
        st.sampled_from(["a", "b", "c"]),
        # The rows of the file from now on: loan and day learnt; an empty list takes the file away.
        st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), max_size=4, unique=True),
    ),
    min_size=1,
    max_size=5,
)


@given(changes=deliveries)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_whatever_is_delivered_in_whatever_order_the_tables_are_those_of_one_load(
    tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[str, list[tuple[int, int]]]]
) -> None:
    step_by_step = Delivery(tmp_path_factory.mktemp("steps"))
    step_by_step.put("statements", "first", [a_statement(AT, loan_id="L99")])
    for file, rows in changes:
        if rows:
            step_by_step.put("statements", file, [
                a_statement(AT, loan_id=f"L{loan}", created_timestamp=AT + day * DAY, days_past_due=day)
                for loan, day in rows
            ])  # fmt: skip
        else:
            (step_by_step.raw / "statements" / f"{file}.parquet").unlink(missing_ok=True)
        step = loaded_or_refused(step_by_step)
    at_once = Delivery(tmp_path_factory.mktemp("once"))
    shutil.rmtree(at_once.raw)
    shutil.copytree(step_by_step.raw, at_once.raw)
    assert loaded_or_refused(at_once) == step
    if step:
        assert step_by_step.everything() == at_once.everything()


def loaded_or_refused(delivery: Delivery) -> bool:
    try:
        delivery.load()
    except ContractBroken:
        return False
    return True


class Killed(BaseException):
    """The process is gone."""


def test_a_load_that_is_killed_anywhere_is_completed_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every rename and every removal is a place to die at."""

    def prepared(name: str) -> Delivery:
        made = Delivery(tmp_path / name)
        made.put("statements", "2024-01", [a_statement(AT, loan_id=f"L{n}") for n in range(3)])
        made.put("statements", "gone", [a_statement(AT, loan_id="L8")])
        made.load()
        later = AT + 10 * DAY
        (made.raw / "statements" / "gone.parquet").unlink()
        made.put("customers", "more", [a_customer(customer_id="C7", identity_token="T7")])
        made.put("statements", "fix", [
            a_statement(AT, loan_id="L1", amount_paid=Decimal(7), created_timestamp=later),
            a_statement(AT, loan_id="L5", amount_paid=Decimal(-1)),
        ])  # fmt: skip
        return made

    undisturbed = prepared("undisturbed")
    undisturbed.load()
    died = 0
    for place in range(100):
        delivery = prepared(f"killed-{place}")
        with monkeypatch.context() as patch:
            steps = dying_after(place)
            for operation in ("replace", "unlink"):
                patch.setattr(Path, operation, steps(getattr(Path, operation)))
            try:
                delivery.load()
            except Killed:
                died += 1
            else:
                break
        delivery.load()
        assert delivery.everything() == undisturbed.everything(), place
        assert read_ledger(delivery.canonical).keys() == read_ledger(undisturbed.canonical).keys()
    assert died >= 5


def dying_after(count: int) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    left = iter(range(count))

    def of(operation: Callable[..., Any]) -> Callable[..., Any]:
        def mortal(*arguments: Any, **named: Any) -> Any:
            if next(left, None) is None:
                raise Killed
            return operation(*arguments, **named)

        return mortal

    return of


@pytest.fixture
def computed(delivery: Delivery) -> Callable[[list[datetime]], set[str]]:
    """Computes the repayment view at instants, and says the names of files that were written anew."""
    view = next(view for view in VIEWS if view.name == "repayment").declared
    target = delivery.raw.parent / "features"

    def run(instants: list[datetime]) -> set[str]:
        before = {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in target.rglob("*.parquet")}
        delivery.load()
        resolve_parties(delivery.canonical)
        marks = feature_fingerprints([view], delivery.canonical, instants)
        compute_views([view], delivery.canonical, target, instants, threads=2, fingerprints=marks)
        after = {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in target.rglob("*.parquet")}
        return {name for name, (written, _) in after.items() if before.get(name, (0, b""))[0] != written}

    return run


def test_a_delivery_moves_the_days_it_touches_and_no_others(
    delivery: Delivery, computed: Callable[[list[datetime]], set[str]]
) -> None:
    days = [AT + number * 10 * DAY for number in range(4)]
    names = [f"as_of_{day:%Y%m%dT%H%M%S}.parquet" for day in days]
    assert computed(days) == set(names)
    assert computed(days) == set()
    # Learnt on the last but one day: earlier ones stay what they were.
    delivery.put("statements", "late", [a_statement(AT, loan_id="L50", created_timestamp=days[2])])
    assert computed(days) == set(names[2:])
    # A correction of the last day.
    delivery.put("statements", "fix", [a_statement(AT, loan_id="L1", created_timestamp=days[3], days_past_due=90)])
    assert computed(days) == {names[3]}
    # A customer of the future moves nobody; one that was known from the start moves every day.
    new = a_customer(customer_id="C9", identity_token="T9")
    delivery.put("customers", "new", [new | dict.fromkeys(("event_timestamp", "created_timestamp"), NOW - DAY)])
    assert computed(days) == set()
    delivery.put("customers", "old", [a_customer(customer_id="C8", identity_token="T8")])
    assert computed(days) == set(names)


def test_the_same_day_again_gives_the_same_bytes(
    delivery: Delivery, computed: Callable[[list[datetime]], set[str]]
) -> None:
    computed([AT])
    [path] = (delivery.raw.parent / "features").rglob("*.parquet")
    before = path.read_bytes()
    path.unlink()
    computed([AT])
    assert path.read_bytes() == before


def test_features_are_computed_anew_when_their_declaration_changes_and_not_when_its_words_do(
    delivery: Delivery,
) -> None:
    delivery.load()
    resolve_parties(delivery.canonical)
    view = next(view.declared for view in VIEWS if view.name == "repayment")
    profile = next(view.declared for view in VIEWS if view.name == "profile")
    assert isinstance(view, WindowView)
    assert isinstance(profile, ProfileView)

    def mark(declared: DeclaredView) -> str:
        return feature_fingerprints([declared], delivery.canonical, [AT])[declared.name, AT]

    def with_first(**changes: Any) -> WindowView:
        first = view.windowed[0]
        metric = replace(first.metric, **{name: value for name, value in changes.items() if name != "window_days"})
        days = changes.get("window_days", first.window_days)
        return replace(view, windowed=(replace(first, metric=metric, window_days=days), *view.windowed[1:]))

    assert mark(with_first(description="Said in other words", unit="d")) == mark(view)
    different = [
        with_first(expression="days_past_due + 1"),
        with_first(decimals=3),
        with_first(scope="elsewhere"),
        with_first(window_days=31),
        replace(view, windowed=view.windowed[1:]),
        replace(view, derived=(replace(view.derived[0], expression="1"), *view.derived[1:])),
        replace(view, helpers=()),
        replace(view, row_id="customer_id"),
    ]
    assert len({mark(view), *map(mark, different)}) == len(different) + 1
    assert mark(replace(profile, features=profile.features[1:])) != mark(profile)
