"""Every route, asked by every role for its own company, for another's, and without a token.

What must not be seen is not. The table below is checked against the API's own description, so that a new route cannot
be left out.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import polars as pl
import pytest
from fastapi.testclient import TestClient

from features.place import canonical_folder
from group.database import migrated
from group.entities import LEGAL_ENTITIES
from group.roles import ROLES, Role
from group.settings import Settings
from serving import create_app
from serving.jobs.launching import JobRunner
from tests.serving.calling import signed_in
from tests.serving.homes import copied_home
from tests.serving.test_whitelists import keep
from workflow.pre_credit import EXAMPLE_FILE, release_policy

pytestmark = pytest.mark.long

OWN, OTHER = "consumer", "leasing"
"""What is asked about is the consumer-finance company's; the stranger acts for the leasing company."""

OPEN = {
    ("GET", "/healthz"), ("GET", "/readyz"), ("POST", "/v1/token"), ("POST", "/v1/account/password"),
}  # fmt: skip
"""Routes for whoever has not signed in."""


@dataclass(frozen=True)
class Asked:
    """A route: what it asks for, and how it answers somebody of another company."""

    method: str
    path: str
    scope: str | None
    elsewhere: int
    body: Any = None
    query: dict[str, str] | None = None
    own: int = 200

    @property
    def key(self) -> tuple[str, str]:
        return self.method, self.path


ROUTES = (
    Asked("POST", "/v1/score", "scores:write", 403, {"legal_entity": OWN, "party_id": "PARTY"}),
    Asked("POST", "/v1/score/batch", "scores:batch", 403, {"parties": ["PARTY"]}, {"legal_entity": OWN}),
    Asked("GET", "/v1/model", "models:read", 200),
    Asked("GET", "/v1/models/{name}", "models:read", 200),
    Asked("GET", "/v1/decisions/{decision_id}", "decisions:read", 404),
    Asked("GET", "/v1/decisions/{decision_id}/replay", "decisions:read", 404),
    Asked(
        "POST", "/v1/precredit", "precredit:write", 403,
        {"legal_entity": OWN, "party_id": "PARTY", "product": "revolving_card"},
    ),
    Asked("GET", "/v1/precredit/{offer_id}", "precredit:write", 404),
    # The first who may accept it does; whoever comes later is told that it is accepted.
    Asked("POST", "/v1/precredit/{offer_id}/acceptance", "precredit:write", 404, {}, own=409),
    Asked(
        "POST", "/v1/events", "events:write", 403, {"table": "statements", "events": [{"legal_entity": OWN}]}, own=422
    ),
    Asked("GET", "/v1/customers/{party_id}", "customers:read", 404),
    Asked("GET", "/v1/customers/{party_id}/scores", "customers:read", 200),
    Asked("GET", "/v1/whitelists", "whitelists:read", 200),
    Asked("GET", "/v1/whitelists/{name}", "whitelists:read", 403, query={"legal_entity": OWN}),
    Asked("GET", "/v1/whitelists/{name}/versions", "whitelists:read", 404),
    Asked("GET", "/v1/whitelists/{name}/export", "whitelists:read", 403, query={"legal_entity": OWN}),
    Asked("GET", "/v1/whitelists/{name}/parties/{party_id}", "whitelists:read", 403, query={"legal_entity": OWN}),
    Asked(
        "POST", "/v1/whitelists/{name}/feedback", "whitelists:feedback", 403,
        {"legal_entity": OWN, "version": 1, "results": [{
            "party_id": "P0", "contacted": True, "contacted_at": "2026-01-05T08:00:00Z", "responded": True,
            "took_up": True,
        }]},
        own=422,
    ),
    # A body that nothing is read from: the job that is asked about is the fixture's.
    Asked("POST", "/v1/jobs/score", "scores:batch", 403, [1], {"legal_entity": OWN, "model": "a_table"}, own=202),
    Asked("GET", "/v1/jobs", "scores:batch", 200),
    Asked("GET", "/v1/jobs/{job_id}", "scores:batch", 404),
    Asked("GET", "/v1/jobs/{job_id}/result", "scores:batch", 404, own=409),
    Asked("POST", "/v1/jobs/{job_id}/cancel", "scores:batch", 404),
    Asked("GET", "/v1/jobs/{job_id}/events", "scores:batch", 404),
    Asked("GET", "/v1/account", None, 200),
    Asked("GET", "/metrics", "operations:read", 200),
)  # fmt: skip


