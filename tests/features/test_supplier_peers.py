"""What is known of the other suppliers of a customer's buyers, against its words, and what no row may tell."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from features import supplier_peers
from features.catalogue.supplier_peers import PEERS
from features.compute import compute_views
from features.contracts.tables import INSTANT
from features.identity.parties import resolve_parties
from features.supplier_peers import write_supplier_peers
from tests.features.tables import a_customer, a_statement, an_invoice, frame, write

MONTH = datetime(2025, 6, 1, tzinfo=UTC)
BEFORE = datetime(2025, 5, 1, tzinfo=UTC)
DAY = timedelta(days=1)
COMPANIES = ("factoring", "supply_chain")
COUNTED = ("peers", "statements", "late_statements")


def a_supplier(number: int, company: str = "factoring", **changes: Any) -> dict[str, Any]:
    """A company's customer; the same number at another company is the same party."""
    row = {"legal_entity": company, "customer_id": f"S{number}", "kind": "enterprise", "identity_token": f"T{number}"}
    return a_customer(**row | changes)


def of(number: int, company: str = "factoring") -> dict[str, Any]:
    """Whose a row is."""
    return {"legal_entity": company, "customer_id": f"S{number}", "loan_id": f"L{number}"}


def peers_at(canonical: Path, month: datetime = MONTH) -> dict[tuple[str, str], tuple[int, ...]]:
    """The rows of a month by company and customer."""
    resolve_parties(canonical)
    write_supplier_peers(canonical, now=month)
    rows = pl.read_parquet(canonical / "peer_statements" / f"month_{month:%Y%m%d}.parquet")
    return {(row["legal_entity"], row["customer_id"]): tuple(row[name] for name in COUNTED) for row in rows.to_dicts()}


def naive(
    consents: dict[tuple[str, str], bool], invoices: list[dict[str, Any]], statements: list[dict[str, Any]], least: int
) -> dict[tuple[str, str], tuple[int, ...]]:
    """The table by its words; a customer's number is its party."""
    known = [
        row for row in statements
        if row["event_timestamp"] <= MONTH and BEFORE < row["created_timestamp"] <= MONTH
        and consents[row["legal_entity"], row["customer_id"]]
    ]  # fmt: skip
    told = Counter(row["customer_id"] for row in known)
    late = Counter(row["customer_id"] for row in known if row["days_past_due"] >= 30)
    trade = {
        (row["legal_entity"], row["customer_id"], row["buyer_id"])
        for row in invoices
        if MONTH - 360 * DAY < row["event_timestamp"] <= MONTH and row["created_timestamp"] <= MONTH
    }
    found: dict[tuple[str, str], tuple[int, ...]] = {}
    for company, customer in {(company, customer) for company, customer, _ in trade}:
        buyers = {buyer for one, other, buyer in trade if (one, other) == (company, customer)}
        others = [
            {p for c, p, b in trade if b == buyer and p != customer and p in told and consents[c, p]}
            for buyer in buyers
        ]
        peers = [party for of_buyer in others if len(of_buyer) >= least for party in of_buyer]
        if peers:
            found[company, customer] = (len(peers), sum(told[p] for p in peers), sum(late[p] for p in peers))
    return found


recent = st.one_of(
    st.sampled_from([MONTH - days * DAY for days in (2, 9, 20)]),
    st.sampled_from([MONTH, BEFORE, MONTH + DAY / 86_400_000_000, BEFORE + DAY / 86_400_000_000]),
    st.datetimes(datetime(2025, 3, 20), datetime(2025, 6, 20), timezones=st.just(UTC)),  # noqa: DTZ001
)
# Most rows are such that they count for something; the others lie just beside, or anywhere.
instants = st.one_of(
    st.sampled_from([MONTH - days * DAY for days in (2, 9, 20, 200)]),
    st.sampled_from([MONTH, BEFORE, MONTH + DAY / 86_400_000_000, BEFORE + DAY / 86_400_000_000, MONTH - 360 * DAY]),
    st.datetimes(datetime(2024, 5, 1), datetime(2025, 6, 20), timezones=st.just(UTC)),  # noqa: DTZ001
)
delays = st.sampled_from([0, 0, 1, 12, 40])
suppliers = st.tuples(st.integers(1, 6), st.sampled_from(COMPANIES))


