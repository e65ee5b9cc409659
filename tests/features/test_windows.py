"""Windowed features: what DuckDB computes is what the declaration says, row by row, and nothing from the future."""

import re
import statistics
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from features import resolve_parties, window_values
from features.catalogue import VIEWS
from features.catalogue.trade import TRADE
from features.catalogue.utilisation import UTILISATION
from features.compute import compute_views
from features.errors import ContractBroken
from features.seen_rows import read_batches
from features.windows import (
    Aggregate,
    Derived,
    Metric,
    Windowed,
    WindowView,
    longest_run,
    monthly,
    share,
    trend,
    volatility,
)
from tests.features.tables import a_customer, a_statement, a_transaction, an_invoice, write

AS_OF = datetime(2025, 7, 1, tzinfo=UTC)
SPENT = Metric("spent", "CASE WHEN direction = 'out' THEN amount END", "CNY", "Money out")
AGGREGATES: tuple[Aggregate, ...] = ("sum", "mean", "std", "min", "max", "count", "latest", "days_since")
PAYEE = Metric("payee", "CASE WHEN direction = 'out' THEN counterparty END", "payees", "Who is paid")
SPENT_ELSEWHERE = Metric("spent_elsewhere", SPENT.expression, "CNY", "Money out at others", "elsewhere")
SPENT_HERE = Metric("spent_here", SPENT.expression, "CNY", "Money out at the company itself", "own")
PAYEE_HERE = Metric("payee_here", PAYEE.expression, "payees", "Who is paid by the company's own", "own")
PAYEE_ELSEWHERE = Metric("payee_elsewhere", PAYEE.expression, "payees", "Who is paid by others", "elsewhere")
WHERE = {"seen": ("consumer", "credit"), "own": ("consumer",), "elsewhere": ("credit",)}
"""Whose rows count, as the company ``consumer`` looks."""
VIEW = WindowView(
    name="spending",
    table="transactions",
    row_id="transaction_id",
    windowed=(
        *(
            Windowed(metric, aggregate, days, 0, after_days=after)
            for metric in (SPENT, SPENT_HERE, SPENT_ELSEWHERE)
            for aggregate in AGGREGATES
            for days, after in ((30, 0), (60, 30))
            # What has fewer windows than others of its metric is kept apart.
            if aggregate != "max" or after
        ),
        Windowed(SPENT, "sum", 45, 0),
        *(
            Windowed(metric, "distinct", days, 0)
            for metric in (PAYEE, PAYEE_HERE, PAYEE_ELSEWHERE)
            for days in (30, 60)
        ),
    ),
    derived=(Derived("spent_change", "spent_sum_30d - spent_sum_60d_after_30d", "CNY", 0, "Change"),),
)


def features_of(
    canonical: Path, view: WindowView = VIEW, as_of: datetime = AS_OF
) -> dict[tuple[str, str], dict[str, Any]]:
    """Feature rows by company and customer id of the party (each party here has one token, named like it)."""
    resolve_parties(canonical)
    target = canonical.parent / f"features_{as_of:%d}"
    compute_views([view], canonical, target, [as_of], threads=2)
    rows = pl.read_parquet(target / view.name / "*.parquet")
    names = pl.read_parquet(canonical / "parties/*.parquet").group_by("party_id").agg(pl.col("customer_id").min())
    return {
        (row["legal_entity"], row["customer_id"]): row for row in rows.join(names, on="party_id").to_dicts()
    }  # fmt: skip


def naive(rows: list[dict[str, Any]], feature: Windowed) -> float | None:
    """The feature by its words, in exact arithmetic."""
    seen = [
        row
        for row in rows
        if row["event_timestamp"] <= AS_OF
        and row["created_timestamp"] <= AS_OF
        and timedelta(days=feature.after_days) <= AS_OF - row["event_timestamp"] < timedelta(days=feature.window_days)
        and row["direction"] == "out"
        and row["legal_entity"] in WHERE[feature.metric.scope]
    ]
    values = [row["amount"] for row in sorted(seen, key=lambda row: (row["event_timestamp"], row["transaction_id"]))]
    computed: dict[str, Callable[[], Decimal | Fraction | int]] = {
        "sum": lambda: sum(values, Decimal(0)),
        "count": lambda: len(values),
        "mean": lambda: Fraction(sum(values, Decimal(0))) / len(values),
        "min": lambda: min(values),
        "max": lambda: max(values),
        "latest": lambda: values[-1],
        "std": lambda: Decimal(statistics.stdev(values)),
        "days_since": lambda: (AS_OF - max(row["event_timestamp"] for row in seen)) // timedelta(days=1),
        "distinct": lambda: len({row["counterparty"] for row in seen} - {None}),
    }
    if not values and feature.aggregate not in ("sum", "count", "distinct"):
        return None
    if len(values) < 2 and feature.aggregate == "std":
        return None
    return float(computed[feature.aggregate]())


