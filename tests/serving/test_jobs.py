"""Jobs: a file or all parties of a company, scored on Ray, watched, cancelled, and gone on with after a kill."""

import io
import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import psutil
import pytest
from fastapi.testclient import TestClient

from group.audit import find, verify
from group.database import open_database
from group.settings import Settings
from serving.jobs.launching import JobRunner
from tests.serving.calling import calling, signed_in

pytestmark = pytest.mark.long

PARQUET = {"content-type": "application/vnd.apache.parquet"}
JSON = {"content-type": "application/json"}
CSV = {"content-type": "text/csv"}
CREDIT = {"legal_entity": "credit"}


@pytest.fixture
def client(home_with_data: Settings) -> Iterator[TestClient]:
    with calling(home_with_data) as made:
        yield made


def begun(client: TestClient, content: bytes = b"", headers: dict[str, str] | None = None, **params: str) -> str:
    reply = client.post("/v1/jobs/score", params=CREDIT | params, content=content, headers=headers or {})
    assert reply.status_code == 202, reply.text
    assert reply.json()["state"] == "queued"
    return str(reply.json()["job_id"])


def ended(client: TestClient, job: str) -> list[dict[str, Any]]:
    """Everything that was said of a job until its end."""
    with client.stream("GET", f"/v1/jobs/{job}/events") as events:
        assert events.headers["content-type"].startswith("text/event-stream")
        lines = [line.removeprefix("data: ") for line in events.iter_lines() if line.startswith("data: ")]
    return [json.loads(line) for line in lines]


def result(client: TestClient, job: str) -> pl.DataFrame:
    reply = client.get(f"/v1/jobs/{job}/result")
    assert reply.status_code == 200, reply.text
    return pl.read_parquet(io.BytesIO(reply.content))


def files_of(settings: Settings, job: str, wanted: set[str]) -> bool:
    """Whether a job's folder comes to hold these files and no other."""
    deadline = time.monotonic() + 30
    folder = settings.home / "jobs" / job
    while time.monotonic() < deadline:
        if {path.name for path in folder.iterdir()} == wanted:
            return True
        time.sleep(0.1)
    return False


def wait_while(client: TestClient, job: str, state: str) -> None:
    deadline = time.monotonic() + 90
    while client.get(f"/v1/jobs/{job}").json()["state"] == state:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_files_are_scored_in_their_order_and_what_cannot_be_is_told_with_the_reason(
    client: TestClient, known_parties: pl.DataFrame
) -> None:
    parties = known_parties.filter(legal_entity="credit")["party_id"].head(5).to_list()
    asked = pl.DataFrame({"party_id": [*parties[:2], "P-nobody", *parties[2:]]})
    buffer = io.BytesIO()
    asked.write_parquet(buffer)
    jobs = {
        "parquet": begun(client, buffer.getvalue(), PARQUET),
        "csv": begun(client, asked.write_csv().encode(), CSV),
        "json": begun(client, json.dumps({"parties": asked["party_id"].to_list()}).encode(), JSON),
        "no table": begun(client, b"PAR1 this is a letter", PARQUET),
        "two columns": begun(client, b"party_id,colour\nP1,red\n", CSV),
    }  # fmt: skip
    sixth = client.post("/v1/jobs/score", params=CREDIT)
    assert (sixth.status_code, sixth.json()["code"]) == (429, "too_many_jobs")
    ends = {name: ended(client, job)[-1] for name, job in jobs.items()}
    assert {name: end["state"] for name, end in ends.items()} == {
        "parquet": "done", "csv": "done", "json": "done", "no table": "failed", "two columns": "failed",
    }  # fmt: skip
    assert "cannot be read as application/vnd.apache.parquet" in ends["no table"]["error"]
    assert "no other column" in ends["two columns"]["error"]
    tables = [result(client, jobs[name]) for name in ("parquet", "csv", "json")]
    assert tables[0].equals(tables[1])
    assert tables[0].equals(tables[2])
    assert tables[0]["party_id"].to_list() == asked["party_id"].to_list()
    assert tables[0]["error"][2].startswith("unknown_party")
    refused = client.get(f"/v1/jobs/{jobs['no table']}/result")
    assert (refused.status_code, refused.json()["code"]) == (409, "no_result")


