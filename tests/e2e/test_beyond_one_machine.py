"""The same code with everything outgrown: PostgreSQL, Redis, an MLflow server, a Ray cluster with two workers."""

import shutil
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
from pipelines.jobs.identity import link_customers
from pipelines.jobs.training import train_credit
from pipelines.model_approval import approve_latest
from pipelines.progress import Silence
from pipelines.workspace import Workspace
from tests.serving.calling import signed_in_at
from training import MODEL_NAME, champion

pytestmark = pytest.mark.long


def a_third_of(group: Workspace, home: Path) -> None:
    """The canonical tables of every third party: what is walked here is the way, not the model."""
    parties = pl.read_parquet(group.canonical / "parties" / "*.parquet").sort("party_id")
    chosen = parties.filter(pl.col("party_id").rank("dense") % 3 == 0).select("legal_entity", "customer_id")
    for table in (path for path in group.canonical.iterdir() if path.is_dir() and path.name != "parties"):
        folder = home / "data" / "canonical" / table.name
        folder.mkdir(parents=True)
        rows = pl.read_parquet(table / "*.parquet").join(chosen, on=["legal_entity", "customer_id"], how="semi")
        rows.write_parquet(folder / "part-00000.parquet")
    shutil.copy(group.data / "manifest.json", home / "data")


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
    a_third_of(the_small_group, home)
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

    link_customers(settings, Silence())
    features = build_features(settings, Silence())
    training = train_credit(settings, Silence())
    # Of so few defaults a Gini is off by some 0.05.
    assert training.facts["test"]["gini"] > 0.45
    approve_latest(settings, MODEL_NAME, by="the committee", reason="it reaches what a third of the parties allow")
    assert champion(settings).version == training.facts["model"]["version"] == "1"

    newest = sorted((home / "features/profile").glob("*.parquet"))[-1]
    party = pl.read_parquet(newest, columns=["legal_entity", "party_id"]).row(5, named=True)
    server = start_api(settings, tmp_path / "api.log")
    try:
        with httpx.Client(base_url=server.url, headers=signed_in_at(server.url, settings), timeout=30) as client:
            reply = client.post("/v1/score", json=party).json()
            stranger = client.post("/v1/score", json=party | {"party_id": "nobody"})
    finally:
        server.stop()
    assert 0 < reply["probability_of_default"] < 1
    assert reply["features_as_of"][:10] == features.facts["last_instant"][:10]
    assert stranger.status_code == 404

    engine = open_database(settings.state_url)
    assert verify(engine) is None
    with engine.connect() as connection:
        heads = connection.execute(text("SELECT legal_entity, sequence FROM audit_head"))
        chains = {head.legal_entity: head.sequence for head in heads}
    engine.dispose()
    # The approval, the administrator of the first start, and the account that asked.
    assert chains == {GROUP: 3, party["legal_entity"]: 1}
    assert redis.Redis.from_url(redis_url).dbsize() >= features.facts["online"]["profile"]
    # Nothing was quietly kept in the embedded stores instead.
    assert not (home / "state.db").exists()
    assert not (home / "mlflow.db").exists()
    assert not (home / "feast" / "online.db").exists()
