"""Pushed events: at once online, and what offline history says of the same instant, bit for bit."""

import contextlib
import math
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from features import (
    VIEWS,
    Pushed,
    PushTarget,
    apply_definitions,
    complete_pushes,
    compute_views,
    feature_file,
    load_tables,
    online_reader,
    open_store,
    point_in_time_frame,
    push,
    resolve_parties,
)
from features.catalogue import CREDIT_VIEWS
from features.errors import ContractBroken, UnknownSource
from features.place import PROJECT
from group.settings import Settings, load_settings
from tests.features.tables import JOINED, a_customer, a_default, a_statement, a_transaction, an_invoice, write

START = datetime(2025, 3, 1, tzinfo=UTC)
CUSTOMERS = (("consumer", "C1"), ("credit", "C2"), ("leasing", "C3"))
"""The first two are one party that shares within the group; the third is another."""


DELIVERED = ("customers", "statements", "transactions", "invoices")
SERVED = {
    view.name: list(view.feature_names) if view.name in CREDIT_VIEWS and view.table in DELIVERED else []
    for view in VIEWS
}
"""Features of each view that the credit service has in a world where these tables were delivered."""


@dataclass
class World:
    """A group of three customers with a history, its features online and offline."""

    settings: Settings
    canonical: Path
    features: Path
    done: list[tuple[str, Pushed]] = field(default_factory=list)

    @property
    def target(self) -> PushTarget:
        home = self.settings.home / "feast"
        return PushTarget(self.canonical, self.features, self.settings.online_store_url, home.absolute(), PROJECT)

    @property
    def parties(self) -> pl.DataFrame:
        rows = pl.read_parquet(self.canonical / "parties" / "*.parquet")
        return rows.select("legal_entity", "party_id").unique().sort(pl.all())

    def history(self, at: datetime) -> dict[tuple[str, str], dict[str, str]]:
        """What the offline store says was known at an instant: bits of each feature by party."""
        frame = point_in_time_frame(
            open_store(self.settings), self.parties.with_columns(event_timestamp=pl.lit(at))
        )  # fmt: skip
        names = [name for view in VIEWS for name in SERVED[view.name]]
        return {
            (row["legal_entity"], row["party_id"]): {name: bits(row[name]) for name in names}
            for row in frame.to_dicts()
        }

    def push(self, table: str, *events: dict[str, Any], at: datetime) -> Pushed:
        done = push(self.target, table, events, at)
        self.done.append((table, done))
        return done


def a_world(folder: Path, **variables: str) -> World:
    raw = folder / "raw"
    keys = [{"legal_entity": entity, "customer_id": customer} for entity, customer in CUSTOMERS]
    customers = [a_customer(**key, share_within_group_consent=True) for key in keys]
    customers[2] |= {"identity_token": "T3", "name": "陈涛", "birth_or_founding_date": None}
    write(raw, "customers", customers)
    months = [JOINED + timedelta(days=30 * number) for number in range(1, 14)]
    write(raw, "statements", [
        a_statement(at, **key, loan_id=f"L{place}", days_past_due=3 * place)
        for at in months for place, key in enumerate(keys)
    ])  # fmt: skip
    write(raw, "transactions", [
        a_transaction(1_000 * number + place, at, **key)
        for number, at in enumerate(months) for place, key in enumerate(keys)
    ])  # fmt: skip
    write(raw, "invoices", [an_invoice(1, months[0], **keys[2])])
    write(raw, "defaults", [a_default(months[-1], **keys[2], loan_id="L2")])
    canonical, features = folder / "canonical", folder / "features"
    load_tables(raw, canonical, folder / "quarantine", rejected_share_limit=0, now=START)
    resolve_parties(canonical)
    there = [view.declared for view in VIEWS if (canonical / view.table).is_dir()]
    compute_views(there, canonical, features, [START], threads=1)
    world = World(load_settings({"JINKONG_HOME": str(folder / "home")} | variables), canonical, features)
    apply_definitions(open_store(world.settings), features)
    return world