def test_a_cancelled_job_ends_and_another_companys_is_not_found(
    home_with_data: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Nobody runs it: what is cancelled is a job that waits.
    monkeypatch.setattr(JobRunner, "see_to_it", lambda _self, **_how: None)
    with calling(home_with_data) as client:
        key = {"Idempotency-Key": "monday"}
        job = begun(client, headers=key)
        assert begun(client, headers=key) == job
        stranger = signed_in(client, home_with_data, ["credit_officer"], ["leasing"])
        for method, path in (("GET", ""), ("GET", "/events"), ("GET", "/result"), ("POST", "/cancel")):
            reply = client.request(method, f"/v1/jobs/{job}{path}", headers=stranger)
            assert (reply.status_code, reply.json()["code"]) == (404, "unknown_job")
        assert client.post(f"/v1/jobs/{job}/cancel").json()["state"] == "cancelled"
        assert ended(client, job)[-1]["state"] == "cancelled"
        for headers in ({}, {"Idempotency-Key": "cancel"}, {"Idempotency-Key": "cancel"}):
            again = client.post(f"/v1/jobs/{job}/cancel", headers=headers)
            assert again.json()["state"] == "cancelled"
        assert again.headers["idempotency-replayed"] == "true"
        assert client.get("/v1/jobs", headers=stranger).json() == {"jobs": [], "next_cursor": None}
        assert [one["job_id"] for one in client.get("/v1/jobs").json()["jobs"]] == [job]
        rows = client.post("/v1/jobs/score", params=CREDIT | {"model": "some_table"})
        assert (rows.status_code, rows.json()["code"]) == (422, "nothing_to_score")
        other = client.post("/v1/jobs/score", params=CREDIT, content=b"x", headers={"content-type": "text/plain"})
        assert (other.status_code, other.json()["code"]) == (415, "unsupported_media_type")


def test_all_parties_are_scored_as_single_requests_score_them_though_the_runner_is_killed(
    home_with_data: Settings, known_parties: pl.DataFrame
) -> None:
    with calling(home_with_data) as client:
        job = begun(client)
        runner = client.app.state.backend.jobs._process  # type: ignore[attr-defined]
        wait_while(client, job, "queued")
        family = [psutil.Process(runner.pid), *psutil.Process(runner.pid).children(recursive=True)]
        for process in family:
            os.kill(process.pid, signal.SIGKILL)
        runner.wait()
    with calling(home_with_data) as client:
        last = ended(client, job)[-1]
        assert last["state"] == "done", last
        table = result(client, job)
        assert last["rows"] == last["rows_done"] == len(table) > 1_000
        assert table["row"].to_list() == list(range(last["rows"]))
        assert table["party_id"].is_sorted()
        known = set(known_parties.filter(legal_entity="credit")["party_id"])
        assert set(table["party_id"]) >= known
        assert last["rows_failed"] == table["error"].is_not_null().sum() == len(table) - len(known)
        for row in table.filter(pl.col("error").is_null())[:: len(table) // 5].to_dicts():
            single = client.post("/v1/score", json=CREDIT | {"party_id": row["party_id"]}).json()
            for name in ("probability", "score", "grade", "reasons"):
                assert row[name] == single[name]
        # Nothing of what was half done is left, nor of a job that is cancelled in the middle.
        assert files_of(home_with_data, job, {"result.parquet"})
        cancelled = begun(client)
        wait_while(client, cancelled, "queued")
        assert client.post(f"/v1/jobs/{cancelled}/cancel").json()["state"] == "cancelled"
        assert files_of(home_with_data, cancelled, set())
        assert client.get(f"/v1/jobs/{cancelled}").json()["state"] == "cancelled"
    engine = open_database(home_with_data.state_url)
    with engine.connect() as connection:
        [record] = find(connection, "credit", job)
    assert json.loads(record.payload)["result_sha256"] == last["result_sha256"]
    assert verify(engine) is None
    engine.dispose()
    log = (Path(home_with_data.home) / "jobs" / "runner.log").read_text()
    assert "Traceback" not in log
    assert "SIGTERM" not in log
