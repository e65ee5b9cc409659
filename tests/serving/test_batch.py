"""POST /v1/score/batch: in every format what single requests give, on record, in order, and clear refusals."""

import io
import json
from typing import Any

import orjson
import polars as pl
import pyarrow as pa
import pyarrow.csv
import pyarrow.ipc
import pyarrow.parquet
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import func, select

from group.audit import verify
from group.database import open_database, reading
from group.settings import Settings
from serving import Scorer, batch_scoring, replay
from serving.backend import Backend
from serving.decisions import recorded
from serving.formats import ARROW, CSV, JSON, PARQUET
from serving.party_scores import scores
from tests.serving.calling import calling
from training import champion

ASKED = {"legal_entity": "consumer"}


@pytest.fixture(scope="session")
def consumers(known_parties: pl.DataFrame) -> list[str]:
    """Seven hundred, so that there are two parts, one of them unknown to everybody."""
    some = known_parties.filter(legal_entity="consumer")["party_id"].head(699).to_list()
    return [*some[:40], "nobody", *some[40:]]


def encoded(parties: list[str], media_type: str) -> bytes:
    table = pa.table({"party_id": parties})
    sink = io.BytesIO()
    if media_type == JSON:
        return json.dumps({"parties": parties}).encode()
    if media_type == CSV:
        pa.csv.write_csv(table, sink)
    elif media_type == PARQUET:
        pa.parquet.write_table(table, sink)
    else:
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
    return sink.getvalue()


def decoded(body: bytes, media_type: str) -> list[dict[str, Any]]:
    if media_type == JSON:
        rows: list[dict[str, Any]] = json.loads(body)["scores"]
        return rows
    if media_type == CSV:
        table = pa.csv.read_csv(io.BytesIO(body), convert_options=pa.csv.ConvertOptions(strings_can_be_null=True))
    elif media_type == PARQUET:
        table = pa.parquet.read_table(io.BytesIO(body))
    else:
        table = pa.ipc.open_stream(body).read_all()
    found: list[dict[str, Any]] = table.to_pylist()
    return found


def test_a_batch_gives_in_every_format_what_single_requests_give(client: TestClient, consumers: list[str]) -> None:
    singles = [
        client.post("/v1/score", json=ASKED | {"party_id": party}).json() for party in (consumers[0], consumers[600])
    ]
    for sent in (JSON, CSV, PARQUET, ARROW):
        for answered in (JSON, CSV, PARQUET, ARROW):
            reply = client.post(
                "/v1/score/batch", params=ASKED, content=encoded(consumers, sent),
                headers={"content-type": sent, "accept": answered},
            )  # fmt: skip
            assert reply.status_code == 200, reply.text
            assert reply.headers["content-type"].startswith(answered)
            rows = decoded(reply.content, answered)
            assert [row["party_id"] for row in rows] == consumers
            assert [row["row"] for row in rows] == list(range(700))
            for single, row in zip(singles, (rows[0], rows[600]), strict=True):
                assert (row["probability"], row["score"], row["grade"]) == (
                    single["probability"], single["score"], single["grade"],
                )  # fmt: skip
                if answered == CSV:
                    assert (row["reasons"] or "") == "; ".join(reason["code"] for reason in single["reasons"])
                else:
                    assert row["reasons"] == single["reasons"]
            assert rows[40]["error"].startswith("unknown_party: ")
            assert rows[40]["probability"] is None
            assert rows[40]["decision_id"] is None
            assert len({row["decision_id"] for row in rows}) == 700


@pytest.mark.parametrize("answered", [JSON, CSV, PARQUET, ARROW])
def test_a_larger_batch_comes_in_pieces_that_say_what_one_says(
    client: TestClient, consumers: list[str], answered: str
) -> None:
    many = [*consumers, *reversed(consumers), *consumers, *consumers[:50]]
    accept = {"accept": answered}
    small, large = (
        client.post("/v1/score/batch", params=ASKED, json={"parties": parties}, headers=accept)
        for parties in (consumers, many)
    )
    assert "content-length" in small.headers
    assert "content-length" not in large.headers
    rows = decoded(large.content, answered)
    assert [row["row"] for row in rows] == list(range(len(many)))
    assert len({row["decision_id"] for row in rows} - {None}) == len(many) - 4
    of_party = {row["party_id"]: row for row in decoded(small.content, answered)}
    for row, party in zip(rows, many, strict=True):
        assert row == of_party[party] | {"row": row["row"], "decision_id": row["decision_id"]}


def test_every_row_is_on_record_and_the_record_replays(
    client: TestClient, api_settings: Settings, consumers: list[str]
) -> None:
    rows = client.post("/v1/score/batch", params=ASKED, json={"parties": consumers}).json()["scores"]
    scorer = Scorer(champion(api_settings))
    engine = open_database(api_settings.state_url)
    with engine.connect() as connection:
        for row in (rows[0], rows[41], rows[699]):
            found = recorded(connection, ["consumer"], row["decision_id"])
            assert found is not None
            assert (found.own["party_id"], found.own["probability"]) == (row["party_id"], row["probability"])
            assert found.record.payload.isascii()
            assert replay(found.record.payload, scorer) == found.record.payload
            # As records were before their texts were escaped.
            earlier = orjson.dumps(found.content, option=orjson.OPT_SORT_KEYS).decode()
            assert not earlier.isascii()
            assert replay(earlier, scorer) == earlier
    assert verify(engine) is None
    engine.dispose()
    [newest, *_] = client.get(f"/v1/customers/{rows[41]['party_id']}/scores").json()["scores"]
    assert (newest["decision_id"], newest["probability"]) == (rows[41]["decision_id"], rows[41]["probability"])


