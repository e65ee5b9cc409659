"""The API on Ray Serve: two replicas, one audit log, tokens that both believe."""

import re
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import polars as pl
import psutil
import pytest
import yaml
from sqlalchemy import func, select

from group.audit import audit_log, verify
from group.database import open_database
from group.settings import Settings, environment_of
from serving.cluster import NotForReplicas, build_api
from tests.conftest import ROOT, free_port, started, wait_until
from tests.serving.calling import signed_in_at

pytestmark = pytest.mark.long


@pytest.fixture
def cluster(
    ray_cluster: str, trained_settings: Settings, postgresql_url: str, tmp_path: Path
) -> Iterator[tuple[str, Settings]]:
    """`serve run` of the deployment file on a cluster, at a port of the test's own."""
    content = yaml.safe_load((ROOT / "serving" / "cluster.yaml").read_text())
    port = free_port()
    content["http_options"]["port"] = port
    own = Settings.model_validate(
        trained_settings.model_dump()
        | {
            "database_url": postgresql_url.replace("postgresql://", "postgresql+psycopg://"),
            "token_keys": "k" * 32, "requests_per_second": 1e6,
        }
    )  # fmt: skip
    content["applications"][0]["runtime_env"] = {"env_vars": environment_of(own) | {"PYTHONPATH": str(ROOT)}}
    file = tmp_path / "cluster.yaml"
    file.write_text(yaml.safe_dump(content))
    serve = str(Path(sys.executable).with_name("serve"))
    log = tmp_path / "serve.log"
    with started([serve, "run", "--address", ray_cluster, str(file)], log, PYTHONPATH=str(ROOT)) as process:
        url = f"http://127.0.0.1:{port}"
        wait_until(lambda: httpx.get(f"{url}/readyz").status_code == 200, process, log)
        yield url, own


def test_two_replicas_answer_together_and_keep_one_record(
    cluster: tuple[str, Settings], known_parties: pl.DataFrame
) -> None:
    url, own = cluster
    replicas = [
        process
        for process in psutil.process_iter(["cmdline"])
        if any("ServeReplica:jinkong:api" in part for part in process.info["cmdline"] or ())
    ]
    assert len(replicas) == 2
    headers = signed_in_at(url, own)
    # An odd number: two replicas cannot have given as many each, which would look like one.
    parties = known_parties.filter(legal_entity="consumer").head(199).to_dicts()

    def score(party: dict[str, str]) -> httpx.Response:
        return httpx.post(f"{url}/v1/score", json=party, headers=headers, timeout=30)

    with ThreadPoolExecutor(8) as callers:
        replies = list(callers.map(score, parties))
    assert {reply.status_code for reply in replies} == {200}
    assert [reply.json()["party_id"] for reply in replies] == [party["party_id"] for party in parties]
    # Each replica tells its own measures: both have scored, and together all.
    told = set()
    for _ in range(40):
        measures = httpx.get(f"{url}/metrics", headers=headers, timeout=30).text
        told |= {int(float(found)) for found in re.findall(r"^jinkong_scores_total\{[^}]*\} (\S+)$", measures, re.M)}
    assert len(told) == 2
    assert sum(told) == len(parties)
    engine = open_database(own.state_url)
    with engine.connect() as connection:
        kept = connection.execute(select(func.count()).where(audit_log.c.action == "score.given")).scalar_one()
    assert kept == len(parties)
    assert verify(engine) is None
    engine.dispose()


def test_settings_that_replicas_cannot_share_are_refused(
    monkeypatch: pytest.MonkeyPatch, trained_settings: Settings
) -> None:
    monkeypatch.setenv("JINKONG_HOME", str(trained_settings.home))
    with pytest.raises(NotForReplicas, match="JINKONG_TOKEN_KEYS"):
        build_api()
    monkeypatch.setenv("JINKONG_TOKEN_KEYS", "k" * 32)
    with pytest.raises(NotForReplicas, match="JINKONG_DATABASE_URL"):
        build_api()
