"""What happens to those who ask while a champion changes or a store goes away: nobody gets a wrong answer."""

import contextlib
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import polars as pl
import pytest

from features import materialise
from group.audit import verify
from group.database import open_database
from group.settings import Settings
from pipelines.api_process import ApiProcess, start_api
from pipelines.workspace import Workspace
from tests.conftest import running_redis
from tests.serving.calling import signed_in_at
from tests.serving.registry import another_champion
from tests.serving.test_models import home as home  # noqa: PLC0414 - a fixture
from training import champion

pytestmark = pytest.mark.long

CALLERS = 4


class Load:
    """Callers that ask one after the other until they are told to stop, and what they were answered."""

    def __init__(self, server: ApiProcess, settings: Settings, parties: list[dict[str, str]]) -> None:
        self.answers: list[tuple[float, int, dict[str, Any]]] = []
        self._ended = threading.Event()
        headers = signed_in_at(server.url, settings)

        def call(first: int) -> None:
            with httpx.Client(base_url=server.url, headers=headers, timeout=30) as client:
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


def test_a_redis_that_stops_is_told_as_such_and_scoring_goes_on_once_it_is_back(
    trained_settings: Settings, known_parties: pl.DataFrame, tmp_path: Path
) -> None:
    import redis

    parties = known_parties.filter(pl.col("legal_entity").is_in(["consumer", "credit"])).head(50).to_dicts()
    as_of = pl.read_parquet(
        sorted((Workspace.of(trained_settings).features / "profile").glob("*.parquet"))[-1], columns=["event_timestamp"]
    )["event_timestamp"][0]
    with running_redis(tmp_path) as url:
        filled = trained_settings.model_copy(update={"online_store_url": url})
        materialise(filled, Workspace.of(trained_settings).features, as_of)
        with serving(trained_settings, tmp_path, online_store_url=url) as (server, own):
            client = redis.Redis.from_url(url)
            with Load(server, own, parties) as load:
                load.until(lambda answers: len(answers) > 50, 30)
                # Asleep, not gone: a connection that hangs is worse than one that is refused.
                client.client_pause(7_000)
                load.until(lambda answers: any(status == 503 for _, status, _ in answers), 30)
                went = next(at for at, status, _ in load.answers if status == 503)
                load.until(lambda answers: any(status == 200 and at > went for at, status, _ in answers), 30)
            statuses = Counter(status for _, status, _ in load.answers)
            codes = {body["code"] for _, status, body in load.answers if status == 503}
            assert set(statuses) == {200, 503}
            assert codes == {"feature_store_unavailable"}
            assert httpx.get(f"{server.url}/readyz").status_code == 200
    engine = open_database(own.state_url)
    assert verify(engine) is None
    engine.dispose()
