"""Routes of whitelists: lists, versions, members by filter, files, and what became of contacts."""

import io
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from fastapi.testclient import TestClient

from features.place import canonical_folder
from group.audit import find
from group.database import migrated
from group.settings import Settings
from tests.serving.calling import calling, signed_in
from training.whitelist.kept import OFFER_COLUMNS, KeptWhitelist, keep_whitelist, release

NOW = datetime(2026, 1, 2, tzinfo=UTC)


def customers_of(settings: Settings) -> pl.DataFrame:
    parties = pl.read_parquet(canonical_folder(settings.home) / "parties" / "*.parquet")
    first = parties.filter(pl.col("legal_entity").is_in(["consumer", "credit"])).sort("legal_entity", "customer_id")
    return first.unique("party_id", keep="first", maintain_order=True).group_by("legal_entity").head(30)


def keep(settings: Settings, name: str, version: int, customers: Sequence[dict[str, Any]], *, let: bool = True) -> None:
    """Keep a version with an offer for each of the customers, every fifth held out."""
    offers = [
        dict(
            zip(
                OFFER_COLUMNS,
                (
                    rank, one["legal_entity"], one["party_id"], one["customer_id"], one["legal_entity"],
                    "card" if rank % 2 else "loan", Decimal("5000.00"), 0.15, 12, "sms" if rank % 3 else "call",
                    date(2026, 1, 2), date(2026, 3, 3), rank % 5 == 0, 12.5, rank / 100, 0.2, 0.01, "R4", 100.0,
                    "值得", "worth it",
                ),
                strict=True,
            )
        )
        for rank, one in enumerate(customers, 1)
    ]  # fmt: skip
    kept = KeptWhitelist(
        name, version, NOW, NOW, "Wang", "a" * 64, len(offers), len(offers) // 5, "a plan", {"models": {}}, None, None
    )
    with migrated(settings.state_url) as engine, engine.begin() as connection:
        keep_whitelist(connection, kept, offers)
        if let:
            release(connection, name, version, by="Li", reason="a test", at=NOW)


@pytest.fixture
def customers(trained_settings: Settings) -> list[dict[str, Any]]:
    return customers_of(trained_settings).sort("legal_entity", "customer_id").to_dicts()


