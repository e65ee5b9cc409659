"""Who gets in: tokens by secret and by password, keys that rotate, scopes, companies, and how often."""

import base64
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from fastapi.testclient import TestClient
from pydantic import SecretStr

from group.accounts import Account
from group.settings import Settings
from pipelines import access
from serving import create_app
from serving.limits import Rates
from serving.problems import ApiError
from serving.tokens import InvalidToken, Tokens
from tests.serving.calling import bearer, signed_in

KEYS = tuple(f"{letter * 32}" for letter in "abc")
NOW = datetime(2026, 3, 1, tzinfo=UTC)
FLOW = Account("flow", "client", ("credit_officer",), ("consumer",), None, must_change=False, disabled=False)


RIGHT = {"grant_type": "client_credentials", "client_id": "flow", "client_secret": "SECRET"}
HOUR = timedelta(hours=1)


@pytest.fixture
def open_client(settings: Settings) -> Iterator[TestClient]:
    with TestClient(create_app(settings), raise_server_exceptions=False) as client:
        yield client


def token_for(client: TestClient, **form: str) -> tuple[int, dict[str, object]]:
    reply = client.post("/v1/token", data=form)
    return reply.status_code, reply.json()


def test_a_program_signs_in_by_form_or_by_basic_authorisation(open_client: TestClient, settings: Settings) -> None:
    secret = access.add(settings, "flow", "client", ["credit_officer"], ["consumer"], by="Li")
    status, body = token_for(open_client, grant_type="client_credentials", client_id="flow", client_secret=secret)
    assert (status, body["token_type"], body["expires_in"]) == (200, "bearer", 900)
    basic = base64.b64encode(f"flow:{secret}".encode()).decode()
    reply = open_client.post(
        "/v1/token", data={"grant_type": "client_credentials", "scope": "models:read"},
        headers={"Authorization": f"Basic {basic}"},
    )  # fmt: skip
    assert reply.json()["scope"] == "models:read"
    assert reply.headers["cache-control"] == "no-store"
    me = open_client.get("/v1/account", headers={"Authorization": f"Bearer {reply.json()['access_token']}"}).json()
    assert me == {"name": "flow", "scopes": ["models:read"], "legal_entities": ["consumer"]}


@pytest.mark.parametrize(
    ("form", "status", "error"),
    [
        ({"grant_type": "client_credentials", "client_id": "flow", "client_secret": "wrong"}, 401, "invalid_client"),
        ({"grant_type": "client_credentials", "client_id": "nobody", "client_secret": "x"}, 401, "invalid_client"),
        ({"grant_type": "password", "username": "flow", "password": "SECRET"}, 401, "invalid_grant"),
        ({"grant_type": "implicit"}, 400, "unsupported_grant_type"),
        ({}, 400, "unsupported_grant_type"),
        (RIGHT | {"scope": "whitelists:read"}, 400, "invalid_scope"),
    ],
)  # fmt: skip
def test_who_is_refused_is_told_as_oauth_words_it(
    open_client: TestClient, settings: Settings, form: dict[str, str], status: int, error: str
) -> None:
    secret = access.add(settings, "flow", "client", ["credit_officer"], ["consumer"], by="Li")
    shown = {name: value.replace("SECRET", secret) for name, value in form.items()}
    got, body = token_for(open_client, **shown)
    assert (got, body["error"]) == (status, error)
    assert secret not in json.dumps(body)


def test_the_first_password_opens_nothing_but_its_change(open_client: TestClient, settings: Settings) -> None:
    first = access.first_password(settings)
    assert first is not None
    assert access.first_password(settings) is None
    asked = {"grant_type": "password", "username": "administrator", "password": first}
    assert token_for(open_client, **asked)[1]["error"] == "password_change_required"
    chosen = "correct horse battery"
    body = {"username": "administrator", "password": first, "new_password": "short"}
    assert open_client.post("/v1/account/password", json=body).json()["code"] == "unusable_password"
    body["new_password"] = chosen
    assert open_client.post("/v1/account/password", json=body).status_code == 204
    assert open_client.post("/v1/account/password", json=body).status_code == 401
    assert token_for(open_client, **asked)[0] == 401
    assert token_for(open_client, **(asked | {"password": chosen}))[0] == 200