@contextmanager
def cut_into(rows: int) -> Iterator[None]:
    """Whatever is read comes in batches of so many rows."""

    def cut(*asked: Any) -> Iterator[pa.RecordBatch]:
        for batch in read_batches(*asked):
            yield from (batch.slice(first, rows) for first in range(0, batch.num_rows, rows))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(window_values, "read_batches", cut)
        yield


instants = st.one_of(
    st.sampled_from([AS_OF - timedelta(days=days) for days in (0, 30, 60)]),
    st.sampled_from([AS_OF - timedelta(microseconds=us) for us in (-1, 1, 2)]),
    st.datetimes(datetime(2025, 3, 1), datetime(2025, 7, 20), timezones=st.just(UTC)),  # noqa: DTZ001
)


@given(
    st.lists(
        st.tuples(
            instants,
            st.one_of(st.just(0), st.integers(0, 40)),
            st.integers(0, 10**9),
            st.sampled_from(["in", "out"]),
            st.sampled_from(["A", "B", None]),
            st.sampled_from([("consumer", "C1"), ("credit", "C9")]),
        ),
        max_size=25,
    ),
    st.sampled_from([1, 2, 7, 25]),
)
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_feature_is_what_its_declaration_says(
    tmp_path_factory: pytest.TempPathFactory, bookings: list[Any], rows_of_batch: int
) -> None:
    canonical = tmp_path_factory.mktemp("windows") / "canonical"
    rows = [
        a_transaction(
            number,
            at,
            created_timestamp=at + timedelta(days=days),
            amount=Decimal(cents) / 100,
            direction=direction,
            counterparty=counterparty,
            legal_entity=legal_entity,
            customer_id=customer,
        )
        for number, (at, days, cents, direction, counterparty, (legal_entity, customer)) in enumerate(bookings)
    ]
    write(canonical, "customers", [a_customer(), a_customer(legal_entity="credit", customer_id="C9")])
    write(canonical, "transactions", rows)
    with cut_into(rows_of_batch):
        found = features_of(canonical)["consumer", "C1"]
    for feature in VIEW.windowed:
        wanted = naive(rows, feature)
        if feature.aggregate == "mean" and wanted is not None:
            assert found[feature.name] == pytest.approx(wanted, rel=1e-12)
        elif feature.aggregate == "std" and wanted is not None:
            # What is lost when values differ by little of what they are.
            assert found[feature.name] == pytest.approx(wanted, rel=1e-6, abs=1e-1)
        else:
            assert found[feature.name] == wanted, feature.name
    assert found["spent_change"] == found["spent_sum_30d"] - found["spent_sum_60d_after_30d"]


def test_a_row_that_was_not_known_yet_is_not_seen(tmp_path: Path) -> None:
    canonical = tmp_path / "canonical"
    write(canonical, "customers", [a_customer()])
    happened = AS_OF - timedelta(days=3)
    write(
        canonical,
        "transactions",
        [
            a_transaction(1, happened, amount=Decimal(5)),
            a_transaction(2, happened, amount=Decimal(70), created_timestamp=AS_OF + timedelta(microseconds=1)),
            a_transaction(3, AS_OF + timedelta(microseconds=1), amount=Decimal(900)),
        ],
    )
    assert features_of(canonical)["consumer", "C1"]["spent_sum_30d"] == 5


def test_a_customer_who_joins_later_is_not_there_yet(tmp_path: Path) -> None:
    canonical = tmp_path / "canonical"
    later = AS_OF + timedelta(days=1)
    newcomer = a_customer(customer_id="C2", identity_token="T2", event_timestamp=later, created_timestamp=later)
    write(canonical, "customers", [a_customer(), newcomer])
    write(canonical, "transactions", [a_transaction(1, AS_OF)])
    assert set(features_of(canonical)) == {("consumer", "C1")}


