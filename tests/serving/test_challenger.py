"""A challenger: it answers for its share of the parties, always the same ones, and scores the rest in the shadow."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import mlflow
import polars as pl
import pytest
from fastapi.testclient import TestClient

from group.audit import AuditEvent, append
from group.database import migrated, open_database
from group.errors import JinkongError
from group.settings import Settings
from pipelines.model_approval import try_beside, try_no_more
from serving.models import Models
from serving.scored import Scored
from serving.scorer import Asked, Scorer
from serving.shadow import score_some, shadow_summaries
from tests.serving.calling import calling
from tests.serving.registry import another_version
from training import CHALLENGER, PromotionRefused, approvals, challenger, champion, champion_mark
from training.registered import CHALLENGER_SHARE_TAG
from training.registry import drop_challenger, mark_challenger

pytestmark = pytest.mark.long

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def scores(client: TestClient, parties: list[dict[str, Any]]) -> list[dict[str, Any]]:
    replies = [client.post("/v1/score", json=party) for party in parties]
    assert {reply.status_code for reply in replies} == {200}
    return [reply.json() for reply in replies]


def models_of(client: TestClient) -> Models:
    found: Models = client.app.state.backend.models  # type: ignore[attr-defined]
    return found


def test_a_share_of_the_parties_is_answered_by_the_challenger_and_always_the_same(
    home: Settings, known_parties: pl.DataFrame
) -> None:
    parties = known_parties.filter(pl.col("legal_entity").is_in(["consumer", "credit"])).head(300).to_dicts()
    other = another_version(home)
    with calling(home) as client:
        before = scores(client, parties)
        assert {one["model"]["version"] for one in before} == {champion(home).version}
        mark_challenger(other, 0.3, home)
        models_of(client).refresh()
        after = scores(client, parties)
        tried = [one for one in after if one["model"]["version"] == other.version]
        # Of 300 draws at 0.3: six standard deviations are 48.
        assert abs(len(tried) - 90) < 48
        for one, earlier in zip(after, before, strict=True):
            assert (one["probability"] != earlier["probability"]) == (one in tried)
        assert [one["model"]["version"] for one in scores(client, parties)] == [
            one["model"]["version"] for one in after
        ]
        replayed = client.get(f"/v1/decisions/{tried[0]['decision_id']}/replay").json()
        assert replayed["same"] is True
        # The share is read anew, and without a challenger the champion answers everybody.
        mark_challenger(other, 0.0, home)
        models_of(client).refresh()
        assert {one["model"]["version"] for one in scores(client, parties[:50])} == {champion(home).version}
        drop_challenger(home, "credit_pd")
        models_of(client).refresh()
        assert models_of(client).challenged() == []


def test_a_challenger_that_cannot_be_used_changes_nothing_and_is_told(
    home: Settings, known_parties: pl.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    parties = known_parties.head(30).to_dicts()
    with calling(home) as client:
        scores(client, parties)
        other = another_version(home, tampered=True)
        mark_challenger(other, 0.5, home)
        models_of(client).refresh()
        assert {one["model"]["version"] for one in scores(client, parties)} == {champion(home).version}
        assert f"The challenger, version {other.version}, is not used" in client.get("/readyz").json()["notes"][0]
        # To fetch it takes seconds: it is not done again at every look.
        fetched = []
        monkeypatch.setattr(Models, "_elsewhere", lambda _self, _fetch, *asked: fetched.append(asked))
        models_of(client).refresh()
        assert fetched == []
        assert client.get("/readyz").json()["notes"]


@pytest.mark.parametrize("text", ["much", "nan", "-0.1", "1.5", ""])
def test_a_share_that_is_none_answers_for_nobody(home: Settings, text: str) -> None:
    other = another_version(home)
    mark_challenger(other, 0.0, home)
    mlflow.MlflowClient(home.tracking_uri).set_model_version_tag(other.name, other.version, CHALLENGER_SHARE_TAG, text)
    mark = champion_mark(home, alias=CHALLENGER)
    assert mark is not None
    assert (mark.version, mark.share) == (other.version, 0.0)


def test_what_was_answered_since_is_scored_in_the_shadow_each_once(home: Settings, known_parties: pl.DataFrame) -> None:
    parties = known_parties.filter(legal_entity="consumer").head(40)["party_id"].to_list()
    asked = [{"legal_entity": "consumer", "party_id": party} for party in parties]
    other = another_version(home)
    with calling(home) as client:
        scores(client, asked[:5])
        mark_challenger(other, 0.0, home)
        assert score_some(home, "credit_pd") == 0
        given = scores(client, asked)
        batch = client.post("/v1/score/batch", params={"legal_entity": "consumer"}, json={"parties": parties}).json()
        looked_at = 0
        while some := score_some(home, "credit_pd"):
            looked_at += some
        assert looked_at == len(given) + 1
        answers = {one["decision_id"]: one["probability"] for one in [*given, *batch["scores"]]}
        with migrated(home.state_url) as engine, engine.connect() as connection:
            [told] = shadow_summaries(connection, "credit_pd")
        assert (told.version, told.answered_by, told.scores) == (other.version, champion(home).version, len(answers))
        assert told.mean_answered == pytest.approx(sum(answers.values()) / len(answers))
        assert told.mean_shadow > told.mean_answered
        # The challenger's own answers to the same rows, by the model itself.
        mark_challenger(other, 0.5, home)
        models_of(client).refresh()
        own = {one["party_id"]: one for one in scores(client, asked) if one["model"]["version"] == other.version}
        while score_some(home, "credit_pd"):
            pass
        with migrated(home.state_url) as engine, engine.connect() as connection:
            rows = connection.exec_driver_sql("SELECT decision_id, probability, answered FROM shadow_scores").all()
        shadows = {row[0]: row[1] for row in rows}
        for one in given:
            if one["party_id"] in own:
                assert shadows[one["decision_id"]] == own[one["party_id"]]["probability"]
        assert not {one["decision_id"] for one in own.values()} & set(shadows)


def test_nobody_who_writes_waits_while_a_challenger_scores(
    home: Settings, known_parties: pl.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    party = known_parties.filter(legal_entity="consumer").row(0, named=True)
    other = another_version(home)
    with calling(home) as client:
        scores(client, [party])
        mark_challenger(other, 0.0, home)
        score_some(home, "credit_pd")
        scores(client, [party])
        # With a writer that waits for nobody: it is refused as long as another one holds the database.
        impatient = open_database(home.state_url, wait_seconds=0)
        given = Scorer.score
        written = []

        def score(scorer: Scorer, asked: Sequence[Asked]) -> list[Scored | JinkongError]:
            with impatient.begin() as connection:
                append(connection, AuditEvent("consumer", "Li", "written", "meanwhile", {}), NOW)
            written.append(len(asked))
            return given(scorer, asked)

        monkeypatch.setattr(Scorer, "score", score)
        assert score_some(home, "credit_pd") == 1
        assert written == [1]
        impatient.dispose()


def test_who_may_be_tried_beside_the_champion(home: Settings) -> None:
    with pytest.raises(PromotionRefused, match="trained by the fixture: somebody else"):
        try_beside(home, "credit_pd", share=0.2, by="The Fixture", reason="a test")
    with pytest.raises(PromotionRefused, match=r"from 0 to 0\.5"):
        try_beside(home, "credit_pd", share=0.6, by="Li", reason="a test")
    with pytest.raises(PromotionRefused, match="give both"):
        try_beside(home, "credit_pd", share=0.0, by="Li", reason=" ")
    tried = try_beside(home, "credit_pd", share=0.2, by="Li", reason="a test")
    found = challenger(home)
    assert found is not None
    assert found.version == tried.version
    try_no_more(home, "credit_pd", by="Li", reason="enough")
    assert challenger(home) is None
    with migrated(home.state_url) as engine, engine.connect() as connection:
        actions = [row["action"] for row in approvals(connection, "credit_pd")]
    assert actions[-2:] == ["model.challenges", "model.challenge_ended"]
