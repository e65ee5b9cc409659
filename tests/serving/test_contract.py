"""The API's own description, taken at its word: whatever it allows is answered as it says, by every role."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from group.database import migrated
from group.roles import ROLES
from group.settings import Settings
from pipelines.api_process import start_api
from tests.serving.calling import signed_in
from tests.serving.homes import copied_home
from workflow.pre_credit import EXAMPLE_FILE, release_policy

pytestmark = pytest.mark.long

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
EXAMPLES_A_ROUTE = 20
EXAMPLES_OF_A_REFUSAL = 5
"""Of a route that the role may not ask: whatever it asks, the answer is the same."""

ASK_FOR = {
    "GET /v1/model": "models:read",
    "POST /v1/score/batch": "scores:batch",
    "GET /metrics": "operations:read",
    "GET /v1/whitelists": "whitelists:read",
    "GET /v1/customers/{party_id}/scores": "customers:read",
}
"""Routes that any good request gets an answer from, and the scopes that they ask for."""

NOT_OF_US = {"GET /healthz", "GET /readyz", "POST /v1/token", "POST /v1/account/password"}
"""What whoever has not signed in may ask."""


@pytest.fixture(scope="module")
def served(trained_settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Settings]]:
    folder: Path = tmp_path_factory.mktemp("contract")
    # Events that are asked to be pushed may be taken.
    own = copied_home(trained_settings, folder / "home", with_data=True).model_copy(
        update={"port": 0, "requests_per_second": 1e6, "token_minutes": 60.0}
    )
    with migrated(own.state_url) as engine, engine.begin() as connection:
        release_policy(connection, EXAMPLE_FILE.read_text(), by="Li", reason="a test", at=datetime.now(UTC))
    server = start_api(own, folder / "api.log")
    yield server.url, own
    server.stop()
    log = (folder / "api.log").read_text()
    assert "Traceback" not in log, log[-5_000:]


@pytest.fixture(scope="module")
def description(served: tuple[str, Settings]) -> schemathesis.BaseSchema:
    return schemathesis.openapi.from_url(f"{served[0]}/openapi.json")


def may_ask(role: str, operation: Any) -> bool:
    """Whether the role has a scope for what the description says that the route asks for."""
    asked = operation.definition.raw.get("security", [])
    if not asked or role == "nobody":
        return not asked
    return any(set(scopes) <= ROLES[role].scopes for one in asked for scopes in one.values())


@pytest.mark.parametrize("role", [*ROLES, "nobody"])
def test_every_route_keeps_to_the_description_whoever_asks(
    served: tuple[str, Settings], description: schemathesis.BaseSchema, role: str
) -> None:
    url, own = served
    headers: dict[str, str] = {}
    if role != "nobody":
        with httpx.Client(base_url=url) as client:
            headers = signed_in(client, own, [role], ["consumer", "credit"])
    seen: set[tuple[str, int]] = set()

    def ask(case: Any) -> None:
        response = case.call(base_url=url, headers=headers)
        seen.add((case.operation.label, response.status_code))
        case.validate_response(response, checks=CHECKS, headers=headers)

    for found in description.get_all_operations():
        assert isinstance(found, Ok)
        operation = found.ok()
        examples = EXAMPLES_A_ROUTE if may_ask(role, operation) else EXAMPLES_OF_A_REFUSAL
        settings(
            max_examples=examples, deadline=None, database=None, derandomize=True,
            suppress_health_check=list(HealthCheck), phases=[Phase.explicit, Phase.generate],
        )(given(case=operation.as_strategy())(ask))()  # fmt: skip
    answered = {label for label, status in seen if status < 400}
    assert "GET /healthz" in answered
    if role == "nobody":
        assert answered <= NOT_OF_US
    else:
        assert "GET /v1/account" in answered
        for label, scope in ASK_FOR.items():
            assert (label in answered) == (scope in ROLES[role].scopes), label