@pytest.mark.parametrize(("consents", "sees"), [(True, 30.0), (False, 10.0)])
def test_another_companys_data_are_seen_only_where_the_customer_there_consents(
    tmp_path: Path, *, consents: bool, sees: float
) -> None:
    canonical = tmp_path / "canonical"
    # The same person at two companies: what is seen turns on the consent given where the data are.
    write(
        canonical,
        "customers",
        [
            a_customer(customer_id="C1", share_within_group_consent=False),
            a_customer(legal_entity="credit", customer_id="C9", share_within_group_consent=consents),
        ],
    )
    rows = [
        a_transaction(1, AS_OF, amount=Decimal(10)),
        a_transaction(2, AS_OF, amount=Decimal(20), legal_entity="credit", customer_id="C9"),
    ]
    write(canonical, "transactions", rows)
    found = features_of(canonical)
    assert found["consumer", "C1"]["spent_sum_30d"] == sees
    assert found["credit", "C1"]["spent_sum_30d"] == 20.0


def test_consent_that_is_withdrawn_counts_from_the_day_it_is_known(tmp_path: Path) -> None:
    canonical = tmp_path / "canonical"
    there = {"legal_entity": "credit", "customer_id": "C9"}
    withdrawn = AS_OF - timedelta(days=2)
    write(
        canonical,
        "customers",
        [
            a_customer(),
            a_customer(**there),
            a_customer(
                **there, share_within_group_consent=False, event_timestamp=withdrawn, created_timestamp=withdrawn
            ),
        ],
    )
    write(canonical, "transactions", [a_transaction(1, withdrawn - timedelta(days=5), **there, amount=Decimal(20))])
    assert features_of(canonical)["consumer", "C1"]["spent_sum_30d"] == 0
    before = features_of(canonical, as_of=withdrawn - timedelta(days=1))
    assert before["consumer", "C1"]["spent_sum_30d"] == 20


MONTHS = monthly(SPENT, "sum", 4, risk=0)
SHAPES = WindowView(
    name="shapes",
    table="transactions",
    row_id="transaction_id",
    windowed=(
        *MONTHS,
        Windowed(Metric("elsewhere", "amount", "CNY", "Amounts of others", "elsewhere"), "sum", 360, 0),
        Windowed(Metric("own", "amount", "CNY", "Own amounts", "own"), "sum", 360, 0),
    ),
    derived=(
        trend("spent_trend", MONTHS, unit="share", risk=0, description="Slope"),
        volatility("spent_volatility", MONTHS, risk=0, description="Spread"),
        longest_run("quiet_run", MONTHS, "= 0", risk=0, description="Longest run of months without spending"),
        share("latest_share", "spent_sum_30d", "spent_sum_60d_after_30d", risk=0, description="This month over last"),
    ),
)


def spending(canonical: Path, by_month: list[int]) -> dict[str, Any]:
    """Features of a party that spent so much in each of four months, the latest first."""
    write(canonical, "customers", [a_customer()])
    rows = [
        a_transaction(month, AS_OF - timedelta(days=30 * month + 15), amount=Decimal(amount))
        for month, amount in enumerate(by_month)
        if amount
    ]
    write(canonical, "transactions", [*rows, a_transaction(9, AS_OF - timedelta(days=400), amount=Decimal(1))])
    return features_of(canonical, SHAPES)["consumer", "C1"]


@given(st.lists(st.integers(0, 10**6), min_size=4, max_size=4))
@settings(max_examples=25, deadline=None)
def test_shapes_over_months_are_what_numpy_says(tmp_path_factory: pytest.TempPathFactory, by_month: list[int]) -> None:
    found = spending(tmp_path_factory.mktemp("shapes") / "canonical", by_month)
    oldest_first = np.array(by_month[::-1], dtype=np.float64)
    mean = oldest_first.mean()
    if mean:
        slope = np.polyfit(np.arange(4), oldest_first, 1)[0]
        assert found["spent_trend"] == pytest.approx(slope / mean, rel=1e-9, abs=1e-9)
        assert found["spent_volatility"] == pytest.approx(oldest_first.std(ddof=1) / mean, rel=1e-9, abs=1e-9)
    else:
        assert found["spent_trend"] is found["spent_volatility"] is None
    quiet = max(len(run) for run in "".join("1" if amount == 0 else "0" for amount in by_month).split("0"))
    assert found["quiet_run"] == quiet
    assert found["latest_share"] == (by_month[0] / by_month[1] if by_month[1] else None)


def test_what_is_own_and_what_is_elsewhere_depends_on_the_company_that_looks(tmp_path: Path) -> None:
    canonical = tmp_path / "canonical"
    write(canonical, "customers", [a_customer(), a_customer(legal_entity="credit", customer_id="C9")])
    rows = [
        a_transaction(1, AS_OF, amount=Decimal(10)),
        a_transaction(2, AS_OF, amount=Decimal(20), legal_entity="credit", customer_id="C9"),
    ]
    write(canonical, "transactions", rows)
    found = features_of(canonical, SHAPES)
    assert found["consumer", "C1"]["elsewhere_sum_360d"] == 20
    assert found["credit", "C1"]["elsewhere_sum_360d"] == 10
    assert found["consumer", "C1"]["own_sum_360d"] == 10
    assert found["credit", "C1"]["own_sum_360d"] == 20


