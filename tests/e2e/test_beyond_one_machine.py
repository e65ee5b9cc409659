"""The same code with everything outgrown: PostgreSQL, Redis, an MLflow server, a Ray cluster with two workers."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import polars as pl
import pytest
import redis
from sqlalchemy import text

from group.audit import GROUP, verify
from group.database import open_database
from group.settings import load_settings
from pipelines.api_process import start_api
from pipelines.jobs.features import build_features
from pipelines.jobs.training import train_champion
from pipelines.workspace import Workspace
from tests.conftest import NoProgress, free_port
from tests.training.test_registry import mlflow_server
from training import champion

__all__ = ["mlflow_server"]
pytestmark = pytest.mark.long


@pytest.fixture
def ray_cluster(tmp_path: Path) -> Iterator[str]:
    """A Ray head node of its own, with two CPUs."""
    port = free_port()
    command = [
        str(Path(sys.executable).with_name("ray")), "start", "--head", "--block", "--num-cpus", "2",
        "--node-ip-address", "127.0.0.1", "--port", str(port), "--include-dashboard", "false", "--disable-usage-stats",
    ]  # fmt: skip
    with (tmp_path / "ray.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    deadline = time.monotonic() + 60
    while "Ray runtime started" not in (tmp_path / "ray.log").read_text():
        assert process.poll() is None, (tmp_path / "ray.log").read_text()
        assert time.monotonic() < deadline, (tmp_path / "ray.log").read_text()
        time.sleep(0.2)
    yield f"127.0.0.1:{port}"
    # The whole session, and nothing that somebody else started.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    process.wait(timeout=30)


def test_the_thread_runs_on_servers_alone(
    the_small_group: Workspace,
    postgresql_url: str,
    redis_url: str,
    mlflow_server: str,
    ray_cluster: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    home = tmp_path / "home"
    for folder in ("data", "truth"):
        shutil.copytree(the_small_group.home / folder, home / folder)
    (home / "steps").mkdir()
    shutil.copy(the_small_group.steps / "data.json", home / "steps")
    variables = {
        "HOME": str(home),
        "DATABASE_URL": postgresql_url.replace("postgresql://", "postgresql+psycopg://"),
        "ONLINE_STORE_URL": redis_url,
        "MLFLOW_TRACKING_URI": mlflow_server,
        "RAY_ADDRESS": ray_cluster,
        "TRAINING_WORKERS": "2",
        "PORT": "0",
    }
    for name, value in variables.items():
        monkeypatch.setenv(f"JINKONG_{name}", value)
    settings = load_settings()

    features = build_features(settings, NoProgress())
    training = train_champion(settings, NoProgress())
    assert training.facts["test"]["gini"] > 0.55
    assert champion(settings).version == training.facts["model"]["version"] == "1"

    newest = sorted((home / "features/profile").glob("*.parquet"))[-1]
    party = pl.read_parquet(newest, columns=["legal_entity", "party_id"]).row(5, named=True)
    server = start_api(settings, tmp_path / "api.log")
    try:
        reply = httpx.post(f"{server.url}/v1/score", json=party, timeout=30).json()
        stranger = httpx.post(f"{server.url}/v1/score", json=party | {"party_id": "nobody"}, timeout=30)
    finally:
        server.stop()
    assert 0 < reply["probability_of_default"] < 1
    assert reply["features_as_of"][:10] == features.facts["last_instant"][:10]
    assert stranger.status_code == 404

    engine = open_database(settings.state_url)
    assert verify(engine) is None
    with engine.connect() as connection:
        chains: dict[str, int] = dict(
            connection.execute(text("SELECT legal_entity, sequence FROM audit_head")).tuples().all()
        )
    engine.dispose()
    assert chains == {GROUP: 1, party["legal_entity"]: 1}
    assert redis.Redis.from_url(redis_url).dbsize() >= features.facts["online"]["profile"]
    # Nothing was quietly kept in the embedded stores instead.
    assert not (home / "state.db").exists()
    assert not (home / "mlflow.db").exists()
    assert not (home / "feast" / "online.db").exists()
