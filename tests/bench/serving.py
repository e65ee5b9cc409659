"""Serving against a route that does nothing and against MLflow's own server: ``make bench-serving``.

Server and load generator share the machine. Each figure is a median of rounds in which the sides take turns; the score
has its reasons and a durable record, for parties of the small simulated group. ``--home`` takes a home that holds a
champion already.
"""

import argparse
import contextlib
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import polars as pl
import psutil
from sqlalchemy import func, select

from features import materialise, online_reader, query
from group.database import open_database, reading
from group.entities import LEGAL_ENTITIES
from group.home import working_in
from group.libraries import prepare_libraries
from group.settings import Settings, load_settings
from pipelines import access
from pipelines.api_process import ApiProcess, start_api
from pipelines.jobs.features import build_features
from pipelines.jobs.training import train_credit
from pipelines.model_approval import approve_latest
from pipelines.progress import Silence
from pipelines.workspace import Workspace
from serving.unsettled import ENOUGH, unsettled_scores
from tests.bench.groups import a_group
from tests.bench.load import Answers, closed, open_loop, request_bytes
from tests.conftest import free_port, running_redis, started, wait_until
from training import champion
from training.compiled_booster import CompiledBooster

CONNECTIONS = 64
FSYNCS = 300
BATCH = 1_000
TABLE_ROWS = 400_000
SUSTAINED = 120


def main() -> None:
    """Measure and print JSON."""
    prepare_libraries()
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--home", type=Path, help="a home with a champion; made in a minute if not given")
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--seconds", type=float, default=4.0, help="of each round of load")
    arguments.add_argument("--stores", nargs="+", choices=["sqlite", "redis"], default=["sqlite", "redis"])
    chosen = arguments.parse_args()
    with tempfile.TemporaryDirectory(prefix="jinkong-bench-") as folder:
        home = chosen.home or prepared(Path(folder) / "home")
        result: dict[str, Any] = {"benchmark": "serving", "cores": os.cpu_count(), "fsync": fsync(home)}
        result["table"] = table(home, chosen.rounds)
        with running_redis(Path(folder)) as redis_url:
            for store in chosen.stores:
                url = redis_url if store == "redis" else ""
                state = f"sqlite:///{folder}/{store}.db"
                settings = load_settings(
                    {
                        "JINKONG_HOME": str(home), "JINKONG_DATABASE_URL": state, "JINKONG_ONLINE_STORE_URL": url,
                        "JINKONG_PORT": str(free_port()),
                    }
                )  # fmt: skip
                result[store] = on_store(settings, Path(folder), chosen.rounds, chosen.seconds)
    print(json.dumps(result, indent=2))  # noqa: T201 - the result


def prepared(home: Path) -> Path:
    """The small group with a champion."""
    settings = load_settings({"JINKONG_HOME": str(home)})
    with working_in(settings.home):
        a_group(settings, 0.1)
        build_features(settings, Silence())
        train_credit(settings, Silence(), trained_by="the benchmark")
        approve_latest(settings, "credit_pd", by="the committee", reason="to measure")
    return home


def fsync(home: Path) -> dict[str, float]:
    """Milliseconds until four kilobytes at the end of a file of the home's disk are on it."""
    path = home / "fsync.bench"
    seconds = []
    with path.open("wb", buffering=0) as file:
        for _ in range(FSYNCS):
            file.write(b"x" * 4_096)
            began = time.perf_counter()
            os.fsync(file.fileno())
            seconds.append(time.perf_counter() - began)
    path.unlink()
    return {"median_ms": 1e3 * statistics.median(seconds), "p99_ms": 1e3 * sorted(seconds)[int(0.99 * FSYNCS)]}