@given(
    st.lists(st.tuples(suppliers, st.sampled_from(["CORE1", "CORE2"]), instants, delays), min_size=8, max_size=20),
    st.lists(st.tuples(suppliers, recent, delays, st.sampled_from([0, 29, 30, 60])), min_size=8, max_size=30),
    st.sets(suppliers, max_size=6),
    st.integers(1, 2),
)
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_table_is_what_its_words_say(
    tmp_path_factory: pytest.TempPathFactory,
    traded: list[Any],
    stated: list[Any],
    silent: set[tuple[int, str]],
    least: int,
) -> None:
    canonical = tmp_path_factory.mktemp("peers") / "canonical"
    everyone = [(number, company) for number in range(1, 7) for company in COMPANIES]
    consents = {(company, f"S{number}"): (number, company) not in silent for number, company in everyone}
    write(
        canonical,
        "customers",
        [
            a_supplier(number, company, share_within_group_consent=consents[company, f"S{number}"])
            for number, company in everyone
        ],
    )
    invoices = [
        an_invoice(number, at, **of(*who), buyer_id=buyer, created_timestamp=at + days * DAY)
        for number, (who, buyer, at, days) in enumerate(traded)
    ]
    statements = [
        a_statement(at, **of(*who) | {"loan_id": f"L{number}"}, created_timestamp=at + days * DAY, days_past_due=late)
        for number, (who, at, days, late) in enumerate(stated)
    ]
    # Somebody has statements about the month, so that it is there to be looked at.
    statements += [a_statement(at, **of(6) | {"loan_id": "L99"}) for at in (BEFORE - 40 * DAY, MONTH - 2 * DAY)]
    write(canonical, "invoices", invoices)
    write(canonical, "statements", statements)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(supplier_peers, "LEAST_PEERS", least)
        assert peers_at(canonical) == naive(consents, invoices, statements, least)


def a_group(canonical: Path, others: int, **first: Any) -> None:
    """One buyer's supplier S1, on time, and others, all late."""
    numbers = range(1, others + 2)
    write(canonical, "customers", [a_supplier(number, **(first if number == 2 else {})) for number in numbers])
    write(canonical, "invoices", [an_invoice(number, MONTH - 90 * DAY, **of(number)) for number in numbers])
    write(
        canonical,
        "statements",
        [
            a_statement(at, **of(number), days_past_due=0 if number == 1 else 45)
            for number in numbers
            for at in (MONTH - 70 * DAY, MONTH - 40 * DAY, MONTH - 9 * DAY)
        ],
    )


def test_a_buyer_with_fewer_than_five_other_suppliers_is_left_out(tmp_path: Path) -> None:
    a_group(tmp_path / "six", others=5)
    assert peers_at(tmp_path / "six")["factoring", "S1"] == (5, 5, 5)
    a_group(tmp_path / "five", others=4)
    assert peers_at(tmp_path / "five") == {}
    # Three others who share two buyers are not six.
    a_group(tmp_path / "shared", others=3)
    shared = [an_invoice(number, MONTH - 9 * DAY, **of(number), buyer_id="CORE2") for number in range(1, 5)]
    frame("invoices", shared).with_columns(superseded_at=pl.lit(None, INSTANT)).write_parquet(
        tmp_path / "shared" / "invoices" / "part-00001.parquet"
    )
    assert peers_at(tmp_path / "shared") == {}
    a_group(tmp_path / "silent", others=5, share_within_group_consent=False)
    assert list(peers_at(tmp_path / "silent")) == [("factoring", "S2")]


def test_the_features_add_the_months_up(tmp_path: Path) -> None:
    canonical = tmp_path / "canonical"
    a_group(canonical, others=5)
    peers_at(canonical)
    compute_views([PEERS], canonical, tmp_path / "features", [MONTH], threads=1)
    rows = pl.read_parquet(tmp_path / "features" / "supplier_peers" / "*.parquet").sort("late_peers_share_90d")
    # Each of the late ones has four others that are late, and one that is not.
    assert rows["late_peers_share_90d"].to_list() == [0.8] * 5 + [1.0]
    assert rows["supplier_peers_latest_60d"].to_list() == [5.0] * 6


def test_months_that_nothing_new_concerns_keep_their_bytes(tmp_path: Path) -> None:
    canonical = tmp_path / "canonical"
    a_group(canonical, others=5)
    peers_at(canonical)
    folder = canonical / "peer_statements"
    before = {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.glob("*.parquet")}
    later = frame("statements", [a_statement(MONTH + 5 * DAY, **of(3))]).with_columns(
        superseded_at=pl.lit(None, INSTANT)
    )
    later.write_parquet(canonical / "statements" / "part-00001.parquet")
    assert write_supplier_peers(canonical, now=MONTH + 40 * DAY) == 1
    after = {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.glob("*.parquet")}
    assert {name: after[name] for name in before} == before
    assert sorted(after.keys() - before.keys()) == ["month_20250701.parquet"]
    # What was learnt late changes the months that could have known it, and no others.
    earlier = later.with_columns(event_timestamp=MONTH - 20 * DAY, created_timestamp=MONTH - 19 * DAY)
    earlier.write_parquet(canonical / "statements" / "part-00002.parquet")
    assert write_supplier_peers(canonical, now=MONTH + 40 * DAY) == 2
    assert (folder / "month_20250501.parquet").read_bytes() == before["month_20250501.parquet"][0]


def test_without_invoices_there_is_no_such_table(tmp_path: Path) -> None:
    canonical = tmp_path / "canonical"
    a_group(canonical, others=5)
    peers_at(canonical)
    (canonical / "invoices" / "part-00000.parquet").unlink()
    assert write_supplier_peers(canonical, now=MONTH) == 0
    assert not list((canonical / "peer_statements").glob("*.parquet"))
