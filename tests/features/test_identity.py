"""Parties: certain links first, then likely ones, and what officers ruled above both."""

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, select

from features import resolve_parties
from features.errors import UnknownParty
from features.identity.accuracy import link_accuracy
from features.identity.links import CustomerKey, Link
from features.identity.rulings import (
    Ruling,
    Verdict,
    identity_reviews,
    open_reviews,
    queue_reviews,
    rule,
    rulings_in_force,
)
from group import audit
from pipelines.workspace import Workspace
from tests.features.tables import JOINED, a_customer, write


def parties(canonical: Path) -> dict[tuple[str, str], str]:
    rows = pl.read_parquet(canonical / "parties/*.parquet")
    return {(row["legal_entity"], row["customer_id"]): row["party_id"] for row in rows.to_dicts()}


def test_one_token_is_one_party_across_companies_and_kinds_stay_apart(tmp_path: Path) -> None:
    customers = [
        a_customer(customer_id="C1"),
        a_customer(legal_entity="credit", customer_id="C1"),
        a_customer(legal_entity="leasing", customer_id="C3", kind="enterprise"),
        a_customer(legal_entity="leasing", customer_id="C4", identity_token=None),
        a_customer(legal_entity="credit", customer_id="C4", identity_token=None),
    ]
    write(tmp_path, "customers", customers)
    assert resolve_parties(tmp_path).parties == 4
    found = parties(tmp_path)
    assert found["consumer", "C1"] == found["credit", "C1"]
    assert len(set(found.values())) == 4


def test_a_party_keeps_its_id_when_others_come_and_when_the_record_is_renewed(tmp_path: Path) -> None:
    write(tmp_path, "customers", [a_customer()])
    resolve_parties(tmp_path)
    before = parties(tmp_path)["consumer", "C1"]
    later = JOINED + timedelta(days=90)
    renewed = a_customer(name="王芳芳", event_timestamp=later, created_timestamp=later)
    write(tmp_path, "customers", [renewed, a_customer(), a_customer(customer_id="C2", identity_token="T2")])
    assert resolve_parties(tmp_path).parties == 2
    assert parties(tmp_path)["consumer", "C1"] == before


def test_a_token_that_strangers_share_is_an_officers_business(tmp_path: Path) -> None:
    stranger = {"name": "李强", "birth_or_founding_date": date(1971, 1, 2)}
    write(tmp_path, "customers", [a_customer(), a_customer(legal_entity="credit", customer_id="C9", **stranger)])
    found = resolve_parties(tmp_path)
    assert (found.parties, found.merged) == (2, ())
    assert [(link.left, link.right, link.basis) for link in found.uncertain] == [
        (("consumer", "C1"), ("credit", "C9"), "identity_token")
    ]
    # One of the two alone may be a new name or a mistyped date.
    for same in ("name", "birth_or_founding_date"):
        write(tmp_path, "customers", [
            a_customer(),
            a_customer(legal_entity="credit", customer_id="C9", **(stranger | {same: a_customer()[same]})),
        ])  # fmt: skip
        assert resolve_parties(tmp_path).parties == 1


def test_lookalikes_of_a_group_too_small_for_a_model_wait_for_an_officer(tmp_path: Path) -> None:
    write(tmp_path, "customers", [
        a_customer(identity_token=None),
        a_customer(legal_entity="credit", customer_id="C2", identity_token=None),
        a_customer(legal_entity="leasing", customer_id="C3", identity_token=None, name="陈涛"),
    ])  # fmt: skip
    found = resolve_parties(tmp_path)
    assert found.parties == 3
    assert [(link.left, link.right, link.probability) for link in found.uncertain] == [
        (("consumer", "C1"), ("credit", "C2"), None)
    ]


A, B, C = CustomerKey("consumer", "C1"), CustomerKey("credit", "C2"), CustomerKey("leasing", "C3")


def ruling(left: CustomerKey, right: CustomerKey, verdict: Verdict, day: int = 1) -> Ruling:
    return Ruling(left, right, verdict, "officer 7", "seen both passports", datetime(2025, 1, day, tzinfo=UTC))


def three_of_one_token(canonical: Path) -> None:
    write(canonical, "customers", [
        a_customer(),
        a_customer(legal_entity="credit", customer_id="C2"),
        a_customer(legal_entity="leasing", customer_id="C3"),
    ])  # fmt: skip


def test_two_who_were_ruled_apart_are_two_even_where_a_third_is_like_both(tmp_path: Path) -> None:
    three_of_one_token(tmp_path)
    assert resolve_parties(tmp_path, [ruling(A, B, Verdict.DIFFERENT)]).parties == 2
    found = parties(tmp_path)
    assert found[A] != found[B]
    assert found[C] in {found[A], found[B]}
    resolve_parties(tmp_path, [ruling(A, B, Verdict.DIFFERENT), ruling(B, C, Verdict.SAME)])
    found = parties(tmp_path)
    assert found[A] != found[B] == found[C]


def test_a_merge_is_undone_to_the_byte(tmp_path: Path) -> None:
    three_of_one_token(tmp_path)
    other = a_customer(legal_entity="guarantee", customer_id="C4", identity_token="T4", name="赵敏")
    write(tmp_path, "customers", [a_customer(), a_customer(legal_entity="credit", customer_id="C2"), other])
    file = tmp_path / "parties" / "part-00000.parquet"
    resolve_parties(tmp_path)
    before = file.read_bytes()
    same = ruling(A, CustomerKey("guarantee", "C4"), Verdict.SAME)
    assert resolve_parties(tmp_path, [same]).parties == 1
    assert file.read_bytes() != before
    resolve_parties(tmp_path)
    assert file.read_bytes() == before


pairs_of_ten = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)).filter(lambda pair: pair[0] != pair[1]))


