"""GET /v1/customers: a party across the group, as far as the caller's companies may see it."""

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from fastapi.testclient import TestClient

from features.place import canonical_folder
from group.entities import LEGAL_ENTITIES
from group.settings import Settings
from tests.serving.calling import calling, signed_in


@pytest.fixture(scope="module")
def records(trained_settings: Settings) -> pl.DataFrame:
    """The current record of each customer with its party."""
    folder = canonical_folder(trained_settings.home)
    parties = pl.read_parquet(folder / "parties" / "*.parquet").select("legal_entity", "customer_id", "party_id")
    newest = pl.read_parquet(folder / "customers" / "*.parquet").sort("event_timestamp", "created_timestamp")
    return newest.unique(["legal_entity", "customer_id"], keep="last").join(parties, on=["legal_entity", "customer_id"])


@pytest.fixture(scope="module")
def owed(trained_settings: Settings) -> dict[tuple[str, str], Decimal]:
    """What each customer (company, number) owes by its last statements."""
    statements = pl.read_parquet(canonical_folder(trained_settings.home) / "statements" / "*.parquet")
    last = statements.filter(pl.col("superseded_at").is_null()).sort("event_timestamp", "created_timestamp")
    last = last.unique(["legal_entity", "loan_id"], keep="last").filter(pl.col("statement_balance") > 0)
    sums = last.group_by("legal_entity", "customer_id").agg(pl.col("statement_balance").sum())
    return {(company, customer): amount for company, customer, amount in sums.iter_rows()}


@pytest.fixture(scope="module")
def api_settings(trained_settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """One for all tests here: the process that reads tables takes seconds to begin."""
    state = tmp_path_factory.mktemp("customers") / "state.db"
    return trained_settings.model_copy(update={"database_url": f"sqlite:///{state}"})


@pytest.fixture(scope="module")
def client(api_settings: Settings) -> Iterator[TestClient]:
    with calling(api_settings) as made:
        yield made


def told_to(client: TestClient, settings: Settings, party: str, companies: list[str]) -> dict[str, Any] | None:
    role = "risk_committee" if set(companies) == set(LEGAL_ENTITIES) else "credit_officer"
    reply = client.get(f"/v1/customers/{party}", headers=signed_in(client, settings, [role], companies))
    if reply.status_code == 404:
        assert reply.json()["code"] == "unknown_party"
        return None
    assert reply.status_code == 200, reply.text
    found: dict[str, Any] = reply.json()
    return found


def test_a_company_sees_its_own_and_what_others_customers_consent_to_share(
    client: TestClient, api_settings: Settings, records: pl.DataFrame, owed: dict[tuple[str, str], Decimal]
) -> None:
    shared = records.group_by("party_id").agg(pl.col("legal_entity").n_unique().alias("n"), pl.len())
    several = records.join(shared.filter(pl.col("n") > 1), on="party_id").sort("party_id", "legal_entity")
    hidden = several.filter(~pl.col("share_within_group_consent"))
    parties = [
        *hidden["party_id"].unique(maintain_order=True)[:3],
        *several["party_id"].unique(maintain_order=True)[:3],
    ]
    compared = 0
    for party in parties:
        of_party = records.filter(party_id=party)
        for companies in (["consumer"], ["credit"], ["leasing", "factoring"], list(LEGAL_ENTITIES)):
            own = of_party.filter(pl.col("legal_entity").is_in(companies))
            told = told_to(client, api_settings, party, companies)
            if own.is_empty():
                assert told is None
                continue
            assert told is not None
            seen = of_party.filter(pl.col("legal_entity").is_in(companies) | pl.col("share_within_group_consent"))
            keys = set(seen.select("legal_entity", "customer_id").iter_rows())
            assert {(one["legal_entity"], one["customer_id"]) for one in told["companies"]} == keys
            wanted: dict[str, Decimal] = {}
            for company, customer in keys:
                if (company, customer) in owed:
                    wanted[company] = wanted.get(company, Decimal(0)) + owed[company, customer]
            assert {one["legal_entity"]: Decimal(one["owed"]) for one in told["exposures"]} == wanted
            in_sight = {company for company, _ in keys}
            for what in ("loans", "limits", "exposures"):
                assert {one["legal_entity"] for one in told[what]} <= in_sight
            compared += 1
    assert compared > len(parties)


def test_names_and_identifiers_of_people_are_not_told(
    client: TestClient, api_settings: Settings, records: pl.DataFrame
) -> None:
    row = records.filter(pl.col("name").is_not_null(), pl.col("identity_token").is_not_null()).row(0, named=True)
    text = client.get(f"/v1/customers/{row['party_id']}").text
    for name in ("name", "identity_token", "phone_token"):
        assert row[name] is None or row[name] not in text


def test_scores_over_time_come_a_page_at_a_time_each_once(
    client: TestClient, api_settings: Settings, known_parties: pl.DataFrame
) -> None:
    party = known_parties.filter(legal_entity="consumer")["party_id"][5]
    asked = {"legal_entity": "consumer", "party_id": party}
    given = [client.post("/v1/score", json=asked).json()["decision_id"] for _ in range(5)]
    batch = client.post("/v1/score/batch", params={"legal_entity": "consumer"}, json={"parties": [party]}).json()
    given.append(batch["scores"][0]["decision_id"])
    view = client.get(f"/v1/customers/{party}").json()
    assert {one["decision_id"] for one in view["scores"]} == set(given)
    path, found, cursor, pages = f"/v1/customers/{party}/scores", [], None, 0
    while True:
        page = client.get(path, params={"limit": 4} | ({"cursor": cursor} if cursor else {})).json()
        found += page["scores"]
        pages += 1
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert pages == 2
    ids = [one["decision_id"] for one in found]
    assert ids == sorted(ids, reverse=True)
    assert set(ids) == set(given)
    assert client.get(f"/v1/decisions/{ids[0]}").json()["probability"] == found[0]["probability"]
    stranger = signed_in(client, api_settings, ["credit_officer"], ["leasing"])
    assert client.get(path, headers=stranger).json() == {"scores": [], "next_cursor": None}
    for wrong in ("AAAA", "WzFd", "W3RydWVd", "e30"):
        reply = client.get(path, params={"cursor": wrong})
        assert (reply.status_code, reply.json()["code"]) == (422, "wrong_cursor")


def test_what_was_not_known_then_is_not_told(client: TestClient, records: pl.DataFrame, api_settings: Settings) -> None:
    from features import UnknownParty, group_view

    row = records.sort("event_timestamp").row(-1, named=True)
    folder = canonical_folder(api_settings.home)
    assert group_view(
        folder, row["party_id"], ["consumer", *LEGAL_ENTITIES], datetime(2030, 1, 1, tzinfo=UTC)
    ).companies
    with pytest.raises(UnknownParty):
        group_view(folder, row["party_id"], list(LEGAL_ENTITIES), datetime(2001, 1, 1, tzinfo=UTC))