def table(home: Path, rounds: int) -> dict[str, Any]:
    """Rows a second of a table in process: the compiled model against LightGBM with all threads; values are equal."""
    import lightgbm  # the benchmark's own measure

    settings = load_settings({"JINKONG_HOME": str(home)})
    model = champion(settings).model
    log(f"table: {TABLE_ROWS} rows of {model.booster.num_feature()} columns")
    reader = online_reader(settings, model.features)
    known = online_parties(settings)[:2_000]
    rows = reader.read([(one["legal_entity"], one["party_id"]) for one in known]).values
    many = np.ascontiguousarray(np.tile(rows, (TABLE_ROWS // len(rows), 1)))
    booster = lightgbm.Booster(model_str=model.booster.model_to_string())
    began = time.perf_counter()
    compiled = CompiledBooster(model.booster, settings.threads)
    compiling = time.perf_counter() - began
    seconds: dict[str, list[float]] = {"compiled": [], "lightgbm": []}
    for _ in range(rounds):
        for name, predict in (("compiled", compiled.predict), ("lightgbm", booster.predict)):
            began = time.perf_counter()
            answers = predict(many, raw_score=True)
            seconds[name].append(time.perf_counter() - began)
            if name == "compiled":
                ours = answers
            elif not np.array_equal(ours, answers):
                raise AssertionError("the compiled model answers differently")
    per_second = {name: len(many) / statistics.median(found) for name, found in seconds.items()}
    return {
        "rows": len(many),
        "trees": model.booster.num_trees(),
        "compile_seconds": round(compiling, 2),
        **{f"{name}_rows_per_second": round(found) for name, found in per_second.items()},
        "ratio": round(per_second["compiled"] / per_second["lightgbm"], 2),
    }


def on_store(settings: Settings, folder: Path, rounds: int, seconds: float) -> dict[str, Any]:
    """Every figure on one online store."""
    parties = online_parties(settings)
    if settings.online_store_url:
        as_of = query(
            "SELECT max(event_timestamp) AS at FROM read_parquet($files)",
            {"files": f"{Workspace.of(settings).features}/profile/*.parquet"},
        )["at"][0]
        materialise(settings, Workspace.of(settings).features, as_of)
    log(f"{settings.online_store_url or 'sqlite'}: {len(parties)} parties")
    result: dict[str, Any] = {"cold_start": cold_start(settings, folder)}
    with contextlib.ExitStack() as stack:
        constant = stack.enter_context(constant_server(folder))
        server = stack.enter_context(api(settings, folder))
        mlflow = stack.enter_context(mlflow_server(settings, folder))
        headers = signed_in(settings, server.url)
        result["load"] = under_load(server.url, constant, headers, parties, rounds, seconds)
        rate = 2 * result["load"]["score_per_second"]
        result["overload"] = overload(server.url, headers, parties, seconds, rate)
        result["mlflow"] = against_mlflow(settings, server.url, mlflow, headers, parties, rounds)
        result["memory_mb"] = round(psutil.Process(server.process.pid).memory_info().rss / 2**20)
        result["two_workers"] = two_workers(settings, server, folder, parties, rounds, seconds)
    return result


def online_parties(settings: Settings) -> list[dict[str, str]]:
    """Everybody who is online, in no order."""
    newest = sorted((Workspace.of(settings).features / "profile").glob("*.parquet"))[-1]
    found = pl.read_parquet(newest, columns=["legal_entity", "party_id"]).sample(fraction=1, shuffle=True, seed=1)
    return found.to_dicts()


@contextlib.contextmanager
def api(settings: Settings, folder: Path, workers: int = 1) -> Iterator[ApiProcess]:
    """`jinkong serve`."""
    server = start_api(settings.model_copy(update={"workers": workers}), folder / f"api-{settings.port}.log")
    try:
        yield server
    finally:
        server.stop()


@contextlib.contextmanager
def constant_server(folder: Path) -> Iterator[int]:
    """A bare FastAPI route on the same server; yields its port."""
    port = free_port()
    command = [
        sys.executable, "-m", "uvicorn", "tests.bench.constant:app", "--port", str(port), "--log-level", "warning",
    ]  # fmt: skip
    with started(command, folder / "constant.log") as process:
        url = f"http://127.0.0.1:{port}/constant"
        wait_until(lambda: httpx.post(url).is_success, process, folder / "constant.log")
        yield port


@contextlib.contextmanager
def mlflow_server(settings: Settings, folder: Path) -> Iterator[str]:
    """`mlflow models serve` of the champion; yields its address."""
    port = free_port()
    registered = champion(settings)
    command = [
        sys.executable, "-m", "mlflow", "models", "serve", "--model-uri",
        f"models:/{registered.name}/{registered.version}", "--env-manager", "local", "--port", str(port),
    ]  # fmt: skip
    # It starts what it finds on the path.
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    with started(command, folder / "mlflow.log", MLFLOW_TRACKING_URI=settings.tracking_uri, PATH=path) as process:
        url = f"http://127.0.0.1:{port}"
        wait_until(lambda: httpx.get(f"{url}/ping").is_success, process, folder / "mlflow.log")
        yield url


def signed_in(settings: Settings, url: str) -> dict[str, str]:
    """A program that may ask as often as it can."""
    name = f"bench-{time.monotonic_ns()}"
    roles = ["credit_officer"]
    secret = access.add(settings, name, "client", roles, list(LEGAL_ENTITIES), by="bench", requests_per_second=1e6)
    return access.bearer(url, name, secret)


def score_requests(headers: dict[str, str], parties: list[dict[str, str]]) -> list[bytes]:
    """A request a party."""
    all_headers = headers | {"content-type": "application/json"}
    return [request_bytes("/v1/score", json.dumps(party).encode(), all_headers) for party in parties]


def port_of(url: str) -> int:
    """The port of a server's address."""
    port = httpx.URL(url).port
    assert port is not None
    return port


def under_load(
    url: str, constant: int, headers: dict[str, str], parties: list[dict[str, str]], rounds: int, seconds: float
) -> dict[str, Any]:
    """Requests a second of both, closed, and latencies of both at half of what the score had in the same round, open.

    So the half is of what the machine gives now: what it gave minutes ago may be another machine's.
    """
    sides = {
        "score": (port_of(url), score_requests(headers, parties)),
        "constant": (constant, [request_bytes("/constant", b"{}", {})]),
    }
    closed(*sides["score"], CONNECTIONS, 1.0)
    per_second, p99, p50 = ({name: list[float]() for name in sides} for _ in range(3))
    for _ in range(rounds):
        for name, side in sides.items():
            answers = closed(*side, CONNECTIONS, seconds)
            assert set(answers.latencies) == {200}, answers.counts()
            per_second[name].append(answers.per_second)
        for name, side in sides.items():
            answers = open_loop(*side, CONNECTIONS, seconds, per_second["score"][-1] / 2)
            assert set(answers.latencies) == {200}, answers.counts()
            p99[name].append(1e3 * answers.quantile(0.99))
            p50[name].append(1e3 * answers.quantile(0.5))
    rates, tails, middles = (
        {name: statistics.median(found) for name, found in of.items()} for of in (per_second, p99, p50)
    )
    return {
        "score_over_constant": rates["score"] / rates["constant"],
        "score_per_second": rates["score"],
        "constant_per_second": rates["constant"],
        "rounds_per_second": per_second,
        "half_load": {
            "score_p99_ms": tails["score"],
            "constant_p99_ms": tails["constant"],
            "p99_over_constant": tails["score"] / tails["constant"],
            "p50_ms": middles,
            "rounds_p99_ms": p99,
        },
    }


def overload(
    url: str, headers: dict[str, str], parties: list[dict[str, str]], seconds: float, rate: float
) -> dict[str, Any]:
    """What is answered and what is shed at twice the load that one worker holds."""
    answers: Answers = open_loop(port_of(url), score_requests(headers, parties), 2_000, seconds, rate)
    again = closed(port_of(url), score_requests(headers, parties), 8, 1.0)
    return {
        "asked_per_second": rate,
        "answers": answers.counts(),
        "good_per_second": answers.per_second,
        "good_p99_ms": 1e3 * answers.quantile(0.99),
        "good_p99_ms_from_sending": 1e3 * float(np.quantile(answers.from_sending, 0.99)),
        "p99_ms_right_after": 1e3 * again.quantile(0.99),
    }


def against_mlflow(
    settings: Settings, url: str, mlflow: str, headers: dict[str, str], parties: list[dict[str, str]], rounds: int
) -> dict[str, Any]:
    """One client, one row and a thousand, against the same model behind MLflow's server."""
    model = champion(settings).model
    some = [party for party in parties if party["legal_entity"] == "consumer"][:BATCH]
    with httpx.Client(base_url=url, headers=headers, timeout=60) as ours, httpx.Client(timeout=60) as theirs:
        rows = features_of(settings, some)
        values = [[None if np.isnan(value) else value for value in row] for row in rows]
        one, many = (
            json.dumps({"dataframe_split": {"columns": list(model.features), "data": some_values}})
            for some_values in (values[:1], values)
        )
        json_header = {"content-type": "application/json"}

        asked = json.dumps({"parties": [party["party_id"] for party in some]})

        # What a client makes of the bytes is its own affair: requests are made beforehand, answers are read afterwards.
        def by_mlflow(body: str) -> bytes:
            return theirs.post(f"{mlflow}/invocations", content=body, headers=json_header).content

        def batch() -> bytes:
            return ours.post(
                "/v1/score/batch", params={"legal_entity": "consumer"}, content=asked, headers=json_header
            ).content

        def singles() -> list[bytes]:
            return [ours.post("/v1/score", json=party).content for party in some[:100]]

        wanted = [answer["probability"] for answer in json.loads(batch())["scores"]]
        assert [json.loads(answer)["probability"] for answer in singles()] == wanted[:100]
        assert np.allclose(np.ravel(json.loads(by_mlflow(many))["predictions"]), wanted, rtol=1e-12, atol=0)
        sides: dict[str, Callable[[], Any]] = {
            "score": lambda: ours.post("/v1/score", json=some[0]), "mlflow_row": lambda: by_mlflow(one),
        }  # fmt: skip
        row = {name: [timed(work) for _ in range(40 * rounds)] for name, work in sides.items()}
        large: dict[str, list[float]] = {"batch": [], "mlflow": [], "singles": []}
        for _ in range(4 * rounds):
            large["batch"].append(timed(batch))
            large["mlflow"].append(timed(lambda: by_mlflow(many)))
            large["singles"].append(timed(singles) / 100 * len(some))

        def one_after_the_other() -> None:
            for _ in range(SUSTAINED):
                batch()
            wait_until_settled(settings)

        sustained = timed(one_after_the_other) / SUSTAINED
    p50 = {name: 1e3 * statistics.median(found) for name, found in row.items()}
    microseconds = {name: 1e6 * statistics.median(found) / len(some) for name, found in large.items()}
    # Batch after batch until their scores are in place by party, but for fewer parts than ``ENOUGH``, as at the start.
    microseconds["batch_sustained"] = 1e6 * sustained / len(some)
    return {
        "one_row_p50_ms": p50,
        "mlflow_over_score": p50["mlflow_row"] / p50["score"],
        "rows": len(some),
        "microseconds_a_row": microseconds,
        "single_over_batch": microseconds["singles"] / microseconds["batch"],
        "mlflow_over_batch": microseconds["mlflow"] / microseconds["batch"],
        "mlflow_over_batch_sustained": microseconds["mlflow"] / microseconds["batch_sustained"],
    }


def wait_until_settled(settings: Settings) -> None:
    """Wait until the server has put the scores of its batches in place, but for the last few."""
    engine = open_database(settings.state_url)
    while True:
        with reading(engine) as connection:
            if connection.execute(select(func.count()).select_from(unsettled_scores)).scalar_one() < ENOUGH:
                break
        time.sleep(0.01)
    engine.dispose()


def features_of(settings: Settings, parties: list[dict[str, str]]) -> Any:
    """What the online store holds of the parties, in the model's order."""
    from features import online_reader

    reader = online_reader(settings, champion(settings).model.features)
    return reader.read([(party["legal_entity"], party["party_id"]) for party in parties]).values


def cold_start(settings: Settings, folder: Path) -> dict[str, float]:
    """Seconds from nothing to ready, as the second start of a home is."""
    seconds = []
    for _ in range(3):
        began = time.perf_counter()
        with api(settings, folder):
            seconds.append(time.perf_counter() - began)
    return {"first_seconds": seconds[0], "median_seconds": statistics.median(seconds[1:])}


def two_workers(
    settings: Settings, one: ApiProcess, folder: Path, parties: list[dict[str, str]], rounds: int, seconds: float
) -> dict[str, Any]:
    """Scores a second of two workers over those of one, while the load generator takes its share of the cores.

    What a score costs the workers' processors says what they would give on cores of their own.
    """
    per_second: dict[str, list[float]] = {"one": [], "two": []}
    microseconds: dict[str, list[float]] = {"one": [], "two": []}
    with api(settings.model_copy(update={"port": free_port()}), folder, workers=2) as two:
        sides = {
            name: (server, score_requests(signed_in(settings, server.url), parties))
            for name, server in (("one", one), ("two", two))
        }
        for _ in range(rounds):
            for name, (server, requests) in sides.items():
                before = processor_seconds(server)
                answers = closed(port_of(server.url), requests, CONNECTIONS, seconds)
                per_second[name].append(answers.per_second)
                microseconds[name].append(1e6 * (processor_seconds(server) - before) / len(answers.good))
    rates, costs = ({name: statistics.median(found) for name, found in of.items()} for of in (per_second, microseconds))
    return {
        "per_second": rates["two"],
        "over_one": rates["two"] / rates["one"],
        "processor_microseconds_a_score": costs,
        "over_one_with_cores_enough": 2 * costs["one"] / costs["two"],
    }


def processor_seconds(server: ApiProcess) -> float:
    """What a server's processes have used of the processors."""
    process = psutil.Process(server.process.pid)
    return sum(sum(one.cpu_times()[:2]) for one in (process, *process.children(recursive=True)))


def timed(work: Callable[[], Any]) -> float:
    """Seconds that it takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def log(text: str) -> None:
    """Progress."""
    print(text, file=sys.stderr, flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