def test_a_route_asks_for_its_scope_and_for_a_token_of_ours(open_client: TestClient, settings: Settings) -> None:
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic YTpi"}):
        reply = open_client.post("/v1/score", json={"legal_entity": "credit", "party_id": "P1"}, headers=headers)
        assert (reply.status_code, reply.json()["code"]) == (401, "unauthorized")
        assert reply.headers["www-authenticate"] == "Bearer"
    marketer = signed_in(open_client, settings, ["marketer"], ["credit"])
    refused = open_client.post("/v1/score", json={"legal_entity": "credit", "party_id": "P1"}, headers=marketer)
    assert (refused.status_code, refused.json()["code"]) == (403, "missing_scope")
    officer = signed_in(open_client, settings, ["credit_officer"], ["leasing"])
    refused = open_client.post("/v1/score", json={"legal_entity": "credit", "party_id": "P1"}, headers=officer)
    assert (refused.status_code, refused.json()["code"]) == (403, "another_company")
    assert open_client.get("/healthz").status_code == 200


def test_keys_rotate_without_signing_anybody_out() -> None:
    old, both, new = Tokens(KEYS[:1], HOUR), Tokens(KEYS[1::-1], HOUR), Tokens(KEYS[1:2], HOUR)
    before = old.given_to(FLOW, FLOW.scopes, NOW)
    assert both.caller(before, NOW).name == "flow"
    after = both.given_to(FLOW, FLOW.scopes, NOW)
    assert new.caller(after, NOW).legal_entities == {"consumer"}
    with pytest.raises(InvalidToken):
        new.caller(before, NOW)


def test_a_token_runs_out_and_cannot_be_changed_or_made_without_the_key() -> None:
    tokens = Tokens(KEYS[:1], HOUR)
    token = tokens.given_to(FLOW, FLOW.scopes, NOW)
    for _ in range(2):
        assert tokens.caller(token, NOW + timedelta(minutes=59)).scopes == FLOW.scopes
    for _ in range(2):
        with pytest.raises(InvalidToken, match="run out"):
            tokens.caller(token, NOW + HOUR)
    head, claims, signature = token.split(".")
    more = json.loads(base64.urlsafe_b64decode(claims + "=="))
    more["legal_entities"] = ["credit"]
    forged = base64.urlsafe_b64encode(json.dumps(more).encode()).decode().rstrip("=")
    unsigned = base64.urlsafe_b64encode(b'{"alg":"none"}').decode().rstrip("=")
    for wrong in (f"{head}.{forged}.{signature}", f"{unsigned}.{forged}.", "", "a.b.c", token[:-2]):
        with pytest.raises(InvalidToken):
            tokens.caller(wrong, NOW)


def test_a_token_has_no_more_than_the_accounts_scopes() -> None:
    tokens = Tokens(KEYS[:1], HOUR)
    token = tokens.given_to(FLOW, frozenset({"models:read", "whitelists:read"}), NOW)
    assert tokens.caller(token, NOW).scopes == {"models:read"}


def test_a_caller_is_held_to_its_rate_and_told_when_to_come_again() -> None:
    now = [0.0]
    rates = Rates(10.0, lambda: now[0])
    for _ in range(10):
        rates.take("flow")
    with pytest.raises(ApiError) as refused:
        rates.take("flow")
    assert (refused.value.status, refused.value.headers) == (429, {"Retry-After": "1"})
    rates.take("another")
    now[0] = 0.5
    for _ in range(5):
        rates.take("flow")
    with pytest.raises(ApiError):
        rates.take("flow")
    rates.take("slow", 0.1)
    with pytest.raises(ApiError) as slow:
        rates.take("slow", 0.1)
    assert slow.value.headers == {"Retry-After": "10"}


def test_an_accounts_own_rate_holds_for_its_requests(settings: Settings) -> None:
    keyed = settings.model_copy(update={"token_keys": SecretStr(KEYS[0])})
    secret = access.add(settings, "slow", "client", ["data_scientist"], ["credit"], by="Li", requests_per_second=1.0)
    with TestClient(create_app(keyed)) as client:
        headers = bearer(client, "slow", secret)
        assert client.get("/v1/account", headers=headers).status_code == 200
        refused = client.get("/v1/account", headers=headers)
    assert (refused.status_code, refused.json()["code"]) == (429, "too_many_requests")
    assert refused.headers["retry-after"] == "1"


def test_a_closed_account_gets_no_token(open_client: TestClient, settings: Settings) -> None:
    secret = access.add(settings, "flow", "client", ["credit_officer"], ["consumer"], by="Li")
    access.close_or_open(settings, "flow", disabled=True, by="Li")
    status, _ = token_for(open_client, grant_type="client_credentials", client_id="flow", client_secret=secret)
    assert status == 401
    access.close_or_open(settings, "flow", disabled=False, by="Li")
    status, _ = token_for(open_client, grant_type="client_credentials", client_id="flow", client_secret=secret)
    assert status == 200
