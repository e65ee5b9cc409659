"""The doctor: is this machine, and is everything that the settings point at, fit for work? And if not, what to do."""

import platform
import shutil
import socket
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Final, Literal

import httpx
import psycopg
import redis
from rich.console import Console
from rich.table import Table
from sqlalchemy.engine import make_url

from group.audit import verify
from group.database import migrate, open_database, require_current
from group.errors import JinkongError
from group.settings import Settings, documented_settings
from pipelines.steps import DATA, FEATURES, TRAINING, last_record
from pipelines.workspace import Workspace

State = Literal["well", "later", "ill"]
_LEAST_FREE_BYTES: Final = 2 * 1024**3
_SECONDS: Final = 5
_SIGNS: Final[dict[State, str]] = {
    "well": "[green]well[/green]",
    "later": "[yellow]later[/yellow]",
    "ill": "[red]ill[/red]",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found of one thing: well, not there yet, or ill; and what to do about it."""

    what: str
    state: State
    found: str
    advice: str = ""


def examine(settings: Settings, console: Console, *, migrate_first: bool) -> bool:
    """Print one line a check and return whether nothing is ill."""
    checks: list[Callable[[], Finding]] = [
        _machine,
        lambda: _home(settings),
        lambda: _database(settings, migrate_first=migrate_first),
        lambda: _audit_log(settings),
        lambda: _online_store(settings),
        lambda: _registry(settings),
        lambda: _ray(settings),
        lambda: _api(settings),
        *(lambda step=step: _step(settings, step) for step in (DATA, FEATURES, TRAINING)),
    ]
    table = Table("check", "", title="jinkong doctor", title_justify="left")
    for column in ("found", "what to do"):
        # An address that is cut off cannot be copied.
        table.add_column(column, overflow="fold")
    ill = 0
    for check in checks:
        finding = check()
        ill += finding.state == "ill"
        table.add_row(finding.what, _SIGNS[finding.state], _plain(finding.found), _plain(finding.advice))
    console.print(table)
    return not ill


def tell_settings(console: Console) -> None:
    """The list of settings."""
    table = Table("variable", "default", "what it must be", title="Settings", title_justify="left", show_lines=True)
    for variable, default, description in documented_settings():
        table.add_row(variable, _plain(default), _plain(description))
    console.print(table)


def _machine() -> Finding:
    found = (
        f"Python {platform.python_version()} on {platform.system()} {platform.machine()}, Jinkong {version('jinkong')}"
    )
    return Finding("machine", "well", found)


def _home(settings: Settings) -> Finding:
    home = settings.home.absolute()
    try:
        home.mkdir(parents=True, exist_ok=True)
        probe = home / ".writable"
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        advice = "give the user rights there, or set JINKONG_HOME to another folder"
        return Finding("home", "ill", f"{home}: {error.strerror}", advice)
    free = shutil.disk_usage(home).free
    found = f"{home}, {free / 1024**3:.1f} GiB free"
    if free < _LEAST_FREE_BYTES:
        return Finding("home", "ill", found, "make room, or set JINKONG_HOME to a larger disk; 2 GiB are needed")
    return Finding("home", "well", found)


def _database(settings: Settings, *, migrate_first: bool) -> Finding:
    shown = make_url(settings.state_url).render_as_string(hide_password=True)
    if _not_made_yet(settings) and not migrate_first:
        return Finding("database", "later", shown, "it is made by the first training or server")
    try:
        engine = open_database(settings.state_url)
        if migrate_first:
            migrate(engine)
        require_current(engine)
    except JinkongError as error:
        return Finding("database", "ill", str(error), "check JINKONG_DATABASE_URL, or run `jinkong doctor --migrate`")
    return Finding("database", "well", shown)


def _audit_log(settings: Settings) -> Finding:
    if _not_made_yet(settings):
        return Finding("audit log", "later", "nothing was recorded yet")
    try:
        fault = verify(open_database(settings.state_url))
    except Exception as error:
        return Finding("audit log", "ill", f"cannot be read ({type(error).__name__})", "mend the database first")
    if fault is not None:
        return Finding("audit log", "ill", str(fault), "keep the file, restore a backup, find out who had access")
    return Finding("audit log", "well", "every record follows the one before it")


def _online_store(settings: Settings) -> Finding:
    if not settings.online_store_url:
        return Finding("online store", "well", f"SQLite in {settings.home.absolute() / 'feast'}")
    address = make_url(settings.online_store_url)
    shown = address.render_as_string(hide_password=True)
    try:
        if address.drivername == "redis":
            redis.Redis.from_url(
                settings.online_store_url, socket_connect_timeout=_SECONDS, socket_timeout=_SECONDS
            ).ping()
        else:
            psycopg.connect(settings.online_store_url, connect_timeout=_SECONDS).close()
    except (redis.RedisError, psycopg.Error) as error:
        return Finding(
            "online store", "ill", f"{shown}: {_first_line(error)}", "start it, or check JINKONG_ONLINE_STORE_URL"
        )
    return Finding("online store", "well", shown)


def _registry(settings: Settings) -> Finding:
    if settings.mlflow_tracking_uri:
        try:
            httpx.get(f"{settings.mlflow_tracking_uri.rstrip('/')}/health", timeout=_SECONDS).raise_for_status()
        except httpx.HTTPError as error:
            advice = "start the MLflow server, or check JINKONG_MLFLOW_TRACKING_URI"
            return Finding("model registry", "ill", _first_line(error), advice)
    elif not (settings.home / "mlflow.db").is_file():
        return Finding("model registry", "later", "nothing was registered yet", "run `jinkong train`")
    from training import NoChampion, champion

    try:
        model = champion(settings)
    except NoChampion as error:
        return Finding("model registry", "later", str(error), "run `jinkong train`")
    except JinkongError as error:
        return Finding("model registry", "ill", str(error), "check JINKONG_MLFLOW_TRACKING_URI, or train again")
    return Finding("model registry", "well", f"champion is version {model.version} of {model.name}")


def _ray(settings: Settings) -> Finding:
    if not settings.ray_address:
        return Finding("Ray", "well", f"is started here for each training, on {settings.threads} threads")
    from training import ray_session

    try:
        with ray_session(settings):
            import ray

            cpus = ray.cluster_resources().get("CPU", 0)
    except JinkongError as error:
        return Finding("Ray", "ill", str(error), "start the cluster (`ray start --head`), or check JINKONG_RAY_ADDRESS")
    if cpus < settings.training_workers:
        advice = "add nodes, or lower JINKONG_TRAINING_WORKERS"
        return Finding("Ray", "ill", f"{cpus:.0f} CPUs for {settings.training_workers} training workers", advice)
    return Finding("Ray", "well", f"{settings.ray_address}, {cpus:.0f} CPUs")


def _api(settings: Settings) -> Finding:
    where = f"{settings.host}:{settings.port}"
    try:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((settings.host, settings.port))
    except OSError as error:
        try:
            answer = httpx.get(f"http://{where}/healthz", timeout=_SECONDS).json()
        except (httpx.HTTPError, ValueError):
            return Finding("API", "ill", f"{where}: {error.strerror}", "end what listens there, or set JINKONG_PORT")
        if answer.get("status") == "alive":
            return Finding("API", "well", f"serves on {where}, Jinkong {answer.get('version')}")
        return Finding("API", "ill", f"another program serves on {where}", "set JINKONG_PORT to a free port")
    return Finding("API", "well", f"{where} is free", "`jinkong serve` starts it")


def _step(settings: Settings, step: str) -> Finding:
    record = last_record(Workspace.of(settings), step)
    command = {DATA: "data", FEATURES: "features", TRAINING: "train"}[step]
    if record is None:
        return Finding(f"step {step}", "later", "was not done yet", f"run `jinkong {command}`")
    return Finding(f"step {step}", "well", f"done in {record.seconds:.0f} s")


def _not_made_yet(settings: Settings) -> bool:
    address = make_url(settings.state_url)
    return address.get_backend_name() == "sqlite" and not Path(address.database or "").is_file()


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _plain(text: str) -> str:
    # Square brackets are Rich's markup; in an address or a message they are not meant as such.
    from rich.markup import escape

    return escape(text)