def test_a_payee_of_two_customers_of_one_party_is_one(tmp_path: Path) -> None:
    canonical = tmp_path / "canonical"
    write(canonical, "customers", [a_customer(), a_customer(legal_entity="credit", customer_id="C9")])
    rows = [
        a_transaction(number, AS_OF, legal_entity=entity, customer_id=customer, counterparty=payee)
        for number, (entity, customer, payee) in enumerate(
            [("consumer", "C1", "A"), ("consumer", "C1", "B"), ("credit", "C9", "B"), ("credit", "C9", "C")]
        )
    ]
    write(canonical, "transactions", rows)
    assert features_of(canonical)["consumer", "C1"]["payee_distinct_30d"] == 3


def test_an_invoice_counts_as_paid_only_from_the_day_it_was(tmp_path: Path) -> None:
    canonical = tmp_path / "canonical"
    write(canonical, "customers", [a_customer()])
    due = AS_OF.date() - timedelta(days=10)
    # The file was written later and knows of both payments; the second is still to come at the instant.
    write(
        canonical,
        "invoices",
        [
            an_invoice(1, AS_OF - timedelta(days=40), due_date=due, paid_date=due + timedelta(days=4)),
            an_invoice(2, AS_OF - timedelta(days=40), due_date=due, paid_date=AS_OF.date() + timedelta(days=1)),
        ],
    )
    found = features_of(canonical, TRADE)["consumer", "C1"]
    assert found["payment_delay_max_360d"] == 4
    assert found["overdue_invoice_count_360d"] == 1
    assert found["overdue_invoice_share_360d"] == 0.5


def test_every_view_of_the_catalogue_computes_and_says_what_its_features_are(the_small_group: Any) -> None:
    for view in VIEWS:
        rows = pl.read_parquet(sorted((the_small_group.features / view.name).glob("*.parquet"))[-1])
        assert rows.columns == [
            "legal_entity", "party_id", "event_timestamp", "created_timestamp", *view.feature_names,
        ]  # fmt: skip
        assert not rows.select(pl.col(view.feature_names).is_infinite().any()).to_numpy().any()
        assert rows.select("legal_entity", "party_id").is_unique().all()
        for feature in view.features:
            assert feature.description
            assert feature.unit
            assert feature.risk in (-1, 0, 1)
    names = [name for view in VIEWS for name in view.feature_names]
    assert len(names) == len(set(names)) >= 200


def test_the_same_data_give_the_same_bytes_on_any_number_of_threads(the_small_group: Any, tmp_path: Path) -> None:
    instant = datetime(2025, 1, 1, tzinfo=UTC)
    queries = [view.declared for view in VIEWS]
    for threads in (1, 2):
        compute_views(queries, the_small_group.canonical, tmp_path / str(threads), [instant], threads=threads)
    for view in VIEWS:
        one, two = (next((tmp_path / threads / view.name).iterdir()).read_bytes() for threads in ("1", "2"))
        assert one == two, view.name


def test_a_view_has_the_same_bytes_alone_and_beside_others_of_its_table(the_small_group: Any, tmp_path: Path) -> None:
    instant = datetime(2025, 1, 1, tzinfo=UTC)
    of_statements = [view.declared for view in VIEWS if view.table == "statements"]
    assert len(of_statements) > 1
    compute_views(of_statements, the_small_group.canonical, tmp_path / "together", [instant], threads=2)
    for view in of_statements:
        compute_views([view], the_small_group.canonical, tmp_path / "alone", [instant], threads=2)
        together, alone = (next((tmp_path / name / view.name).iterdir()) for name in ("together", "alone"))
        assert together.read_bytes() == alone.read_bytes(), view.name


def test_a_table_has_the_same_bytes_in_whichever_batches_it_is_read(the_small_group: Any, tmp_path: Path) -> None:
    instant = datetime(2025, 1, 1, tzinfo=UTC)
    views = [view.declared for view in VIEWS]
    compute_views(views, the_small_group.canonical, tmp_path / "whole", [instant], threads=2)
    with cut_into(1_013):
        compute_views(views, the_small_group.canonical, tmp_path / "cut", [instant], threads=2)
    for view in VIEWS:
        whole, cut = (next((tmp_path / name / view.name).iterdir()) for name in ("whole", "cut"))
        assert whole.read_bytes() == cut.read_bytes(), view.name


