"""POST /v1/events: all or none, at once in the next score, once however often they are pushed."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from fastapi.testclient import TestClient

from group.audit import find, verify
from group.database import open_database
from group.home import working_in
from group.settings import Settings
from tests.serving.calling import calling, signed_in
from tests.serving.homes import copied_home

pytestmark = pytest.mark.long

KEY = {"Idempotency-Key": "these-events"}


@pytest.fixture(scope="module")
def home_with_data(trained_settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """One for all tests here: the process that pushes takes seconds to begin."""
    return copied_home(trained_settings, tmp_path_factory.mktemp("events") / "home", with_data=True)


@pytest.fixture(scope="module")
def client(home_with_data: Settings) -> Iterator[TestClient]:
    with calling(home_with_data) as made:
        yield made


@pytest.fixture(scope="module")
def customer(home_with_data: Settings) -> dict[str, str]:
    """A customer of the consumer-finance company with its party."""
    folder = home_with_data.home / "data" / "canonical"
    parties = pl.read_parquet(folder / "parties" / "*.parquet").filter(legal_entity="consumer")
    late = pl.read_parquet(folder / "statements" / "*.parquet").filter(legal_entity="consumer", days_past_due=0)
    return parties.join(late, on=["legal_entity", "customer_id"], how="semi").sort("customer_id").row(0, named=True)


def a_late_statement(customer: dict[str, str], **changes: Any) -> dict[str, Any]:
    happened = datetime.now(UTC) - timedelta(minutes=5)
    return {
        "legal_entity": "consumer", "customer_id": customer["customer_id"], "loan_id": "L-pushed",
        "statement_balance": "9000.00", "amount_due": "900.00", "amount_paid": 0, "credit_limit": "10000.00",
        "currency": "CNY", "days_past_due": 45, "payment_behaviour": "late", "event_timestamp": happened.isoformat(),
    } | changes  # fmt: skip


def scored(client: TestClient, customer: dict[str, str]) -> dict[str, Any]:
    reply = client.post("/v1/score", json={"legal_entity": "consumer", "party_id": customer["party_id"]})
    assert reply.status_code == 200, reply.text
    found: dict[str, Any] = reply.json()
    return found


def test_the_next_score_sees_an_event_and_the_same_events_again_change_nothing(
    client: TestClient, customer: dict[str, str], home_with_data: Settings
) -> None:
    before = scored(client, customer)
    pushed = {"table": "statements", "events": [a_late_statement(customer)]}
    reply = client.post("/v1/events", json=pushed, headers=KEY)
    assert reply.status_code == 200, reply.text
    told = reply.json()
    assert (told["taken"], told["parties"]) == (1, [customer["party_id"]])
    assert {"repayment", "utilisation"} <= set(told["views"])
    after = scored(client, customer)
    assert after["probability"] > before["probability"]
    again = client.post("/v1/events", json=pushed, headers=KEY)
    assert (again.content, again.headers["idempotency-replayed"]) == (reply.content, "true")
    # Without the key they are taken anew, as a correction of what is there.
    assert client.post("/v1/events", json=pushed).json()["taken"] == 1
    assert scored(client, customer)["probability"] == after["probability"]
    engine = open_database(home_with_data.state_url)
    with engine.connect() as connection:
        [record] = find(connection, "consumer", datetime.fromisoformat(told["learnt_at"]).isoformat())
    assert record.action == "events.pushed"
    assert verify(engine) is None
    engine.dispose()


REFUSED: tuple[tuple[str, dict[str, Any], str], ...] = (
    ("statements", {"days_past_due": -1}, "days_past_due"),
    ("statements", {"days_past_due": "many"}, "days_past_due"),
    ("statements", {"customer_id": "nobody"}, "customer_id"),
    ("statements", {"event_timestamp": "2999-01-01T00:00:00Z"}, "event_timestamp"),
    ("statements", {"colour": "red"}, "no column colour"),
    ("customers", {}, "'customers' takes no single events; these tables do: accounts"),
)


def test_events_that_break_the_contract_are_refused_all_of_them(
    client: TestClient, customer: dict[str, str], home_with_data: Settings
) -> None:
    before = sorted(path for path in Path(home_with_data.home).rglob("*pushed*"))
    for table, change, told in REFUSED:
        events = [a_late_statement(customer), a_late_statement(customer, loan_id="L2", **change)]
        reply = client.post("/v1/events", json={"table": table, "events": events})
        assert (reply.status_code, reply.json()["code"]) == (422, "events_refused")
        assert told in reply.json()["detail"]
    assert sorted(path for path in Path(home_with_data.home).rglob("*pushed*")) == before


def test_another_companys_events_are_refused_and_a_busy_home_is_told(
    client: TestClient, customer: dict[str, str], home_with_data: Settings
) -> None:
    pushed = {"table": "statements", "events": [a_late_statement(customer)]}
    stranger = signed_in(client, home_with_data, ["credit_officer"], ["credit"])
    reply = client.post("/v1/events", json=pushed, headers=stranger)
    assert (reply.status_code, reply.json()["code"]) == (403, "another_company")
    with working_in(home_with_data.home):
        reply = client.post("/v1/events", json=pushed)
    assert (reply.status_code, reply.json()["code"]) == (503, "home_busy")
    assert reply.headers["retry-after"]
    assert client.post("/v1/events", json=pushed).status_code == 200


def test_a_pushing_process_that_is_killed_is_told_and_another_begins(
    client: TestClient, customer: dict[str, str]
) -> None:
    pushed = {"table": "statements", "events": [a_late_statement(customer)]}
    assert client.post("/v1/events", json=pushed).status_code == 200
    pool = client.app.state.backend.aside._process  # type: ignore[attr-defined]
    [process] = pool._processes.values()
    process.kill()
    process.join()
    reply = client.post("/v1/events", json=pushed)
    assert (reply.status_code, reply.json()["code"]) == (503, "interrupted")
    assert client.post("/v1/events", json=pushed).status_code == 200
