"""POST /v1/precredit: what a party is offered, by which rules, replayed to the byte, accepted once."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from fastapi.testclient import TestClient

from group.audit import verify
from group.database import migrated, open_database
from group.settings import Settings
from pipelines import access
from serving import create_app
from serving.backend import open_backend
from tests.serving.calling import bearer, signed_in
from workflow.pre_credit import EXAMPLE_FILE, release_policy

KEY = {"Idempotency-Key": "one-thing-that-is-to-happen"}


class Clock:
    """A clock that tests move. Whoever is signed in stays so."""

    def __init__(self) -> None:
        self.at = datetime(2026, 3, 1, tzinfo=UTC)
        self.sign_in: Callable[[], None] = lambda: None

    def __call__(self) -> datetime:
        return self.at

    def go_on(self, **time: int) -> None:
        self.at += timedelta(**time)
        self.sign_in()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def client(api_settings: Settings, clock: Clock) -> Iterator[TestClient]:
    app = create_app(api_settings, lambda settings: open_backend(settings, now=clock))
    secret = access.add(api_settings, "flow", "client", ["credit_officer"], ["consumer", "credit"], by="a test")
    with TestClient(app, raise_server_exceptions=False) as made:
        clock.sign_in = lambda: made.headers.update(bearer(made, "flow", secret))
        clock.sign_in()
        yield made


@pytest.fixture
def policy(api_settings: Settings) -> None:
    with migrated(api_settings.state_url) as engine, engine.begin() as connection:
        release_policy(connection, EXAMPLE_FILE.read_text(), by="Li", reason="a test", at=datetime.now(UTC))


@pytest.fixture(scope="module")
def asked(known_parties: pl.DataFrame) -> list[dict[str, str]]:
    parties = known_parties.filter(legal_entity="consumer")["party_id"].head(60).to_list()
    return [{"legal_entity": "consumer", "party_id": party, "product": "revolving_card"} for party in parties]


def decided(client: TestClient, asked: list[dict[str, str]]) -> tuple[list[dict[str, object]], list[dict[str, object]]]:
    """Those who are offered something, and those who are not."""
    replies = [client.post("/v1/precredit", json=one) for one in asked]
    assert {reply.status_code for reply in replies} == {200}, replies[0].text
    told = [reply.json() for reply in replies]
    return [one for one in told if one["eligible"]], [one for one in told if not one["eligible"]]


def an_offer(client: TestClient, asked: list[dict[str, str]]) -> tuple[dict[str, str], dict[str, object]]:
    for one in asked:
        reply = client.post("/v1/precredit", json=one).json()
        if reply["eligible"]:
            return one, reply
    pytest.fail("nobody is offered anything")


@pytest.mark.usefixtures("policy")
def test_a_party_is_offered_a_limit_at_the_price_of_its_grade_or_told_which_rules_fired(
    client: TestClient, asked: list[dict[str, str]]
) -> None:
    offered, refused = decided(client, asked)
    assert offered
    assert refused
    prices = {"R1": 0.138, "R2": 0.142, "R3": 0.148, "R4": 0.156, "R5": 0.166, "R6": 0.179}
    for one in offered:
        assert one["rate_per_annum"] == prices[str(one["grade"])]
        assert 2_000 <= float(str(one["credit_limit"])) <= 80_000
        assert one["valid_until"] == "2026-03-31T00:00:00Z"
        assert (one["rules"], one["offer_id"]) == ([], one["decision_id"])
    for one in refused:
        assert one["rules"]
        assert all(rule["zh"] and rule["en"] for rule in one["rules"])  # type: ignore[attr-defined]
        assert (one["offer_id"], one["credit_limit"], one["valid_until"]) == (None, None, None)
    # The score is the one that the score route gives.
    scored = client.post("/v1/score", json={name: asked[0][name] for name in ("legal_entity", "party_id")}).json()
    first = next(one for one in offered + refused if one["party_id"] == asked[0]["party_id"])
    assert (first["probability_of_default"], first["grade"]) == (scored["probability"], scored["grade"])
    assert first["reasons"] == scored["reasons"]


@pytest.mark.usefixtures("policy")
def test_every_decision_replays_to_the_same_bytes_with_the_policy_of_then(
    client: TestClient, asked: list[dict[str, str]], api_settings: Settings
) -> None:
    offered, refused = decided(client, asked[:20])
    stricter = EXAMPLE_FILE.read_text().replace("most_of_income: 0.50", "most_of_income: 0.05")
    with migrated(api_settings.state_url) as engine, engine.begin() as connection:
        release_policy(connection, stricter, by="Li", reason="a test", at=datetime.now(UTC))
    for one in offered + refused:
        again = client.get(f"/v1/decisions/{one['decision_id']}/replay").json()
        assert again["same"] is True
        kept = client.get(f"/v1/decisions/{one['decision_id']}").json()["precredit"]
        assert (kept["eligible"], kept["credit_limit"], kept["policy"]["version"]) == (
            one["eligible"], one["credit_limit"], 1,
        )  # fmt: skip
        fired = {rule["code"] for rule in one["rules"]}  # type: ignore[attr-defined]
        assert {code for code, did in kept["verdicts"].items() if did} == fired
    same, later = client.post("/v1/precredit", json=asked[0]).json(), json.loads(again["recorded"])
    assert (same["policy"]["version"], later["policy"]["version"]) == (2, 1)


@pytest.mark.usefixtures("policy")
def test_an_offer_is_accepted_once_and_a_retry_is_told_what_happened_then(
    client: TestClient, asked: list[dict[str, str]], clock: Clock
) -> None:
    one, offer = an_offer(client, asked)
    path = f"/v1/precredit/{offer['offer_id']}"
    assert client.get(path).json()["status"] == "open"
    clock.go_on(days=1)
    first = client.post(f"{path}/acceptance", json={"amount": "2000.00"}, headers=KEY)
    assert (first.status_code, first.json()["accepted_amount"]) == (200, "2000.00"), first.text
    clock.go_on(days=1)
    again = client.post(f"{path}/acceptance", json={"amount": "2000.00"}, headers=KEY)
    assert (again.content, again.headers["idempotency-replayed"]) == (first.content, "true")
    other = client.post(f"{path}/acceptance", json={"amount": "1.00"}, headers=KEY)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    for headers in ({}, {"Idempotency-Key": "another"}):
        refused = client.post(f"{path}/acceptance", json={}, headers=headers)
        assert (refused.status_code, refused.json()["code"]) == (409, "offer_accepted")
    # While the accepted one is valid, nothing more of the product is offered.
    assert [rule["code"] for rule in client.post("/v1/precredit", json=one).json()["rules"]] == ["accepted_already"]
    clock.go_on(days=31)
    assert client.post("/v1/precredit", json=one).json()["eligible"] is True


@pytest.mark.usefixtures("policy")
def test_a_retried_question_gives_the_same_offer_and_a_new_one_takes_its_place(
    client: TestClient, asked: list[dict[str, str]], clock: Clock
) -> None:
    one, _ = an_offer(client, asked)
    first = client.post("/v1/precredit", json=one, headers=KEY)
    again = client.post("/v1/precredit", json=one, headers=KEY)
    assert (again.content, again.headers["idempotency-replayed"]) == (first.content, "true")
    assert "idempotency-replayed" not in first.headers
    # What was carried out is told even where nothing could be scored now.
    models = client.app.state.backend.models  # type: ignore[attr-defined]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(models, "scorer", lambda _name: pytest.fail("nothing is to be scored"))
        assert client.post("/v1/precredit", json=one, headers=KEY).content == first.content
    newer = client.post("/v1/precredit", json=one).json()
    path = f"/v1/precredit/{first.json()['offer_id']}"
    assert client.get(path).json()["status"] == "superseded"
    assert client.post(f"{path}/acceptance", json={}).json()["code"] == "offer_superseded"
    too_much = client.post(f"/v1/precredit/{newer['offer_id']}/acceptance", json={"amount": "99999999.00"})
    assert (too_much.status_code, too_much.json()["code"]) == (422, "amount_above_limit")
    clock.go_on(days=30)
    late = client.post(f"/v1/precredit/{newer['offer_id']}/acceptance", json={})
    assert (late.status_code, late.json()["code"]) == (409, "offer_expired")


@pytest.mark.usefixtures("policy")
def test_another_companys_offer_is_not_found_and_its_product_not_asked_for(
    client: TestClient, asked: list[dict[str, str]], api_settings: Settings
) -> None:
    one, offer = an_offer(client, asked)
    stranger = signed_in(client, api_settings, ["partner"], ["credit"])
    path = f"/v1/precredit/{offer['offer_id']}"
    for reply in (
        client.get(path, headers=stranger),
        client.post(f"{path}/acceptance", json={}, headers=stranger),
    ):
        assert (reply.status_code, reply.json()["code"]) == (404, "unknown_offer")
    refused = client.post("/v1/precredit", json=one, headers=stranger)
    assert (refused.status_code, refused.json()["code"]) == (403, "another_company")
    assert client.get(path).json()["status"] == "open"


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"product": "instalment_loan"}, 422, "unknown_product"),
        ({"party_id": "nobody"}, 404, "unknown_party"),
        ({"amount": "-1"}, 422, "invalid_request"),
        ({"amount": "NaN"}, 422, "invalid_request"),
        ({"amount": "1.001"}, 422, "invalid_request"),
        ({"legal_entity": "bank"}, 422, "invalid_request"),
        ({"party": "P1"}, 422, "invalid_request"),
    ],
)
@pytest.mark.usefixtures("policy")
def test_what_cannot_be_decided_is_refused_and_offers_nothing(
    client: TestClient, asked: list[dict[str, str]], change: dict[str, str], status: int, code: str
) -> None:
    reply = client.post("/v1/precredit", json=asked[0] | change, headers=KEY)
    assert (reply.status_code, reply.json()["code"]) == (status, code)
    # A refusal is not kept: the corrected request with the same key is carried out.
    assert client.post("/v1/precredit", json=asked[0], headers=KEY).status_code == 200


def test_without_a_released_policy_nothing_is_decided(
    client: TestClient, asked: list[dict[str, str]], api_settings: Settings
) -> None:
    reply = client.post("/v1/precredit", json=asked[0])
    assert (reply.status_code, reply.json()["code"]) == (503, "no_policy")
    assert "jinkong pre-credit release" in reply.json()["detail"]
    engine = open_database(api_settings.state_url)
    assert verify(engine) is None
    engine.dispose()