@dataclass(frozen=True)
class World:
    """A served home with a decision, an offer and a list of the one company, and everybody's tokens."""

    client: TestClient
    party: str
    decision: str
    offer: str
    job: str
    tokens: dict[tuple[str, str], dict[str, str]]

    def ask(self, route: Asked, headers: dict[str, str]) -> Any:
        path = route.path.format(
            decision_id=self.decision, offer_id=self.offer, job_id=self.job, party_id=self.party,
            name="spring" if "whitelists" in route.path else "credit_pd",
        )  # fmt: skip
        body = None if route.body is None else json.loads(json.dumps(route.body).replace("PARTY", self.party))
        return self.client.request(route.method, path, json=body, params=route.query, headers=headers)


@pytest.fixture(scope="module")
def world(trained_settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    home = copied_home(trained_settings, tmp_path_factory.mktemp("who") / "home", with_data=True)
    own = home.model_copy(update={"token_minutes": 60.0})
    with migrated(own.state_url) as engine, engine.begin() as connection:
        release_policy(connection, EXAMPLE_FILE.read_text(), by="Li", reason="a test", at=datetime.now(UTC))
    records = pl.read_parquet(canonical_folder(own.home) / "parties" / "*.parquet")
    strangers = records.filter(legal_entity=OTHER)["party_id"]
    unknown_there = records.filter(pl.col("legal_entity") == OWN, ~pl.col("party_id").is_in(strangers.implode()))
    with TestClient(create_app(own), raise_server_exceptions=False) as client:
        officer = signed_in(client, own, ["credit_officer"], [OWN])
        for row in unknown_there.sort("customer_id").head(200).to_dicts():
            asked = {"legal_entity": OWN, "party_id": row["party_id"], "product": "revolving_card"}
            offer = client.post("/v1/precredit", json=asked, headers=officer).json()
            if offer["eligible"]:
                break
        accepted = client.post(f"/v1/precredit/{offer['offer_id']}/acceptance", json={}, headers=officer)
        assert accepted.status_code == 200, accepted.text
        scored = client.post("/v1/score", json={"legal_entity": OWN, "party_id": row["party_id"]}, headers=officer)
        keep(own, "spring", 1, [row])
        tokens = {
            (role, company): signed_in(client, own, [role], [company]) for role in ROLES for company in (OWN, OTHER)
        }
        # Nobody runs it, so that it is there as long as it is asked about.
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(JobRunner, "see_to_it", lambda _self, **_how: None)
            job = client.post("/v1/jobs/score", params={"legal_entity": OWN}, headers=officer).json()["job_id"]
            yield World(client, row["party_id"], scored.json()["decision_id"], offer["offer_id"], job, tokens)


def test_the_table_names_every_route_of_the_description_with_the_scope_that_it_asks_for(world: World) -> None:
    described = world.client.get("/openapi.json").json()["paths"]
    asked = {
        (method.upper(), path): {scope for need in operation.get("security", ()) for scope in need.get("OAuth2", ())}
        for path, operations in described.items()
        for method, operation in operations.items()
    }
    assert {route.key for route in ROUTES} | OPEN == set(asked)
    for route in ROUTES:
        assert asked[route.key] == ({route.scope} if route.scope else set()), route.key


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
def test_a_route_answers_those_alone_who_may_and_about_their_own_companies(world: World, route: Asked) -> None:
    nobody = world.ask(route, {})
    assert (nobody.status_code, nobody.json()["code"]) == (401, "unauthorized")
    for role in ROLES.values():
        for company in (OWN, OTHER):
            reply = world.ask(route, world.tokens[role.name, company])
            told = f"{role.name} of {company}: {reply.status_code} {reply.text[:300]}"
            assert reply.status_code == expected(route, role, company), told
            if company == OTHER and not role.group_wide:
                nothing_of_it_is_told(world, route, reply.text)


def expected(route: Asked, role: Role, company: str) -> int:
    if route.scope is not None and route.scope not in role.scopes:
        return 403
    return route.own if company == OWN or role.group_wide else route.elsewhere


def nothing_of_it_is_told(world: World, route: Asked, text: str) -> None:
    """Neither the decision nor the offer, nor the party where the stranger did not name it."""
    secrets = {"decision_id": world.decision, "offer_id": world.offer, "job_id": world.job}
    for name, secret in secrets.items():
        assert f"{{{name}}}" in route.path or secret not in text
    for word in ('"probability"', '"credit_limit"', '"score"', '"grade"', "spring-v1"):
        assert word not in text, text


def test_a_group_wide_role_sees_every_company_and_changes_none(world: World) -> None:
    for role in ROLES.values():
        if role.group_wide:
            assert not any(route.method == "POST" and route.scope in role.scopes for route in ROUTES)
            me = world.client.get("/v1/account", headers=world.tokens[role.name, OTHER]).json()
            assert set(me["legal_entities"]) == set(LEGAL_ENTITIES)