def test_a_metric_that_fails_is_no_failure_of_a_file(tmp_path: Path) -> None:
    canonical = tmp_path / "canonical"
    write(canonical, "customers", [a_customer()])
    # So many rows that the first are given before the last is read.
    write(canonical, "transactions", [a_transaction(number, AS_OF) for number in range(20_000)])
    fails = Metric("fails", "CASE transaction_id WHEN 'T19999' THEN error('it cannot be told')::INT END", "", "Fails")
    view = WindowView("failing", "transactions", (Windowed(fails, "sum", 30, 0),))
    with pytest.raises(duckdb.Error, match="it cannot be told"):
        features_of(canonical, view)


def test_a_limit_of_a_cent_does_not_stop_a_run(tmp_path: Path) -> None:
    canonical = tmp_path / "canonical"
    write(canonical, "customers", [a_customer()])
    balances = (Decimal(10) ** 15, -(Decimal(10) ** 15))
    rows = [
        a_statement(
            AS_OF - timedelta(days=10), loan_id=f"L{n}", statement_balance=balance, credit_limit=Decimal("0.01")
        )
        for n, balance in enumerate(balances)
    ]
    write(canonical, "statements", rows)
    found = features_of(canonical, UTILISATION)["consumer", "C1"]
    assert (found["utilisation_max_180d"], found["utilisation_mean_180d"]) == (1000, 0)


def test_metrics_say_how_many_digits_they_have(the_small_group: Any) -> None:
    # Values are added up as whole numbers of their last digit: one more than is said would be lost.
    for view in VIEWS:
        if isinstance(view.declared, WindowView):
            metrics = {feature.metric for feature in view.declared.computed if feature.aggregate != "distinct"}
            rows = f"read_parquet('{the_small_group.canonical}/{view.table}/*.parquet')"
            for metric in metrics:
                sql = f"DESCRIBE SELECT {metric.expression.replace('$as_of_date', 'current_date')} FROM {rows}"
                ((_, kind, *_),) = duckdb.execute(sql).fetchall()
                digits = re.fullmatch(r"DECIMAL\(\d+,(\d+)\)", kind)
                assert digits or kind.endswith("INTEGER") or kind.endswith("INT"), (metric.name, kind)
                assert int(digits[1]) <= metric.decimals if digits else metric.decimals >= 0, (metric.name, kind)


@given(st.lists(st.integers(-(10**14), 10**14), min_size=2, max_size=12), st.randoms())
@settings(max_examples=25, deadline=None)
def test_a_spread_is_exact_for_large_amounts_in_any_order(
    tmp_path_factory: pytest.TempPathFactory, cents: list[int], random: Any
) -> None:
    folder = tmp_path_factory.mktemp("spread")
    view = WindowView(
        name="spread",
        table="transactions",
        row_id="transaction_id",
        windowed=(Windowed(Metric("left", "balance", "CNY", "Left"), "std", 90, 0),),
    )
    found = []
    for number in range(2):
        random.shuffle(cents)
        canonical = folder / str(number) / "canonical"
        write(canonical, "customers", [a_customer()])
        days = [timedelta(days=random.randrange(1, 80)) for _ in cents]
        rows = [a_transaction(n, AS_OF - days[n], balance=Decimal(cent) / 100) for n, cent in enumerate(cents)]
        write(canonical, "transactions", rows)
        found.append(features_of(canonical, view)["consumer", "C1"]["left_std_90d"])
    assert found[0] == found[1]
    exact = statistics.stdev(Fraction(cent, 100) for cent in cents)
    assert found[0] == pytest.approx(float(exact), rel=1e-6, abs=1e-7 * max(map(abs, cents)))


@pytest.mark.parametrize(
    ("feature", "sentence"),
    [
        (
            lambda: Windowed(SPENT, "sum", 30, 0, after_days=30),
            "a window ends before it begins",
        ),
        (lambda: Windowed(PAYEE, "distinct", 60, 0, after_days=30), "distinct values are counted up to the instant"),
    ],
)
def test_a_window_that_cannot_be_is_refused(feature: Callable[[], Windowed], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        feature()


def test_a_view_without_its_table_is_refused(tmp_path: Path) -> None:
    canonical = tmp_path / "canonical"
    write(canonical, "customers", [a_customer()])
    write(canonical, "statements", [a_statement(AS_OF)])
    with pytest.raises(ContractBroken, match="View 'spending' reads table 'transactions', which was not loaded"):
        features_of(canonical)
