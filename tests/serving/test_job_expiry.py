"""A job's files are removed some days after its end, and nobody is given what has expired."""

import os
import shutil
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import pytest
from sqlalchemy import Engine

from group.database import open_database
from group.settings import Settings
from serving.decisions import new_decision_id
from serving.jobs.expiry import remove_expired, result_until
from serving.jobs.kept import CANCELLED, DONE, FAILED, RUNNING, ScoreJob, job_folder, keep_job, result_file, sent_file
from tests.serving.calling import calling

NOW: Final = datetime.now(UTC)
LONG_AGO: Final = NOW - timedelta(days=31)
LATELY: Final = NOW - timedelta(days=29)
MONTH_AGO: Final = NOW - timedelta(days=30)


def made(state: str, ended_at: datetime | None) -> ScoreJob:
    created = (ended_at or LONG_AGO) - timedelta(hours=1)
    return ScoreJob(
        new_decision_id(created), "credit", "somebody", "credit_pd", None, state, 1, 1, 0, "1", None, None, created,
        ended_at,
    )  # fmt: skip


def kept(engine: Engine, home: Path, state: str, ended_at: datetime | None) -> str:
    """A job that ended then, with a file."""
    job = made(state, ended_at)
    with engine.begin() as connection:
        keep_job(connection, job)
    file = result_file(home, job.job_id) if state == DONE else sent_file(home, job.job_id)
    file.parent.mkdir(parents=True)
    file.write_bytes(b"answers")
    return job.job_id


def sent_for_nothing(home: Path, at: datetime) -> str:
    """What a caller sent whose job never came to be."""
    job_id = new_decision_id(at)
    sent_file(home, job_id).parent.mkdir(parents=True)
    sent_file(home, job_id).write_bytes(b"rows")
    os.utime(job_folder(home, job_id), (at.timestamp(), at.timestamp()))
    return job_id


def test_what_ended_long_ago_is_removed_and_all_else_stays(engine: Engine, tmp_path: Path) -> None:
    gone = {kept(engine, tmp_path, state, LONG_AGO) for state in (DONE, FAILED, CANCELLED)}
    gone.add(sent_for_nothing(tmp_path, LONG_AGO))
    stays = {kept(engine, tmp_path, DONE, LATELY), kept(engine, tmp_path, RUNNING, None)}
    stays.add(sent_for_nothing(tmp_path, LATELY))
    jobs = tmp_path / "jobs"
    (jobs / "runner.log").write_text("what was said")
    (jobs / "another folder").mkdir()
    os.utime(jobs / "another folder", (LONG_AGO.timestamp(), LONG_AGO.timestamp()))
    assert remove_expired(tmp_path, engine, MONTH_AGO) == len(gone)
    assert {path.name for path in jobs.iterdir()} == {*stays, "runner.log", "another folder"}
    assert remove_expired(tmp_path, engine, MONTH_AGO) == 0


def test_what_cannot_be_removed_is_told_and_keeps_nothing_else(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    stuck, removable = (kept(engine, tmp_path, DONE, LONG_AGO) for _ in range(2))
    remove = shutil.rmtree

    def refused(path: Path) -> None:
        if path.name == stuck:
            raise PermissionError(path)
        remove(path)

    # Who runs the tests may be one whom no disk refuses.
    monkeypatch.setattr(shutil, "rmtree", refused)
    assert remove_expired(tmp_path, engine, MONTH_AGO) == 1
    assert {path.name for path in (tmp_path / "jobs").iterdir()} == {stuck}
    assert removable not in caplog.text
    assert f"{stuck} could not be removed: PermissionError" in caplog.text


def test_a_home_without_jobs_has_nothing_to_remove(engine: Engine, tmp_path: Path) -> None:
    assert remove_expired(tmp_path, engine, NOW) == 0


def test_a_result_has_an_end_where_there_is_one(settings: Settings) -> None:
    week = settings.model_copy(update={"job_result_days": 7.0})
    assert result_until(made(DONE, NOW), week) == NOW + timedelta(days=7)
    assert result_until(made(FAILED, NOW), week) is None
    assert result_until(made(RUNNING, None), week) is None


def test_an_expired_result_is_not_given_and_its_files_go_while_the_job_stays_known(
    home: Settings, tmp_path: Path
) -> None:
    here = home.model_copy(update={"database_url": f"sqlite:///{tmp_path / 'state.db'}"})
    engine = open_database(here.state_url)
    with calling(here) as client:
        # Expired while the server runs, so that the files are still there.
        expired, fresh = (kept(engine, here.home, DONE, ended_at) for ended_at in (LONG_AGO, LATELY))
        reply = client.get(f"/v1/jobs/{expired}/result")
        assert (reply.status_code, reply.json()["code"]) == (410, "result_expired")
        assert f"{LONG_AGO + timedelta(days=30):%Y-%m-%d %H:%M} UTC" in reply.json()["detail"]
        reply = client.get(f"/v1/jobs/{fresh}/result")
        assert (reply.status_code, reply.content) == (200, b"answers")
        until = {job["job_id"]: job["result_until"] for job in client.get("/v1/jobs").json()["jobs"]}
        assert datetime.fromisoformat(until[expired]) < NOW < datetime.fromisoformat(until[fresh])
    engine.dispose()
    with calling(here) as client:
        deadline = time.monotonic() + 10
        while job_folder(here.home, expired).exists():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert client.get(f"/v1/jobs/{expired}").json()["state"] == "done"
        assert client.get(f"/v1/jobs/{expired}/result").status_code == 410
        assert client.get(f"/v1/jobs/{fresh}/result").status_code == 200
