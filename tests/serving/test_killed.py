"""A server that is killed in the middle of requests leaves a whole audit log, with every score that was answered."""

import os
import signal
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import polars as pl
import pytest
from pydantic import SecretStr
from sqlalchemy import func, select

from group.audit import audit_log, find, verify
from group.database import migrated, open_database
from group.settings import Settings, load_settings
from pipelines.api_process import start_api
from serving.decisions import SCORE_GIVEN
from tests.conftest import free_port
from tests.serving.calling import signed_in_at
from workflow.pre_credit import EXAMPLE_FILE, release_policy
from workflow.pre_credit.offers import precredit_offers

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


def test_an_offer_is_accepted_once_whoever_retries_while_servers_are_killed(
    trained_settings: Settings, known_parties: pl.DataFrame, tmp_path: Path
) -> None:
    own = trained_settings.model_copy(
        update={
            "database_url": f"sqlite:///{tmp_path / 'state.db'}", "port": free_port(), "requests_per_second": 1e6,
            "token_keys": SecretStr("k" * 32), "token_minutes": 60.0,
        }
    )  # fmt: skip
    with migrated(own.state_url) as engine, engine.begin() as connection:
        release_policy(connection, EXAMPLE_FILE.read_text(), by="Li", reason="a test", at=datetime.now(UTC))
    parties = known_parties.filter(legal_entity="consumer")["party_id"].head(240).to_list()
    server = start_api(own, tmp_path / "api.log")
    headers = signed_in_at(server.url, own)
    accepted: list[dict[str, Any]] = []
    retries: list[str] = []

    def until_answered(client: httpx.Client, path: str, body: dict[str, Any], key: str) -> dict[str, Any]:
        while True:
            try:
                reply = client.post(path, json=body, headers={"Idempotency-Key": key})
            except httpx.TransportError:
                retries.append(key)
                time.sleep(0.05)
                continue
            assert reply.status_code == 200, reply.text
            if "idempotency-replayed" in reply.headers:
                retries.append(f"{key} was carried out before")
            told: dict[str, Any] = reply.json()
            return told

    def call(first: int) -> None:
        with httpx.Client(base_url=server.url, headers=headers, timeout=20) as client:
            for party in parties[first::4]:
                asked = {"legal_entity": "consumer", "party_id": party, "product": "revolving_card"}
                offer = until_answered(client, "/v1/precredit", asked, f"ask-{party}")
                if offer["eligible"]:
                    path = f"/v1/precredit/{offer['offer_id']}/acceptance"
                    accepted.append(until_answered(client, path, {}, f"accept-{party}"))

    callers = [threading.Thread(target=call, args=(first,)) for first in range(4)]
    for caller in callers:
        caller.start()
    for _ in range(3):
        time.sleep(0.5)
        os.kill(server.process.pid, signal.SIGKILL)
        server.process.wait()
        server = start_api(own, tmp_path / "api.log")
    for caller in callers:
        caller.join()
    server.stop()
    assert len(accepted) > 20
    assert retries
    engine = open_database(own.state_url)
    assert verify(engine) is None
    with engine.connect() as connection:
        kept = connection.execute(select(precredit_offers)).all()
        records = connection.execute(
            select(audit_log.c.subject).where(audit_log.c.action == "precredit.accepted")
        ).scalars().all()  # fmt: skip
    taken = {row.offer_id: row for row in kept if row.accepted_at is not None}
    assert sorted(taken) == sorted(records) == sorted(one["offer_id"] for one in accepted)
    assert len({row.party_id for row in taken.values()}) == len(taken)
    # Whoever was asked again was not offered a second time either.
    assert len({row.party_id for row in kept}) == len(kept)
    engine.dispose()
