"""A server that is killed in the middle of requests leaves a whole audit log, with every score that was answered."""

import os
import signal
import threading
from pathlib import Path
from typing import Any

import httpx
import polars as pl
import pytest
from sqlalchemy import func, select

from group.audit import audit_log, find, verify
from group.database import open_database
from group.settings import Settings, load_settings
from pipelines.api_process import start_api
from serving.decisions import SCORE_GIVEN
from tests.serving.calling import signed_in_at

pytestmark = pytest.mark.long

ANSWERS_BEFORE_THE_KILL = 25


def test_a_server_killed_during_requests_leaves_the_audit_log_whole(
    database_url: str,
    trained_settings: Settings,
    known_parties: pl.DataFrame,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in (("HOME", str(trained_settings.home)), ("DATABASE_URL", database_url), ("PORT", "0")):
        monkeypatch.setenv(f"JINKONG_{name}", value)
    settings = load_settings()
    parties = known_parties.filter(pl.col("legal_entity").is_in(["consumer", "credit"])).to_dicts()
    server = start_api(settings, tmp_path / "api.log")
    headers = signed_in_at(server.url, settings)
    answered: list[dict[str, Any]] = []
    enough = threading.Event()

    def call(first: int) -> None:
        with httpx.Client(base_url=server.url, headers=headers, timeout=20) as client:
            for party in parties[first::4]:
                try:
                    response = client.post("/v1/score", json=party)
                except httpx.TransportError:
                    return
                assert response.status_code == 200
                answered.append(response.json())
                if len(answered) >= ANSWERS_BEFORE_THE_KILL:
                    enough.set()

    callers = [threading.Thread(target=call, args=(first,)) for first in range(4)]
    for caller in callers:
        caller.start()
    try:
        assert enough.wait(60)
        # Three of the four callers are waiting for an answer at this moment, or writing a request.
        os.kill(server.process.pid, signal.SIGKILL)
    finally:
        server.process.wait()
        for caller in callers:
            caller.join()
    assert len(answered) < len(parties)

    engine = open_database(database_url)
    scores = select(func.count()).select_from(audit_log).where(audit_log.c.action == SCORE_GIVEN)
    assert verify(engine) is None
    with engine.connect() as connection:
        for reply in answered:
            assert len(find(connection, reply["legal_entity"], reply["decision_id"])) == 1
        before = connection.execute(scores).scalar_one()
    # At most one request a caller was recorded whose answer was lost.
    assert len(answered) <= before <= len(answered) + 4

    again = start_api(settings, tmp_path / "again.log")
    try:
        headers = signed_in_at(again.url, settings)
        assert httpx.post(f"{again.url}/v1/score", json=parties[0], headers=headers, timeout=20).status_code == 200
    finally:
        again.stop()
    assert verify(engine) is None
    with engine.connect() as connection:
        assert connection.execute(scores).scalar_one() == before + 1
    engine.dispose()
