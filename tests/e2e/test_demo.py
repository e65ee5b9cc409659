"""The demonstration from end to end, as a user runs it, and what it leaves behind."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from pipelines.access import bearer
from tests.conftest import CACHE, ROOT, free_port

pytestmark = pytest.mark.long


def demo(home: Path, *arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    environment = {name: value for name, value in os.environ.items() if not name.startswith("JINKONG_")}
    environment |= {"JINKONG_HOME": str(home), "JINKONG_PORT": str(free_port()), "COLUMNS": "200", **variables}
    return subprocess.run(
        [sys.executable, "-m", "pipelines", "demo", *arguments],
        env=environment, cwd=ROOT, capture_output=True, text=True, check=False, timeout=560,
    )  # fmt: skip


def summary_of(home: Path) -> dict[str, Any]:
    summary: dict[str, Any] = json.loads((home / "demo" / "summary.json").read_text())
    return summary


@pytest.fixture(scope="session")
def simulated_demo(marketing_settings: Any) -> Path:
    """A home whose demo finds the small group's data, features and models already there."""
    home = CACHE / "demo_home"
    (home / "demo").mkdir(parents=True, exist_ok=True)
    link = home / "demo" / "simulated-small"
    if not link.is_symlink():
        link.symlink_to(marketing_settings.home, target_is_directory=True)
    return home


@pytest.fixture(scope="module")
def second_run(simulated_demo: Path) -> "Iterator[subprocess.CompletedProcess[str]]":
    """The demo where everything is there, told to leave its server up."""
    done = demo(simulated_demo, "--keep")
    yield done
    for kept in re.findall(r"stop it with: kill (\d+)", done.stdout):
        os.kill(int(kept), signal.SIGTERM)


def test_a_second_run_reuses_everything_and_the_model_comes_near_the_oracle(
    simulated_demo: Path, second_run: "subprocess.CompletedProcess[str]"
) -> None:
    done = second_run
    assert done.returncode == 0, done.stderr
    for step in ("data", "identity", "features", "training", "marketing"):
        assert f"{step}: unchanged, reused" in done.stdout
    assert "ten parties, scored over HTTP" in done.stdout
    assert "mlflow ui --backend-store-uri" in done.stdout
    assert "/docs" in done.stdout
    summary = summary_of(simulated_demo)
    assert len(summary["scores"]) == 10
    assert summary["reused"] == ["data", "identity", "features", "training", "marketing"]
    assert summary["share_of_oracle_gini"] >= 0.80
    assert 0.80 <= summary["oracle_auc"] <= 0.90
    assert summary["split"] == "out_of_time"
    assert summary["rejected_rows"]["transactions"] > 0
    assert {"gini", "ks", "brier", "seconds", "peak_memory_bytes", "features", "rows"} <= summary.keys()
    assert summary["peak_memory_bytes"] > 50_000_000
    assert summary["whitelist"]["qini"] > 0.1
    assert summary["whitelist"]["offers"] > 100
    assert "pre-credit, by the example policy, over HTTP" in done.stdout
    decided = summary["pre_credit"]
    assert len(decided) == 15
    assert 0 < sum(one["eligible"] for one in decided) < 15
    assert "monitoring 2 months, replayed" in done.stdout
    assert "模型监控" in Path(summary["reports"]["monitoring"]).read_text()
    offered = summary["whitelist"]["first_offers"]
    assert len({offer["legal_entity"] for offer in offered}) >= 2
    parties, sources = (Path(summary["reports"][name]).read_text() for name in ("identity", "source_quality"))
    assert "pairwise precision" in parties
    assert "Largest exposures to connected parties" in parties
    assert "The best under the budget" in sources or "no source is worth its money" in sources


def test_keep_leaves_the_api_up_after_the_command_has_ended(
    simulated_demo: Path, second_run: "subprocess.CompletedProcess[str]"
) -> None:
    [line] = [line for line in second_run.stdout.splitlines() if "stop it with: kill" in line]
    url = line.split()[1]
    assert httpx.get(f"{url}/readyz").json()["status"] == "ready"
    party = {name: summary_of(simulated_demo)["scores"][0][name] for name in ("legal_entity", "party_id")}
    [line] = [line for line in second_run.stdout.splitlines() if "signs in as" in line]
    name, secret = re.findall(r"'([^']+)'", line)
    assert httpx.post(f"{url}/v1/score", json=party, headers=bearer(url, name, secret)).status_code == 200
    assert httpx.post(f"{url}/v1/score", json=party).status_code == 401


def test_the_same_pipeline_runs_on_the_real_file_and_beats_plain_lightgbm(uci_file: Path) -> None:
    home = CACHE / "uci_home"
    done = demo(home, "--source", "uci-credit-card", "--path", str(uci_file))
    assert done.returncode == 0, done.stderr
    summary = summary_of(home)
    assert summary["rows"]["customers"] == 30_000
    assert summary["rows"]["statements"] == 180_000
    assert not any(summary["rejected_rows"].values())
    assert summary["online"]["repayment"] == 30_000
    assert summary["cross_validated_auc"] >= 0.785
    assert summary["mean_pd"] == pytest.approx(summary["default_rate"], rel=0.05)
    assert summary["oracle_gini"] is None
    assert len({score["score"] for score in summary["scores"]}) > 5