@given(tokens=st.lists(st.sampled_from(["T1", "T2", "T3", None]), min_size=10, max_size=10), same=pairs_of_ten,
       apart=pairs_of_ten)  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_whatever_is_ruled_no_party_holds_two_who_are_apart(
    tmp_path_factory: pytest.TempPathFactory,
    tokens: list[str | None],
    same: list[tuple[int, int]],
    apart: list[tuple[int, int]],
) -> None:
    canonical = tmp_path_factory.mktemp("canonical")
    keys = [CustomerKey("consumer", f"C{number}") for number in range(10)]
    rows = [
        a_customer(customer_id=key.customer_id, identity_token=token, name=f"n{key.customer_id}")
        for key, token in zip(keys, tokens, strict=True)
    ]
    write(canonical, "customers", rows)
    rulings = [ruling(keys[a], keys[b], Verdict.DIFFERENT) for a, b in apart]
    rulings += [ruling(keys[a], keys[b], Verdict.SAME) for a, b in same]
    found = resolve_parties(canonical, rulings)
    named = parties(canonical)
    assert len(set(named.values())) == found.parties
    for a, b in apart:
        assert named[keys[a]] != named[keys[b]]
    # Nobody is together without a chain of links, and links are as few as hold the parties together.
    assert len(found.merged) == len(keys) - found.parties
    for link in found.merged:
        assert named[link.left] == named[link.right]
    if not apart:
        for a, b in same:
            assert named[keys[a]] == named[keys[b]]


def test_pairs_are_those_of_the_truth(the_small_group: Workspace) -> None:
    truth = pl.read_parquet(the_small_group.truth / "identity/*.parquet")
    found = pl.read_parquet(the_small_group.canonical / "parties/*.parquet")
    assert len(found) == len(truth)
    accuracy = link_accuracy(found, truth)
    assert accuracy.true_pairs > 1_500
    assert accuracy.precision >= 0.99
    assert accuracy.recall >= 0.95
    # What rules alone would find: the model must be worth its time.
    token = found.join(truth, on=["legal_entity", "customer_id"]).filter(pl.col("resolved_by") == "likelihood")
    assert len(token) > 50


def test_accuracy_counts_pairs() -> None:
    truth = pl.DataFrame({"legal_entity": ["a"] * 4, "customer_id": list("1234"), "true_party": [1, 1, 1, 2]})
    found = truth.select("legal_entity", "customer_id", party_id=pl.Series(["P", "P", "Q", "Q"]))
    accuracy = link_accuracy(found, truth)
    assert (accuracy.true_pairs, accuracy.found_pairs, accuracy.correct_pairs) == (3, 2, 1)
    assert (accuracy.precision, accuracy.recall) == (0.5, 1 / 3)


NOW = datetime(2025, 3, 1, tzinfo=UTC)


def test_the_queue_keeps_what_waits_and_forgets_what_is_clear(engine: Engine) -> None:
    ab, bc = Link(A, B, "likelihood", 0.4), Link(C, B, "likelihood", 0.7)
    assert queue_reviews(engine, [ab, bc], NOW) == 2
    everyone = ["consumer", "credit", "leasing"]
    assert [link.probability for link in open_reviews(engine, everyone, limit=9)] == [0.7, 0.4]
    assert open_reviews(engine, everyone, limit=1) == [Link(B, C, "likelihood", 0.7)]
    assert open_reviews(engine, ["consumer", "credit"], limit=9) == [ab]
    assert open_reviews(engine, ["consumer"], limit=9) == []
    assert queue_reviews(engine, [ab], NOW + timedelta(days=1)) == 1
    with engine.connect() as connection:
        assert connection.execute(select(identity_reviews.c.noticed_at)).scalars().all() == [NOW]


def test_the_last_ruling_holds_and_every_one_is_in_both_companies_logs(engine: Engine) -> None:
    queue_reviews(engine, [Link(A, B, "likelihood", 0.4)], NOW)
    rule(engine, ruling(B, A, Verdict.SAME))
    assert open_reviews(engine, ["consumer", "credit"], limit=9) == []
    assert [(held.left, held.right, held.verdict) for held in rulings_in_force(engine)] == [(A, B, Verdict.SAME)]
    # What was ruled on does not come back to the queue, until the ruling is withdrawn.
    assert queue_reviews(engine, [Link(A, B, "likelihood", 0.4)], NOW) == 0
    rule(engine, ruling(A, B, Verdict.DIFFERENT, 2))
    assert [held.verdict for held in rulings_in_force(engine)] == [Verdict.DIFFERENT]
    rule(engine, ruling(A, B, Verdict.WITHDRAWN, 3))
    assert rulings_in_force(engine) == []
    assert queue_reviews(engine, [Link(A, B, "likelihood", 0.4)], NOW) == 1
    with engine.connect() as connection:
        for key in (A, B):
            records = audit.find(connection, key.legal_entity, key.customer_id)
            assert [json.loads(record.payload)["verdict"] for record in records] == ["same", "different", "withdrawn"]
    assert audit.verify(engine) is None


@pytest.mark.parametrize(("left", "right", "reason", "told"), [
    (A, A, "because", "consumer/C1 is one customer; a ruling is about two"),
    (A, B, " ", "needs a reason of 1 to 500 characters"),
    (A, B, "x" * 501, "needs a reason of 1 to 500 characters"),
])  # fmt: skip
def test_a_ruling_that_means_nothing_is_refused(
    engine: Engine, left: CustomerKey, right: CustomerKey, reason: str, told: str
) -> None:
    with pytest.raises(UnknownParty, match=told):
        rule(engine, Ruling(left, right, Verdict.SAME, "officer 7", reason, NOW))
    assert rulings_in_force(engine) == []