events = st.fixed_dictionaries({
    "table": st.sampled_from(["transactions", "statements", "invoices"]),
    "customer": st.sampled_from(CUSTOMERS),
    "days_ago": st.integers(0, 400),
    "cents": st.integers(0, 10**9),
    "number": st.integers(0, 3),
    "after_seconds": st.floats(1, 100_000),
})  # fmt: skip


def event(drawn: dict[str, Any], at: datetime) -> dict[str, Any]:
    """An event as JSON would have it; few numbers, so that some correct what was pushed or delivered before."""
    happened = at.replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=drawn["days_ago"])
    amount = f"{drawn['cents'] // 100}.{drawn['cents'] % 100:02d}"
    number: int = drawn["number"]
    entity, customer = drawn["customer"]
    key = {"legal_entity": entity, "customer_id": customer}
    row = {
        "transactions": lambda: a_transaction(number, happened, **key, amount=amount, direction="out"),
        "statements": lambda: a_statement(happened, **key, loan_id=f"L{number}", statement_balance=amount),
        "invoices": lambda: an_invoice(number, happened, **key, amount=amount),
    }[drawn["table"]]()
    return {
        name: value if value is None or isinstance(value, bool | int) else str(value)
        for name, value in row.items() if name != "created_timestamp"
    }  # fmt: skip


@pytest.mark.long
@given(drawn=st.lists(events, min_size=1, max_size=6), asked=st.lists(st.floats(0, 1), min_size=2, max_size=2))
# An example takes seconds, so one that fails is shown as it is.
@settings(
    max_examples=8,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    phases=[Phase.explicit, Phase.generate],
)
def test_offline_and_online_agree_bit_for_bit_whatever_is_pushed_in_whatever_order(
    tmp_path_factory: pytest.TempPathFactory, drawn: list[dict[str, Any]], asked: list[float]
) -> None:
    world = a_world(tmp_path_factory.mktemp("world"))
    at = START
    for one in drawn:
        at += timedelta(seconds=one["after_seconds"])
        world.push(one["table"], event(one, at), at=at)
    for table, pushed in world.done:
        history_is_what_a_whole_run_finds(world, table, pushed, tmp_path_factory.mktemp("whole"))
    online_is_what_history_says(world, at)
    for share in asked:
        between_pushes_the_last_one_counts(world, START + share * (at - START))


def history_is_what_a_whole_run_finds(world: World, table: str, pushed: Pushed, whole: Path) -> None:
    views = [view.declared for view in VIEWS if view.table == table]
    compute_views(views, world.canonical, whole, [pushed.at], threads=1)
    history = world.history(pushed.at)
    assert pushed.parties
    for view in views:
        rows = pl.read_parquet(feature_file(whole, view.name, pushed.at))
        for row in rows.filter(pl.col("party_id").is_in(pushed.parties)).to_dicts():
            found = history[row["legal_entity"], row["party_id"]]
            wanted = {name: bits(row[name]) for name in SERVED[view.name]}
            assert {name: found[name] for name in wanted} == wanted, (table, view.name)


def online_is_what_history_says(world: World, now: datetime) -> None:
    history = world.history(now)
    moved = {(view, party) for _, pushed in world.done for view in pushed.views for party in pushed.parties}
    for view, party in moved:
        if not SERVED[view]:
            continue
        keys = [key for key in world.parties.rows() if key[1] == party]
        read = online_reader(world.settings, SERVED[view]).read(keys)
        for key, values in zip(keys, read.values.tolist(), strict=True):
            assert [bits(value) for value in values] == [history[key][name] for name in SERVED[view]], (view, key)


def between_pushes_the_last_one_counts(world: World, instant: datetime) -> None:
    there = world.history(instant)
    last = {table: pushed for table, pushed in world.done if pushed.at <= instant}
    for table, pushed in last.items():
        then = world.history(pushed.at)
        names = [name for view in VIEWS if view.table == table for name in SERVED[view.name]]
        for key in world.parties.rows():
            if key[1] in pushed.parties:
                assert [there[key][name] for name in names] == [then[key][name] for name in names]


