"""GET /v1/decisions: what was seen and decided, for the caller's companies alone, and the same bytes again."""

import json

import polars as pl
import pytest
from fastapi.testclient import TestClient

from group.settings import Settings
from tests.serving.calling import calling, signed_in
from tests.serving.registry import another_champion


def test_a_decision_is_told_as_it_was_made_and_replays_to_the_same_bytes(
    client: TestClient, known_parties: pl.DataFrame
) -> None:
    party = known_parties.filter(legal_entity="consumer").row(3, named=True)
    scored = client.post("/v1/score", json=party).json()
    told = client.get(f"/v1/decisions/{scored['decision_id']}")
    assert told.status_code == 200, told.text
    decision = told.json()
    for name in ("legal_entity", "party_id", "probability", "score", "grade", "reasons", "model", "features_as_of"):
        assert decision[name] == scored[name], name
    assert decision["decided_at"] == scored["scored_at"]
    assert decision["asked_by"].startswith("caller-")
    assert len(decision["features"]) == len(client.get("/v1/model").json()["features"])
    again = client.get(f"/v1/decisions/{scored['decision_id']}/replay").json()
    assert again["same"] is True
    assert again["recorded"] == again["replayed"]
    assert json.loads(again["recorded"])["probability"] == scored["probability"]


def test_a_row_of_a_batch_is_a_decision_of_its_own(client: TestClient, known_parties: pl.DataFrame) -> None:
    parties = known_parties.filter(legal_entity="credit")["party_id"].head(3).to_list()
    rows = client.post(
        "/v1/score/batch", params={"legal_entity": "credit"}, json={"parties": ["nobody", *parties]}
    ).json()["scores"]
    for row in rows[1:]:
        decision = client.get(f"/v1/decisions/{row['decision_id']}").json()
        assert (decision["party_id"], decision["probability"]) == (row["party_id"], row["probability"])
        assert client.get(f"/v1/decisions/{row['decision_id']}/replay").json()["same"] is True
    record = rows[1]["decision_id"].rpartition("-")[0]
    for unknown in (record, f"{record}-3", f"{record}-99999"):
        assert client.get(f"/v1/decisions/{unknown}").json()["code"] == "unknown_decision"


def test_another_companys_decision_is_not_found(
    client: TestClient, api_settings: Settings, known_parties: pl.DataFrame
) -> None:
    party = known_parties.filter(legal_entity="consumer").row(0, named=True)
    decision = client.post("/v1/score", json=party).json()["decision_id"]
    stranger = signed_in(client, api_settings, ["credit_officer"], ["leasing"])
    committee = signed_in(client, api_settings, ["risk_committee"], [])
    for path in (f"/v1/decisions/{decision}", f"/v1/decisions/{decision}/replay"):
        refused = client.get(path, headers=stranger)
        assert (refused.status_code, refused.json()["code"]) == (404, "unknown_decision")
        assert client.get(path, headers=committee).status_code == 200


@pytest.mark.parametrize("name", ["1", "0198c2c3-8f7e-7d0e-9a53-6a1a4e1d2f10-", "0198c2c3-8f7e-7d0e-9a53-6a1a4e1d2f1g"])
def test_what_is_no_decision_id_is_refused(client: TestClient, name: str) -> None:
    assert client.get(f"/v1/decisions/{name}").json()["code"] == "invalid_request"


@pytest.mark.long
def test_a_decision_replays_with_the_model_of_then_after_another_took_its_place(
    home: Settings, known_parties: pl.DataFrame
) -> None:
    party = known_parties.filter(legal_entity="consumer").row(3, named=True)
    fast = home.model_copy(update={"model_refresh_seconds": 0.1})
    with calling(fast) as client:
        before = client.post("/v1/score", json=party).json()
        another_champion(home)
        client.app.state.backend.models.refresh()  # type: ignore[attr-defined]
        after = client.post("/v1/score", json=party).json()
        assert after["model"]["version"] != before["model"]["version"]
        assert after["probability"] != before["probability"]
        for scored in (before, after):
            again = client.get(f"/v1/decisions/{scored['decision_id']}/replay").json()
            assert again["same"] is True
            assert json.loads(again["replayed"])["probability"] == scored["probability"]