def pages(client: TestClient, path: str, what: str, **params: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    while True:
        reply = client.get(path, params=params)
        assert reply.status_code == 200, reply.text
        found += reply.json()[what]
        if reply.json()["next_cursor"] is None:
            return found
        params["cursor"] = reply.json()["next_cursor"]


def test_lists_and_versions_are_those_that_are_released_and_of_use_to_the_caller(
    client: TestClient, api_settings: Settings, customers: list[dict[str, Any]]
) -> None:
    only_credit = [one for one in customers if one["legal_entity"] == "credit"]
    keep(api_settings, "autumn", 1, only_credit)
    keep(api_settings, "spring", 1, customers)
    keep(api_settings, "spring", 2, customers[:7])
    keep(api_settings, "spring", 3, customers, let=False)
    keep(api_settings, "winter", 1, customers, let=False)
    found = pages(client, "/v1/whitelists", "whitelists", limit=1)
    assert [(one["name"], one["version"]) for one in found] == [("autumn", 1), ("spring", 2)]
    consumer = signed_in(client, api_settings, ["marketer"], ["consumer"])
    told = client.get("/v1/whitelists", headers=consumer).json()["whitelists"]
    mine = sum(one["legal_entity"] == "consumer" and rank % 5 != 0 for rank, one in enumerate(customers[:7], 1))
    assert [(one["name"], one["offers"]) for one in told] == ([("spring", mine)] if mine else [])
    told = client.get("/v1/whitelists/spring/versions").json()["versions"]
    assert [(one["version"], one["offers"], one["held_out"], one["released_by"]) for one in told] == [
        (2, 6, 1, "Li"), (1, 48, 12, "Li"),
    ]  # fmt: skip
    told = client.get("/v1/whitelists/spring/versions", headers=consumer).json()["versions"]
    own = [rank for rank, one in enumerate(customers, 1) if one["legal_entity"] == "consumer"]
    assert (told[-1]["version"], told[-1]["offers"]) == (1, sum(rank % 5 != 0 for rank in own))
    leasing = signed_in(client, api_settings, ["marketer"], ["leasing"])
    assert client.get("/v1/whitelists", headers=leasing).json()["whitelists"] == []
    assert client.get("/v1/whitelists/spring/versions", headers=leasing).json()["code"] == "unknown_whitelist"
    for name in ("winter", "nothing"):
        assert client.get(f"/v1/whitelists/{name}/versions").json()["code"] == "unknown_whitelist"


def test_members_are_found_by_filter_a_page_at_a_time_of_one_version(
    client: TestClient, api_settings: Settings, customers: list[dict[str, Any]]
) -> None:
    keep(api_settings, "spring", 1, customers)
    ranks = [rank for rank, one in enumerate(customers, 1) if one["legal_entity"] == "credit" and rank % 5]
    path = "/v1/whitelists/spring"
    first = client.get(path, params={"legal_entity": "credit", "limit": 5}).json()
    keep(api_settings, "spring", 2, customers[:7])
    rest = pages(client, path, "offers", legal_entity="credit", limit=5, cursor=first["next_cursor"])
    assert [offer["rank"] for offer in first["offers"] + rest] == ranks
    for wanted, so in (
        ({"product": "card"}, lambda rank: rank % 2 == 1),
        ({"channel": "call"}, lambda rank: rank % 3 == 0),
        ({"least_uplift": 0.3, "product": "loan"}, lambda rank: rank >= 30 and rank % 2 == 0),
        ({"grade": "R9"}, lambda _rank: False),
    ):
        found = pages(client, path, "offers", legal_entity="credit", version=1, limit=4, **wanted)
        assert [offer["rank"] for offer in found] == [rank for rank in ranks if so(rank)]
    for wrong in ({"version": 3}, {"version": 9}):
        reply = client.get(path, params={"legal_entity": "credit", **wrong})
        assert (reply.status_code, reply.json()["code"]) == (404, "unknown_whitelist")


@pytest.mark.long
def test_a_list_is_taken_as_a_file_and_who_took_it_is_on_record(
    client: TestClient, api_settings: Settings, customers: list[dict[str, Any]]
) -> None:
    keep(api_settings, "spring", 1, customers)
    ranks = [rank for rank, one in enumerate(customers, 1) if one["legal_entity"] == "credit" and rank % 5]
    readers: dict[str, Callable[[io.BytesIO], pl.DataFrame]] = {
        "csv": pl.read_csv, "parquet": pl.read_parquet, "xlsx": pl.read_excel,
    }  # fmt: skip
    for written_as, read in readers.items():
        reply = client.get("/v1/whitelists/spring/export", params={"legal_entity": "credit", "format": written_as})
        assert reply.status_code == 200, reply.text
        assert f'filename="spring-v1-credit.{written_as}"' in reply.headers["content-disposition"]
        table = read(io.BytesIO(reply.content))
        assert table["rank"].to_list() == ranks
        assert table["reason_zh"][0] == "值得"
    with migrated(api_settings.state_url) as engine, engine.connect() as connection:
        taken = [record for record in find(connection, "credit", "spring/1") if record.action == "whitelist.exported"]
    assert len(taken) == 3
    stranger = signed_in(client, api_settings, ["marketer"], ["leasing"])
    reply = client.get("/v1/whitelists/spring/export", params={"legal_entity": "credit"}, headers=stranger)
    assert reply.json()["code"] == "another_company"


@pytest.fixture
def own_client(home_with_data: Settings) -> Iterator[TestClient]:
    with calling(home_with_data) as made:
        yield made


@pytest.mark.long
def test_results_of_contacts_reach_the_contacts_table_all_or_none_and_a_later_one_corrects(
    own_client: TestClient, home_with_data: Settings, customers: list[dict[str, Any]]
) -> None:
    keep(home_with_data, "spring", 1, customers)
    own = [one for one in customers if one["legal_entity"] == "credit"]

    def result(one: dict[str, Any], **changes: Any) -> dict[str, Any]:
        return {
            "party_id": one["party_id"], "contacted": True, "contacted_at": "2026-01-05T08:00:00Z", "responded": True,
            "took_up": False,
        } | changes  # fmt: skip

    def contacts() -> pl.DataFrame:
        rows = pl.read_parquet(canonical_folder(home_with_data.home) / "contacts" / "*.parquet")
        return rows.filter(pl.col("campaign_id") == "spring-v1").sort("created_timestamp", "customer_id")

    path = "/v1/whitelists/spring/feedback"
    sent = {"legal_entity": "credit", "version": 1, "results": [result(own[0]), result(own[1], contacted=False)]}
    key = {"Idempotency-Key": "results of monday".replace(" ", "-")}
    reply = own_client.post(path, json=sent, headers=key)
    assert (reply.status_code, reply.json()["taken"]) == (200, 2), reply.text
    assert own_client.post(path, json=sent, headers=key).content == reply.content
    rows = contacts()
    assert rows["customer_id"].to_list() == [own[0]["customer_id"], own[1]["customer_id"]]
    assert rows["treated"].to_list() == [True, False]
    for wrong, code in (
        ([result(own[2]), result({"party_id": "P-nobody"})], "not_listed"),
        ([result(own[2]), result(own[3], contacted_at="2999-01-01T00:00:00Z")], "events_refused"),
        ([result(own[2], contacted_at="2026-01-05T08:00:00")], "invalid_request"),
    ):
        refused = own_client.post(path, json=sent | {"results": wrong})
        assert (refused.status_code, refused.json()["code"]) == (422, code), refused.text
    assert len(contacts()) == 2
    corrected = own_client.post(path, json=sent | {"results": [result(own[0], took_up=True)]})
    assert corrected.status_code == 200, corrected.text
    now = contacts().filter(pl.col("superseded_at").is_null(), customer_id=own[0]["customer_id"])
    assert now["took_up"].to_list() == [True]
    # More than most requests may send, and a party twice, which one campaign cannot have.
    many = own_client.post(path, json=sent | {"results": [result(one) for one in own] * 33})
    assert (many.status_code, many.json()["code"]) == (422, "events_refused"), many.text
    assert len(many.request.content) > home_with_data.max_body_bytes
    draft = own_client.post(path, json=sent | {"version": 2})
    assert draft.json()["code"] == "unknown_whitelist"