def bits(value: float | None) -> str:
    return "null" if value is None or math.isnan(value) else struct.pack("<d", value).hex()


def a_payment(number: int, **changes: Any) -> dict[str, Any]:
    row = a_transaction(number, START, amount="12.30") | changes
    return {
        name: str(value) if value is not None else None for name, value in row.items() if name != "created_timestamp"
    }


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return a_world(tmp_path_factory.mktemp("shared"))


def test_what_breaks_the_contract_is_told_and_nothing_is_kept(world: World) -> None:
    before = sorted(world.canonical.rglob("*.parquet"))
    at = START + timedelta(days=1)
    good = a_payment(70)
    for bad, told in (
        ({"amount": "-1"}, r"event 2: amount \\(-1.00\\) should be one that is not negative"),
        ({"amount": "1.005"}, "is an amount with at most two decimals"),
        ({"customer_id": "C_NOBODY"}, "is a customer of the legal entity"),
        ({"direction": "sideways"}, "is one of in, out"),
        ({"event_timestamp": str(at + timedelta(days=1))}, "is not before event_timestamp"),
        ({"shoe_size": "43"}, "has no column shoe_size"),
        ({"created_timestamp": str(at)}, "leave created_timestamp out"),
        ({"amount": [1]}, r"holds \\[1\\]; give texts, numbers"),
    ):
        with pytest.raises(ContractBroken, match=told.replace("\\\\", "\\")):
            push(world.target, "transactions", [good, a_payment(71) | bad], at)
    with pytest.raises(UnknownSource, match="'customers' takes no single events; these tables do: accounts"):
        push(world.target, "customers", [good], at)
    with pytest.raises(ContractBroken, match="0 events were given"):
        push(world.target, "transactions", [], at)
    assert sorted(world.canonical.rglob("*.parquet")) == before


class Killed(BaseException):
    """No more than SIGKILL does: nothing is cleaned up by those who catch exceptions."""


def test_a_correction_that_is_killed_is_completed_before_anything_counts_it_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at, later = START + timedelta(days=1), START + timedelta(days=2)
    correction = a_payment(12_000, amount="777.00", event_timestamp=str(JOINED + timedelta(days=30 * 13)))
    died = 0
    for renames in range(6):
        killed, undisturbed = (a_world(tmp_path / f"{name}{renames}") for name in ("killed", "undisturbed"))
        undisturbed.push("transactions", correction, at=at)
        with monkeypatch.context() as patch, contextlib.suppress(Killed):
            patch.setattr(Path, "replace", dying_after(renames, Path.replace))
            killed.push("transactions", correction, at=at)
        died += not killed.done
        if not list((killed.canonical / "transactions").glob("*.pushed.parquet")):
            # It died before the event was kept: it was not taken, and is pushed again.
            killed.push("transactions", correction, at=at)
        complete_pushes(killed.canonical)
        assert known_at(killed, later) == known_at(undisturbed, later), renames
        assert not list(killed.canonical.rglob("*.unfinished"))
    assert died >= 3


def dying_after(count: int, operation: Callable[..., Any]) -> Callable[..., Any]:
    left = iter(range(count))

    def mortal(*arguments: Any, **named: Any) -> Any:
        if next(left, None) is None:
            raise Killed
        return operation(*arguments, **named)

    return mortal


def known_at(world: World, instant: datetime) -> tuple[list[dict[str, Any]], bytes]:
    """The rows that count at an instant, and features that a run over the whole group computes of them."""
    rows = pl.read_parquet(world.canonical / "transactions" / "*.parquet")
    counted = rows.filter(pl.col("superseded_at").is_null() | (pl.col("superseded_at") > instant))
    target = world.canonical.parent / "whole"
    views = [view.declared for view in VIEWS if view.name == "cash_flow"]
    compute_views(views, world.canonical, target, [instant], threads=1)
    return counted.sort("transaction_id").to_dicts(), feature_file(target, "cash_flow", instant).read_bytes()
