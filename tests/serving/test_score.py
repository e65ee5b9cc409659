"""POST /v1/score: right scores, on record before they are answered, and clear refusals."""

import json
import re
from typing import Any, get_args

import polars as pl
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import create_engine

from features.catalogue import CREDIT_VIEWS
from group.audit import find, verify
from group.database import open_database
from group.entities import LEGAL_ENTITIES
from group.settings import Settings
from pipelines.workspace import Workspace
from serving import Scorer, replay
from serving.messages.fields import LegalEntityCode
from tests.serving.calling import calling
from training import champion, matrix, score_points


def problem(response: Any, status: int, code: str) -> dict[str, Any]:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = response.json()
    assert body["code"] == code
    assert body["status"] == status
    assert body["detail"]
    return body


def test_scores_over_http_are_those_of_the_model_on_the_offline_features(
    client: TestClient, trained_settings: Settings, known_parties: pl.DataFrame
) -> None:
    model = champion(trained_settings).model
    chosen = known_parties.gather_every(len(known_parties) // 40)
    rows = chosen
    workspace = Workspace.of(trained_settings)
    for view in CREDIT_VIEWS:
        newest = sorted((workspace.features / view).glob("*.parquet"))[-1]
        offline = pl.read_parquet(newest).drop("event_timestamp", "created_timestamp")
        rows = rows.join(offline, on=["legal_entity", "party_id"], how="left", maintain_order="left")
    wanted = model.probability(matrix(rows, model.features))
    for party, pd in zip(chosen.to_dicts(), wanted, strict=True):
        reply = client.post("/v1/score", json=party).json()
        assert reply["probability_of_default"] == pd
        assert reply["score"] == score_points(wanted[wanted == pd][:1])[0]
        assert reply["features_as_of"] == "2026-01-01T00:00:00Z"
        assert (reply["legal_entity"], reply["party_id"]) == (party["legal_entity"], party["party_id"])
    assert len(set(wanted)) > 30


def test_a_full_feature_row_gives_the_score_that_its_party_gets(
    client: TestClient, api_settings: Settings, known_parties: pl.DataFrame
) -> None:
    party = known_parties.row(7, named=True)
    by_party = client.post("/v1/score", json=party).json()
    names = client.get("/v1/model").json()["features"]
    seen = dict(zip(names, recorded(api_settings, by_party)["features"], strict=True))
    by_row = client.post("/v1/score", json={"legal_entity": party["legal_entity"], "features": seen}).json()
    assert by_row["probability_of_default"] == by_party["probability_of_default"]
    assert (by_row["party_id"], by_row["features_as_of"]) == (None, None)


def recorded(settings: Settings, reply: dict[str, Any]) -> dict[str, Any]:
    with create_engine(settings.state_url).connect() as connection:
        [record] = find(connection, reply["legal_entity"], reply["decision_id"])
    payload: dict[str, Any] = json.loads(record.payload)
    return payload


def test_every_score_is_in_the_audit_log_and_replays_to_the_same_bytes(
    client: TestClient, api_settings: Settings, known_parties: pl.DataFrame
) -> None:
    replies = [client.post("/v1/score", json=party).json() for party in known_parties.head(5).to_dicts()]
    engine = open_database(api_settings.state_url)
    scorer = Scorer(champion(api_settings))
    with engine.connect() as connection:
        for reply in replies:
            [record] = find(connection, reply["legal_entity"], reply["decision_id"])
            assert record.action == "score.given"
            assert record.actor.startswith("caller-")
            assert json.loads(record.payload)["probability"] == reply["probability"] == reply["probability_of_default"]
            assert replay(record.payload, scorer) == record.payload
            spoiled = record.payload.replace('"score":', '"score":1')
            assert replay(spoiled, scorer) != spoiled
    assert verify(engine) is None
    engine.dispose()


def test_an_unknown_party_is_not_found_and_neither_is_another_companys(
    client: TestClient, known_parties: pl.DataFrame
) -> None:
    body = problem(
        client.post("/v1/score", json={"legal_entity": "credit", "party_id": "nobody"}), 404, "unknown_party"
    )
    assert body["detail"] == "'credit' has no features of party 'nobody'."
    companies = known_parties.group_by("party_id").agg("legal_entity")
    stranger = companies.filter(~pl.col("legal_entity").list.contains("leasing")).row(0, named=True)
    problem(
        client.post("/v1/score", json={"legal_entity": "leasing", "party_id": stranger["party_id"]}),
        404,
        "unknown_party",
    )


@pytest.mark.parametrize(
    ("body", "path", "says"),
    [
        ({"party_id": "P1"}, "$.legal_entity", "required"),
        ({"legal_entity": "bank", "party_id": "P1"}, "$.legal_entity", "'credit', 'guarantee'"),
        ({"legal_entity": "credit"}, "$", "give either party_id or features"),
        ({"legal_entity": "credit", "party_id": "P1", "features": {}}, "$", "give either party_id or features"),
        ({"legal_entity": "credit", "party_id": ""}, "$.party_id", "at least 1 character"),
        ({"legal_entity": "credit", "party_id": "P" * 65}, "$.party_id", "at most 64 characters"),
        ({"legal_entity": "credit", "party_id": 7}, "$.party_id", "string"),
        ({"legal_entity": "credit", "party_id": "P1", "colour": "red"}, "$.colour", "not permitted"),
        ({"legal_entity": "credit", "features": [1, 2]}, "$.features", "object"),
        ([], "$", "object"),
    ],
)
def test_a_bad_body_is_refused_with_the_path_of_the_field(client: TestClient, body: Any, path: str, says: str) -> None:
    answer = problem(client.post("/v1/score", json=body), 422, "invalid_request")
    assert [error["path"] for error in answer["errors"]] == [path]
    assert says in answer["errors"][0]["message"]


@pytest.mark.parametrize("text", ["", "{", '{"legal_entity": "credit", "features": {"age_years": NaN}}'])
def test_what_is_not_json_is_refused(client: TestClient, text: str) -> None:
    response = client.post("/v1/score", content=text, headers={"content-type": "application/json"})
    problem(response, 422, "invalid_request")


def test_a_feature_row_that_is_not_the_models_names_every_feature_that_is_wrong(client: TestClient) -> None:
    names = client.get("/v1/model").json()["features"]
    row = dict.fromkeys(names, 1.0)
    del row["age_years"]
    row["income_per_mouth"] = 9_000
    answer = problem(
        client.post("/v1/score", json={"legal_entity": "credit", "features": row}), 422, "wrong_feature_row"
    )
    assert {error["path"]: error["message"] for error in answer["errors"]} == {
        "$.features.age_years": "is missing; give null if it is unknown",
        "$.features.income_per_mouth": "is no feature of the model; the nearest is 'income_per_month'",
    }


@pytest.mark.parametrize("value", ["41", True])
def test_a_value_that_is_no_number_is_told_by_its_path(client: TestClient, value: Any) -> None:
    row = dict.fromkeys(client.get("/v1/model").json()["features"], 1.0) | {"age_years": value}
    answer = problem(
        client.post("/v1/score", json={"legal_entity": "credit", "features": row}), 422, "wrong_feature_row"
    )
    assert answer["errors"] == [{"path": "$.features.age_years", "message": "is not a number"}]


def test_an_answer_never_repeats_what_was_sent(client: TestClient) -> None:
    body = {"legal_entity": "credit", "party_id": ["110101199003070000"]}
    assert "110101199003070000" not in client.post("/v1/score", json=body).text


def test_a_body_that_is_too_long_is_refused_whatever_its_header_says(
    client: TestClient, api_settings: Settings
) -> None:
    def endless() -> Any:
        for _ in range(api_settings.max_body_bytes // 1_000 + 2):
            yield b" " * 1_000

    answer = problem(client.post("/v1/score", content=endless()), 413, "body_too_large")
    assert str(api_settings.max_body_bytes) in answer["detail"]


def test_without_a_champion_the_answer_is_503_with_the_reason_until_there_is_one(settings: Settings) -> None:
    with calling(settings) as client:
        assert client.get("/healthz").status_code == 200
        response = client.post("/v1/score", json={"legal_entity": "credit", "party_id": "P1"})
        assert "train one, then have it approved" in problem(response, 503, "no_champion")["detail"]
        assert response.headers["retry-after"]
        ready = client.get("/readyz")
        assert ready.status_code == 503
        assert ready.json()["status"] == "not ready"
        assert "train one, then have it approved" in ready.json()["reasons"][0]
        assert "jinkong_ready 0.0" in client.get("/metrics").text


def test_a_score_that_cannot_be_recorded_is_not_given(
    client: TestClient, api_settings: Settings, known_parties: pl.DataFrame
) -> None:
    party = known_parties.row(0, named=True)
    assert client.post("/v1/score", json=party).status_code == 200
    with open_database(api_settings.state_url).begin() as connection:
        connection.exec_driver_sql("ALTER TABLE audit_head RENAME TO somewhere_else")
    answer = problem(client.post("/v1/score", json=party), 503, "database_unavailable")
    assert "probability" not in json.dumps(answer)


def test_readiness_names_the_model_and_a_database_that_went_away(client: TestClient, api_settings: Settings) -> None:
    ready = client.get("/readyz")
    assert ready.status_code == 200
    assert ready.json()["model"]["name"] == "credit_pd"
    assert ready.json()["reasons"] == []
    with open_database(api_settings.state_url).begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '0000'")
    away = client.get("/readyz")
    assert away.status_code == 503
    assert "is at migration 0000" in away.json()["reasons"][0]


def test_metrics_count_answers_by_route_and_name_nobody(client: TestClient, known_parties: pl.DataFrame) -> None:
    party = known_parties.row(0, named=True)
    client.post("/v1/score", json=party)
    client.post("/v1/score", json=party | {"party_id": "nobody"})
    client.get("/no/such/route")
    text = client.get("/metrics").text
    assert 'jinkong_requests_total{method="POST",route="/v1/score",status="200"} 1.0' in text
    assert 'jinkong_requests_total{method="POST",route="/v1/score",status="404"} 1.0' in text
    assert 'jinkong_requests_total{method="GET",route="none",status="404"} 1.0' in text
    assert f'jinkong_scores_total{{legal_entity="{party["legal_entity"]}"}} 1.0' in text
    assert "jinkong_ready 1.0" in text
    assert 'jinkong_model{name="credit_pd"' in text
    assert party["party_id"] not in text


def test_the_openapi_page_shows_examples_that_the_api_accepts(client: TestClient) -> None:
    page = client.get("/docs")
    assert page.status_code == 200
    # A bank's network has no way out, and what its officers read is nobody else's business.
    linked = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert linked
    for address in linked:
        assert not address.startswith(("http:", "https:", "//")), address
        assert client.get(address).status_code == 200
    description = client.get("/openapi.json").json()
    operation = description["paths"]["/v1/score"]["post"]
    examples = operation["requestBody"]["content"]["application/json"]["examples"]
    assert set(examples) == {"party", "feature row"}
    assert {"200", "401", "404", "413", "422", "503"} <= operation["responses"].keys()
    party = client.post("/v1/score", json=examples["party"]["value"])
    problem(party, 404, "unknown_party")
    problem(client.post("/v1/score", json=examples["feature row"]["value"]), 422, "wrong_feature_row")


def test_the_api_names_the_companies_of_the_group() -> None:
    assert list(get_args(LegalEntityCode)) == list(LEGAL_ENTITIES)
