"""A model of any table over HTTP: its columns, its rows, its refusals."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from fastapi.testclient import TestClient

from group.settings import Settings
from pipelines.jobs.table import read_table_for, train_table
from pipelines.model_approval import approve_latest
from pipelines.progress import Silence
from serving import Scorer, replay
from serving.backend import Backend
from tests.pipelines.in_process import jinkong
from tests.serving.calling import calling
from training import champion
from training.table import TableRequest

ROW: dict[str, Any] = {"debt": 1.5, "sector": "building", "opened": "2020-05-06"}


@pytest.fixture
def served(settings: Settings, tmp_path: Path) -> Iterator[tuple[TestClient, Settings]]:
    rng = np.random.default_rng(3)
    debt, sector = rng.normal(size=1_500), rng.choice(["farming", "building"], 1_500)
    late = rng.random(1_500) < 1 / (1 + np.exp(1.5 - 1.5 * debt - 1.0 * (sector == "building")))
    opened = [f"20{10 + n % 10}-01-15" for n in range(1_500)]
    path = tmp_path / "loans.csv"
    pl.DataFrame({"debt": debt, "sector": sector, "opened": opened, "late": late.astype(int)}).write_csv(path)
    request = TableRequest(path, "late")
    frame = read_table_for(request, Silence())
    train_table(settings, frame, request, Silence(), trained_by="Alice Wang")
    approve_latest(settings, "loans", by="Bob Li", reason="good")
    with calling(settings) as client:
        yield client, settings


def test_a_row_is_scored_with_its_reasons_on_record_and_replayed(served: tuple[TestClient, Settings]) -> None:
    client, settings = served
    columns = client.get("/v1/models/loans").json()
    assert (columns["features"], columns["task"]) == (["debt", "sector", "opened"], "credit")
    reply = client.post("/v1/score", json={"legal_entity": "credit", "model": "loans", "features": ROW})
    assert reply.status_code == 200, reply.text
    body = reply.json()
    model = champion(settings, "loans")
    wanted = model.model.probability(model.model.encoded([ROW]))[0]
    assert body["probability"] == body["probability_of_default"] == wanted
    assert [reason["code"] for reason in body["reasons"]][:2] == ["column:debt", "column:sector"]
    assert body["grade"].startswith("R")
    backend: Backend = client.app.state.backend  # type: ignore[attr-defined]
    with backend.engine.connect() as connection:
        from group.audit import find

        [record] = find(connection, "credit", body["decision_id"])
    assert replay(record.payload, Scorer(model)) == record.payload


@pytest.mark.parametrize(
    ("features", "path", "says"),
    [
        (ROW | {"debt": "much"}, "$.features.debt", "is not a number"),
        (ROW | {"opened": "once"}, "$.features.opened", "is not a date such as 2026-01-31"),
        (ROW | {"detb": 1}, "$.features.detb", "is no feature of the model; the nearest is 'debt'"),
        ({"debt": 1.5}, "$.features.sector", "is missing; give null if it is unknown"),
    ],
)
def test_a_wrong_row_is_told_by_its_path(
    served: tuple[TestClient, Settings], features: dict[str, object], path: str, says: str
) -> None:
    client, _ = served
    reply = client.post("/v1/score", json={"legal_entity": "credit", "model": "loans", "features": features})
    assert reply.status_code == 422
    assert {"path": path, "message": says} in reply.json()["errors"]


def test_a_model_that_is_not_there_or_takes_no_parties_is_told(served: tuple[TestClient, Settings]) -> None:
    client, _ = served
    absent = client.post("/v1/score", json={"legal_entity": "credit", "model": "nothing", "features": ROW})
    assert (absent.status_code, absent.json()["code"]) == (404, "unknown_model")
    party = client.post("/v1/score", json={"legal_entity": "credit", "model": "loans", "party_id": "P1"})
    assert party.status_code == 422
    assert client.get("/v1/models/..%2Fsecret").status_code in (404, 422)


def test_a_file_is_scored_by_command_as_by_http(served: tuple[TestClient, Settings], tmp_path: Path) -> None:
    client, settings = served
    rows = tmp_path / "new.csv"
    pl.DataFrame([ROW, ROW | {"sector": "mining", "debt": -2.0}]).write_csv(rows)
    output = tmp_path / "scored.parquet"
    done = jinkong("score", "loans", str(rows), "--output", str(output), home=settings.home)
    assert done.returncode == 0, done.stderr
    assert "'sector': 1 values are categories that training did not know" in done.stdout
    scored = pl.read_parquet(output)
    reply = client.post("/v1/score", json={"legal_entity": "credit", "model": "loans", "features": ROW}).json()
    assert scored["probability"][0] == reply["probability"]
    assert scored["score"][0] == reply["score"]
    assert scored["reasons"][0].startswith("The value of debt; The value of sector")
    wrong = jinkong("score", "loans", str(rows), "--output", str(tmp_path / "scored.txt"), home=settings.home)
    assert (wrong.returncode, "give a file that ends in .csv, .parquet, .xlsx" in wrong.stderr) == (2, True)
