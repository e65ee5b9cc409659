"""Parties: the same token is one party across companies, and nothing is merged on less."""

from datetime import timedelta
from pathlib import Path

import polars as pl

from features.identity import resolve_parties
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
    assert resolve_parties(tmp_path) == 4
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
    assert resolve_parties(tmp_path) == 2
    assert parties(tmp_path)["consumer", "C1"] == before


def test_parties_are_nearly_those_of_the_truth_and_never_two_people_in_one(the_small_group: Workspace) -> None:
    truth = pl.read_parquet(the_small_group.truth / "identity/*.parquet")
    found = pl.read_parquet(the_small_group.canonical / "parties/*.parquet")
    joined = truth.join(found, on=["legal_entity", "customer_id"])
    assert len(joined) == len(truth)
    assert joined.group_by("party_id").agg(pl.col("true_party").n_unique())["true_party"].max() == 1
    # A customer without a number, or with a mistyped one, stays alone: about 4 % of them.
    assert 1 <= found["party_id"].n_unique() / truth["true_party"].n_unique() < 1.05