def test_rows_of_features_in_any_format_give_the_same(client: TestClient, api_settings: Settings) -> None:
    columns = client.get("/v1/model").json()["features"]
    rows = [dict.fromkeys(columns, float(number)) | {columns[1]: None} for number in range(3)]
    wrong = dict.fromkeys(columns[1:], 1.0)
    by_json = client.post("/v1/score/batch", params=ASKED, json={"rows": [*rows, wrong]}).json()["scores"]
    assert by_json[3]["error"] == f"wrong_feature_row: {columns[0]} is missing; give null if it is unknown"
    sink = io.BytesIO()
    pa.parquet.write_table(pa.Table.from_pylist(rows), sink)
    reply = client.post(
        "/v1/score/batch", params=ASKED, content=sink.getvalue(), headers={"content-type": PARQUET}
    )  # fmt: skip
    by_parquet = reply.json()["scores"]
    assert [row["probability"] for row in by_parquet] == [row["probability"] for row in by_json[:3]]
    assert len({row["probability"] for row in by_parquet}) == 3


@pytest.mark.parametrize(
    ("body", "sent", "status", "code"),
    [
        (b"{", JSON, 422, "unusable_batch"),
        (b"[]", JSON, 422, "unusable_batch"),
        (b'{"parties": []}', JSON, 422, "unusable_batch"),
        (b'{"parties": [1]}', JSON, 422, "unusable_batch"),
        (b'{"parties": ["a"], "rows": []}', JSON, 422, "unusable_batch"),
        (b'{"rows": [{"a": [1]}]}', JSON, 422, "unusable_batch"),
        (json.dumps({"parties": ["a"] * 10_001}).encode(), JSON, 422, "too_many_rows"),
        (encoded(["a"] * 10_001, PARQUET), PARQUET, 422, "too_many_rows"),
        (encoded(["a"] * 10_001, ARROW), ARROW, 422, "too_many_rows"),
        (b"not parquet", PARQUET, 422, "unusable_batch"),
        (b"not arrow", ARROW, 422, "unusable_batch"),
        (b"", CSV, 422, "unusable_batch"),
        (b"party_id,colour\nP1,red\n", CSV, 422, "unusable_batch"),
        (b"<parties/>", "application/xml", 415, "unsupported_media_type"),
    ],
)
def test_what_is_no_batch_is_refused_with_a_stable_code(
    client: TestClient, body: bytes, sent: str, status: int, code: str
) -> None:
    reply = client.post("/v1/score/batch", params=ASKED, content=body, headers={"content-type": sent})
    assert (reply.status_code, reply.json()["code"]) == (status, code), reply.text
    assert reply.headers["content-type"] == "application/problem+json"


def test_a_batch_for_another_company_or_in_no_known_format_is_refused(client: TestClient) -> None:
    reply = client.post("/v1/score/batch", params={"legal_entity": "bank"}, json={"parties": ["a"]})
    assert reply.status_code == 422
    reply = client.post("/v1/score/batch", params=ASKED, json={"parties": ["a"]}, headers={"accept": "text/html"})
    assert (reply.status_code, reply.json()["code"]) == (406, "not_acceptable")


def test_a_batch_may_be_larger_than_other_bodies_but_not_without_bounds(
    client: TestClient, api_settings: Settings
) -> None:
    large = {"parties": ["x" * 60] * 2_000}
    assert len(json.dumps(large)) > api_settings.max_body_bytes
    assert client.post("/v1/score/batch", params=ASKED, json=large).status_code == 200
    reply = client.post("/v1/score/batch", params=ASKED, content=b" " * (api_settings.max_batch_bytes + 1))
    assert (reply.status_code, reply.json()["code"]) == (413, "body_too_large")


def test_scores_are_put_in_place_by_party_once_enough_parts_wait(
    api_settings: Settings, consumers: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch_scoring, "ENOUGH", 4)

    def scored(client: TestClient, batches: int) -> int:
        """So many batches of a part each; the scores that are in place afterwards."""
        backend: Backend = client.app.state.backend  # type: ignore[attr-defined]
        for _ in range(batches):
            reply = client.post("/v1/score/batch", params=ASKED, json={"parties": consumers[:2]})
            assert reply.status_code == 200, reply.text
            if backend.batches._settled is not None:
                backend.batches._settled.result()
        with reading(backend.engine) as connection:
            return int(connection.execute(select(func.count()).select_from(scores)).scalar_one())

    # What one process leaves, the next one finds with its first batch.
    for batches, in_place in ((5, 8), (2, 8), (1, 16), (3, 16), (6, 32)):
        with calling(api_settings) as client:
            assert scored(client, batches) == in_place
